"""``alphadia-tl report``: the report of a finished run, made again from its files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = (
    "Write the report of a finished run again, from the files in its folder: report.html and report.json. "
    "Nothing is searched or trained."
)


def main(arguments: Sequence[str]) -> int:
    """Run the sub-command.

    Returns
    -------
    int
        0.

    Raises
    ------
    ResultsError
        If the folder holds no results, or they cannot be read.
    OutputError
        If the report cannot be written.
    """
    parser = argparse.ArgumentParser(prog="alphadia-tl report", description=DESCRIPTION)
    parser.add_argument("folder", type=Path, help="Output folder of a search, or its folder 'transfer'.")
    folder: Path = parser.parse_args(arguments).folder
    from alphadia_tl.report import find_bundle, write_report

    bundle = find_bundle(folder)
    write_report(bundle)
    print(bundle.report)
    return 0
