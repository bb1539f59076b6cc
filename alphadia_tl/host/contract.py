"""What alphaDIA is expected to be: its version, its names, its inner shape."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from alphadia_tl.errors import HostError
from alphadia_tl.files import read_yaml

SUPPORTED_SERIES = "2.3"
INSTALL = f"Install alphadia {SUPPORTED_SERIES}.* or a newer alphadia_tl."
PROGRESS_LEVEL = 21  # alphaDIA's own level, just above INFO

# Columns of requantified fragments: needed where a run has no precursor and alphaDIA would fail to quantify any.
FRAGMENT_COLUMNS = {
    **dict.fromkeys(("precursor_idx", "rank", "frag_idx"), "uint32"),
    **dict.fromkeys(("mz", "mz_observed", "intensity", "correlation"), "float32"),
    **dict.fromkeys(("position", "number", "type", "charge", "loss_type"), "uint8"),
}

# Names that alphaDIA gives to steps, sections and files; it plans to rename "transfer".
TRANSFER_STEP = "transfer"
LIBRARY_STEP = "library"
MBR_STEP = "mbr"
QUANT_FOLDER = "quant"
PSM_FILE = "psm.parquet"
ISOMERS_FILE = "isomers.parquet"  # of the plugin, beside it
TRANSFER_FRAGMENTS_FILE = "frag.transfer.parquet"
SPECLIB_FILE = "speclib.hdf"
MBR_LIBRARY_FILE = "speclib.mbr.hdf"
FLAT_LIBRARY_FILE = "speclib_flat.hdf"
PRECURSORS_STEM = "precursors"
DIGEST_FILES = ("digest.precursors.parquet", "digest.proteins.parquet")  # of the plugin
SLICE = "slice_"  # of the plugin: folders of further parts of the library that the first pass searches, from 2
CONFIG_FILE = "frozen_config.yaml"
LOG_FILE = "log.txt"
EXIT_USER_ERROR = 1
EXIT_WRONG_FLAG = 126

# Columns, alphabase's, that tell peptidoforms and precursors apart.
PEPTIDOFORM = ["sequence", "mods", "mod_sites"]
PRECURSOR = [*PEPTIDOFORM, "charge"]


#: Keys of a config that hold paths, at its top and in its sections.
PATHS = ("output_directory", "library_path", "quant_directory", "directory", "raw_paths", "fasta_paths")
PATHS_IN = {"general": "reuse_quant_from", "library_prediction": "peptdeep_model_path"}


def change_paths(config: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return a config whose sections are mappings with each of its paths changed."""

    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(v) for v in value]
        return change(value) if value and isinstance(value, str) else value

    made = {**config, **{name: changed(config[name]) for name in PATHS if name in config}}
    for section, name in PATHS_IN.items():
        if isinstance(config.get(section), Mapping) and name in config[section]:
            made[section] = {**config[section], name: changed(config[section][name])}
    return made


#: What is read of a plan and of a step beside their methods, private names among it.
PLAN_ATTRIBUTES: Mapping[str, type | tuple[type, ...]] = {
    "_output_dir": Path, "_user_config": dict, "_cli_params_config": dict, "_library_step_output_dir": Path,
    "_multistep_config": dict, "_mbr_step_enabled": bool, "_raw_files_with_errors": list,
}  # fmt: skip
STEP_ATTRIBUTES: Mapping[str, type | tuple[type, ...]] = {
    "output_folder": str, "raw_path_list": list, "fasta_path_list": list, "library_path": (str, type(None)),
    "_np_rng": object,
}  # fmt: skip


def host_version() -> str:
    """Return the version of the installed alphaDIA without importing it."""
    return metadata.version("alphadia")


@cache
def default_config() -> dict[str, Any]:
    """Return alphaDIA's defaults, not to be changed."""
    import alphadia

    return read_yaml(Path(alphadia.__file__).parent / "constants" / "default.yaml", error=HostError)


def tolerated_keys() -> list[str]:
    """Return the keys of earlier versions that alphaDIA passes over with a warning."""
    from alphadia.workflow.config import TOLERATED_KEYS

    return list(TOLERATED_KEYS)


def check_attributes(found: object, expected: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raise HostError unless an object of alphaDIA has the attributes that are read, of the expected kinds."""
    for name, kind in expected.items():
        if not hasattr(found, name) or not isinstance(getattr(found, name), kind):
            what = f"alphaDIA {host_version()}: {type(found).__name__}.{name} is not as this alphadia_tl knows it."
            raise HostError(what, INSTALL)


def check_host() -> None:
    """Raise HostError unless the version series and the signatures of the installed alphaDIA are known."""
    version = host_version()
    if version.split(".")[:2] != SUPPORTED_SERIES.split("."):
        raise HostError(
            f"alphaDIA {version} is installed, but this alphadia_tl works with {SUPPORTED_SERIES}.* only.",
            f"Run: pip install 'alphadia>={SUPPORTED_SERIES},<2.4'.",
        )
    for name, methods in read_yaml(Path(__file__).with_suffix(".yaml"), error=HostError).items():
        module, _, cls = name.rpartition(".")
        made = getattr(importlib.import_module(module), cls)
        for method, expected in methods.items():
            found = getattr(made, method, None)
            actual = [] if found is None else list(inspect.signature(found).parameters)
            if actual != expected:
                what = f"alphaDIA {version}: {cls}.{method} takes {actual}, this alphadia_tl knows {expected}."
                raise HostError(what, INSTALL)
