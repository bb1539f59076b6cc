"""Quality of predictions: arrays in, numbers out. What cannot be computed is NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from alphadia_tl.library.retention import extended_curve

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]
Calibration = Callable[[FloatArray], FloatArray]

SIMILARITIES = ("PCC", "COS", "SA", "SPC")
MIN_ROWS_FOR_CURVE = 100
CALIBRATION_BINS = 20
PROBABILITY_CUTOFF = 0.5
MIN_PROBABILITY = 1e-7


def regression_metrics(predicted: ArrayLike, target: ArrayLike) -> dict[str, float]:
    """Score predicted scalars (retention time, CCS) against measured ones, (n,) in the same unit.

    ``l1_loss`` is the mean absolute error, ``r`` Pearson's; ``slope`` and ``intercept`` are of the least-squares line
    of the target on the prediction.
    """
    x, y = np.asarray(predicted, dtype=float), np.asarray(target, dtype=float)
    names = ("l1_loss", "r_square", "r", "slope", "intercept", "abs_error_95th_percentile")
    if x.size == 0:
        return dict.fromkeys(names, np.nan)
    error = np.abs(x - y)
    r, slope, intercept = line_through(x, y)
    values = (error.mean(), r**2, r, slope, intercept, np.percentile(error, 95))
    return dict(zip(names, map(float, values), strict=True))


def line_through(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Return Pearson's r, slope and intercept of the least-squares line; NaN where they are not defined."""
    dx, dy = x - x.mean(), y - y.mean()
    if _is_constant(x):
        return np.nan, np.nan, np.nan
    slope = float(dx @ dy / (dx @ dx))
    r = np.nan if _is_constant(y) else float(np.clip(dx @ dy / np.sqrt((dx @ dx) * (dy @ dy)), -1, 1))
    return r, slope, float(y.mean() - slope * x.mean())


def _is_constant(x: FloatArray) -> bool:
    return x.size < 2 or not np.isfinite(x).all() or bool(np.ptp(x) <= 1e-12 * max(1e-300, float(np.abs(x).max())))


def fit_calibration(predicted: ArrayLike, target: ArrayLike) -> Calibration:
    """Fit a monotone, smooth curve from predicted to measured values, on other rows than those to be scored.

    A search engine calibrates retention times by itself: what counts is the error that is left. With at least 100 rows,
    medians of quantile bins are made monotone (isotonic regression) and joined by a PCHIP curve (Fritsch & Butland
    1984) that goes on as a straight line outside; with fewer rows, it is the least-squares line. The curve is the
    identity where nothing can be fitted.
    """
    x, y = np.asarray(predicted, dtype=float), np.asarray(target, dtype=float)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if _is_constant(x):
        return lambda values: np.asarray(values, dtype=float)
    if x.size >= MIN_ROWS_FOR_CURVE:
        knots_x, knots_y = _binned_medians(x, y)
        if knots_x.size >= 4:
            return extended_curve(knots_x, knots_y, 3)
    _, slope, intercept = line_through(x, y)
    return lambda values: slope * np.asarray(values, dtype=float) + intercept


def _binned_medians(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    parts = np.array_split(np.argsort(x, kind="stable"), CALIBRATION_BINS)
    knots_x = np.array([np.median(x[p]) for p in parts])
    knots_y = np.array([np.median(y[p]) for p in parts])
    keep = np.concatenate([[True], np.diff(knots_x) > 1e-9 * np.ptp(x)])
    knots_x, knots_y = knots_x[keep], knots_y[keep]
    return knots_x, np.asarray(isotonic_regression(knots_y).x)


def charge_cross_entropy(
    probabilities: ArrayLike, observed: ArrayLike, observable: ArrayLike | None = None
) -> FloatArray:
    """Return (n,) the mean binary cross entropy of each peptidoform's charge states; all arrays are (n, states).

    States that could not have been observed (False in ``observable``) do not count; observed states always do.
    """
    p = np.clip(np.asarray(probabilities, dtype=float), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    seen = np.asarray(observed, dtype=float) > 0
    counts = np.ones_like(seen) if observable is None else np.asarray(observable, dtype=bool) | seen
    loss = -np.where(seen, np.log(p), np.log1p(-p)) * counts
    return _ratio(loss.sum(axis=1), counts.sum(axis=1))


def charge_metrics(
    probabilities: ArrayLike, observed: ArrayLike, observable: ArrayLike | None = None
) -> dict[str, float]:
    """Score predicted charge state probabilities, arrays as for `charge_cross_entropy`.

    ``ce_loss`` is the mean binary cross entropy, ``accuracy`` the fraction of peptidoforms whose most probable charge
    state was observed; ``precision`` and ``recall`` are of the states with a probability of at least 0.5, over all
    peptidoforms.
    """
    p, seen = np.asarray(probabilities, dtype=float), np.asarray(observed, dtype=float) > 0
    names = ("ce_loss", "accuracy", "precision", "recall")
    if p.size == 0:
        return dict.fromkeys(names, np.nan)
    counts = np.ones_like(seen) if observable is None else np.asarray(observable, dtype=bool) | seen
    called = (p >= PROBABILITY_CUTOFF) & counts
    top = np.where(counts, p, -np.inf).argmax(axis=1)
    right = float((called & seen).sum())
    values = (
        np.nanmean(charge_cross_entropy(p, seen, counts)),
        np.take_along_axis(seen, top[:, None], axis=1).mean(),
        right / called.sum() if called.any() else np.nan,
        right / seen.sum() if seen.any() else np.nan,
    )
    return dict(zip(names, map(float, values), strict=True))


def spectral_similarity(
    predicted: ArrayLike,
    target: ArrayLike,
    mask: ArrayLike,
    n_positions: ArrayLike,
    names: Iterable[str] = (*SIMILARITIES, "l1_loss"),
) -> dict[str, FloatArray]:
    """Compare predicted with measured spectra (sum of n_positions, types), one after the other, fragment by fragment.

    ``n_positions`` (n,) are the cleavage positions of each (residues - 1); fragments with a False mask are left out.
    Returns (n,) each: ``PCC`` Pearson and ``SPC`` Spearman correlation (ties get their average rank), ``COS`` cosine,
    ``SA`` normalised spectral angle ``1 - 2 arccos(COS) / pi`` (Toprak et al. 2014), ``l1_loss`` the mean absolute
    difference. NaN where it is not defined (no trusted fragment; a constant spectrum for the correlations; a spectrum
    of zeros for the angle). ``names`` are those to calculate.
    """
    p, t = np.asarray(predicted, dtype=np.float32), np.asarray(target, dtype=np.float32)
    m, counts = np.asarray(mask, dtype=bool), np.asarray(n_positions, dtype=np.int64)
    out = {name: np.full(counts.size, np.nan) for name in names}
    for rows, position in _dense_buckets(counts):
        trusted = m[position].reshape(rows.size, -1)
        x, y = (np.where(trusted, a[position].reshape(rows.size, -1), 0).astype(float) for a in (p, t))
        for name, values in out.items():
            values[rows] = _SCORES[name](x, y, trusted)
    return out


def _dense_buckets(counts: NDArray[np.int64], max_rows: int = 4096) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    start = np.cumsum(counts) - counts
    order = np.argsort(counts, kind="stable")
    edges = np.flatnonzero(np.diff(counts[order])) + 1
    for bucket in np.split(order, edges):
        for first in range(0, bucket.size, max_rows):
            rows = bucket[first : first + max_rows]
            yield rows, start[rows, None] + np.arange(counts[rows[0]])


def _cosine(x: FloatArray, y: FloatArray) -> FloatArray:
    norm = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return np.clip(_ratio((x * y).sum(axis=1), norm), -1, 1)


def _correlation(x: FloatArray, y: FloatArray, m: BoolArray) -> FloatArray:
    n = m.sum(axis=1)
    dx = np.where(m, x - _ratio((x * m).sum(axis=1), n)[:, None], 0)
    dy = np.where(m, y - _ratio((y * m).sum(axis=1), n)[:, None], 0)
    varies = (np.abs(dx).max(axis=1, initial=0) > 1e-9) & (np.abs(dy).max(axis=1, initial=0) > 1e-9)
    return np.where(varies, _cosine(dx, dy), np.nan)


def _masked_ranks(x: FloatArray, m: BoolArray) -> FloatArray:
    return np.asarray(np.where(m, rankdata(np.where(m, x, np.inf), axis=1), 0))


def _ratio(numerator: FloatArray, denominator: FloatArray | NDArray[np.int64]) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, numerator / denominator, np.nan)


_SCORES: dict[str, Callable[[FloatArray, FloatArray, BoolArray], FloatArray]] = {
    "PCC": _correlation,
    "COS": lambda x, y, _: _cosine(x, y),
    "SA": lambda x, y, _: 1 - 2 * np.arccos(_cosine(x, y)) / np.pi,
    "SPC": lambda x, y, m: _correlation(_masked_ranks(x, m), _masked_ranks(y, m), m),
    "l1_loss": lambda x, y, m: _ratio(np.abs(x - y).sum(axis=1), m.sum(axis=1)),
}


def mean_and_median(values: dict[str, FloatArray]) -> dict[str, float]:
    """Summarise scores per spectrum: ``l1_loss`` as a mean, the similarities as ``-mean`` and ``-median``."""
    out = {"l1_loss": _nan_safe(np.nanmean, values["l1_loss"])}
    out.update({f"{name}-mean": _nan_safe(np.nanmean, values[name]) for name in SIMILARITIES})
    out.update({f"{name}-median": _nan_safe(np.nanmedian, values[name]) for name in SIMILARITIES})
    return out


def _nan_safe(summary: Callable[[FloatArray], Any], values: FloatArray) -> float:
    return float(summary(values)) if np.isfinite(values).any() else float("nan")
