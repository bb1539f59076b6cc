"""``alphadia-tl workflow``: the two-pass search as a Snakemake workflow."""

from __future__ import annotations

import argparse
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path

from alphadia_tl import host
from alphadia_tl.errors import HostError, TransferLearningError
from alphadia_tl.finetune_command import read_config
from alphadia_tl.workflow.engine import driving, run_snakemake
from alphadia_tl.workflow.job_plan import JobPlan
from alphadia_tl.workflow.jobs import failed_runs
from alphadia_tl.workflow.layout import Layout
from alphadia_tl.workflow.plan_file import make_plan

__all__ = ["main"]

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "The two-pass search as a Snakemake workflow: on this machine, or with Snakemake's executors on a cluster. The "
    "config is that of a search on one machine. All other flags are Snakemake's, such as --cores 16, --dry-run or "
    "--profile; without any of --cores, --jobs, --executor and --profile, all cores of this machine are used."
)


def main(arguments: Sequence[str]) -> int:
    """Run the workflow.

    Returns
    -------
    int
        0; 1 for an error that the user can mend, a job that failed, or raw files that were left out.
    """
    parser = argparse.ArgumentParser(
        prog="alphadia-tl workflow",
        description=DESCRIPTION,
        allow_abbrev=False,
        usage="%(prog)s --config FILE -o FOLDER [--tune-again] [Snakemake flags]",
    )
    parser.add_argument("--config", type=Path, required=True, help="The alphaDIA config.")
    parser.add_argument("--output", "-o", type=Path, required=True, help="Output folder.")
    parser.add_argument(
        "--tune-again",
        action="store_true",
        help="Where raw files were added to a finished workflow: tune the models again, and search all files with the "
        "new library. Without it the models stay, and only the new files are searched.",
    )
    options, flags = parser.parse_known_args(arguments)
    output: Path = options.output.expanduser().absolute()
    host.check_host()
    host.start_logging(output)
    try:
        if importlib.util.find_spec("snakemake") is None:
            raise HostError("Snakemake is not installed.", "Run: pip install 'alphadia_tl[workflow]'.")
        config = read_config(options.config)
        with driving(output) as alone:
            if alone:
                make_plan(config, output, tune_again=options.tune_again)
            code = run_snakemake(output, flags)
        if code != 0:
            logger.error("The workflow has not finished; the same command goes on where it stopped.")
            return host.EXIT_USER_ERROR
        return _tell(output)
    except (TransferLearningError, host.user_error_class()) as error:
        logger.error(f"{getattr(error, 'code', '')} {error}".strip())
        return host.EXIT_USER_ERROR


def _tell(output: Path) -> int:
    layout = Layout(output)
    if not layout.reported.is_file():  # such as --dry-run
        return 0
    failed = failed_runs(JobPlan(output, read_config(layout.config)))
    for step, path, reason in failed:
        logger.warning(f"{path} failed at step '{step}': {reason}")
    if failed:
        logger.error("Some raw files had errors. They are left out; a changed file is searched by the same command.")
        return host.EXIT_USER_ERROR
    return 0
