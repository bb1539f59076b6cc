"""``alphadia-tl workflow``: the two-pass search as jobs, by Snakemake; ``alphadia-tl job``: one of them by hand."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from alphadia_tl import __version__, host
from alphadia_tl.commands.common import add_search_flags, make_parser, read_config, run_logged, search_config
from alphadia_tl.errors import HostError
from alphadia_tl.files import write_text
from alphadia_tl.search.done import take_lock, taken
from alphadia_tl.search.inputs import check_search
from alphadia_tl.workflow import jobs
from alphadia_tl.workflow.jobs import JobPlan
from alphadia_tl.workflow.layout import Layout
from alphadia_tl.workflow.plan_file import make_plan

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "The two-pass search as a Snakemake workflow: on this machine, or with Snakemake's executors on a cluster. The "
    "config is that of a search on one machine. Flags that are not listed here are Snakemake's, such as --dry-run, "
    "--cores or --profile; without any of --cores, --jobs, --executor and --profile, all cores of this machine are "
    "used."
)
SNAKEFILE = Path(__file__).parents[1] / "workflow" / "Snakefile"
LOCKS = Path(".snakemake", "locks")
SNAKEMAKE_WRONG_FLAG = 2
HOW_MANY = ("--cores", "-c", "--jobs", "-j", "--executor", "-e", "--profile", "--workflow-profile")


def main(arguments: Sequence[str]) -> int:
    """Run the workflow; exit code 1 also where a job failed or raw files were left out."""
    parser = make_parser(
        "workflow",
        DESCRIPTION,
        allow_abbrev=False,
        usage="%(prog)s --config FILE -o FOLDER [--tune-again] [alphaDIA's flags] [Snakemake's flags]",
    )
    parser.add_argument("--config", type=Path, required=True, help="The alphaDIA config.")
    add_search_flags(parser)
    parser.add_argument("--output", "--output-directory", "-o", type=Path, required=True, help="Output folder.")
    parser.add_argument(
        "--tune-again",
        action="store_true",
        help="Where raw files were added to a finished workflow: tune the models again, and search all files with the "
        "new library. Without it the models stay, and only the new files are searched.",
    )
    options, flags = parser.parse_known_args(arguments)
    return run_logged(lambda: _run_workflow(options, options.output, flags), options.output)


def _run_workflow(options: argparse.Namespace, output: Path, flags: Sequence[str]) -> int:
    if importlib.util.find_spec("snakemake") is None:
        raise HostError("Snakemake is not installed.", "Run: pip install 'snakemake>=9,<10'.")
    config = search_config(options)
    with driving(output) as alone:
        if alone:
            make_plan(config, output, tune_again=options.tune_again)
        code = run_snakemake(output, flags)
    if code == SNAKEMAKE_WRONG_FLAG:
        return host.EXIT_WRONG_FLAG
    if code != 0:
        logger.error("The workflow has not finished; the same command goes on where it stopped.")
        return host.EXIT_USER_ERROR
    layout = Layout(output)
    if not layout.reported.is_file():  # such as --dry-run
        return 0
    failed = jobs.failed_runs(JobPlan(output, read_config(layout.config)))
    for step, path, reason in failed:
        logger.warning(f"{path} failed at step '{step}': {reason}")
    if failed:
        logger.error("Some raw files had errors. They are left out; a changed file is searched by the same command.")
        return host.EXIT_USER_ERROR
    return 0


@contextmanager
def driving(output: Path) -> Iterator[bool]:
    """Hold an output folder while its workflow is planned and runs; give False where another workflow runs in it.

    Snakemake keeps a second workflow out of a folder, and says so, with a lock that outlives it when it is killed.
    Whether the one that left it is still alive is known from a lock of the operating system; where it is not,
    Snakemake's is removed. Raises OutputError if a search that is no workflow runs in the folder, or it cannot be
    written.
    """
    left = list((output / LOCKS).glob("*"))
    lock = take_lock(output)
    if lock is None:
        if not left:
            raise taken(output)
        yield False
        return
    try:
        if left and _started_here(output):
            logger.info("The workflow that ran here before was killed: its lock is removed.")
            for path in left:
                path.unlink()
        write_text(_driver(output), socket.gethostname())
        yield True
    finally:
        lock.release()


def _driver(output: Path) -> Path:
    return Layout(output).jobs / "driver.txt"


def _started_here(output: Path) -> bool:
    """Return whether the last workflow ran on this machine: locks may not reach over a shared file system."""
    driver = _driver(output)
    machine = driver.read_text(encoding="utf-8") if driver.is_file() else ""
    if machine != socket.gethostname():
        logger.warning(f"The workflow that ran here before was started on {machine or 'an unknown machine'}.")
        logger.warning("If it does not run any more, add --unlock to this command once.")
        return False
    return True


def snakemake_command(output: Path, flags: Sequence[str]) -> list[str]:
    """Return the command that runs the workflow in a folder that has a plan, with Snakemake's flags from the user."""
    cores = [] if {flag.split("=")[0] for flag in flags} & set(HOW_MANY) else ["--cores", "all"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--directory", str(output)]
    own = ["--configfile", str(Layout(output).plan), "--rerun-incomplete", "--show-failed-logs"]
    return [*command, *own, *cores, *flags]


def run_snakemake(output: Path, flags: Sequence[str]) -> int:
    """Run the workflow in a folder to its end, hand on the signals to stop, and return Snakemake's exit code."""
    with subprocess.Popen(snakemake_command(output, flags)) as process, _signals_go_to(process):
        return process.wait()


@contextmanager
def _signals_go_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let Snakemake decide on what to do about a signal: on the first it waits for its jobs."""

    def hand_on(number: int, _: FrameType | None) -> None:
        if number != signal.SIGINT:  # a terminal sends it to both
            process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


JOB_DESCRIPTION = (
    "One job of the two-pass search. In order: prepare, predict (any number of shards), library, search (each run), "
    "combine for --step transfer; tune; the same five for --step library; where the config has MBR, library, search "
    "and combine for --step mbr; report."
)
Run = Callable[[JobPlan, argparse.Namespace], None]
JOBS: dict[str, tuple[str, Run]] = {
    "prepare": ("find out what is to be predicted", lambda plan, o: jobs.prepare_library(plan, o.step)),
    "predict": ("predict one shard", lambda plan, o: jobs.predict_shard(plan, o.step, o.shard, o.shards)),
    "library": ("put the library together", lambda plan, o: jobs.make_library(plan, o.step)),
    "search": ("search one run", lambda plan, o: jobs.search(plan, o.step, o.run)),
    "combine": ("protein inference, FDR and quantities over all runs", lambda plan, o: jobs.combine(plan, o.step)),
    "tune": ("tune the models", lambda plan, _: jobs.tune(plan)),
    "report": ("write the report", lambda plan, _: jobs.report(plan)),
}


def job(arguments: Sequence[str]) -> int:
    """Run one job of the workflow."""
    options = _job_parser().parse_args(arguments)

    def do() -> int:
        logger.info(f"alphadia_tl {__version__}: job {' '.join(arguments)}")
        config = read_config(options.config)
        if options.job == "prepare" and options.step == host.TRANSFER_STEP:
            check_search(config, options.output)
        JOBS[options.job][1](JobPlan(options.output.resolve(), config), options)
        return 0

    return run_logged(do)


def _job_parser() -> argparse.ArgumentParser:
    parser = make_parser("job", JOB_DESCRIPTION)
    subs = parser.add_subparsers(dest="job", required=True, metavar="JOB")
    for name, (text, _) in JOBS.items():
        sub = subs.add_parser(name, help=text, description=text)
        sub.add_argument("--config", "-c", type=Path, required=True, help="The alphaDIA config, raw_paths included.")
        sub.add_argument("--output", "-o", type=Path, required=True, help="Output folder of the whole search.")
        if name not in ("tune", "report"):
            steps = (host.TRANSFER_STEP, host.LIBRARY_STEP, host.MBR_STEP)
            sub.add_argument("--step", choices=steps, required=True, help="Pass that the job belongs to.")
        if name == "predict":
            sub.add_argument("--shard", type=int, required=True, help="Number of the shard, from 0.")
            sub.add_argument("--shards", type=int, required=True, help="Number of shards.")
        if name == "search":
            sub.add_argument("--run", required=True, help="The run: its raw file's name without ending.")
    return parser
