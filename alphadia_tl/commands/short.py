"""The sub-commands of a few lines: ``alphadia-tl demo``, ``report`` and ``config``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from alphadia_tl.commands.common import make_parser, say


def demo(arguments: Sequence[str]) -> int:
    """Make a small experiment with known truth and search it; the exit code is that of the first search that failed."""
    parser = make_parser("demo", "Make a small experiment with known truth, search it with and without.")
    parser.add_argument("-o", "--output", type=Path, default=Path("demo_output"), help="Folder of the demo.")
    parser.add_argument("--oracle", action="store_true", help="Also search with the perfect library.")
    parser.add_argument("--stock-transfer", action="store_true", help="Also run alphaDIA's own transfer step.")
    options = parser.parse_args(arguments)
    from alphadia_tl.simulate.demo import run_demo

    logging.getLogger("alphadia_tl").setLevel(logging.WARNING)  # the base models' epochs are not the demo's story
    return run_demo(options.output, say, oracle=options.oracle, stock_transfer=options.stock_transfer)


def report(arguments: Sequence[str]) -> int:
    """Write the report of a finished run again."""
    parser = make_parser(
        "report",
        "Write the report of a finished run again, from the files in its folder: report.html and report.json. Nothing "
        "is searched or trained.",
    )
    parser.add_argument("folder", type=Path, help="Output folder of a search, or its folder 'transfer'.")
    parser.add_argument("--output", "-o", type=Path, help="Folder of the report, where the search's is read-only.")
    options = parser.parse_args(arguments)
    from alphadia_tl.bundle import read_bundle
    from alphadia_tl.report.page import write_report

    bundle = read_bundle(options.folder)
    print(write_report(bundle, options.output))
    return 0


def config(arguments: Sequence[str]) -> int:
    """Print the section for the alphaDIA config."""
    make_parser("config", "Print the commented default section for the alphaDIA config.").parse_args(arguments)
    from alphadia_tl.settings import section_template

    print(section_template(), end="")
    return 0
