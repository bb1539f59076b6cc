"""What a library says itself: retention times, mobilities and intensities, by precursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from alphabase.peptide.mobility import mobility_to_ccs_for_df
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.library.fragments import Ints, block_rows
from alphadia_tl.speclib.storage import MOBILITY_COLUMNS, RT_COLUMNS, first_of
from alphadia_tl.tasks.metrics import FloatArray


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
