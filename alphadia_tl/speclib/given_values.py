"""What a library says itself: retention times, mobilities and intensities, by precursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from alphabase.peptide.mobility import mobility_to_ccs_for_df
from alphabase.spectral_library.base import SpecLibBase
from numpy.typing import NDArray

from alphadia_tl.speclib.fragments import Layout
from alphadia_tl.speclib.storage import TIMES

FloatArray = NDArray[np.floating[Any]]
# The search takes the first of these that the library has (InitFlatColumns of alphaDIA).
RT_COLUMNS = TIMES
MOBILITY_COLUMNS = ("mobility_library", "mobility", "mobility_pred")
PRECURSOR = ["sequence", "mods", "mod_sites", "charge"]


def first_of(columns: Sequence[str], df: pd.DataFrame) -> str | None:
    """Return the first of the columns that the table has."""
    return next((c for c in columns if c in df.columns), None)


def own_ccs(df: pd.DataFrame, column: str) -> pd.Series:
    """Return the CCS (Å²) that a library's mobilities stand for; 0 where it has none.

    Parameters
    ----------
    df : pandas.DataFrame
        Precursors with ``charge``, ``precursor_mz`` and the mobilities.
    column : str
        Which column holds them.
    """
    numbers = df.assign(**{column: pd.to_numeric(df[column], errors="coerce").fillna(0.0)})
    return pd.Series(mobility_to_ccs_for_df(numbers, column))


@dataclass(frozen=True)
class OwnValues:
    """Values of a library's precursors.

    Parameters
    ----------
    library : SpecLibBase
        As alphaDIA saves it in the first pass.
    charged_frag_types : sequence of str
        Fragment types that are asked for, in this order.
    """

    library: SpecLibBase
    charged_frag_types: Sequence[str]

    def of(self, model: str, precursors: pd.DataFrame) -> FloatArray:
        """Return what the library says of some precursors where a model would predict.

        Parameters
        ----------
        model : str
            "rt" (on the library's own scale), "ccs" (Å²) or "ms2" (on any scale).
        precursors : pandas.DataFrame
            n rows with sequence, mods, mod_sites, charge.

        Returns
        -------
        ndarray
            (n,), or for MS2 (bonds of all precursors, types): 0 for a fragment that the library leaves out. NaN for
            precursors that it does not have, or of which it does not say anything.
        """
        found = self._rows(precursors)
        if model == "ms2":
            return self._intensities(precursors, found)
        values = self._scalars(model)
        return np.where(found >= 0, values[found], np.nan) if len(values) else np.full(len(found), np.nan)

    def _rows(self, precursors: pd.DataFrame) -> NDArray[np.int64]:
        keys = pd.MultiIndex.from_frame(_text(self.library._precursor_df))
        rows = pd.Series(np.arange(len(keys)), index=keys)
        wanted = pd.MultiIndex.from_frame(_text(precursors))
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
        ccs = own_ccs(self.library._precursor_df, column).to_numpy(float)
        return np.where(ccs > 0, ccs, np.nan)

    def _intensities(self, precursors: pd.DataFrame, found: NDArray[np.int64]) -> FloatArray:
        table, df = self.library._fragment_intensity_df, self.library._precursor_df
        counts = precursors["sequence"].str.len().to_numpy() - 1
        values = np.full((counts.sum(), len(self.charged_frag_types)), np.nan)
        known = found >= 0
        shared = [(i, table.columns.get_loc(t)) for i, t in enumerate(self.charged_frag_types) if t in table.columns]
        if not known.any() or not shared:
            return values
        start = df["frag_start_idx"].to_numpy(np.int64)[found[known]]
        rows = Layout(start, start + counts[known]).fragment_rows()
        own = np.zeros((len(rows), values.shape[1]))
        own[:, [i for i, _ in shared]] = table.to_numpy()[rows][:, [c for _, c in shared]]
        silent = np.maximum.reduceat(own.max(axis=1), np.cumsum(counts[known]) - counts[known]) <= 0
        own[np.repeat(silent, counts[known])] = np.nan
        values[np.repeat(known, counts)] = own
        return values


def _text(df: pd.DataFrame) -> pd.DataFrame:
    return df[PRECURSOR].astype({"charge": int}).fillna({"mods": "", "mod_sites": ""})
