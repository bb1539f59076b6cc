"""Quality of predictions: arrays in, numbers out. What cannot be computed is NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

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
    r, slope, intercept = _line(x, y)
    values = (error.mean(), r**2, r, slope, intercept, np.percentile(error, 95))
    return dict(zip(names, map(float, values), strict=True))


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
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
            return _extended_curve(knots_x, knots_y)
    _, slope, intercept = _line(x, y)
    return lambda values: slope * np.asarray(values, dtype=float) + intercept


def _binned_medians(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    parts = np.array_split(np.argsort(x, kind="stable"), CALIBRATION_BINS)
    knots_x = np.array([np.median(x[p]) for p in parts])
    knots_y = np.array([np.median(y[p]) for p in parts])
    keep = np.concatenate([[True], np.diff(knots_x) > 1e-9 * np.ptp(x)])
    knots_x, knots_y = knots_x[keep], knots_y[keep]
    return knots_x, np.asarray(isotonic_regression(knots_y).x)


def _extended_curve(knots_x: FloatArray, knots_y: FloatArray) -> Calibration:
    curve = PchipInterpolator(knots_x, knots_y)
    low, high = knots_x[0], knots_x[-1]
    k = min(3, knots_x.size - 1)
    slope_low = (knots_y[k] - knots_y[0]) / (knots_x[k] - low)
    slope_high = (knots_y[-1] - knots_y[-1 - k]) / (high - knots_x[-1 - k])

    def calibrate(values: FloatArray) -> FloatArray:
        v = np.asarray(values, dtype=float)
        inside = np.asarray(curve(np.clip(v, low, high)))
        calibrated: FloatArray = inside + slope_low * np.minimum(v - low, 0) + slope_high * np.maximum(v - high, 0)
        return calibrated

    return calibrate


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
    predicted: ArrayLike, target: ArrayLike, mask: ArrayLike, n_positions: ArrayLike
) -> dict[str, FloatArray]:
    """Compare predicted with measured spectra (sum of n_positions, types), one after the other, fragment by fragment.

    ``n_positions`` (n,) are the cleavage positions of each (residues - 1); fragments with a False mask are left out.
    Returns (n,) each: ``PCC`` Pearson and ``SPC`` Spearman correlation (ties get their average rank), ``COS`` cosine,
    ``SA`` normalised spectral angle ``1 - 2 arccos(COS) / pi`` (Toprak et al. 2014), ``l1_loss`` the mean absolute
    difference. NaN where it is not defined (no trusted fragment; a constant spectrum for the correlations; a spectrum
    of zeros for the angle).
    """
    p, t = np.asarray(predicted, dtype=np.float32), np.asarray(target, dtype=np.float32)
    m, counts = np.asarray(mask, dtype=bool), np.asarray(n_positions, dtype=np.int64)
    out = {name: np.full(counts.size, np.nan) for name in (*SIMILARITIES, "l1_loss")}
    for rows, position in _dense_buckets(counts):
        dense = [a[position].reshape(rows.size, -1) for a in (p, t, m)]
        for name, values in _dense_similarity(*dense).items():
            out[name][rows] = values
    return out


def _dense_buckets(counts: NDArray[np.int64], max_rows: int = 4096) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    start = np.cumsum(counts) - counts
    order = np.argsort(counts, kind="stable")
    edges = np.flatnonzero(np.diff(counts[order])) + 1
    for bucket in np.split(order, edges):
        for first in range(0, bucket.size, max_rows):
            rows = bucket[first : first + max_rows]
            yield rows, start[rows, None] + np.arange(counts[rows[0]])


def _dense_similarity(p: FloatArray, t: FloatArray, m: BoolArray) -> dict[str, FloatArray]:
    x, y = np.where(m, p, 0).astype(float), np.where(m, t, 0).astype(float)
    n = m.sum(axis=1)
    cosine = _cosine(x, y)
    return {
        "PCC": _correlation(x, y, m),
        "COS": cosine,
        "SA": 1 - 2 * np.arccos(np.clip(cosine, -1, 1)) / np.pi,
        "SPC": _correlation(_masked_ranks(x, m), _masked_ranks(y, m), m),
        "l1_loss": _ratio(np.abs(x - y).sum(axis=1), n),
    }


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


def mean_and_median(values: dict[str, FloatArray]) -> dict[str, float]:
    """Summarise scores per spectrum: ``l1_loss`` as a mean, the similarities as ``-mean`` and ``-median``."""
    out = {"l1_loss": _nan_safe(np.nanmean, values["l1_loss"])}
    out.update({f"{name}-mean": _nan_safe(np.nanmean, values[name]) for name in SIMILARITIES})
    out.update({f"{name}-median": _nan_safe(np.nanmedian, values[name]) for name in SIMILARITIES})
    return out


def _nan_safe(summary: Callable[[FloatArray], Any], values: FloatArray) -> float:
    return float(summary(values)) if np.isfinite(values).any() else float("nan")
