"""Precursors of a library that a search saved."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from alphadia_tl.errors import QuantificationError

__all__ = ["TIMES", "library_precursors"]

PRECURSOR = ["sequence", "mods", "mod_sites", "charge"]
#: Columns that alphaDIA takes a library's retention times from, in its order.
TIMES = ("rt_library", "rt", "rt_norm", "rt_pred", "rt_norm_pred", "irt")
ROWS = 200_000  # of a library that are in memory at once


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
