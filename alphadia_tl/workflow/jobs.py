"""The jobs of a workflow: search a run, combine the runs, tune, report."""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.errors import QuantificationError, ResultsError, SettingsError
from alphadia_tl.host.contract import PSM_FILE
from alphadia_tl.search.passes import library_config
from alphadia_tl.step.step import run_step
from alphadia_tl.workflow.layout import read_receipt, run_ids, since, write_receipt
from alphadia_tl.workflow.libraries import JobPlan, flat_library

logger = logging.getLogger(__name__)


def search(plan: JobPlan, step: str, run_id: str) -> None:
    """Search one run in a step; a run that cannot be searched is noted, or stops the job with ``general.fail_fast``.

    Raises QuantificationError if the run cannot be searched, and another attempt may do better or failures are to stop
    the search.
    """
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
        library_config(flat_library(plan, step)),
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
    outcome = plan.passes.finish(outcome, len(_receipts(plan, host.TRANSFER_STEP)))
    write_receipt(plan.layout.reported, {"report": str(outcome.bundle.report.relative_to(plan.layout.folder))})
