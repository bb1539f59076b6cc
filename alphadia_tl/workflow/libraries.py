"""Jobs that make the libraries of the passes: prepare, predict in shards, put together."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from alphadia_tl import host
from alphadia_tl.errors import PredictionError
from alphadia_tl.files import write_whole
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.prediction import CHUNK_ROWS, PredictionParts, asked
from alphadia_tl.search.passes import library_config
from alphadia_tl.speclib.regenerate import tables_to_predict
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.rewrite_library import rewrite_library
from alphadia_tl.step.step import first_predictor, preflight, start_manager
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.workflow.job_plan import JobPlan
from alphadia_tl.workflow.layout import read_receipt, since, write_receipt

logger = logging.getLogger(__name__)

PREDICT = {"rt": "predict_rt_array", "ccs": "predict_ccs_array", "ms2": "predict_ms2_array"}
Tables = dict[str, pd.DataFrame]


class _AllAsked(Exception):  # no error: all that the first library's prediction asks is known
    pass


def _tuned_manager(settings: StepSettings, outcome: StepOutcome) -> FinetuneManager:
    manager = start_manager(settings)
    manager.load_tuned(outcome.bundle.models, outcome.accepted)
    if "ms2" in outcome.accepted:
        manager.use_nce(float(outcome.provenance["nce"]))
    return manager


def _manager(plan: JobPlan, step: str) -> FinetuneManager:
    settings = plan.settings()
    if step == host.TRANSFER_STEP:
        manager = preflight(settings, plan.layout.folder)
    else:
        manager = _tuned_manager(settings, plan.tuned())
    manager.parts = PredictionParts(plan.layout.parts(step))
    return manager


def prepare_library(plan: JobPlan, step: str) -> None:
    """Find out what the models will be asked for the library of a step, in chunks that any number of jobs can share.

    Nothing is asked in advance where alphaDIA predicts (no CCS weights to start from) or nothing is predicted.
    """
    started = time.perf_counter()
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
    tables: Tables = {}

    def note(model: str, df: pd.DataFrame) -> NDArray[Any] | None:
        if model == "charge":
            return None
        tables[model] = asked(model, df)
        if model == "ms2":
            raise _AllAsked
        return np.full(len(df), 300.0 if model == "ccs" else 0.5, dtype=np.float32)

    def prepare(plan: JobPlan, _: Path, extra: dict[str, Any]) -> None:
        step = host.make_step(plan.layout.tables(host.TRANSFER_STEP), plan.user_config, {}, extra, host.TRANSFER_STEP)
        manager = _manager(plan, host.TRANSFER_STEP)
        predictor = first_predictor(manager)
        if predictor is None or not host.config_of(step)["library_prediction"]["enabled"]:
            return
        manager.instead = note
        for old in plan.layout.tables(host.TRANSFER_STEP).glob("digest.*"):
            old.unlink()
        try:
            host.make_library(step, predictor, plan.layout.tables(host.TRANSFER_STEP))
        except _AllAsked:
            return

    plan.do(host.TRANSFER_STEP, prepare)
    return tables


def _tuned_tables(plan: JobPlan) -> Tables:
    outcome, settings = plan.tuned(), plan.settings()
    if not outcome.changing:
        return {}
    try:
        return tables_to_predict(
            plan.transfer_folder / host.SPECLIB_FILE,
            predictor=_manager(plan, host.LIBRARY_STEP),
            accepted=outcome.changing,
            charged_frag_types=settings.predicted_frag_types,
            charge_cutoff=outcome.charge_cutoff,
        )
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
    outcome = _regenerate(plan) if step == host.LIBRARY_STEP else None

    def job(plan: JobPlan, output: Path, extra: dict[str, Any]) -> None:
        predictor = None
        if outcome is not None:
            extra = host.deep_merge(extra, library_config(source_library(outcome)))
        made = host.make_step(plan.layout.step(step) / "library", plan.user_config, {}, extra, step)
        if step == host.TRANSFER_STEP:
            predictor = first_predictor(_manager(plan, step))
        base, flat = host.make_library(made, predictor, plan.layout.tables(step))
        if predictor is not None:
            _note_parts(predictor)
        output.mkdir(parents=True, exist_ok=True)
        base.replace(output / base.name)
        flat = flat.replace(plan.layout.step(step) / flat.name)
        shutil.rmtree(plan.layout.parts(step), ignore_errors=True)
        receipt: dict[str, Any] = {"flat": str(flat.relative_to(plan.layout.folder))}
        if outcome is not None:
            receipt["outcome"] = outcome.to_mapping()
        write_receipt(plan.layout.library(step), {**receipt, "seconds": since(started)})

    plan.do(step, job)


def source_library(outcome: StepOutcome) -> Path:
    """Return the library that the pass after tuning searches: the tuned one, or the first pass's where it stays."""
    bundle = outcome.bundle
    return bundle.tuned_library if outcome.regeneration is not None else bundle.folder / host.SPECLIB_FILE


def _regenerate(plan: JobPlan) -> StepOutcome:
    outcome, settings = plan.tuned(), plan.settings()
    manager = _manager(plan, host.LIBRARY_STEP)
    outcome = rewrite_library(settings, manager, outcome, plan.transfer_folder / host.SPECLIB_FILE)
    _note_parts(manager)
    return outcome


def _note_parts(manager: FinetuneManager) -> None:
    parts = manager.parts
    if parts is not None and parts.taken + parts.missing:
        logger.info(f"Predictions: {parts.taken} chunks from other jobs, {parts.missing} made here")


def flat_library(plan: JobPlan, step: str) -> Path:
    """Return the library that searches of a step load."""
    return plan.layout.folder / str(read_receipt(plan.layout.library(step))["flat"])
