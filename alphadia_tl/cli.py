"""The ``alphadia-tl`` command: alphaDIA's own command line, and a few sub-commands."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from alphadia_tl import __version__, host
from alphadia_tl.errors import TransferLearningError

EPILOG = (
    "Sub-commands: 'alphadia-tl demo', 'alphadia-tl finetune', 'alphadia-tl report', 'alphadia-tl compare', "
    "'alphadia-tl entrapment', 'alphadia-tl workflow', 'alphadia-tl register', 'alphadia-tl config' (each with "
    "--help). "
    "Without one, all flags are alphaDIA's; transfer learning runs where the config has "
    "'alphadia_tl: {enabled: true}'. An interrupted search goes on with the same command; --force does all again."
)


def _search(arguments: Sequence[str]) -> int:
    if set(arguments) & {"--version", "-v"} and len(arguments) == 1:
        print(host.host_version())
        print(f"alphadia_tl {__version__}")
        return 0
    host.check_host()
    import alphadia.cli

    from alphadia_tl.search.plan import TransferLearningPlan

    class Plan(TransferLearningPlan):
        force = "--force" in arguments

    sys.argv = [a for a in sys.argv if a != "--force"]
    alphadia.cli.parser.prog = "alphadia-tl"
    alphadia.cli.parser.epilog = f"{alphadia.cli.epilog} {EPILOG}"
    code = host.run_command_line(Plan)
    if "--check" in arguments and code == 0:
        print(f"alphadia_tl {__version__} fits this alphaDIA.")
    return code


def _demo(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="alphadia-tl demo", description="Make a small experiment with known truth, search it with and without."
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("demo_output"), help="Folder of the demo.")
    parser.add_argument("--mzml", action="store_true", help="Write the raw file as mzML instead of alphaRaw HDF.")
    parser.add_argument("--oracle", action="store_true", help="Also search with the perfect library.")
    parser.add_argument("--stock-transfer", action="store_true", help="Also run alphaDIA's own transfer step.")
    options = parser.parse_args(arguments)
    from alphadia_tl.simulate.demo import run_demo

    return run_demo(options.output, mzml=options.mzml, oracle=options.oracle, stock_transfer=options.stock_transfer)


def _report(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="alphadia-tl report",
        description="Write the report of a finished run again, from the files in its folder: report.html and "
        "report.json. Nothing is searched or trained.",
    )
    parser.add_argument("folder", type=Path, help="Output folder of a search, or its folder 'transfer'.")
    folder: Path = parser.parse_args(arguments).folder
    from alphadia_tl.report.facts import find_bundle
    from alphadia_tl.report.page import write_report

    bundle = find_bundle(folder)
    write_report(bundle)
    print(bundle.report)
    return 0


def _config(arguments: Sequence[str]) -> int:
    argparse.ArgumentParser(
        prog="alphadia-tl config", description="Print the commented default section for the alphaDIA config."
    ).parse_args(arguments)
    from alphadia_tl.settings import section_template

    print(section_template(), end="")
    return 0


#: Module and function of each sub-command, imported when it is called.
SUB_COMMANDS = {
    "demo": ("cli", "_demo"),
    "finetune": ("commands.finetune", "main"),
    "compare": ("commands.compare", "main"),
    "entrapment": ("commands.entrapment", "main"),
    "report": ("cli", "_report"),
    "workflow": ("commands.workflow", "main"),
    "job": ("commands.workflow", "job_main"),
    "register": ("commands.register", "register"),
    "unregister": ("commands.register", "unregister"),
    "config": ("cli", "_config"),
}


def _sub_command(name: str) -> Callable[[Sequence[str]], int]:
    module, function = SUB_COMMANDS[name]
    return cast(Callable[[Sequence[str]], int], getattr(importlib.import_module(f"alphadia_tl.{module}"), function))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the returned exit codes are alphaDIA's.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command line without the program's name; None reads ``sys.argv``.
    """
    if arguments is not None:
        sys.argv = ["alphadia-tl", *arguments]
    given = sys.argv[1:]
    try:
        if given and given[0] in SUB_COMMANDS:
            return _sub_command(given[0])(given[1:])
        return _search(given)
    except TransferLearningError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return host.EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main())
