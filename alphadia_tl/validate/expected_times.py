"""When precursors are expected to elute, by a library that knows nothing of what was found: that of the pass before.

The library of the pass itself is no judge: models that have learnt a wrong identification expect it where it was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from scipy.ndimage import median_filter

from alphadia_tl.errors import QuantificationError

__all__ = ["EXPECTED", "LIBRARY_FILE", "TIMES", "library_precursors", "library_times", "with_expected_times"]

EXPECTED = "rt_expected"
LIBRARY_FILE = "speclib.hdf"
PRECURSOR = ["sequence", "mods", "mod_sites", "charge"]
#: Columns that alphaDIA takes a library's retention times from, in its order.
TIMES = ("rt_library", "rt", "rt_norm", "rt_pred", "rt_norm_pred", "irt")
WINDOW = 101  # precursors of the running median, over the library's times
MIN_SHARED = 50  # precursors of a run, or nothing is expected of it
ROWS = 200_000  # of a library that are in memory at once


def library_times(folder: Path, sequences: Iterable[str]) -> pd.DataFrame | None:
    """Read retention times from the library that a search saved.

    Parameters
    ----------
    folder : Path
        Output folder of the search.
    sequences : iterable of str
        Stripped sequences that are wanted; a library has many more than are found.

    Returns
    -------
    pandas.DataFrame or None
        Columns sequence, mods, mod_sites, charge, rt_library, on the library's own scale, one row per precursor; None
        where it saved none, or none with retention times.

    Raises
    ------
    QuantificationError
        If the file cannot be read.
    """
    path = folder / LIBRARY_FILE
    found = library_precursors(path, sequences) if path.is_file() else None
    return found if found is not None and "rt_library" in found.columns and len(found) else None


def library_precursors(path: Path, sequences: Iterable[str]) -> pd.DataFrame:
    """Read the precursors of some peptides from a library file.

    Parameters
    ----------
    path : Path
        Library that alphaDIA saved.
    sequences : iterable of str
        Stripped sequences that are wanted.

    Returns
    -------
    pandas.DataFrame
        Columns sequence, mods, mod_sites, charge, and, where it has any of `TIMES`, rt_library; one row per precursor.

    Raises
    ------
    QuantificationError
        If the file cannot be read.
    """
    try:
        with h5py.File(path) as file:
            columns = file["library/precursor_df"]
            time = next((name for name in TIMES if name in columns), None)
            wanted, n = pd.Index(sequences).unique(), len(columns["sequence"])
            parts = [_part(columns, time, slice(i, min(i + ROWS, n)), wanted) for i in range(0, max(n, 1), ROWS)]
    except (OSError, KeyError, TypeError) as error:
        raise QuantificationError(f"{path} cannot be read: {error}.", "Is it a library that alphaDIA saved?") from error
    return pd.concat(parts).drop_duplicates(PRECURSOR, ignore_index=True)


def _part(columns: h5py.Group, time: str | None, rows: slice, wanted: pd.Index) -> pd.DataFrame:
    texts = {name: columns[name].asstr()[rows] for name in PRECURSOR[:-1]}
    part = pd.DataFrame({**texts, "charge": columns["charge"][rows].astype(np.int64)})
    if time is not None:
        part["rt_library"] = columns[time][rows].astype(float)
    return part[part["sequence"].isin(wanted)]


def with_expected_times(
    first: pd.DataFrame, second: pd.DataFrame, times: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add to both passes when their precursors are expected.

    In each run, library times are laid onto the times of the precursors that both passes have, by a running median.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Columns run, sequence, mods, mod_sites, charge, decoy, rt_observed (s).
    times : pandas.DataFrame
        As from `library_times`.

    Returns
    -------
    tuple of pandas.DataFrame
        With the column rt_expected (s); NaN for decoys, for precursors that are not in the library, and in runs with
        fewer than 50 precursors in common.
    """
    known = [_with_library_times(df, times) for df in (first, second)]
    keys = ["run", *PRECURSOR]
    shared = known[1].merge(known[0][keys].drop_duplicates(), on=keys).dropna(subset=["rt_library"])
    for df in known:
        df[EXPECTED] = np.nan
    for run, rows in shared.groupby("run"):
        if len(rows) < MIN_SHARED:
            continue
        rows = rows.sort_values("rt_library")
        curve = median_filter(rows["rt_observed"].to_numpy(float), min(WINDOW, len(rows)), mode="nearest")
        for df in known:
            here = (df["run"] == run) & df["rt_library"].notna()
            df.loc[here, EXPECTED] = np.interp(df.loc[here, "rt_library"], rows["rt_library"], curve)
    return known[0], known[1]


def _with_library_times(df: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    df = df.astype({"charge": np.int64}).merge(times, on=PRECURSOR, how="left")
    df.loc[df["decoy"] != 0, "rt_library"] = np.nan
    return df
