"""What alphaDIA is expected to be: its version, its names, its inner shape."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from alphadia_tl.errors import HostError

SUPPORTED_SERIES = "2.3"
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
TRANSFER_FRAGMENTS_FILE = "frag.transfer.parquet"
SPECLIB_FILE = "speclib.hdf"
FLAT_LIBRARY_FILE = "speclib_flat.hdf"
PRECURSORS_STEM = "precursors"
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
        if name in (config.get(section) or {}):
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
_PLAN_SIGNATURES = {
    "__init__": ("self", "output_directory", "config", "cli_params_config"),
    "run_plan": ("self",),
    "run_step": ("self", "output_directory", "extra_config", "step_name"),
    "_get_optimized_values_config": ("output_folder",),
}
_STEP_SIGNATURES = {
    "__init__": ("self", "output_folder", "config", "cli_config", "extra_config", "step_name"),
    "_get_reusable_quant_folders": ("self",),
    "_get_run_data": ("self",),
    "load_library": ("self",),
    "_init_config": ("user_config", "cli_config", "extra_config", "output_folder"),
    "_load_default_config": ("file_name",),
    "run": ("self",),
}
_WORKFLOW_SIGNATURES = {"requantify_fragments": ("self", "psm_df")}
_RAW_FILE_SIGNATURES = {"get_dia_data_object": ("self", "dia_data_path")}
_PREDICTION_SIGNATURES = {
    "__init__": (
        "self", "use_gpu", "mp_process_num", "fragment_mz", "nce", "instrument", "peptdeep_model_path",
        "peptdeep_model_type", "fragment_types", "max_fragment_charge", "predict_charge", "min_charge_probability",
    ),
    "forward": ("self", "input"),
}  # fmt: skip
_DIGEST_SIGNATURES = {"forward": ("self", "input")}
_CLASSIFIER_SIGNATURES = {"reset": ("self",)}
_OUTPUT_SIGNATURES = {
    "__init__": ("self", "config", "output_folder"),
    "build": ("self", "folder_list", "base_spec_lib"),
}


def host_version() -> str:
    """Return the version of the installed alphaDIA without importing it."""
    return metadata.version("alphadia")


def _check_signatures(cls: type, expected: Mapping[str, tuple[str, ...]]) -> None:
    for method, parameters in expected.items():
        found = getattr(cls, method, None)
        actual = tuple(inspect.signature(found).parameters) if found is not None else ()
        if actual != parameters:
            raise HostError(
                f"alphaDIA {host_version()}: {cls.__name__}.{method} takes {actual}, "
                f"but this alphadia_tl was written for {parameters}.",
                f"Install alphadia {SUPPORTED_SERIES}.* or a newer alphadia_tl.",
            )


def check_attributes(found: object, expected: Mapping[str, type | tuple[type, ...]]) -> None:
    """Raise HostError unless an object of alphaDIA has the attributes that are read, of the expected kinds."""
    for name, kind in expected.items():
        if not hasattr(found, name) or not isinstance(getattr(found, name), kind):
            raise HostError(
                f"alphaDIA {host_version()}: {type(found).__name__}.{name} is not as this alphadia_tl knows it.",
                f"Install alphadia {SUPPORTED_SERIES}.* or a newer alphadia_tl.",
            )


def check_host() -> None:
    """Raise HostError unless the version series and the signatures of the installed alphaDIA are known."""
    version = host_version()
    if version.split(".")[:2] != SUPPORTED_SERIES.split("."):
        raise HostError(
            f"alphaDIA {version} is installed, but this alphadia_tl works with {SUPPORTED_SERIES}.* only.",
            f"Run: pip install 'alphadia>={SUPPORTED_SERIES},<2.4'.",
        )
    from alphadia.fdr.classifiers import BinaryClassifierLegacyNewBatching
    from alphadia.libtransform.fasta_digest import FastaDigest
    from alphadia.libtransform.prediction import PeptDeepPrediction
    from alphadia.outputtransform.search_plan_output import SearchPlanOutput
    from alphadia.search_plan import SearchPlan
    from alphadia.search_step import SearchStep
    from alphadia.workflow.managers.raw_file_manager import RawFileManager
    from alphadia.workflow.peptidecentric.peptidecentric import PeptideCentricWorkflow

    _check_signatures(BinaryClassifierLegacyNewBatching, _CLASSIFIER_SIGNATURES)
    _check_signatures(RawFileManager, _RAW_FILE_SIGNATURES)
    _check_signatures(PeptideCentricWorkflow, _WORKFLOW_SIGNATURES)
    _check_signatures(PeptDeepPrediction, _PREDICTION_SIGNATURES)
    _check_signatures(FastaDigest, _DIGEST_SIGNATURES)
    _check_signatures(SearchPlan, _PLAN_SIGNATURES)
    _check_signatures(SearchStep, _STEP_SIGNATURES)
    _check_signatures(SearchPlanOutput, _OUTPUT_SIGNATURES)
