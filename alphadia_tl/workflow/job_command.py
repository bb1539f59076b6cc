"""``alphadia-tl job``: one job of a workflow, as the workflow runs it, or by hand."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from alphadia_tl import __version__, host
from alphadia_tl.errors import TransferLearningError
from alphadia_tl.finetune_command import read_config
from alphadia_tl.workflow import jobs, libraries
from alphadia_tl.workflow.job_plan import JobPlan

__all__ = ["main"]

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "One job of the two-pass search. In order: prepare, predict (any number of shards), library, search (each run), "
    "combine for --step transfer; tune; the same five for --step library; where the config has MBR, library, search "
    "and combine for --step mbr; report."
)
Run = Callable[[JobPlan, argparse.Namespace], None]
JOBS: dict[str, tuple[str, Run]] = {
    "prepare": ("find out what is to be predicted", lambda plan, o: libraries.prepare_library(plan, o.step)),
    "predict": ("predict one shard", lambda plan, o: libraries.predict_shard(plan, o.step, o.shard, o.shards)),
    "library": ("put the library together", lambda plan, o: libraries.make_library(plan, o.step)),
    "search": ("search one run", lambda plan, o: jobs.search(plan, o.step, o.run)),
    "combine": ("protein inference, FDR and quantities over all runs", lambda plan, o: jobs.combine(plan, o.step)),
    "tune": ("tune the models", lambda plan, _: jobs.tune(plan)),
    "report": ("write the report", lambda plan, _: jobs.report(plan)),
}
WITH_STEP = ("prepare", "predict", "library", "search", "combine")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="alphadia-tl job", description=DESCRIPTION)
    subs = parser.add_subparsers(dest="job", required=True, metavar="JOB")
    for name, (text, _) in JOBS.items():
        sub = subs.add_parser(name, help=text, description=text)
        sub.add_argument("--config", "-c", type=Path, required=True, help="The alphaDIA config, raw_paths included.")
        sub.add_argument("--output", "-o", type=Path, required=True, help="Output folder of the whole search.")
        if name in WITH_STEP:
            steps = (host.TRANSFER_STEP, host.LIBRARY_STEP, host.MBR_STEP)
            sub.add_argument("--step", choices=steps, required=True, help="Pass that the job belongs to.")
        if name == "predict":
            sub.add_argument("--shard", type=int, required=True, help="Number of the shard, from 0.")
            sub.add_argument("--shards", type=int, required=True, help="Number of shards.")
        if name == "search":
            sub.add_argument("--run", required=True, help="The run: its raw file's name without ending.")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Do a job.

    Returns
    -------
    int
        0, or 1 for an error that the user can mend.
    """
    options = _parser().parse_args(arguments)
    host.check_host()
    host.start_logging()
    logger.info(f"alphadia_tl {__version__}: job {' '.join(arguments)}")
    try:
        plan = JobPlan(options.output.resolve(), read_config(options.config))
        JOBS[options.job][1](plan, options)
    except (TransferLearningError, host.user_error_class()) as error:
        logger.error(f"{getattr(error, 'code', '')} {error}".strip())
        return host.EXIT_USER_ERROR
    return 0
