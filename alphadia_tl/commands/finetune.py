"""``alphadia-tl finetune``: the transfer-learning step alone, as its own job."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from alphadia_tl import host
from alphadia_tl.commands.common import add_config_dict, make_parser, read_config, run_logged
from alphadia_tl.errors import QuantificationError, SettingsError
from alphadia_tl.files import is_hdf
from alphadia_tl.host.contract import PSM_FILE
from alphadia_tl.search.inputs import check_values, one_name_each, switched_on
from alphadia_tl.settings import PluginSettings

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Tune the models on the quantification folders of a first pass (searched with transfer_library.enabled: true), "
    "on a saved transfer library, or on what another program found, and write a bundle."
)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("finetune", DESCRIPTION)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--quant-dir",
        "--quant-directory",
        type=Path,
        action="append",
        help="Folder that holds one folder per run. Can be passed many times.",
    )
    source.add_argument("--transfer-library", type=Path, help="A saved speclib.transfer.hdf.")
    source.add_argument(
        "--psm",
        type=Path,
        action="append",
        help="What another program found: a report of DIA-NN or Spectronaut (.tsv, .parquet), MaxQuant's msms.txt, "
        "FragPipe's psm.tsv, a table of Sage or alphaDIA, or a library of observed spectra (.blib, .elib, .dlib, "
        "mzSpecLib text, long .tsv or .parquet). Can be passed many times.",
    )
    parser.add_argument("--config", "-c", type=Path, help="The alphaDIA config; defaults where it is left out.")
    add_config_dict(parser)
    parser.add_argument(
        "--library",
        "--library-path",
        "-l",
        type=Path,
        action="append",
        default=[],
        help="Base library (speclib.hdf) to predict again. With --psm, a library of any other kind has the observed "
        "fragments of its precursors; both can be given.",
    )
    parser.add_argument("--output", "--output-directory", "-o", type=Path, required=True, help="Folder of the bundle.")
    return parser


def quant_folders(quant_directories: Sequence[Path]) -> list[Path]:
    """Return the folders of single runs inside quantification directories, sorted by name."""
    folders: list[Path] = []
    for directory in quant_directories:
        there = sorted(directory.glob("*/"))
        runs = [p for p in there if (p / PSM_FILE).exists()]
        if not runs:
            raise QuantificationError(
                f"{directory} holds no run with a {PSM_FILE}.",
                "Give the folder 'quant' of a search with transfer_library.enabled: true.",
            )
        folders += runs
        if empty := [p.name for p in there if p not in runs]:
            logger.warning(f"Left out of {directory}, without {PSM_FILE}: {', '.join(empty)}.")
    return folders


def _finetune(options: argparse.Namespace) -> int:
    from alphadia_tl.library.psm_tables import read_psms
    from alphadia_tl.report.page import write_report
    from alphadia_tl.step.step import preflight, run_step
    from alphadia_tl.step.step_settings import step_settings

    user_config = read_config(options.config, options.config_dict)
    check_values(switched_on(user_config))
    plugin = PluginSettings.from_mapping(user_config.pop(PluginSettings.section, None))
    if not plugin.tune:
        raise SettingsError("Config key 'alphadia_tl.tune' is false: there is nothing to tune.", "Leave it out.")
    config = host.effective_config(user_config, options.output)
    settings = step_settings(config, user_config, plugin)
    host.register_modifications(config)
    for path in (options.transfer_library, *(options.psm or ()), *options.library):
        if path is not None and not path.is_file():
            is_there = "is a folder" if path.is_dir() else "does not exist"
            raise QuantificationError(f"{path} {is_there}.", "Correct --transfer-library, --psm or --library.")
    base, spectra = _libraries(options.library, with_spectra=bool(options.psm))
    folders = quant_folders(options.quant_dir) if options.quant_dir else []
    one_name_each([str(folder) for folder in folders])
    preflight(settings, options.output)
    known = options.transfer_library
    if options.psm:
        generator = settings.generator("selection")
        known = read_psms(options.psm, settings.wanted, settings.library, library=spectra, generator=generator)
    outcome = run_step(settings, options.output, quant_folders=folders, transfer_library=known, speclib=base)
    write_report(outcome.bundle)
    logger.info(f"Report of transfer learning: {outcome.bundle.report}")
    return 0


def _libraries(paths: Sequence[Path], *, with_spectra: bool) -> tuple[Path | None, Path | None]:
    """Return the base library among those that were given, and the one with observed fragments."""
    kinds = [not with_spectra or is_hdf(path) for path in paths]
    of_kind = [[p for p, is_base in zip(paths, kinds, strict=True) if is_base is kind] for kind in (True, False)]
    for several in of_kind:
        if len(several) > 1:
            names = " and ".join(map(str, several))
            raise SettingsError(f"Two libraries of one kind are given as --library: {names}.", "Give one.")
    base, spectra = (kind[0] if kind else None for kind in of_kind)
    return base, spectra


def main(arguments: Sequence[str]) -> int:
    """Run the sub-command; return its exit code."""
    options = _parser().parse_args(arguments)
    return run_logged(lambda: _finetune(options), options.output)
