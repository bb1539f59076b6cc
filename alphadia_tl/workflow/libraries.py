"""Jobs that make the libraries of the passes: prepare, predict in shards, put together."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import PredictionError, ResultsError
from alphadia_tl.files import write_whole
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.prediction import CHUNK_ROWS, PredictionParts
from alphadia_tl.search.passes import manager_of
from alphadia_tl.search.plan import TransferLearningPlan
from alphadia_tl.speclib.regenerate import TunedModels, tables_to_predict
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.rewrite_library import rewrite_library
from alphadia_tl.step.step import first_predictor
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.workflow.layout import Layout, read_receipt, since, write_receipt

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
    manager.parts = PredictionParts(plan.layout.parts(step))
    return manager


def prepare_library(plan: JobPlan, step: str) -> None:
    """Find out what the models will be asked for the library of a step, in chunks that any number of jobs can share.

    Nothing is asked in advance where alphaDIA predicts (no CCS weights to start from) or nothing is predicted.
    """
    started = time.perf_counter()
    plan.check_step(step)
    tables = _first_tables(plan) if step == host.TRANSFER_STEP else _tuned_tables(plan)
    folder = plan.layout.tables(step)
    shutil.rmtree(folder / "tables", ignore_errors=True)
    shutil.rmtree(plan.layout.parts(step), ignore_errors=True)
    chunks = 0
    for model, table in tables.items():
        content = pa.Table.from_pandas(table, preserve_index=False)
        path = folder / "tables" / f"{model}.parquet"
        write_whole(path, lambda part, content=content: pq.write_table(content, part, row_group_size=CHUNK_ROWS))  # type: ignore[misc]
        chunks = max(chunks, -(-len(table) // CHUNK_ROWS))
    rows = {model: len(table) for model, table in tables.items()}
    logger.info(f"To predict for the library of step '{step}': {rows or 'nothing'}, in {chunks} chunks")
    write_receipt(plan.layout.prepared(step), {"rows": rows, "chunks": chunks, "seconds": since(started)})


def _first_tables(plan: JobPlan) -> Tables:
    folder = plan.layout.tables(host.TRANSFER_STEP)
    step = plan.passes.make_step(host.TRANSFER_STEP, plan.passes.config(host.TRANSFER_STEP), folder)
    predictor = first_predictor(_manager(plan, host.TRANSFER_STEP))
    if predictor is None or not host.config_of(step)["library_prediction"]["enabled"]:
        return {}
    for old in folder.glob("digest.*"):
        old.unlink()
    return predictor.tables_to_predict(host.precursors_to_predict(step, predictor, folder))


def _tuned_tables(plan: JobPlan) -> Tables:
    outcome, settings = plan.tuned(), plan.settings()
    if not outcome.changing:
        return {}
    try:
        manager = _manager(plan, host.LIBRARY_STEP)
        models = TunedModels(manager, outcome.changing, settings.predicted_frag_types, outcome.charge_cutoff)
        return tables_to_predict(plan.passes.first_library, models)
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
    base, flat = host.make_library(made, predictor, plan.layout.tables(step))
    if predictor is not None:
        _note_parts(predictor)
    output = plan.step_folder(step)
    output.mkdir(parents=True, exist_ok=True)
    base.replace(output / base.name)
    flat = flat.replace(plan.layout.step(step) / flat.name)
    shutil.rmtree(plan.layout.parts(step), ignore_errors=True)
    receipt = {"flat": str(flat.relative_to(plan.layout.folder))}
    known = {} if outcome is None else {"outcome": outcome.to_mapping()}
    write_receipt(plan.layout.library(step), {**receipt, **known, "seconds": since(started)})


def _regenerate(plan: JobPlan) -> StepOutcome:
    outcome, settings = plan.tuned(), plan.settings()
    manager = _manager(plan, host.LIBRARY_STEP)
    outcome = rewrite_library(settings, manager, outcome, plan.passes.first_library)
    _note_parts(manager)
    return outcome


def _note_parts(manager: FinetuneManager) -> None:
    parts = manager.parts
    if parts is not None and parts.taken + parts.missing:
        logger.info(f"Predictions: {parts.taken} chunks from other jobs, {parts.missing} made here")


def flat_library(plan: JobPlan, step: str) -> Path:
    """Return the library that searches of a step load."""
    return plan.layout.folder / str(read_receipt(plan.layout.library(step))["flat"])
