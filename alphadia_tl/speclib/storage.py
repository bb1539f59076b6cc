"""Libraries: read, without what no search can use; what they say themselves; written whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from alphabase.constants.modification import MOD_DF
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alphabase.peptide.mobility import mobility_to_ccs_for_df
from alphabase.peptide.precursor import update_precursor_mz
from alphabase.spectral_library.base import SpecLibBase
from numpy.typing import NDArray
from peptdeep import settings as peptdeep_settings

from alphadia_tl.errors import LibraryError, QuantificationError
from alphadia_tl.files import require_space, write_whole
from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR
from alphadia_tl.library.fragments import Ints, block_rows, with_blocks
from alphadia_tl.library.selection import MISPLACED, counted, impossible_peptidoforms, within
from alphadia_tl.speclib.fragments import fragment_bounds, make_dense
from alphadia_tl.tasks.metrics import FloatArray

logger = logging.getLogger(__name__)

#: Columns that alphaDIA takes a library's retention times from, in its order.
RT_COLUMNS = ("rt_library", "rt", "rt_norm", "rt_pred", "rt_norm_pred", "irt")
MOBILITY_COLUMNS = ("mobility_library", "mobility", "mobility_pred")
PROTEIN_COLUMNS = ("proteins", "genes", "uniprot_ids")
ROWS_AT_ONCE = 200_000
BEST_COMPRESSION = 0.3
_NO_DECOY = ("0", "0.0", "false", "", "nan", "none", "<na>")
_ADVICE = "Each row needs sequence, mods, mod_sites and charge, a time and fragments; see custom_modifications, too."


def first_of(columns: Collection[str], df: pd.DataFrame) -> str | None:
    """Return the first of the columns that the table has."""
    return next((c for c in columns if c in df.columns), None)


def library_precursors(path: Path, sequences: Iterable[str]) -> pd.DataFrame:
    """Read the precursors of some peptides (stripped sequences) from a library that alphaDIA saved.

    One row each: sequence, mods, mod_sites, charge, and, where it has any of `RT_COLUMNS`, rt_library. Raises
    QuantificationError if the file cannot be read.
    """
    wanted = pd.Index(sequences).unique()
    try:
        with h5py.File(path) as file:
            columns = file["library/precursor_df"]
            time = next((name for name in RT_COLUMNS if name in columns), None)
            n = len(columns["sequence"])
            parts = []
            for begin in range(0, max(n, 1), ROWS_AT_ONCE):
                rows = slice(begin, min(begin + ROWS_AT_ONCE, n))
                part = pd.DataFrame({name: columns[name].asstr()[rows] for name in PEPTIDOFORM})
                part["charge"] = columns["charge"][rows].astype(np.int64)
                if time is not None:
                    part["rt_library"] = columns[time][rows].astype(float)
                parts.append(part[part["sequence"].isin(wanted)])
    except (OSError, KeyError, TypeError) as error:
        raise QuantificationError(f"{path} cannot be read: {error}.", "Is it a library that alphaDIA saved?") from error
    return pd.concat(parts).drop_duplicates(PRECURSOR, ignore_index=True)


def load_library(path: Path) -> SpecLibBase:
    """Load an alphabase library with all its columns."""
    if not path.is_file():
        raise LibraryError(
            f"The spectral library '{path}' does not exist.",
            "alphaDIA writes it in the first pass if 'general.save_library' is true.",
        )
    library = SpecLibBase()
    try:
        library.load_hdf(str(path), load_mod_seq=True)
    except (OSError, AttributeError, KeyError, ValueError) as error:
        raise LibraryError(
            f"The spectral library '{path}' cannot be read as an alphabase library ({error}).",
            "It must hold precursor_df, fragment_mz_df and fragment_intensity_df, as SpecLibBase.save_hdf writes them.",
        ) from error
    if len(library._fragment_mz_df) != len(library._fragment_intensity_df):
        raise LibraryError(
            f"The spectral library '{path}' has {len(library._fragment_mz_df):,} rows of fragment m/z "
            f"but {len(library._fragment_intensity_df):,} rows of intensities.",
            "The file is damaged; make it again.",
        )
    return library


def sound_precursors(precursor_df: pd.DataFrame) -> pd.DataFrame:
    """Return the precursors that a library can be predicted for, each once, with ``precursor_mz``.

    Others are told in the log; LibraryError where none remains. Decoys are left out: a search makes its own.
    """
    library = SpecLibBase()
    library._precursor_df = df = _with_types(precursor_df)
    fault = _impossible(df)
    fault[~within(df["charge"], 1, np.inf)] = "charge that is no whole number above 0"
    fault[df.duplicated(PRECURSOR).to_numpy() & (fault == "")] = "a precursor that is there already"
    _leave_out(library, fault)
    leave_out_decoys(library)
    df = library._precursor_df.astype({"charge": np.int64})
    return update_precursor_mz(df.assign(nAA=df["sequence"].str.len().astype(np.int32)))  # type: ignore[no-any-return]


def unpredicted_library(precursor_df: pd.DataFrame, charged_frag_types: Sequence[str]) -> SpecLibBase:
    """Return a dense library of precursors: m/z of fragments, intensities of 0, no retention time and no mobility."""
    library = SpecLibBase()
    library.charged_frag_types = list(charged_frag_types)
    library._precursor_df = with_blocks(precursor_df.sort_values("nAA", kind="stable", ignore_index=True))
    mz = create_fragment_mz_dataframe(library._precursor_df.copy(), library.charged_frag_types)
    library._fragment_mz_df = mz
    library._fragment_intensity_df = pd.DataFrame(np.zeros(mz.shape, dtype=np.float32), columns=mz.columns)
    return library


def whole_library(scouted: Path, digest: Path) -> SpecLibBase:
    """Return a library of all precursors of a digest, of which a part has been searched.

    ``scouted`` is the library of that part: its precursors keep what was predicted for them. The others have no
    retention time, no mobility and no fragment with an intensity yet. ``digest`` is the table that alphaDIA's digest
    left.
    """
    library = load_library(scouted)
    known, df = library._precursor_df, pd.read_parquet(digest).sort_values("nAA", kind="stable")
    values = [c for c in (*RT_COLUMNS, *MOBILITY_COLUMNS) if c in known.columns]
    columns = [c for c in df.columns if c in known.columns]
    keys = [pd.MultiIndex.from_frame(t[PRECURSOR].astype({"charge": np.int64})) for t in (df, known)]
    new = unpredicted_library(df.loc[~keys[0].isin(keys[1]), columns], [*library._fragment_mz_df])
    others, mz = new._precursor_df, new._fragment_mz_df
    n_known = len(library._fragment_mz_df)
    library._fragment_mz_df = pd.concat([library._fragment_mz_df, mz], ignore_index=True)
    library._fragment_intensity_df = library._fragment_intensity_df.reindex(range(n_known + len(mz)), fill_value=0.0)
    pointers = ["frag_start_idx", "frag_stop_idx"]
    others[pointers] += n_known
    both = pd.concat([known[[*columns, *values, *pointers]], others], ignore_index=True)
    library._precursor_df = both.sort_values("nAA", kind="stable", ignore_index=True)
    make_dense(library)
    return library


def sound_library(library: SpecLibBase, predicted: Collection[str] = ()) -> None:
    """Leave out of a library, in place, what no search can use, and log it; a repeated precursor stays once.

    Left out are precursors without a charge, a peptidoform that can be read, or a retention time or any fragment, where
    these are not ``predicted`` ("rt", "ms2"). m/z values that are missing are calculated; a column of retention times
    without any gives way to the next. Raises LibraryError where no precursor remains, columns are missing, or
    fragment rows do not fit the sequences, and where all are decoys.
    """
    if len(library._precursor_df) == 0:
        raise LibraryError("The spectral library holds no precursor.", "Give one with precursors.")
    missing = sorted({*PRECURSOR, "frag_start_idx", "frag_stop_idx"} - set(library._precursor_df.columns))
    if missing:
        raise LibraryError(f"The spectral library lacks the precursor columns {', '.join(missing)}.", _ADVICE)
    df = library._precursor_df = _with_types(library._precursor_df)
    if "decoy" in df.columns and df["decoy"].all():
        raise LibraryError("All precursors of the library are decoys.", "Give a library with targets.")
    time = first_of(RT_COLUMNS, df)
    if time is None and "rt" not in predicted:
        raise LibraryError("The spectral library holds no retention times.", "Set library_prediction.enabled: true.")
    fault = _impossible(df)
    fault[~within(df["charge"], 1, np.inf)] = "charge that is no whole number above 0"
    if time is not None and "rt" not in predicted:
        fault[~np.isfinite(df[time])] = "no retention time"
    _leave_out(library, fault)
    df = library._precursor_df
    df["charge"] = df["charge"].astype(np.int64 if df["charge"].dtype.kind == "f" else df["charge"].dtype)
    df["nAA"] = df["sequence"].str.len().astype(df["nAA"].dtype if "nAA" in df.columns else np.int32)
    start, stop = fragment_bounds(df, len(library._fragment_mz_df))
    _mend_fragments(library)
    if "ms2" not in predicted:
        signal = np.append(0, np.cumsum((library._fragment_intensity_df.to_numpy() > 0).any(axis=1)))
        _leave_out(library, np.where(signal[stop] == signal[start], "no fragment with an intensity above 0", ""))
    _leave_out_repeats(library, time)
    _mend_precursors(library)


def leave_out_decoys(library: SpecLibBase) -> None:
    """Leave the decoys out of a sound library, in place: a search makes its own of the targets that it is given."""
    if "decoy" in library._precursor_df.columns:
        decoy = library._precursor_df["decoy"].to_numpy() != 0
        _leave_out(library, np.where(decoy, "decoy, made anew from the tuned targets", "").astype(object))


def _with_types(df: pd.DataFrame) -> pd.DataFrame:
    numbers = [c for c in ("charge", *RT_COLUMNS, *MOBILITY_COLUMNS, "precursor_mz") if c in df.columns]
    numbers = [c for c in numbers if df[c].dtype.kind not in "iuf"]
    df = df.fillna(dict.fromkeys(PEPTIDOFORM, "")).assign(**{c: pd.to_numeric(df[c], errors="coerce") for c in numbers})
    if "decoy" in df.columns and not df["decoy"].isin([0, 1]).all():  # all that alphaDIA knows
        df["decoy"] = np.array([str(mark).lower() not in _NO_DECOY for mark in df["decoy"]], dtype=np.uint8)
    return df.drop(columns=[c for c in RT_COLUMNS if c in df.columns and df[c].isna().all()])


def _impossible(df: pd.DataFrame) -> NDArray[np.object_]:
    """Say for each row what no search can read; what cannot be, but can be searched, is told alone."""
    if not set(MOD_DF.index) <= set(peptdeep_settings.MOD_TO_FEATURE):
        peptdeep_settings.update_all_mod_features()
    fault = impossible_peptidoforms(df)
    misplaced = np.array([text.endswith(MISPLACED) for text in fault])
    if misplaced.any():
        told = counted(df, np.where(misplaced, fault, ""))
        logger.warning(f"{misplaced.sum():,} precursors of the library cannot be, but are searched: {told}.")
    return np.where(misplaced, "", fault)


def _leave_out(library: SpecLibBase, fault: NDArray[np.object_]) -> None:
    df, keep = library._precursor_df, fault == ""
    if keep.all():
        return
    if not keep.any():
        raise LibraryError(f"No precursor of the library can be searched: {counted(df, fault)}.", _ADVICE)
    logger.warning(f"{(~keep).sum():,} of {len(df):,} precursors of the library are left out: {counted(df, fault)}.")
    library._precursor_df = df[keep].reset_index(drop=True)


def _mend_fragments(library: SpecLibBase) -> None:
    values, mz = library._fragment_intensity_df, library._fragment_mz_df
    if (wrong := ~(np.isfinite(values) & (values >= 0))).any(axis=None):
        logger.warning(f"{wrong.to_numpy().sum():,} fragment intensities of the library are not 0 or above: left out.")
        library._fragment_intensity_df = values.mask(wrong, 0)
    if not (np.isfinite(mz) & (mz >= 0)).all(axis=None):
        logger.warning("Fragment m/z values are missing in the library: all are calculated.")
        make_dense(library)
        library._fragment_mz_df = create_fragment_mz_dataframe(library._precursor_df.copy(), [*mz])


def _mend_precursors(library: SpecLibBase) -> None:
    df = library._precursor_df
    if "precursor_mz" in df.columns and not (np.isfinite(df["precursor_mz"]) & (df["precursor_mz"] > 0)).all():
        logger.warning("Precursor m/z values are missing in the library: all are calculated.")
        df["precursor_mz"] = update_precursor_mz(df[[*PRECURSOR, "nAA"]].copy())["precursor_mz"]
    if df.get("precursor_idx", pd.Series()).duplicated().any():
        shared = ["precursor_idx"]  # by the channels of a precursor, which elute together: alphaDIA copies the number
        if df.duplicated([*shared, *df.columns.intersection(["channel"])]).any():
            logger.warning("Different precursors share a precursor_idx in the library: they are numbered anew.")
            shared.append("elution_group_idx")
        library._precursor_df = df.drop(columns=shared, errors="ignore")


def _leave_out_repeats(library: SpecLibBase, time: str | None) -> None:
    df = library._precursor_df
    keys = [*PRECURSOR, *(c for c in ("decoy", "channel") if c in df.columns)]
    again = df.duplicated(keys).to_numpy()
    if not again.any():
        return
    group = df.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    rows = np.flatnonzero(again)
    kept = first[group[rows]]
    start, stop = (df[f"frag_{end}_idx"].to_numpy(np.int64) for end in ("start", "stop"))
    values, lengths = library._fragment_intensity_df.to_numpy(), (stop - start)[rows]
    differs = (values[block_rows(start[rows], stop[rows])] != values[block_rows(start[kept], stop[kept])]).any(axis=1)
    other = np.logical_or.reduceat(differs, np.cumsum(lengths) - lengths)
    if time is not None:
        other |= df[time].to_numpy()[rows] != df[time].to_numpy()[kept]
    of_repeated = np.isin(group, group[rows])
    for column in (c for c in PROTEIN_COLUMNS if c in df.columns):
        names = df.loc[of_repeated, column].groupby(group[of_repeated])
        joined = names.agg(lambda texts: ";".join(dict.fromkeys(n for text in texts for n in str(text).split(";"))))
        df.loc[first[joined.index], column] = joined.to_numpy()
    logger.warning(
        f"{len(rows):,} rows of the library repeat a precursor (the first: {df['sequence'].iloc[rows[0]]}). The first "
        f"row of each is searched, with the proteins of all; {other.sum():,} of the rows left out say another "
        "retention time or other intensities."
    )
    library._precursor_df = df[~again].reset_index(drop=True)


def save_library(library: SpecLibBase, path: Path) -> None:
    """Write a library whole or not at all; OutputError where there is no permission or no space."""
    frames = (library._precursor_df, library._fragment_mz_df, library._fragment_intensity_df)
    require_space(path.parent, int(BEST_COMPRESSION * sum(df.memory_usage(index=False).sum() for df in frames)))
    write_whole(path, lambda part: library.save_hdf(str(part)))
    logger.info("Wrote %s (%.1f MB)", path, path.stat().st_size / 1e6)


def ccs_of_mobility(df: pd.DataFrame, column: str) -> pd.Series:
    """Return the CCS (Å²) of the mobilities in a column, for ``charge`` and ``precursor_mz``; NaN where there is none.

    Libraries write a missing mobility as NaN or 0, which no ion has.
    """
    numbers = pd.to_numeric(df[column], errors="coerce")
    known = numbers.where(numbers > 0)
    return pd.Series(mobility_to_ccs_for_df(df.assign(**{column: known.fillna(0.0)}), column)).where(known.notna())


@dataclass(frozen=True)
class LibraryValues:
    """Values of the precursors of a library of the first pass; fragment types in the order asked for."""

    library: SpecLibBase
    charged_frag_types: Sequence[str]

    def of(self, model: str, precursors: pd.DataFrame) -> FloatArray:
        """Return what the library says of n precursors where a model would predict.

        (n,) for "rt" (on the library's own scale) and "ccs" (Å²); for "ms2" (bonds of all precursors, types) on any
        scale, 0 for a fragment that the library leaves out. NaN for precursors that it does not have, or of which it
        does not say anything.
        """
        rows = self._rows(precursors)
        if model == "ms2":
            return self._intensities(precursors, rows)
        values = self._scalars(model)
        return np.where(rows >= 0, values[rows], np.nan) if len(values) else np.full(len(rows), np.nan)

    def _rows(self, precursors: pd.DataFrame) -> Ints:
        """Return the row of each precursor in the library, -1 where it has none."""
        keys = pd.MultiIndex.from_frame(_keys(self.library._precursor_df))
        rows = pd.Series(np.arange(len(keys)), index=keys)
        wanted = pd.MultiIndex.from_frame(_keys(precursors))
        found = rows[~keys.duplicated()].reindex(wanted).fillna(-1)
        return np.asarray(found.to_numpy(dtype=np.int64))

    def _scalars(self, model: str) -> FloatArray:
        df = self.library._precursor_df
        column = first_of(RT_COLUMNS if model == "rt" else MOBILITY_COLUMNS, df)
        if column is None:
            return np.full(len(df), np.nan)
        if model == "rt":
            return np.asarray(pd.to_numeric(df[column], errors="coerce").to_numpy(float))
        if "precursor_mz" not in df.columns:
            self.library.calc_precursor_mz()
        return np.asarray(ccs_of_mobility(self.library._precursor_df, column).to_numpy(float))

    def _intensities(self, precursors: pd.DataFrame, found: Ints) -> FloatArray:
        df, known = self.library._precursor_df, found >= 0
        counts = precursors["sequence"].str.len().to_numpy() - 1
        values = np.full((counts.sum(), len(self.charged_frag_types)), np.nan)
        table = self.library._fragment_intensity_df
        shared = [(i, table.columns.get_loc(t)) for i, t in enumerate(self.charged_frag_types) if t in table.columns]
        if not known.any() or not shared:
            return values
        start = df["frag_start_idx"].to_numpy(np.int64)[found[known]]
        rows = block_rows(start, start + counts[known])
        spectra = np.zeros((len(rows), values.shape[1]))
        spectra[:, [i for i, _ in shared]] = table.to_numpy()[rows][:, [c for _, c in shared]]
        silent = np.maximum.reduceat(spectra.max(axis=1), np.cumsum(counts[known]) - counts[known]) <= 0
        spectra[np.repeat(silent, counts[known])] = np.nan
        values[np.repeat(known, counts)] = spectra
        return values


def _keys(df: pd.DataFrame) -> pd.DataFrame:
    return df[PRECURSOR].astype({"charge": int}).fillna({"mods": "", "mod_sites": ""})
