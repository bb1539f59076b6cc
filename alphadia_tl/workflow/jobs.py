"""The jobs of a workflow: make the library of a pass, search a run, combine the runs, tune, report."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import PredictionError, QuantificationError, ResultsError, SettingsError
from alphadia_tl.files import write_whole
from alphadia_tl.host.contract import PSM_FILE
from alphadia_tl.library.selection import Scouting
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.prediction import CHUNK_ROWS, PredictedChunks
from alphadia_tl.search.passes import library_config, manager_of, with_scouting
from alphadia_tl.search.plan import TransferLearningPlan
from alphadia_tl.speclib.regenerate import tables_to_predict
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.step import first_predictor, models_of_library, rewrite_library, run_step
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.workflow.layout import Layout, read_receipt, run_ids, since, write_receipt

logger = logging.getLogger(__name__)

PREDICT = {"rt": "predict_rt_array", "ccs": "predict_ccs_array", "ms2": "predict_ms2_array"}
Tables = dict[str, pd.DataFrame]


class JobPlan(TransferLearningPlan):
    """The plan of a whole search, with all its raw files, of which each job does a part."""

    def __init__(self, output_directory: Path, config: dict[str, object]) -> None:
        super().__init__(str(output_directory), config, {})
        self.layout = Layout(output_directory)

    def settings(self) -> StepSettings:
        """Return all settings of the tuning, with custom modifications made known."""
        folder = self.passes.transfer_folder
        whole = host.deep_merge(self.user_config, self.passes.config(host.TRANSFER_STEP))
        return self.passes.settings(host.effective_config(whole, folder))

    @property
    def scouting(self) -> Scouting | None:
        """Which part of the library the first pass searches, as its preparation has chosen; None for all of it."""
        receipt = self.layout.prepared(host.TRANSFER_STEP)
        told = read_receipt(receipt).get("scout") if receipt.is_file() else None
        return None if told is None else Scouting.from_mapping(told)

    def check_step(self, step: str) -> None:
        """Refuse a step that the search does not have."""
        if step not in self.steps:
            raise ResultsError(f"The search has no step '{step}'.", f"It has: {', '.join(self.steps)}.")

    def tuned(self) -> StepOutcome:
        """Return what the tuning decided, before the library was predicted with it."""
        return self._outcome_in(self.layout.tuned)

    def outcome(self, step: str = host.LIBRARY_STEP) -> StepOutcome | None:
        """Return what the tuning decided and came to in the library, as a pass knows it; None for other passes."""
        return self._outcome_in(self.layout.library(step)) if step == host.LIBRARY_STEP else None

    def _outcome_in(self, receipt: Path) -> StepOutcome:
        return StepOutcome.from_mapping(Bundle(self.passes.transfer_folder), read_receipt(receipt)["outcome"])


def _manager(plan: JobPlan, step: str) -> FinetuneManager:
    outcome = None if step == host.TRANSFER_STEP else plan.tuned()
    manager = manager_of(plan.settings(), outcome, plan.layout.folder)
    manager.predicted_chunks = PredictedChunks(plan.layout.predictions(step))
    return manager


def prepare_library(plan: JobPlan, step: str) -> None:
    """Find out what the models will be asked for the library of a step, in chunks that any number of jobs can share.

    Nothing is asked in advance where alphaDIA predicts (no CCS weights to start from) or nothing is predicted.
    """
    started = time.perf_counter()
    plan.check_step(step)
    tables, scouting = _first_tables(plan) if step == host.TRANSFER_STEP else (_tuned_tables(plan), None)
    folder = plan.layout.tables(step)
    shutil.rmtree(folder / "tables", ignore_errors=True)
    shutil.rmtree(plan.layout.predictions(step), ignore_errors=True)
    chunks = 0
    for model, table in tables.items():
        content = pa.Table.from_pandas(table, preserve_index=False)
        path = folder / "tables" / f"{model}.parquet"
        write_whole(path, lambda part, content=content: pq.write_table(content, part, row_group_size=CHUNK_ROWS))  # type: ignore[misc]
        chunks = max(chunks, -(-len(table) // CHUNK_ROWS))
    rows = {model: len(table) for model, table in tables.items()}
    logger.info(f"To predict for the library of step '{step}': {rows or 'nothing'}, in {chunks} chunks")
    told = {} if scouting is None else {"scout": asdict(scouting)}
    write_receipt(plan.layout.prepared(step), {"rows": rows, "chunks": chunks, **told, "seconds": since(started)})


def _first_tables(plan: JobPlan) -> tuple[Tables, Scouting | None]:
    folder = plan.layout.tables(host.TRANSFER_STEP)
    step = plan.passes.make_step(host.TRANSFER_STEP, plan.passes.config(host.TRANSFER_STEP), folder)
    manager = _manager(plan, host.TRANSFER_STEP)
    scouting, predictor = plan.passes.scouting(step, plan.settings(), manager), first_predictor(manager)
    if scouting is None:
        for name in host.DIGEST_FILES:  # of an earlier call
            (plan.passes.transfer_folder / name).unlink(missing_ok=True)
    if predictor is None or not host.config_of(step)["library_prediction"]["enabled"]:
        return {}, None
    part = None if scouting is None else scouting.part.rows
    tables = predictor.tables_to_predict(host.precursors_to_predict(step, predictor, plan.passes.transfer_folder, part))
    return tables, scouting


def _tuned_tables(plan: JobPlan) -> Tables:
    outcome, settings = plan.tuned(), plan.settings()
    whole = plan.passes.whole_library(outcome)
    if not outcome.changing and whole is None:
        return {}
    try:
        manager = _manager(plan, host.LIBRARY_STEP)
        models = models_of_library(settings, manager, outcome, whole=whole is not None)
        return tables_to_predict(plan.passes.first_library, models, whole)
    except PredictionError as error:
        logger.warning(f"The library will be predicted by one job: {error}")
        return {}


def predict_shard(plan: JobPlan, step: str, shard: int, shards: int) -> None:
    """Predict every ``shards``-th chunk, beginning with chunk ``shard`` (from 0), for the library of a step."""
    started = time.perf_counter()
    manager = _manager(plan, step)
    for path in sorted((plan.layout.tables(step) / "tables").glob("*.parquet")):
        file = pq.ParquetFile(path)
        predict = getattr(manager, PREDICT[path.stem])
        for number in range(shard, file.num_row_groups, shards):
            chunk = cast(pd.DataFrame, file.read_row_group(number).to_pandas())
            predict(chunk)
            logger.info(f"{path.stem}: chunk {number + 1} of {file.num_row_groups}, {len(chunk):,} rows")
    write_receipt(plan.layout.predicted(step, shard, shards), {"seconds": since(started)})


def make_library(plan: JobPlan, step: str) -> None:
    """Put the library of a step together from what was predicted, with decoys, as all searches of the step load it."""
    started = time.perf_counter()
    plan.check_step(step)
    outcome = _regenerate(plan) if step == host.LIBRARY_STEP else None
    config = plan.passes.config(step, outcome=outcome)
    made = plan.passes.make_step(step, config, plan.layout.step(step) / "library")
    predictor = first_predictor(_manager(plan, step)) if step == host.TRANSFER_STEP else None
    part = None if predictor is None or plan.scouting is None else plan.scouting.part.rows
    base, flat = host.make_library(made, predictor, plan.passes.transfer_folder, part)
    if predictor is not None:
        _log_predictions(predictor)
    output = plan.step_folder(step)
    output.mkdir(parents=True, exist_ok=True)
    base.replace(output / base.name)
    flat = flat.replace(plan.layout.step(step) / flat.name)
    shutil.rmtree(plan.layout.predictions(step), ignore_errors=True)
    receipt = {"flat": str(flat.relative_to(plan.layout.folder))}
    known = {} if outcome is None else {"outcome": outcome.to_mapping()}
    write_receipt(plan.layout.library(step), {**receipt, **known, "seconds": since(started)})


def _regenerate(plan: JobPlan) -> StepOutcome:
    outcome, settings = plan.tuned(), plan.settings()
    manager = _manager(plan, host.LIBRARY_STEP)
    whole = plan.passes.whole_library(outcome)
    outcome = rewrite_library(settings, manager, outcome, plan.passes.first_library, whole)
    _log_predictions(manager)
    return outcome


def _log_predictions(manager: FinetuneManager) -> None:
    chunks = manager.predicted_chunks
    if chunks is not None and chunks.found + chunks.missing:
        logger.info(f"Predictions: {chunks.found} chunks from other jobs, {chunks.missing} made here")


def search(plan: JobPlan, step: str, run_id: str) -> None:
    """Search one run in a step; a run that cannot be searched is noted, or stops the job with ``general.fail_fast``."""
    plan.check_step(step)
    runs = run_ids(plan.raw_paths)
    if run_id not in runs:
        raise SettingsError(f"There is no run '{run_id}'.", f"Known: {', '.join(runs)}.")
    receipt, started, outcome = plan.layout.run(step, run_id), time.perf_counter(), plan.outcome(step)
    earlier = plan.layout.run(host.TRANSFER_STEP, run_id)
    reuses = outcome is not None and outcome.regeneration is None
    if reuses and earlier.is_file() and "folder" in (found := read_receipt(earlier)):
        logger.info("The library has not changed: the quantification of the first pass is used.")
        write_receipt(receipt, found)
        return
    folder = plan.step_folder(step) / host.QUANT_FOLDER / Path(runs[run_id]).stem
    shutil.rmtree(folder, ignore_errors=True)  # half-written, of a job that was killed
    config = host.deep_merge(
        plan.passes.config(step, outcome=outcome),
        library_config(plan.layout.folder / read_receipt(plan.layout.library(step))["flat"]),
        {"quant_directory": str(folder.parent), "general": {"input_library_type": "flat"}},
    )
    searched = plan.passes.make_step(step, config, plan.layout.step(step) / "runs" / run_id)
    stop_on_failure = searched.config["general"]["fail_fast"]
    failure = host.search_run(searched, runs[run_id], first_pass=step == host.TRANSFER_STEP)
    if failure is not None and (failure.may_pass or stop_on_failure):
        raise QuantificationError(f"{runs[run_id]} was not searched: {failure.message}")
    result = {"failed": failure.message} if failure else {"folder": str(folder.relative_to(plan.layout.folder))}
    write_receipt(receipt, {"raw file": runs[run_id], **result, "seconds": since(started)})


def _receipts(plan: JobPlan, step: str) -> dict[str, dict[str, Any]]:
    """Return the receipts of the runs that were searched in a step, by raw file."""
    files = {path: plan.layout.run(step, run_id) for run_id, path in run_ids(plan.raw_paths).items()}
    return {path: read_receipt(file) for path, file in files.items() if file.is_file()}


def _folders(plan: JobPlan, step: str) -> dict[str, Path]:
    receipts = _receipts(plan, step)
    found = {path: plan.layout.folder / r["folder"] for path, r in receipts.items() if "folder" in r}
    for path, folder in found.items():
        if not (folder / PSM_FILE).is_file():
            raise QuantificationError(
                f"{folder} of {path} holds no results any more.",
                f"Remove the receipt of its search in {plan.layout.step(step) / 'runs'} and run the workflow again.",
            )
    if not found:
        problems = [f"{path}: {r.get('failed')}" for path, r in receipts.items()]
        raise QuantificationError(f"No run could be searched in step '{step}'. {'; '.join(problems[:5])}")
    return found


def failed_runs(plan: JobPlan) -> list[tuple[str, str, str]]:
    """Return step, raw file and reason of the searches that failed."""
    receipts = {step: _receipts(plan, step) for step in plan.steps}
    return [(s, path, r["failed"]) for s, found in receipts.items() for path, r in found.items() if "failed" in r]


def combine(plan: JobPlan, step: str) -> None:
    """Write the tables of a step over all of its runs."""
    started = time.perf_counter()
    plan.check_step(step)
    folders = _folders(plan, step)
    combined = plan.passes.make_step(step, plan.passes.config(step, outcome=plan.outcome(step)))
    host.combine_runs(combined, folders, first_pass=step == host.TRANSFER_STEP)
    write_receipt(plan.layout.combined(step), {"runs": len(folders), "seconds": since(started)})


def tune(plan: JobPlan) -> None:
    """Tune the models on the first pass; a tuning that was killed goes on from its last epoch."""
    started = time.perf_counter()
    outcome = run_step(
        plan.settings(),
        plan.passes.transfer_folder,
        quant_folders=list(_folders(plan, host.TRANSFER_STEP).values()),
        searched=plan.passes.first_library,
    )
    outcome = with_scouting(outcome, plan.scouting)
    outcome.write_provenance()
    write_receipt(plan.layout.tuned, {"outcome": outcome.to_mapping(), "seconds": since(started)})


def report(plan: JobPlan) -> None:
    """Write what is known only now: identifications of the passes, times, the report."""
    outcome = plan.outcome()
    if outcome is None:
        raise ResultsError(f"{plan.layout.folder} holds no final library.", "Run the workflow.")
    failures = [f"{path} was left out of step '{step}': {reason}" for step, path, reason in failed_runs(plan)]
    for failure in failures:
        logger.warning(failure)
    outcome = outcome.with_warnings(*failures)
    for step in plan.steps:
        label = "first pass" if step == host.TRANSFER_STEP else f"{step} step"
        jobs = [r.get("seconds", 0.0) for r in _receipts(plan, step).values()]
        outcome = outcome.with_seconds(f"{label}, all jobs", float(sum(jobs)))
    step = plan.steps[-1] if plan.layout.combined(plan.steps[-1]).is_file() else host.LIBRARY_STEP
    outcome = plan.passes.finish(outcome, len(_receipts(plan, host.TRANSFER_STEP)), step)
    write_receipt(plan.layout.reported, {"report": str(outcome.bundle.report.relative_to(plan.layout.folder))})
