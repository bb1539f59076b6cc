"""What takes the place of alphaDIA's own parts: the plan of its command line, library prediction, FDR classifier."""

from __future__ import annotations

import argparse
import logging
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from alphadia_tl.errors import DataError, LibraryError, TransferLearningError
from alphadia_tl.files import write_table
from alphadia_tl.host.contract import ISOMERS_FILE, PRECURSOR

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Put a value in the place of a module's or class's attribute for the duration."""
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def run_command_line(plan_class: type) -> int:
    """Run alphaDIA's own command line on ``sys.argv`` with another plan class and return its exit code.

    The class, a subclass of alphaDIA's ``SearchPlan``, is in place only for the duration of the call.
    """
    import alphadia.cli
    import alphadia.search_plan

    with replaced(alphadia.search_plan, "SearchPlan", plan_class):
        return int(alphadia.cli.run() or 0)


def parse_command_line(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return what the words after ``alphadia`` say, and the flags that alphaDIA does not know."""
    import alphadia.cli

    return alphadia.cli.parser.parse_known_args(words)  # type: ignore[no-any-return]


def as_user_error(error: TransferLearningError) -> Exception:
    """Wrap an error of the plugin so that alphaDIA's command line logs it and exits with 1."""
    from alphadia.exceptions import UserError

    class PluginError(UserError):  # type: ignore[misc]
        _error_code = error.code
        _msg = error.what
        _detail_msg = error.advice

    return PluginError()


def start_logging(output_folder: Path | None = None) -> None:
    """Log as alphaDIA does: to the terminal and, with an output folder, to ``log.txt`` in it."""
    from alphadia.reporting import reporting

    if output_folder is None:
        reporting.init_logging()
        return
    output_folder.mkdir(parents=True, exist_ok=True)
    reporting.init_logging(str(output_folder))


def user_error_class() -> type[Exception]:
    """Return the class of alphaDIA's errors that its command line reports with exit code 1."""
    from alphadia.exceptions import CustomError

    return CustomError  # type: ignore[no-any-return]


class Predictor(Protocol):
    """The four models: peptdeep's methods that alphaDIA calls, and arrays in the row order of what is given.

    The tables have the columns ``sequence, mods, mod_sites, charge, nAA`` and, for mobility, ``precursor_mz``. Shapes
    are (n,) for retention times and CCS (Å²), (n, 10) for charge, with that of charge j + 1 in column j, and (sum(nAA -
    1), types) for MS2, in the order of ``charged_frag_types``.
    """

    charged_frag_types: list[str]

    def predict_rt_array(self, df: pd.DataFrame) -> NDArray[np.float32]: ...
    def predict_ccs_array(self, df: pd.DataFrame) -> NDArray[np.float32]: ...
    def predict_charge_probabilities(self, df: pd.DataFrame) -> NDArray[np.float32]: ...
    def predict_ms2_array(self, df: pd.DataFrame) -> NDArray[np.float32]: ...
    def predict_all(
        self, precursor_df: pd.DataFrame, *, predict_items: Sequence[str], frag_types: list[str]
    ) -> dict[str, pd.DataFrame]: ...
    def predict_charge(
        self, psm_df: pd.DataFrame, min_precursor_charge: int, max_precursor_charge: int, charge_prob_cutoff: float
    ) -> pd.DataFrame: ...


# Columns of a text library, as alphabase names them: needed whole numbers, and numbers of which 0 says: none.
_TEXT_WHOLE = ("charge", "fragment_charge", "fragment_series")
_TEXT_ZERO = ("mobility", "ccs", "precursor_mz", "fragment_intensity")


def checked_loader(check: Callable[[Any], None]) -> type:
    """Return a subclass of alphaDIA's loader of given libraries that lets ``check`` mend or refuse what was read.

    A library that cannot be read raises LibraryError. Rows of a text library that alphabase leaves out are counted in
    the log. Where it would leave out, or stop at, a cell without number or text, that is mended: no gene or protein is
    an empty text, no mobility and no m/z are 0, as alphabase itself has them, and no intensity is no fragment. Decoys
    stay decoys.
    """
    import alphadia.libtransform.loader as loader
    import pandas as pd

    class TextLibrary(loader.LibraryReaderBase):  # type: ignore[misc]
        _psm_df: pd.DataFrame

        def _translate_columns(self, origin_df: pd.DataFrame) -> None:
            super()._translate_columns(origin_df)
            df = self._psm_df
            self.rows_given = len(pd.concat([origin_df[self.mod_seq_column], df["charge"]], axis=1).drop_duplicates())
            numbers = df.columns.intersection([*_TEXT_WHOLE, *_TEXT_ZERO, "rt"])
            df[numbers] = df[numbers].apply(pd.to_numeric, errors="coerce")
            empty = dict.fromkeys(df.columns.difference(numbers), "") | dict.fromkeys(_TEXT_ZERO, 0.0)
            self._psm_df = df.fillna(empty)

        def _translate_decoy(self) -> None:
            """Keep the marks as they are: alphabase knows MaxQuant's alone and would make targets of all others."""

        def _get_fragment_intensity(self, lib_df: pd.DataFrame) -> pd.DataFrame:
            whole = dict.fromkeys(lib_df.columns.intersection(list(_TEXT_WHOLE)), "int64")
            sound = lib_df.dropna(axis=1, how="all").dropna().astype(whole)
            return super()._get_fragment_intensity(sound)  # type: ignore[no-any-return]

    class Loader(loader.DynamicLoader):  # type: ignore[misc]
        def forward(self, input_path: str) -> Any:
            try:
                with replaced(loader, "LibraryReaderBase", TextLibrary):
                    library = super().forward(input_path)
            except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
                what = f"The library '{input_path}' cannot be read ({type(error).__name__}: {error})."
                raise LibraryError(what, "Give alphabase's (.hdf) or a table of fragments (.tsv, .csv).") from error
            given = getattr(library, "rows_given", 0)
            if given and (missing := given - len(library.precursor_df.drop_duplicates(PRECURSOR))) > 0:
                logger.warning(
                    f"{missing:,} of {given:,} precursors of {input_path} are left out: they have no charge, no "
                    "retention time, no fragment above 0, or a modification that alphabase does not know."
                )
            check(library)
            return library

    return Loader


def with_charges(df: pd.DataFrame, predictor: Predictor, least_probability: float) -> pd.DataFrame:
    """Return the precursors with probable charge states, in the range of those that there are, else from 1 to 10."""
    lowest, highest = (int(df["charge"].min()), int(df["charge"].max())) if "charge" in df.columns else (1, 10)
    probable: pd.DataFrame = predictor.predict_charge(df, lowest, highest, least_probability)
    logger.info(f"Charge prediction: {len(df):,} precursors before, {len(probable):,} after")
    return probable


def prediction_class(predictor: Predictor) -> type:
    """Return a subclass of alphaDIA's prediction step that asks a predictor.

    The predictor has the models, collision energy and instrument that the step would load.
    """
    from alphabase.peptide.fragment import get_charged_frag_types
    from alphadia.libtransform.prediction import PeptDeepPrediction

    class Prediction(PeptDeepPrediction):  # type: ignore[misc]
        def forward(self, input: Any) -> Any:
            started = time.perf_counter()
            types = list(get_charged_frag_types(self.fragment_types, self.max_fragment_charge))
            input.charged_frag_types = types
            df = input.precursor_df
            if self.predict_charge:
                df = with_charges(df, predictor, self.min_charge_probability)
            logger.info(f"Predicting RT, MS2 and mobility of {len(df):,} precursors")
            predicted = predictor.predict_all(df, predict_items=["rt", "ms2", "mobility"], frag_types=types)
            input._fragment_mz_df = predicted["fragment_mz_df"][types]
            input._fragment_intensity_df = predicted["fragment_intensity_df"][types]
            input._precursor_df = predicted["precursor_df"]
            seconds = time.perf_counter() - started
            logger.info(f"Predicted {len(df):,} precursors in {seconds:.1f} s ({len(df) / seconds:,.0f} a second)")
            return input

    return Prediction


MAX_NEW_STARTS = 3
_TIED_FRACTION = 0.01


def separates(scored: Any) -> bool:
    """Whether a classifier orders what it rates best, in what alphaDIA's ``perform_fdr`` returns.

    From some random starts the units of its last, narrow layer die: hundreds of precursors share one best probability
    (``proba``, low is good), and no order is left among them. It is told without a look at which are targets: a choice
    that looks at them would favour them. A probability of 0 is that of numbers too small to write, no dead unit.
    """
    best = scored["proba"].min()
    tied = (scored["proba"] == best).sum()
    return bool(best == 0 or tied <= max(1, _TIED_FRACTION * len(scored)))


@contextmanager
def classifiers_that_fail_start_again() -> Iterator[list[int]]:
    """Let searches fit a classifier that does not separate again, from new random weights; gives the starts needed.

    alphaDIA 2.3 does so only where all probabilities are nearly equal; one whose best probabilities are alike would
    leave a run of thousands of precursors with none.
    """
    import alphadia.fdr.fdr

    perform = alphadia.fdr.fdr.perform_fdr
    starts: list[int] = []

    def perform_until_it_separates(classifier: Any, *arguments: Any, **more: Any) -> Any:
        scored = perform(classifier, *arguments, **more)
        for start in range(1, MAX_NEW_STARTS + 1):
            if separates(scored):
                break
            logger.warning(
                f"The FDR classifier did not learn to separate: its best probability is shared by "
                f"{int((scored['proba'] == scored['proba'].min()).sum()):,} of {len(scored):,} precursors. It is "
                f"fitted again from new weights ({start}/{MAX_NEW_STARTS})."
            )
            starts.append(start)
            classifier.reset()
            scored = perform(classifier, *arguments, **more)
        return scored

    with replaced(alphadia.fdr.fdr, "perform_fdr", perform_until_it_separates):
        yield starts


def isomer_groups(precursor_df: pd.DataFrame) -> pd.Series:
    """Number the precursors that differ in the sites of their modifications alone; the others are left out.

    Modifications are the same whatever residue they are on: Phospho@S and Phospho@T. Decoys have groups of their own.
    """
    df = precursor_df[precursor_df["mods"].fillna("") != ""]
    mods = df["mods"].astype(object)
    kinds = {m: ";".join(sorted(name.rpartition("@")[0] for name in m.split(";"))) for m in mods.unique()}
    same = ["sequence", "charge", "channel", "decoy"]
    df = df[[*same, "mods", "mod_sites"]].assign(kinds=mods.map(kinds))
    df = df[df.duplicated([*same, "kinds"], keep=False)]
    return df.groupby([*same, "kinds"], sort=False).ngroup()


def best_of_isomers(found_df: pd.DataFrame, groups: pd.Series, width: float) -> NDArray[np.bool_]:
    """Return which precursors stay (n,): none of their isomers, found not farther away than ``width``, fits better.

    ``found_df`` has precursor_idx, rt_observed (s, as the width) and proba (low is good); ``groups`` has the number of
    `isomer_groups` by precursor_idx. Of equal ones the first in the library stays.
    """
    import numpy as np

    rows = found_df[["precursor_idx", "rt_observed", "proba"]].assign(row=np.arange(len(found_df)))
    rows = rows.assign(group=rows["precursor_idx"].map(groups)).dropna(subset=["group"])
    pairs = rows.merge(rows, on="group", suffixes=("", "_isomer"))
    tied, better = pairs["proba_isomer"] == pairs["proba"], pairs["proba_isomer"] < pairs["proba"]
    better |= tied & (pairs["precursor_idx_isomer"] < pairs["precursor_idx"])
    near = (pairs["rt_observed"] - pairs["rt_observed_isomer"]).abs() <= width
    return ~np.isin(np.arange(len(found_df)), pairs.loc[better & near, "row"])


@contextmanager
def one_isomer_explains_a_peak() -> Iterator[None]:
    """Let searches report of positional isomers in one peak the best, and leave what spoke for the others beside it.

    alphaDIA's fragment competition removes the worse of two within 3 s; here they are as far apart as a peak is wide at
    half height (the median of the run's candidates), targets and decoys alike. The table holds all candidates of the
    target precursors found and of their isomers, with the probability (low is good) that the FDR classifier gives each.
    """
    import alphadia.fdr.fdr
    import pandas as pd
    from alphadia.workflow.peptidecentric.peptidecentric import PeptideCentricWorkflow

    extract = PeptideCentricWorkflow.extraction

    def extract_and_keep_the_best(workflow: Any) -> Any:
        path = Path(workflow.path) / ISOMERS_FILE
        path.unlink(missing_ok=True)
        library = workflow.spectral_library.precursor_df
        groups = isomer_groups(library)
        known = library.loc[groups.index, ["precursor_idx", "decoy", *PRECURSOR]].assign(group=groups)
        noted: list[pd.DataFrame] = []
        perform = alphadia.fdr.fdr.perform_fdr

        def perform_and_note(classifier: Any, columns: list[str], psm_df: Any, *arguments: Any, **more: Any) -> Any:
            scored = perform(classifier, columns, psm_df, *arguments, **more)
            rows = psm_df[psm_df["precursor_idx"].isin(known["precursor_idx"])]
            rows = rows[rows[columns].notna().all(axis=1)]
            if len(rows) and classifier.fitted:
                proba = classifier.predict_proba(rows[columns].to_numpy())[:, 1]
                noted.append(rows[["precursor_idx", "rt_observed", "fwhm_rt"]].assign(proba=proba))
            return scored

        if known.empty:
            return extract(workflow)
        with replaced(alphadia.fdr.fdr, "perform_fdr", perform_and_note):
            found, fragments = extract(workflow)
        if noted:
            table = pd.concat(noted).merge(known, on="precursor_idx")
            stays = best_of_isomers(found, known.set_index("precursor_idx")["group"], float(table["fwhm_rt"].median()))
            logger.info(f"{(~stays).sum():,} of {len(stays):,} precursors gave way to a positional isomer in one peak.")
            found = found[stays]
            fragments = fragments[fragments["precursor_idx"].isin(found["precursor_idx"])]
            there = known.loc[known["precursor_idx"].isin(found["precursor_idx"]), "group"]
            table = table[table["group"].isin(there) & (table["decoy"] == 0)].drop(columns=["precursor_idx", "decoy"])
            write_table(path, table.reset_index(drop=True))
        return found, fragments

    with replaced(PeptideCentricWorkflow, "extraction", extract_and_keep_the_best):
        yield


#: What alphaRaw raises for an mzML file that is damaged or lacks what it reads.
UNREADABLE = (AttributeError, LookupError, SyntaxError, TypeError, ValueError, zlib.error)


def mended_spectrum(spectrum: dict[str, Any]) -> list[str]:
    """Mend what alphaRaw would misread or stop at in a spectrum of an mzML file, as pyteomics gives it; say what."""
    import numpy as np

    found = []
    for scan in spectrum.get("scanList", {}).get("scan", [])[:1]:
        rt = scan.get("scan start time")
        if str(getattr(rt, "unit_info", None)).lower().startswith(("second", "uo:0000010")):
            scan["scan start time"] = float(rt) / 60
            found.append("times are in seconds: divided by 60")
    if not {"m/z array", "intensity array"} <= spectrum.keys():
        spectrum |= {"m/z array": np.empty(0), "intensity array": np.empty(0)}
        found.append("spectra without arrays: read as empty")
    for precursor in spectrum.get("precursorList", {}).get("precursor", [])[:1]:
        target = precursor.get("isolationWindow", {}).get("isolation window target m/z")
        ion = precursor.setdefault("selectedIonList", {}).setdefault("selectedIon", [{}])[0]
        if target is not None and "selected ion m/z" not in ion:
            ion["selected ion m/z"] = target
            found.append("no selected ion: the middle of the isolation window is taken")
    return found


@contextmanager
def mzml_is_mended() -> Iterator[None]:
    """Let searches read mzML files with each `mended_spectrum`; the log says once per file what was mended."""
    import alpharaw.mzml

    read, parse = alpharaw.mzml.MzMLReader._import, alpharaw.mzml.parse_mzml_entry
    told: set[str] = set()

    def read_mended(reader: Any, mzml_file_path: str) -> Any:
        found: Counter[str] = Counter()

        def parse_mended(item_dict: dict[str, Any]) -> Any:
            found.update(mended_spectrum(item_dict))
            return parse(item_dict)

        try:
            with replaced(alpharaw.mzml, "parse_mzml_entry", parse_mended):
                values = read(reader, mzml_file_path)
        except UNREADABLE as error:
            what = f"{mzml_file_path} has a spectrum that is damaged, or lacks what alphaDIA reads ({error!r})."
            raise as_user_error(DataError(what, "Copy or convert it again.")) from error
        for what, number in found.items() if mzml_file_path not in told else ():
            logger.info(f"{mzml_file_path}: {what} ({number:,} spectra)")
        told.add(mzml_file_path)
        return values

    with replaced(alpharaw.mzml.MzMLReader, "_import", read_mended):
        yield
