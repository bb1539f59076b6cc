"""What all sub-commands share: how a command line and a config are read, and how a command that logs ends."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.errors import TransferLearningError
from alphadia_tl.files import read_yaml

logger = logging.getLogger(__name__)


def make_parser(name: str, description: str, **settings: Any) -> argparse.ArgumentParser:
    """Return the parser of a sub-command's flags."""
    return argparse.ArgumentParser(prog=f"alphadia-tl {name}", description=description, **settings)


def read_config(path: Path | None) -> dict[str, Any]:
    """Read an alphaDIA config; without one, or where it is empty, alphaDIA's defaults count."""
    return {} if path is None else host.checked_config(read_yaml(path, empty=True))


def run_logged(work: Callable[[], int], output: Path | None = None) -> int:
    """Do what logs as a search of alphaDIA does, to the terminal and to ``log.txt`` in an output folder.

    What the user can mend is one line of the log, with its code, and exit code 1.
    """
    host.check_host()
    host.start_logging(output)
    try:
        return work()
    except (TransferLearningError, host.user_error_class()) as error:
        logger.error(f"{getattr(error, 'code', '')} {error}".strip())
        return host.EXIT_USER_ERROR


def say(text: str) -> None:
    """Show a text at once."""
    print(text, end="", flush=True)
