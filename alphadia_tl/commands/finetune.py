"""``alphadia-tl finetune``: the transfer-learning step alone, as its own job."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from alphadia_tl import host
from alphadia_tl.commands.common import add_config_dict, make_parser, read_config, run_logged
from alphadia_tl.errors import QuantificationError, SettingsError
from alphadia_tl.host.contract import PSM_FILE
from alphadia_tl.search.inputs import check_values, one_name_each, switched_on
from alphadia_tl.settings import PluginSettings

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Tune the models on the quantification folders of a first pass (searched with transfer_library.enabled: true), "
    "or on a saved transfer library, and write a bundle."
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
    parser.add_argument("--config", "-c", type=Path, help="The alphaDIA config; defaults where it is left out.")
    add_config_dict(parser)
    parser.add_argument(
        "--library", "--library-path", "-l", type=Path, help="Base library (speclib.hdf) to predict again."
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
    for path in (options.transfer_library, options.library):
        if path is not None and not path.is_file():
            raise QuantificationError(f"{path} does not exist.", "Correct --transfer-library or --library.")
    folders = quant_folders(options.quant_dir) if options.quant_dir else []
    one_name_each([str(folder) for folder in folders])
    preflight(settings, options.output)
    run_step(
        settings,
        options.output,
        quant_folders=folders,
        transfer_library=options.transfer_library,
        speclib=options.library,
    )
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run the sub-command; return its exit code."""
    options = _parser().parse_args(arguments)
    return run_logged(lambda: _finetune(options), options.output)
