"""Charge states that the charge model rules out leave the library; nothing observed should."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PEPTIDOFORM
from alphadia_tl.tasks.metrics import FloatArray


def _checked(probabilities: FloatArray) -> FloatArray:
    values = np.asarray(probabilities)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise DataError(
            f"The charge cut-off needs a finite probability for each observed precursor; "
            f"got an array of shape {values.shape} with {int(np.sum(~np.isfinite(values)))} values not finite.",
            "Set 'alphadia_tl.charge_filter_recall: 1.0' to go on without the charge filter.",
        )
    return values


def choose_charge_cutoff(probabilities_validation_observed: FloatArray, recall: float) -> float:
    """Return the largest cut-off that keeps at least ``recall`` (above 0, at most 1) of the observed charge states.

    The probabilities (n,) are those of the observed charge, of precursors that did not train the model; those equal to
    the cut-off stay. Raises DataError if there is none, or one that is not finite.
    """
    values = np.sort(_checked(probabilities_validation_observed))
    must_keep = min(max(math.ceil(recall * values.size - 1e-9), 1), values.size)
    return float(values[values.size - must_keep])


def kept_fraction(prob_test_observed: FloatArray, cutoff: float) -> float:
    """Return the fraction of observed charge states, shape (n,), whose probability reaches the cut-off."""
    return float(np.mean(_checked(prob_test_observed) >= cutoff))


def probability_of_own_charge(probabilities: FloatArray, charge: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Pick each row's probability of its own charge (n,); column j of the probabilities (n, c) is for charge j + 1.

    1 for charges that the model does not know: it cannot rule them out.
    """
    column = charge.astype(np.int64) - 1
    known = (column >= 0) & (column < probabilities.shape[1])
    own = np.ones(len(charge), dtype=np.float32)
    own[known] = probabilities[known.nonzero()[0], column[known]]
    return own


def rows_to_keep(precursor_df: pd.DataFrame, probability: FloatArray, cutoff: float) -> NDArray[np.bool_]:
    """Decide which precursors stay in the library, by the probability of each row's own charge (n,).

    A target stays if its probability reaches the cut-off or is the highest of its peptidoform. Rows of one elution
    group and charge (its channels) stay or leave together: they stay if one of them does.
    """
    n = len(precursor_df)
    peptidoform = precursor_df.groupby(PEPTIDOFORM, sort=False).ngroup().to_numpy()
    best = np.full(peptidoform.max() + 1 if n else 0, -np.inf)
    np.maximum.at(best, peptidoform, probability)
    stays = (probability >= cutoff) | (probability >= best[peptidoform])
    if "elution_group_idx" not in precursor_df.columns:
        return np.asarray(stays)
    unit = precursor_df.groupby(["elution_group_idx", "charge"], sort=False).ngroup().to_numpy()
    unit_stays = np.bincount(unit[stays], minlength=unit.max() + 1 if n else 0) > 0
    return np.asarray(unit_stays[unit])


def renumber(precursor_df: pd.DataFrame) -> None:
    """Close the gaps in ``precursor_idx`` and ``elution_group_idx`` in place, keeping order and equality."""
    for column in ("precursor_idx", "elution_group_idx"):
        if column in precursor_df.columns:
            old = precursor_df[column].to_numpy()
            precursor_df[column] = np.unique(old, return_inverse=True)[1].astype(old.dtype)
