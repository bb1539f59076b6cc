"""Search steps of alphaDIA: made, configured, run whole or in parts."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphadia_tl.files import absolute_path
from alphadia_tl.host.contract import (
    DIGEST_FILES,
    FLAT_LIBRARY_FILE,
    FRAGMENT_COLUMNS,
    QUANT_FOLDER,
    SPECLIB_FILE,
    STEP_ATTRIBUTES,
    change_paths,
    check_attributes,
)
from alphadia_tl.host.hooks import (
    Predictor,
    checked_loader,
    classifiers_that_fail_start_again,
    mzml_is_mended,
    one_isomer_explains_a_peak,
    prediction_class,
    replaced,
    with_charges,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


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


def make_step(
    output_folder: Path,
    user_config: Mapping[str, Any],
    cli_config: Mapping[str, Any],
    extra_config: Mapping[str, Any],
    step_name: str,
    check_library: Callable[..., None] | None = None,
) -> Any:
    """Construct an alphaDIA ``SearchStep``: merges and checks the configs, runs nothing yet.

    ``check_library`` mends or refuses a given library where the step loads it, told which of "rt" and "ms2" the step
    will predict.
    """
    import alphadia.search_step
    from alphadia.search_step import SearchStep

    step = SearchStep(
        output_folder=str(output_folder),
        config=dict(user_config),
        cli_config=dict(cli_config),
        extra_config=dict(extra_config),
        step_name=step_name,
    )
    check_attributes(step, STEP_ATTRIBUTES)
    step.library_loader = alphadia.search_step.DynamicLoader
    if check_library is not None:
        load, predicted = step.load_library, ("rt", "ms2") if step.config["library_prediction"]["enabled"] else ()
        step.library_loader = checked_loader(partial(check_library, predicted=predicted))

        def load_checked() -> None:
            with replaced(alphadia.search_step, "DynamicLoader", step.library_loader):
                load()

        step.load_library = load_checked
    return step


def config_of(step: Any) -> dict[str, Any]:
    """Return the effective config of a search step as plain values."""
    return copy.deepcopy(dict(step.config))


def quant_folder(step: Any) -> Path:
    """Return the folder with one folder of results per run."""
    return Path(step.config["quant_directory"] or Path(step.output_folder) / QUANT_FOLDER)


def reuse_quantification(step: Any) -> None:
    """Make a search step take the results of the runs that have been searched already."""
    step.config["general"]["reuse_quant"] = True


@contextmanager
def missing_runs_are_searched() -> Iterator[None]:
    """Let a step that reuses results search the other runs, also with ``general.fail_fast``, where alphaDIA stops.

    What alphaDIA pickled beside the results is read where it is: it would log to where the folder was.
    """
    from alphadia.search_step import SearchStep
    from alphadia.workflow.managers.base import BaseManager

    find = SearchStep._get_reusable_quant_folders

    def find_what_is_there(step: Any) -> dict[str, str]:
        general = step.config["general"]
        fail_fast, general["fail_fast"] = general["fail_fast"], False
        try:
            return dict(find(step))
        finally:
            general["fail_fast"] = fail_fast

    def stay_here(manager: Any, state: Mapping[str, Any]) -> None:
        places = ("reporter", "_path", "figure_path")
        manager.__dict__.update({name: value for name, value in state.items() if name not in places})

    BaseManager.__setstate__ = stay_here
    try:
        with replaced(SearchStep, "_get_reusable_quant_folders", find_what_is_there):
            yield
    finally:
        del BaseManager.__setstate__


def with_absolute_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """Make paths absolute: alphaDIA reads them relative to the current folder, results are read from others, too."""
    return change_paths(config, lambda path: str(absolute_path(path)))


def effective_config(user_config: Mapping[str, Any], output_folder: Path) -> dict[str, Any]:
    """Return alphaDIA's defaults with the user's config on top, as alphaDIA itself merges them."""
    from alphadia.search_step import SearchStep

    return dict(SearchStep._init_config(dict(user_config), {}, {}, str(output_folder)).data)


def search_only(step: Any, raw_paths: Collection[str]) -> None:
    """Let a step not run yet search some of its raw files, each with the random state that it has among all."""
    everything = list(step.raw_path_list)
    step.raw_path_list = [path for path in everything if path in set(raw_paths)]

    def run_data() -> Iterator[tuple[str, str, Any]]:
        for path in everything:
            if path in raw_paths:
                yield Path(path).stem, path, step.spectral_library
            elif step._np_rng is not None:
                step._np_rng.integers(0, 1_000_000)  # as alphaDIA draws for each file

    step._get_run_data = run_data


@contextmanager
def first_pass_search() -> Iterator[None]:
    """Let searches note what raw files say of themselves (`run_facts`), and pass over runs without precursors."""
    import alphadia.search_step
    import pandas as pd
    from alphadia.workflow.managers.raw_file_manager import RawFileManager
    from alphadia.workflow.peptidecentric.peptidecentric import PeptideCentricWorkflow

    from alphadia_tl.host.run_facts import run_facts

    load_raw_file = RawFileManager.get_dia_data_object

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
        replaced(RawFileManager, "get_dia_data_object", load_and_note_facts),
        replaced(alphadia.search_step, "PeptideCentricWorkflow", FirstPassWorkflow),
    ):
        yield


@contextmanager
def first_pass_output() -> Iterator[list[Path]]:
    """Let a step write its tables without alphaDIA's own transfer library; gives the folders of the runs in them."""
    import alphadia.search_step
    from alphadia.outputtransform.search_plan_output import SearchPlanOutput

    searched: list[Path] = []

    class FirstPassOutput(SearchPlanOutput):  # type: ignore[misc]
        config: Any

        def build(self, folder_list: list[str], base_spec_lib: Any) -> None:
            searched.extend(Path(folder) for folder in folder_list)
            config: Any = copy.deepcopy(self.config)
            config.data["transfer_library"]["enabled"] = False
            self.config = config
            super().build(folder_list, base_spec_lib)

    with replaced(alphadia.search_step, "SearchPlanOutput", FirstPassOutput):
        yield searched


def run_first_pass(step: Any, predictor: Predictor | None = None) -> tuple[list[tuple[str, str]], list[Path]]:
    """Run a search step without alphaDIA building its own transfer library; a run without precursors is no error.

    ``transfer_library.enabled`` must be true, so that all fragments are quantified. A predictor, where one is given,
    predicts the library instead of alphaDIA. What each raw file says about its acquisition is left in its
    quantification folder (`run_facts`). Returns failed raw files as (step name, raw file name), and the folders of the
    runs that were searched.
    """
    with first_pass_search(), first_pass_output() as searched:
        errors = run_search(step, predictor)
    return errors, searched


@contextmanager
def predicted_by(predictor: Predictor | None) -> Iterator[None]:
    """Let a predictor, where one is given, predict libraries instead of alphaDIA's own prediction."""
    import alphadia.search_step

    own = alphadia.search_step.PeptDeepPrediction
    predict = own if predictor is None else prediction_class(predictor)
    with replaced(alphadia.search_step, "PeptDeepPrediction", predict):
        yield


def run_search(step: Any, predictor: Predictor | None) -> list[tuple[str, str]]:
    """Run a search step and return its failed raw files as (step name, raw file name).

    A predictor, where one is given, predicts its library instead of alphaDIA's own prediction.
    """
    with predicted_by(predictor):
        return list(step.run())


def register_modifications(config: Mapping[str, Any]) -> None:
    """Make the custom modifications of a config known to alphabase, as a search step does, and to PeptDeep.

    alphaDIA tells alphabase alone: PeptDeep then fails on a peptide that carries one. PeptDeep's settings hand them on
    to its worker processes.
    """
    from peptdeep.settings import add_user_defined_modifications, global_settings

    found = {m["name"]: {"composition": m["composition"]} for m in config["custom_modifications"]}
    if found:
        global_settings["common"]["user_defined_modifications"].update(found)
        add_user_defined_modifications()


Part = Callable[["pd.Series[str]"], "NDArray[np.bool_]"]


@contextmanager
def digested_once(folder: Path, part: Part | None = None) -> Iterator[None]:
    """Let alphaDIA's digest leave what it makes in a folder, or take it from there where it has done so before.

    ``part`` is what a search takes of it: a function from stripped sequences to rows; all is left in the folder.
    """
    import alphadia.search_step
    import pandas as pd
    from alphabase.peptide.fragment import get_charged_frag_types
    from alphabase.protein.fasta import SpecLibFasta
    from alphadia.libtransform.fasta_digest import FastaDigest

    from alphadia_tl.files import write_table

    files = [folder / name for name in DIGEST_FILES]

    class Digest(FastaDigest):  # type: ignore[misc]
        def forward(self, input: list[str]) -> Any:
            if all(file.is_file() for file in files):
                library = SpecLibFasta(get_charged_frag_types(["b", "y"], 2), decoy=None)
                library._precursor_df, library.protein_df = map(pd.read_parquet, files)
                logger.info(f"Taken from {folder}: the digest, {len(library._precursor_df):,} precursors")
            else:
                library = super().forward(input)
                for file, table in zip(files, (library._precursor_df, library.protein_df), strict=True):
                    write_table(file, table.reset_index(drop=True))
            if part is not None:
                df = library._precursor_df
                library._precursor_df = df[part(df["sequence"])].reset_index(drop=True)
            return library

    with replaced(alphadia.search_step, "FastaDigest", Digest):
        yield


def digest(step: Any, folder: Path, part: Part | None = None) -> Any:
    """Return the library that a step not run yet would digest its FASTA files to, nothing predicted yet.

    It is left in a folder, or found there; ``part`` as in `digested_once`.
    """
    with digested_once(folder, part):
        return _digested(step.config, step.fasta_path_list)


def digest_fasta(config: Mapping[str, Any], fasta_paths: Iterable[str | Path]) -> pd.DataFrame:
    """Return the precursors of FASTA files as a search of them would make them; the config is an effective one."""
    df: pd.DataFrame = _digested(config, [str(path) for path in fasta_paths])._precursor_df.reset_index(drop=True)
    return df


def _digested(config: Mapping[str, Any], fasta_paths: list[str]) -> Any:
    import alphadia.search_step

    names = ("enzyme", "max_var_mod_num", "missed_cleavages", "precursor_len", "precursor_charge", "precursor_mz")
    values = {name: config["library_prediction"][name] for name in names}
    return alphadia.search_step.FastaDigest(**values, **_modifications(config))(fasta_paths)


def _modifications(config: Mapping[str, Any]) -> dict[str, list[str]]:
    from alphadia.workflow.config import MODIFICATIONS_DELIM

    kinds = ("fixed_modifications", "variable_modifications")
    return {kind: [m for m in config["library_prediction"][kind].split(MODIFICATIONS_DELIM) if m] for kind in kinds}


def precursors_of_peptides(config: Mapping[str, Any], peptides_df: pd.DataFrame) -> pd.DataFrame:
    """Return the precursors of peptides, as a digest would modify and charge them; the config is an effective one.

    ``peptides_df`` has the column ``sequence``. Where it has ``mods`` and ``mod_sites``, these alone are taken, and
    where it has ``charge``, that alone; its other columns stay.
    """
    from alphabase.peptide.precursor import update_precursor_mz
    from alphabase.protein.fasta import SpecLibFasta

    wanted, modifications = config["library_prediction"], _modifications(config)
    library = SpecLibFasta(
        [],
        decoy=None,
        var_mods=modifications["variable_modifications"],
        fix_mods=modifications["fixed_modifications"],
        max_var_mod_num=wanted["max_var_mod_num"],
        precursor_charge_min=wanted["precursor_charge"][0],
        precursor_charge_max=wanted["precursor_charge"][1],
    )
    library._precursor_df = peptides_df.assign(nAA=peptides_df["sequence"].str.len().astype("int32"))
    if "mods" not in peptides_df:
        library._precursor_df = library._precursor_df.assign(is_prot_nterm=False, is_prot_cterm=False)
        library.add_modifications()
    if "charge" not in peptides_df:
        library.add_charge()
        df = library._precursor_df.reset_index(drop=True)
        mz = update_precursor_mz(df.copy())["precursor_mz"]  # letters that are no residue weigh 1e8: told later
        library._precursor_df = df[mz.between(*wanted["precursor_mz"], inclusive="neither") | (mz > 1e5)]
    return library._precursor_df.reset_index(drop=True)  # type: ignore[no-any-return]


def decoy_sequences(sequences: Iterable[str], decoy_type: str) -> set[str]:
    """Return the stripped sequences of the decoys that alphaDIA makes of targets."""
    from alphabase.spectral_library.base import SpecLibBase
    from alphabase.spectral_library.decoy import decoy_lib_provider

    decoys = decoy_lib_provider.get_decoy_lib(decoy_type, SpecLibBase()).generator
    return set(map(decoys._decoy, sequences))


def precursors_to_predict(step: Any, predictor: Predictor, folder: Path, part: Part | None = None) -> pd.DataFrame:
    """Return the precursors whose properties a step not run yet would let a predictor predict, nothing predicted yet.

    The predictor predicts charge states, where the config asks for it. The digest is left in its folder for the next
    call, or found there; ``part`` as in `digested_once`.
    """
    config, given = step.config["library_prediction"], step.library_path
    library = digest(step, folder, part) if given is None else step.library_loader()(given)
    df = library.precursor_df
    return with_charges(df, predictor, config["min_charge_probability"]) if config["predict_charge"] else df


def make_library(step: Any, predictor: Predictor | None, folder: Path, part: Part | None = None) -> list[Path]:
    """Make the library of a step not run yet, as far as all of its searches share it: digested, predicted, with decoys.

    None as predictor leaves the prediction to alphaDIA. The digest is left in its folder for the next call, or found
    there; ``part`` as in `digested_once`. Returns the files in the step's output folder: the library, and the flat one
    with decoys that searches load.
    """
    step.config["general"]["save_library"] = True
    step.config["general"]["save_flat_library"] = True
    with digested_once(folder, part), predicted_by(predictor):
        step.load_library()
    return [Path(step.output_folder) / name for name in (SPECLIB_FILE, FLAT_LIBRARY_FILE)]


@dataclass(frozen=True)
class Failure:
    """Why a run could not be searched, as alphaDIA logged it.

    ``may_pass`` where it can be another machine's or another moment's fault: no memory, no space, no answer of the
    disk.
    """

    message: str
    may_pass: bool


def search_run(step: Any, raw_path: str, *, first_pass: bool) -> Failure | None:
    """Search one of the raw files of a step not run yet, which has them all, and write no tables but its own.

    ``first_pass`` quantifies fragments for a transfer library. Returns None where the run was searched.
    """
    import alphadia.search_step
    from alphadia.outputtransform.search_plan_output import SearchPlanOutput

    problems: list[Exception] = []
    log_event = alphadia.search_step._log_exception_event

    def note(error: Exception, *arguments: Any, **more: Any) -> None:
        problems.append(error)
        log_event(error, *arguments, **more)

    class NoTables(SearchPlanOutput):  # type: ignore[misc]
        def build(self, folder_list: list[str], base_spec_lib: Any) -> None:
            logger.info("The tables of all runs are written by the job that combines them.")

    search_only(step, [raw_path])
    step.config["general"]["fail_fast"] = False
    step.config["general"]["save_mbr_library"] = False
    with (
        first_pass_search() if first_pass else nullcontext(),
        classifiers_that_fail_start_again(),
        one_isomer_explains_a_peak(),
        mzml_is_mended(),
        replaced(alphadia.search_step, "SearchPlanOutput", NoTables),
        replaced(alphadia.search_step, "_log_exception_event", note),
    ):
        step.run()
    if not problems:
        return None
    error = problems[0]
    return Failure(f"{getattr(error, 'error_code', type(error).__name__)}: {error}", _may_pass(error))


def _may_pass(error: Exception) -> bool:
    lasting = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
    return isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno is not None and not isinstance(error, lasting)
    )


def combine_runs(step: Any, folders: Mapping[str, Path], *, first_pass: bool) -> None:
    """Write the tables of a step from runs that have been searched: protein inference, FDR, quantities over all.

    The step is not run yet; ``folders`` are the quantification folders of the raw files to be in the tables. In a
    ``first_pass``, alphaDIA is kept from making its own transfer library.
    """
    from alphabase.spectral_library.flat import SpecLibFlat

    known = {path: folders[path] for path in step.raw_path_list if path in folders}
    step.raw_path_list = list(known)
    step._get_reusable_quant_folders = lambda: {Path(p).stem: str(folder) for p, folder in known.items()}
    step.spectral_library = SpecLibFlat()  # not used: nothing is searched
    step.config["general"]["save_library"] = True  # else alphaDIA removes the library that the searches were made with
    with missing_runs_are_searched(), first_pass_output() if first_pass else nullcontext():
        step.run()
