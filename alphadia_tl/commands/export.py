"""``alphadia-tl export``: a library in the format of another program."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from alphadia_tl import host
from alphadia_tl.bundle import weights_folder
from alphadia_tl.commands.common import make_parser, read_config, run_logged

DESCRIPTION = (
    "Write a spectral library in the format of another program. Retention times on the models' scale (about 0 to 1) "
    "are written as iRT = 100 x value; others as they are. Fragments without intensity are not written. 'torchscript' "
    "writes models instead: those of a bundle, for torch without this package, with an example."
)
TORCHSCRIPT = "torchscript"


def _parser() -> argparse.ArgumentParser:
    from alphadia_tl.exchange.export import ALIASES, FORMATS

    parser = make_parser("export", DESCRIPTION)
    library = "An alphabase library (speclib.hdf), a bundle, or the output folder of a search with one in it."
    parser.add_argument("library", type=Path, help=library)
    about = "; ".join(f"{name}: {f.about}" for name, f in FORMATS.items())
    names = [*FORMATS, *ALIASES, TORCHSCRIPT]
    parser.add_argument("--to", required=True, metavar="FORMAT", type=str.lower, choices=names, help=f"{about}.")
    parser.add_argument(
        "--output", "-o", type=Path, required=True, help="The file, replaced if it is there; a folder of models."
    )
    config = "alphaDIA config with the library's custom_modifications; else that of its folder is read."
    parser.add_argument("--config", "-c", type=Path, help=config)
    return parser


def _export(options: argparse.Namespace) -> int:
    from alphadia_tl.exchange.export import export_library, register_modifications_of

    if options.config:
        given = read_config(options.config).get("custom_modifications")
        host.register_modifications({"custom_modifications": given or []})
    if options.to == TORCHSCRIPT:
        from alphadia_tl.models.torchscript import write_torchscript

        register_modifications_of(weights_folder(options.library))
        write_torchscript(options.library, options.output)
    else:
        export_library(options.library, options.output, options.to)
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run the sub-command; return its exit code."""
    options = _parser().parse_args(arguments)
    return run_logged(lambda: _export(options))
