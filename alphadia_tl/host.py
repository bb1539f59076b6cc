"""The one place that touches alphaDIA's plan, steps and command line.

alphaDIA 2.3 has no plugin interface. What is used here is checked before use, so that another
alphaDIA stops with a clear error instead of running something else.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from alphadia_tl.errors import HostError, TransferLearningError

logger = logging.getLogger(__name__)

SUPPORTED_SERIES = "2.3"
PROGRESS_LEVEL = 21  # alphaDIA's own level, just above INFO

# Columns of frag.transfer.parquet, needed where a run has no precursor and alphaDIA would fail to quantify fragments.
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
SPECLIB_FILE = "speclib.hdf"
PRECURSORS_STEM = "precursors"
EXIT_USER_ERROR = 1
EXIT_WRONG_PARAMETER = 126

_PLAN_SIGNATURES = {
    "__init__": ("self", "output_directory", "config", "cli_params_config"),
    "run_plan": ("self",),
    "run_step": ("self", "output_directory", "extra_config", "step_name"),
}
_STEP_SIGNATURES = {
    "__init__": ("self", "output_folder", "config", "cli_config", "extra_config", "step_name"),
    "_init_config": ("user_config", "cli_config", "extra_config", "output_folder"),
    "run": ("self",),
}
_WORKFLOW_SIGNATURES = {"requantify_fragments": ("self", "psm_df")}
_RAW_FILE_SIGNATURES = {"get_dia_data_object": ("self", "dia_data_path")}
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


def check_host() -> None:
    """Make sure that the installed alphaDIA is one whose inner shape is known.

    Raises
    ------
    HostError
        If the version series or a signature differs.
    """
    version = host_version()
    if version.split(".")[:2] != SUPPORTED_SERIES.split("."):
        raise HostError(
            f"alphaDIA {version} is installed, but this alphadia_tl works with {SUPPORTED_SERIES}.* only.",
            f"Run: pip install 'alphadia>={SUPPORTED_SERIES},<2.4'.",
        )
    from alphadia.outputtransform.search_plan_output import SearchPlanOutput
    from alphadia.search_plan import SearchPlan
    from alphadia.search_step import SearchStep
    from alphadia.workflow.managers.raw_file_manager import RawFileManager
    from alphadia.workflow.peptidecentric.peptidecentric import PeptideCentricWorkflow

    _check_signatures(RawFileManager, _RAW_FILE_SIGNATURES)
    _check_signatures(PeptideCentricWorkflow, _WORKFLOW_SIGNATURES)
    _check_signatures(SearchPlan, _PLAN_SIGNATURES)
    _check_signatures(SearchStep, _STEP_SIGNATURES)
    _check_signatures(SearchPlanOutput, _OUTPUT_SIGNATURES)


def deep_merge(*configs: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested configs; later ones win key by key (alphaDIA's own merge drops whole sections)."""
    merged: dict[str, Any] = {}
    for config in configs:
        for key, value in config.items():
            if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
                merged[key] = deep_merge(merged[key], value)
            else:
                merged[key] = copy.deepcopy(dict(value) if isinstance(value, Mapping) else value)
    return merged


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def run_command_line(plan_class: type) -> int:
    """Run alphaDIA's own command line on ``sys.argv`` with another plan class.

    Parameters
    ----------
    plan_class : type
        Subclass of alphaDIA's ``SearchPlan``; in place only for the duration of the call.

    Returns
    -------
    int
        alphaDIA's exit code.
    """
    import alphadia.cli
    import alphadia.search_plan

    with _replaced(alphadia.search_plan, "SearchPlan", plan_class):
        return int(alphadia.cli.run() or 0)


def as_user_error(error: TransferLearningError) -> Exception:
    """Wrap an error of the plugin so that alphaDIA's command line logs it and exits with 1."""
    from alphadia.exceptions import UserError

    class PluginError(UserError):  # type: ignore[misc]
        _error_code = error.code
        _msg = error.what
        _detail_msg = error.advice

    return PluginError()


def make_step(
    output_folder: Path,
    user_config: Mapping[str, Any],
    cli_config: Mapping[str, Any],
    extra_config: Mapping[str, Any],
    step_name: str,
) -> Any:
    """Construct an alphaDIA ``SearchStep``: merges and checks the configs, runs nothing yet."""
    from alphadia.search_step import SearchStep

    return SearchStep(
        output_folder=str(output_folder),
        config=dict(user_config),
        cli_config=dict(cli_config),
        extra_config=dict(extra_config),
        step_name=step_name,
    )


def effective_config(user_config: Mapping[str, Any], output_folder: Path) -> dict[str, Any]:
    """Return alphaDIA's defaults with the user's config on top, as alphaDIA itself merges them."""
    from alphadia.search_step import SearchStep

    return dict(SearchStep._init_config(dict(user_config), {}, {}, str(output_folder)).data)


def run_first_pass(step: Any) -> tuple[list[tuple[str, str]], list[Path]]:
    """Run a search step without alphaDIA building its own transfer library; a run without precursors is no error.

    What each raw file says about its acquisition is left in its quantification folder (`run_facts`).

    Parameters
    ----------
    step : alphadia.search_step.SearchStep
        Step whose ``transfer_library.enabled`` is true, so that all fragments are quantified.

    Returns
    -------
    errors : list of (step name, raw file name)
        Raw files that failed, as alphaDIA reports them.
    folders : list of Path
        Quantification folders of the runs that were searched.
    """
    import alphadia.search_step
    import pandas as pd
    from alphadia.outputtransform.search_plan_output import SearchPlanOutput
    from alphadia.workflow.managers.raw_file_manager import RawFileManager
    from alphadia.workflow.peptidecentric.peptidecentric import PeptideCentricWorkflow

    from alphadia_tl.run_facts import run_facts

    load_raw_file = RawFileManager.get_dia_data_object
    searched: list[Path] = []

    class FirstPassOutput(SearchPlanOutput):  # type: ignore[misc]
        config: Any

        def build(self, folder_list: list[str], base_spec_lib: Any) -> None:
            searched.extend(Path(folder) for folder in folder_list)
            config: Any = copy.deepcopy(self.config)
            config.data["transfer_library"]["enabled"] = False
            self.config = config
            super().build(folder_list, base_spec_lib)

    class FirstPassWorkflow(PeptideCentricWorkflow):  # type: ignore[misc]
        def requantify_fragments(self, psm_df: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
            if len(psm_df) > 0:
                found: tuple[pd.DataFrame, pd.DataFrame] = super().requantify_fragments(psm_df)
                return found
            logger.info("No precursors were found in this run: there are no fragments to quantify.")
            return psm_df, pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in FRAGMENT_COLUMNS.items()})

    def load_and_note_facts(manager: Any, dia_data_path: str) -> Any:
        raw_data = load_raw_file(manager, dia_data_path)
        folder = Path(manager.path).parent
        run_facts(folder.name, raw_data).write(folder)
        return raw_data

    with (
        _replaced(RawFileManager, "get_dia_data_object", load_and_note_facts),
        _replaced(alphadia.search_step, "SearchPlanOutput", FirstPassOutput),
        _replaced(alphadia.search_step, "PeptideCentricWorkflow", FirstPassWorkflow),
    ):
        errors = step.run()
    return list(errors), searched


def count_identifications(output_folder: Path) -> dict[str, int] | None:
    """Count precursors and protein groups in the precursor table of an alphaDIA output folder.

    Returns
    -------
    dict or None
        Keys ``precursors`` (distinct peptidoform and charge) and ``proteins``; None without a table.
    """
    import pandas as pd

    columns = ["precursor.mod_seq_charge_hash", "pg.name", "precursor.decoy"]
    parquet, tsv = (output_folder / f"{PRECURSORS_STEM}.{suffix}" for suffix in ("parquet", "tsv"))
    if parquet.exists():
        df = pd.read_parquet(parquet, columns=columns)
    elif tsv.exists():
        df = pd.read_csv(tsv, sep="\t", usecols=columns)
    else:
        return None
    df = df[df["precursor.decoy"] == 0]
    return {"precursors": int(df[columns[0]].nunique()), "proteins": int(df[columns[1]].nunique())}


def start_logging(output_folder: Path) -> None:
    """Log as alphaDIA does: to the terminal and to ``log.txt`` in the output folder."""
    from alphadia.reporting import reporting

    output_folder.mkdir(parents=True, exist_ok=True)
    reporting.init_logging(str(output_folder))


def user_error_class() -> type[Exception]:
    """Return the class of alphaDIA's errors that its command line reports with exit code 1."""
    from alphadia.exceptions import CustomError

    return CustomError  # type: ignore[no-any-return]


def register_modifications(config: Mapping[str, Any]) -> None:
    """Make the custom modifications of a config known to alphabase, as a search step does, and to PeptDeep."""
    from alphadia_tl.tasks.custom import add_modifications

    add_modifications({m["name"]: m["composition"] for m in config["custom_modifications"]})


def retention_times(output_folder: Path) -> Any:
    """Return run and retention time of the precursors in an alphaDIA output folder.

    Returns
    -------
    pandas.DataFrame or None
        Columns ``run`` and ``seconds``; None without a table.
    """
    import pandas as pd

    columns = {"raw.name": "run", "precursor.rt.observed": "seconds"}
    parquet, tsv = (output_folder / f"{PRECURSORS_STEM}.{suffix}" for suffix in ("parquet", "tsv"))
    if parquet.exists():
        return pd.read_parquet(parquet, columns=list(columns)).rename(columns=columns)
    if tsv.exists():
        return pd.read_csv(tsv, sep="\t", usecols=list(columns)).rename(columns=columns)
    return None
