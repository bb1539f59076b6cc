"""Checks of what comes out of the models, before the library is changed."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from alphadia_tl.errors import PredictionError
from alphadia_tl.tasks.metrics import FloatArray

logger = logging.getLogger(__name__)

CORRELATION_FLOORS = {"rt": 0.5, "ccs": 0.5, "ms2": 0.2}
MIN_ROWS_TO_JUDGE = 30
_ADVICE = (
    "Compare the training curves in the report; leave this model out of 'alphadia_tl.models' to search with its "
    "pretrained predictions."
)


def check_values(values: FloatArray, what: str) -> None:
    """Raise PredictionError, with the number of offending values, for predictions not finite, all zero or constant."""
    n_bad = int(np.size(values) - np.count_nonzero(np.isfinite(values)))
    if n_bad:
        raise PredictionError(f"{n_bad:,} of {np.size(values):,} predicted {what} values are not finite.", _ADVICE)
    if not np.any(values):
        raise PredictionError(f"All {np.size(values):,} predicted {what} values are zero.", _ADVICE)
    if np.size(values) >= MIN_ROWS_TO_JUDGE and np.ptp(values) == 0:
        raise PredictionError(
            f"All {np.size(values):,} predicted {what} values equal {np.ravel(values)[0]:.4g}.", _ADVICE
        )


def rank_correlation(new: FloatArray, replaced: pd.Series) -> float:
    """Return Spearman's rank correlation with the numbers among the values replaced; NaN where these say nothing."""
    old = pd.to_numeric(replaced, errors="coerce").to_numpy(dtype=np.float64)
    valid = np.isfinite(old) & np.isfinite(new)
    if valid.sum() < MIN_ROWS_TO_JUDGE or np.ptp(old[valid]) == 0 or np.ptp(new[valid]) == 0:
        return float("nan")
    return float(stats.spearmanr(new[valid], old[valid]).statistic)


def spectrum_correlations(
    new: FloatArray, replaced: FloatArray, exists: NDArray[np.bool_], starts: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    """Return Pearson's correlation of each precursor's intensities (n,), over the fragments that exist (rows, types).

    ``starts`` (n,) is the first row of each precursor: its rows are consecutive, and precursors follow each other. NaN
    where one of the spectra is constant.
    """
    lengths = np.diff(np.append(starts, len(new)))

    def per_precursor(cells: NDArray[Any]) -> FloatArray:
        return np.asarray(np.add.reduceat(cells.sum(axis=1, dtype=np.float64), starts))

    def centred(cells: FloatArray) -> FloatArray:
        mean = per_precursor(cells * exists) / np.maximum(per_precursor(exists), 1)
        return np.asarray((cells - np.repeat(mean, lengths)[:, None]) * exists)

    x, y = centred(new), centred(replaced)
    scale = np.sqrt(per_precursor(x * x) * per_precursor(y * y))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(scale > 1e-12, per_precursor(x * y) / scale, np.nan)
    return r.astype(np.float32)


def median_correlation(correlations: FloatArray) -> float:
    """Return the median over precursors, NaN where too few can be judged."""
    enough = np.isfinite(correlations).sum() >= MIN_ROWS_TO_JUDGE
    return float(np.nanmedian(correlations)) if enough else float("nan")


def check_correlation(model: str, correlation: float, n_precursors: int, replaced: str) -> None:
    """Raise PredictionError if predictions correlate with what they ``replaced`` by less than the floor of this model.

    NaN means that the old values say nothing (constant, missing, too few): logged, not judged.
    """
    floor = CORRELATION_FLOORS[model]
    if np.isnan(correlation):
        logger.warning("Tuned %s predictions could not be compared with %s: no usable values.", model, replaced)
    elif correlation < floor:
        raise PredictionError(
            f"Tuned {model} predictions of {n_precursors:,} precursors correlate with what they replace ({replaced}) "
            f"at only {correlation:.3f}; at least {floor} is expected of the same peptides.",
            _ADVICE,
        )
