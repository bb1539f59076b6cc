"""Snakemake's process: its command, its lock, signals to it."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import filelock

from alphadia_tl.bundle import write_text
from alphadia_tl.errors import OutputError
from alphadia_tl.resume import LOCK_NAME
from alphadia_tl.workflow.layout import Layout

__all__ = ["SNAKEFILE", "driving", "run_snakemake", "snakemake_command"]

logger = logging.getLogger(__name__)

SNAKEFILE = Path(__file__).with_name("Snakefile")
LOCKS = Path(".snakemake", "locks")
HOW_MANY = ("--cores", "-c", "--jobs", "-j", "--executor", "-e", "--profile", "--workflow-profile")


def snakemake_command(output: Path, flags: Sequence[str]) -> list[str]:
    """Return the command that runs the workflow in a folder.

    Parameters
    ----------
    output : Path
        Output folder, with a plan in it.
    flags : sequence of str
        Snakemake's, from the user.
    """
    given = {flag.split("=")[0] for flag in flags}
    cores = [] if given & set(HOW_MANY) else ["--cores", "all"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--directory", str(output)]
    own = ["--configfile", str(Layout(output).plan), "--rerun-incomplete", "--show-failed-logs"]
    return [*command, *own, *cores, *flags]


@contextmanager
def driving(output: Path) -> Iterator[bool]:
    """Hold an output folder while its workflow is planned and runs.

    Snakemake keeps a second workflow out of a folder with a lock that outlives it when it is killed. Whether the one
    that left it is still alive is known from a lock of the operating system; where it is not, Snakemake's is removed.

    Yields
    ------
    bool
        False where another workflow runs in the folder: Snakemake says so.

    Raises
    ------
    OutputError
        If a search that is no workflow runs in the folder, or it cannot be written.
    """
    with _held(output) as held:
        locks = output / LOCKS
        locked = locks.is_dir() and any(locks.iterdir())
        if not held and not locked:
            raise OutputError(
                f"Another search is running in {output}.", "Wait until it has ended, or choose another output folder."
            )
        if held:
            if locked and _started_here(output):
                logger.info("The workflow that ran here before was killed: its lock is removed.")
                for lock in locks.iterdir():
                    lock.unlink()
            write_text(_driver(output), socket.gethostname())
        yield held


def run_snakemake(output: Path, flags: Sequence[str]) -> int:
    """Run the workflow in a folder to its end, and hand on the signals to stop.

    Returns
    -------
    int
        Snakemake's exit code.
    """
    with subprocess.Popen(snakemake_command(output, flags)) as process, _handed_on(process):
        return process.wait()


def _driver(output: Path) -> Path:
    return Layout(output).jobs / "driver.txt"


def _started_here(output: Path) -> bool:
    """Return whether the last workflow ran on this machine: locks may not reach over a shared file system."""
    driver = _driver(output)
    host = driver.read_text(encoding="utf-8") if driver.is_file() else ""
    if host != socket.gethostname():
        logger.warning(f"The workflow that ran here before was started on {host or 'an unknown machine'}.")
        logger.warning("If it does not run any more, add --unlock to this command once.")
        return False
    return True


@contextmanager
def _held(output: Path) -> Iterator[bool]:
    lock = filelock.FileLock(output / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        yield False
        return
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written: {error.strerror or error}.", "Check its permissions."
        ) from error
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def _handed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
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
