"""Retention times of several runs on one scale from 0 to 1, by the peptidoforms that the runs share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression
from scipy.stats import spearmanr

from alphadia_tl.errors import DataError
from alphadia_tl.library.selection import Keys, peptidoform_keys

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Times = npt.NDArray[np.float64]
Map = Callable[[Times], Times]

MIN_SHARED = 50  # fewer shared peptidoforms than this do not define a map between two runs
MIN_RANK_CORRELATION = 0.8  # below this, shared peptidoforms do not elute in the same order: another column or method
MIN_EXPECTED = 30
"""Fewer precursors than this do not define a map between a run's times and those that its library expects."""
SAME_GRADIENT = 0.01  # runs of one gradient begin and end within this fraction of its length
OTHER_GRADIENT = 0.05
"""A larger median deviation by the library's times, a fraction of the run, shows that gradients differ all the same."""
MAX_ANCHORS = 10_000
_MAX_KNOTS = 50
_SAME_TIME = 1e-6  # seconds; far below a scan
_PER_KNOT = 10
_STEEPEST = 2.0  # times the slope of the whole map, beyond its ends


@dataclass(frozen=True)
class RunTimes:
    """Retention times of a run, small enough to keep for all runs.

    ``low`` and ``high`` are its first and last (s), ``precursors`` the number of precursors that have one. ``keys`` are
    the 10,000 smallest of its peptidoforms, ascending: as every run keeps the smallest, runs keep the same ones.
    ``times`` (s) are theirs in that order, each of the peptidoform's best-scored precursor, and ``expected`` those that
    the searched library has for them, from 0 to 1 (NaN: unknown). ``limits`` are the times of the run's first and last
    spectrum (s), None where they are unknown.
    """

    run: str
    precursors: int
    low: float
    high: float
    keys: Keys
    times: Times
    expected: Times
    limits: tuple[float, float] | None = None

    @classmethod
    def unknown(cls, run: str) -> RunTimes:
        """Return those of a run without retention times."""
        return cls(run, 0, 0.0, 1.0, np.zeros(0, np.uint64), np.zeros(0), np.zeros(0))


def run_times(run: str, precursor_df: pd.DataFrame, limits: tuple[float, float] | None = None) -> RunTimes:
    """Summarise the retention times of a run.

    alphaDIA stretches the library's times over the whole of each run (``rt_library``, s): with the times of its first
    and last spectrum, ``limits`` (s), they can be compared between runs. Raises DataError where all precursors, at
    least two, have one and the same retention time.
    """
    times = precursor_df["rt_observed"].to_numpy(dtype=float)
    if len(times) > 1 and times.min() == times.max():
        raise DataError(
            f"Run '{run}': all {len(times):,} precursors have the retention time {times[0]:g} s: it cannot be scaled.",
            "Check the raw file.",
        )
    best = precursor_df.assign(_key=peptidoform_keys(precursor_df)).sort_values(["_key", "proba", "charge"])
    best = best.drop_duplicates("_key").head(MAX_ANCHORS)
    low, high = (float(times.min()), float(times.max())) if len(times) else (0.0, 1.0)
    expected = np.full(len(best), np.nan)
    if limits and limits[1] > limits[0] and "rt_library" in best.columns:
        expected = (best["rt_library"].to_numpy(dtype=float) - limits[0]) / (limits[1] - limits[0])
    observed = best["rt_observed"].to_numpy(dtype=float)
    return RunTimes(run, len(times), low, high, best["_key"].to_numpy(), observed, expected, limits)


def monotone_map(x: Times, y: Times) -> Map:
    """Fit a smooth non-decreasing map from x to y that single wrong pairs do not bend.

    Medians in bins of equal counts along x, made non-decreasing (pool-adjacent-violators), joined by a PCHIP spline;
    beyond the outer medians it goes on as a straight line with the slope of the outer three. x and y (n,) are retention
    times of the same peptidoforms in two runs, at least two distinct ones.
    """
    order = np.argsort(x, kind="stable")
    bins = int(np.clip(len(x) // _PER_KNOT, 3, _MAX_KNOTS))
    parts = np.array_split(order, bins)
    knot_x = np.array([np.median(x[p]) for p in parts])
    knot_y = isotonic_regression([np.median(y[p]) for p in parts]).x
    for ascending in (0, 1):  # one knot per x, and per y: plateaus would map different times onto one
        knots = np.column_stack([knot_x, knot_y])
        _, group = np.unique(np.round(knots[:, ascending] / _SAME_TIME), return_inverse=True)
        size = np.bincount(group)
        knot_x, knot_y = (np.bincount(group, weights=knots[:, i]) / size for i in (0, 1))
    if len(knot_x) < 2:
        raise DataError("Retention times of shared peptides are constant, so no map between the runs can be fitted.")
    # a few precursors beyond a steep end must not be thrown far out: all runs would be squeezed for them
    return extended_curve(knot_x, knot_y, 2, steepest=_STEEPEST)


def extended_curve(x: Array, y: Array, outer: int, *, steepest: float | None = None) -> Callable[[Array], Array]:
    """Return the PCHIP curve through knots, which goes on outside as straight lines.

    They have the slopes between the ends and the knots ``outer`` farther in, which are, where it is given, at most
    ``steepest`` times, and at least one ``steepest``-th of, that of the whole.
    """
    with np.errstate(over="ignore"):  # infinite secants of knots that almost coincide give slope 0, as they should
        spline = PchipInterpolator(x, y)
    outer = min(outer, len(x) - 1)
    slopes = (y[[outer, -1]] - y[[0, -1 - outer]]) / (x[[outer, -1]] - x[[0, -1 - outer]])
    if steepest is not None:
        whole = (y[-1] - y[0]) / (x[-1] - x[0])
        slopes = np.clip(slopes, whole / steepest, whole * steepest)

    def apply(values: Array) -> Array:
        inside = spline(np.clip(values, x[0], x[-1]))
        return np.asarray(inside + slopes[0] * np.minimum(values - x[0], 0) + slopes[1] * np.maximum(values - x[-1], 0))

    return apply


def normalize(runs: Sequence[RunTimes], *, align: bool) -> Mapping[str, Map]:
    """Return for each run, by name, the map from its retention times (s) to ``rt_norm``.

    Each run is scaled by its own first and last retention time. With ``align``, runs are first mapped onto the one with
    most precursors (the first by name among equals) and scaled by its times: through the peptidoforms that both have;
    with fewer than 50 of them, as in fractions of a sample, by the raw time where both runs are of one gradient, else
    through the times that the searched library expects. One that none of these can place, or whose shared peptidoforms
    elute in another order, is only scaled. Aligned times may leave 0 to 1 where a run is longer than the reference;
    :func:`to_unit` deals with it.
    """
    maps: dict[str, Map] = {r.run: _scale(r.low, r.high) for r in runs}
    usable = sorted((r for r in runs if r.precursors > 1), key=lambda r: (-r.precursors, r.run))
    if not align or len(usable) < 2:
        return maps
    reference = usable[0]
    scale = _scale(reference.low, reference.high)
    logger.info(f"Retention times are aligned to run '{reference.run}' ({reference.precursors:,} precursors).")
    for other in usable[1:]:
        aligned = _align(other, reference)
        if aligned is not None:
            maps[other.run] = _chain(aligned, scale)
    return maps


def to_unit(values: Times) -> Times:
    """Squeeze values linearly into 0 to 1 where some lie outside; leave them alone otherwise."""
    if len(values) == 0:
        return values
    low, high = min(0.0, float(values.min())), max(1.0, float(values.max()))
    return (values - low) / (high - low)


def _scale(low: float, high: float) -> Map:
    width = high - low if high > low else 1.0
    return lambda values: (values - low) / width


def _chain(first: Map, second: Map) -> Map:
    return lambda values: second(first(values))


def _align(other: RunTimes, reference: RunTimes) -> Map | None:
    _, at, at_reference = np.intersect1d(other.keys, reference.keys, assume_unique=True, return_indices=True)
    if len(at) < MIN_SHARED:
        few = f"Run '{other.run}' shares {len(at):,} peptidoforms with '{reference.run}', fewer than {MIN_SHARED}: "
        mapping, how = _without_shared(other, reference)
        logger.log(logging.WARNING if mapping is None else logging.INFO, f"{few}its retention times are {how}.")
        return mapping
    x, y = other.times[at], reference.times[at_reference]
    correlation = float(spearmanr(x, y).statistic)
    if not correlation >= MIN_RANK_CORRELATION:
        logger.warning(
            f"Run '{other.run}' elutes in another order than '{reference.run}' (rank correlation {correlation:.2f}): "
            "its retention times are scaled on their own, not aligned."
        )
        return None
    mapping = monotone_map(x, y)
    residual = float(np.median(np.abs(mapping(x) - y)))
    logger.info(f"Run '{other.run}': aligned on {len(at):,} shared peptidoforms, median deviation {residual:.1f} s.")
    return mapping


def _without_shared(other: RunTimes, reference: RunTimes) -> tuple[Map | None, str]:
    """Map a run onto another one that has other peptidoforms; None where that cannot be done. Say how it is done."""
    through, back = _expected_of(other), _expected_of(reference)
    mapping: Map | None = None
    if through is not None and back is not None:
        grid = np.linspace(reference.low, reference.high, 1001)
        expected = np.maximum.accumulate(back(grid))  # the inverse of the same kind of curve: errors of one kind cancel
        mapping = _chain(through, lambda values: np.interp(values, expected, grid))
    if other.limits and reference.limits:
        length = reference.limits[1] - reference.limits[0]
        differs = max(abs(a - b) for a, b in zip(other.limits, reference.limits, strict=True))
        off = 0.0 if mapping is None else float(np.median(np.abs(mapping(other.times) - other.times)))
        if differs <= SAME_GRADIENT * length and off <= OTHER_GRADIENT * length:
            return (lambda values: values), "taken as they are, as both runs are equally long"
    if mapping is None:
        return None, "scaled on their own, not aligned"
    return mapping, "aligned through those that the library expects"


def _expected_of(run: RunTimes) -> Map | None:
    """Return the map from a run's times (s) to those that its library expects (0 to 1), None where it is not known."""
    known = np.isfinite(run.expected)
    x, y = run.times[known], run.expected[known]
    if len(x) < MIN_EXPECTED or not float(spearmanr(x, y).statistic) >= MIN_RANK_CORRELATION:
        return None
    return monotone_map(x, y)
