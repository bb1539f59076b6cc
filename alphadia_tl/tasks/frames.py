"""Predictions as arrays in row order, and as the tables that peptdeep's ModelManager gives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.tasks.predict import charge_table, fragment_table, mobility_of_ccs

__all__ = ["PredictionMixin"]

FloatArray = NDArray[np.float32]
PEPTIDOFORM = ["sequence", "mods", "mod_sites"]


class PredictionMixin:
    """Prediction methods of a manager of the four models."""

    charged_frag_types: list[str]
    charge_prob_cutoff: float
    set_default_nce_instrument: Callable[[pd.DataFrame], None]

    @abstractmethod
    def _predict(self, name: str, df: pd.DataFrame) -> NDArray[Any]:
        """Predict with one model, in row order."""

    def predict_rt_array(self, df: pd.DataFrame) -> FloatArray:
        """Return (n,) normalised retention times in the row order of ``df``."""
        return self._predict("rt", df)

    def predict_ccs_array(self, df: pd.DataFrame) -> FloatArray:
        """Return (n,) collision cross sections in Å² in the row order of ``df``."""
        return self._predict("ccs", df)

    def predict_charge_probabilities(self, df: pd.DataFrame) -> FloatArray:
        """Return (n, 10) probabilities, column j for charge j + 1, in the row order of ``df``."""
        return self._predict("charge", df)

    def predict_ms2_array(self, df: pd.DataFrame) -> FloatArray:
        """Return (sum of nAA - 1, types) relative intensities in the row order of ``df``.

        The columns are ``charged_frag_types``; the highest fragment of a precursor is 1, and
        intensities below 1e-4 are 0.
        """
        return self._predict("ms2", df)

    def predict_rt(self, precursor_df: pd.DataFrame, *, batch_size: int = 1024) -> pd.DataFrame:
        """Add ``rt_pred`` and ``rt_norm_pred`` to ``precursor_df`` in place; every peptidoform is predicted once."""
        peptidoform = precursor_df.groupby(PEPTIDOFORM, sort=False).ngroup().to_numpy()
        first = np.unique(peptidoform, return_index=True)[1]
        precursor_df["rt_pred"] = self.predict_rt_array(cast(pd.DataFrame, precursor_df.iloc[first]))[peptidoform]
        precursor_df["rt_norm_pred"] = precursor_df["rt_pred"]
        return precursor_df

    def predict_mobility(self, precursor_df: pd.DataFrame, *, batch_size: int = 1024) -> pd.DataFrame:
        """Add ``ccs_pred`` and ``mobility_pred`` to ``precursor_df`` in place, keeping its row order."""
        precursor_df["ccs_pred"] = self.predict_ccs_array(precursor_df)
        precursor_df["mobility_pred"] = mobility_of_ccs(precursor_df, "ccs_pred")
        return precursor_df

    def predict_charge(
        self,
        psm_df: pd.DataFrame,
        min_precursor_charge: int,
        max_precursor_charge: int,
        charge_prob_cutoff: float | None = None,
    ) -> pd.DataFrame:
        """Return one row per peptidoform and charge in the range with a probability above the cut-off."""
        cutoff = self.charge_prob_cutoff if charge_prob_cutoff is None else charge_prob_cutoff
        probabilities = self.predict_charge_probabilities(psm_df)
        return charge_table(psm_df, probabilities, (min_precursor_charge, max_precursor_charge), cutoff)

    def predict_ms2(
        self,
        precursor_df: pd.DataFrame,
        *,
        batch_size: int = 512,
        reference_frag_df: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Return predicted fragment intensities, one column per fragment type.

        With ``reference_frag_df`` the result has its rows, and ``frag_start_idx`` of ``precursor_df``
        points into it. Otherwise ``frag_start_idx`` and ``frag_stop_idx`` are set in place.
        """
        self.set_default_nce_instrument(precursor_df)
        values = self.predict_ms2_array(precursor_df)
        return fragment_table(precursor_df, values, self.charged_frag_types, reference_frag_df)
