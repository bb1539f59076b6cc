"""Parts of a search step, each as a job of its own: the library, the search of one run, the tables of all runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alphadia_tl.host.command import replaced
from alphadia_tl.host.names import FLAT_LIBRARY_FILE, SPECLIB_FILE
from alphadia_tl.host.prediction import LibraryPredictor
from alphadia_tl.host.scoring import classifiers_that_fail_start_again
from alphadia_tl.host.steps import first_pass_output, first_pass_search, predicted_by, search_only

logger = logging.getLogger(__name__)

DIGEST_FILES = ("digest.precursors.parquet", "digest.proteins.parquet")


@contextmanager
def _digested_once(folder: Path) -> Iterator[None]:
    """Let alphaDIA's digest leave what it makes in a folder, or take it from there where it has done so before."""
    import alphadia.search_step
    import pandas as pd
    from alphabase.peptide.fragment import get_charged_frag_types
    from alphabase.protein.fasta import SpecLibFasta
    from alphadia.libtransform.fasta_digest import FastaDigest

    from alphadia_tl.bundle import write_table

    files = [folder / name for name in DIGEST_FILES]

    class Digest(FastaDigest):  # type: ignore[misc]
        def forward(self, input: list[str]) -> Any:
            if all(file.is_file() for file in files):
                library = SpecLibFasta(get_charged_frag_types(["b", "y"], 2), decoy=None)
                library._precursor_df, library.protein_df = map(pd.read_parquet, files)
                logger.info(f"Taken from {folder}: the digest, {len(library._precursor_df):,} precursors")
                return library
            library = super().forward(input)
            for file, table in zip(files, (library._precursor_df, library.protein_df), strict=True):
                write_table(file, table.reset_index(drop=True))
            return library

    with replaced(alphadia.search_step, "FastaDigest", Digest):
        yield


def make_library(step: Any, predictor: LibraryPredictor | None, digest: Path) -> list[Path]:
    """Make the library of a search step, as far as all of its searches share it: digested, predicted, with decoys.

    Parameters
    ----------
    step : alphadia.search_step.SearchStep
        Not run yet.
    predictor : LibraryPredictor or None
        Predicts the library, where one is predicted; None leaves it to alphaDIA.
    digest : Path
        Folder in which the digest is left for the next call, or found.

    Returns
    -------
    list of Path
        In the step's output folder: the library, and the flat one with decoys that searches load.
    """
    step.config["general"]["save_library"] = True
    step.config["general"]["save_flat_library"] = True
    with _digested_once(digest), predicted_by(predictor):
        step.load_library()
    return [Path(step.output_folder) / name for name in (SPECLIB_FILE, FLAT_LIBRARY_FILE)]


@dataclass(frozen=True)
class Failure:
    """Why a run could not be searched.

    Attributes
    ----------
    message : str
        As alphaDIA logged it.
    may_pass : bool
        Whether it can be another machine's or another moment's fault: no memory, no space, no answer of the disk.
    """

    message: str
    may_pass: bool


def search_run(step: Any, raw_path: str, *, first_pass: bool) -> Failure | None:
    """Search one of the raw files of a step and write no tables but its own.

    Parameters
    ----------
    step : alphadia.search_step.SearchStep
        Not run yet, with all raw files.
    raw_path : str
        The raw file, one of them.
    first_pass : bool
        Whether fragments are quantified for a transfer library.

    Returns
    -------
    Failure or None
        None where the run was searched.
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

    Parameters
    ----------
    step : alphadia.search_step.SearchStep
        Not run yet.
    folders : mapping of str to Path
        Quantification folder of each raw file to be in the tables.
    first_pass : bool
        Whether alphaDIA would make its own transfer library.
    """
    from alphabase.spectral_library.flat import SpecLibFlat

    known = {path: folders[path] for path in step.raw_path_list if path in folders}
    step.raw_path_list = list(known)
    step._get_reusable_quant_folders = lambda: {Path(p).stem: str(folder) for p, folder in known.items()}
    step.spectral_library = SpecLibFlat()  # not used: nothing is searched
    step.config["general"]["save_library"] = True  # else alphaDIA removes the library that the searches were made with
    with first_pass_output() if first_pass else nullcontext():
        step.run()
