"""False discovery proportion from entrapment discoveries: lower bound, combined, paired, k-matched.

The estimators are those of Wen et al., "Assessment of false discovery rate control in tandem mass spectrometry analysis
using entrapment", Nat Methods 22, 1454 (2025), doi:10.1038/s41592-025-02719-x, in the form of the authors' program
FDRBench. The so-called sample estimator, N_E / (r N_T), is neither a lower nor an upper bound; it is not offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from alphadia_tl.errors import DataError
from alphadia_tl.validate.discoveries import Discoveries
from alphadia_tl.validate.groups import FloatArray, group_patterns, resampled

Design = Literal["shuffled", "foreign"]
Verdict = Literal["valid", "invalid", "inconclusive"]


def lower_bound(n_target: float, n_entrapment: float) -> float:
    """Return N_E / (N_T + N_E): only the false discoveries that are seen to be false; 0 without discoveries."""
    return _share(n_entrapment, n_target, n_entrapment)


def combined(n_target: float, n_entrapment: float, r: float) -> float:
    """Return N_E (1 + 1/r) / (N_T + N_E): for each false entrapment, 1/r false targets are assumed.

    Parameters
    ----------
    n_target, n_entrapment : float
        Target and entrapment discoveries.
    r : float
        Size of the entrapment part of the database divided by the size of the target part.
    """
    _check_ratio(r)
    return _share(n_entrapment * (1 + 1 / r), n_target, n_entrapment)


def paired(n_target: float, n_entrapment: float, n_alone: float, n_above: float) -> float:
    """Return (N_E + N_{E>=s>T} + 2 N_{E>T>=s}) / (N_T + N_E), for one shuffled twin per target (r = 1).

    Parameters
    ----------
    n_target, n_entrapment : float
        Target and entrapment discoveries.
    n_alone : float
        N_{E>=s>T}: entrapments discovered while their target twin is not.
    n_above : float
        N_{E>T>=s}: pairs discovered both, the entrapment with the higher score.
    """
    return k_matched(n_target, n_entrapment, [n_alone, n_above])


def k_matched(n_target: float, n_entrapment: float, n_target_last: Sequence[float]) -> float:
    """Return (N_E + sum over j of j A_j) / (N_T + N_E), for k shuffled twins per target.

    Parameters
    ----------
    n_target, n_entrapment : float
        Target and entrapment discoveries.
    n_target_last : sequence of float, length k + 1
        A_j, for j = 1 .. k + 1: groups of a target and its k twins of which j are discovered and in which the target
        has the lowest score of all k + 1.

    Notes
    -----
    Were the target false, each of the k + 1 would be the last with the same probability. Of groups with j discovered,
    the target is therefore the last in 1 / (k + 1), and among the discovered in j / (k + 1): j times as often. A true
    target is seldom the last, so it adds little. For k = 1 this is :func:`paired`.
    """
    false_targets = sum(j * count for j, count in enumerate(n_target_last, start=1))
    return _share(n_entrapment + false_targets, n_target, n_entrapment)


@dataclass(frozen=True)
class FdpEstimate:
    """Estimates of the false discovery proportion of one list of discoveries.

    Attributes
    ----------
    lower, combined : float
        See :func:`lower_bound` and :func:`combined`.
    paired : float or None
        See :func:`paired`, with several twins per target :func:`k_matched`; None without twins. Where some targets lack
        twins (r below k), the false targets are multiplied by k / r.
    n_target, n_entrapment : int
        Discoveries counted.
    interval_low : float
        Lower end of the bootstrap interval of the lower bound.
    interval_high : float
        Upper end of the bootstrap interval of the paired estimate, or of the combined one where there are no twins,
        with one more entrapment counted than was found: a list without any says little if it is short.
    """

    lower: float
    combined: float
    paired: float | None
    n_target: int
    n_entrapment: int
    interval_low: float
    interval_high: float

    @property
    def upper(self) -> float:
        """The paired estimate, or the combined one where there are no twins."""
        return self.combined if self.paired is None else self.paired


def estimate_fdp(
    discoveries: Discoveries | Sequence[Discoveries],
    *,
    r: float,
    design: Design,
    k: int = 1,
    confidence: float = 0.95,
    generator: np.random.Generator | None = None,
) -> FdpEstimate:
    """Estimate the false discovery proportion of a list of discoveries, or the mean one of the lists of several runs.

    A search claims an FDR for each run: the list of all runs together collects the false discoveries of each, and has a
    higher FDP. With several lists an identification counts once in each.

    Parameters
    ----------
    discoveries : Discoveries, or sequence of them
        All of them count; see :meth:`Discoveries.at` for a threshold.
    r : float
        Entrapment database size divided by target database size.
    design : {"shuffled", "foreign"}
        Shuffled entrapments are twins of targets; with ``twin_key`` they get the paired estimate.
    k : int, default 1
        Twins per target (shuffled design only).
    confidence : float, default 0.95
        Two-sided confidence of the bootstrap interval.
    generator : numpy.random.Generator, optional
        Source of the bootstrap, which resamples groups of a target and its twins, with all their runs; seed 0 where it
        is left out.

    Raises
    ------
    DataError
        If ``r``, ``design`` or ``k`` is impossible, or a target has more than ``k`` twins.
    """
    _check_ratio(r)
    if design not in ("shuffled", "foreign") or k < 1 or not 0 < confidence < 1:
        raise DataError(f"No such entrapment experiment: design {design!r}, k {k}, confidence {confidence}.")
    generator = np.random.default_rng(0) if generator is None else generator
    lists = [discoveries] if isinstance(discoveries, Discoveries) else list(discoveries)
    matched = design == "shuffled" and all(d.twin_key is not None for d in lists)
    patterns, counts = group_patterns(lists, k if matched else None)
    # Only r of k twins exist: false targets without one are as frequent, and are seen by nobody.
    patterns = patterns * np.array([1.0, 1.0, k / r])
    n_target, n_entrapment, false_targets = counts @ patterns
    low, high = _interval(patterns, counts, matched, r, confidence, generator)
    return FdpEstimate(
        lower=lower_bound(n_target, n_entrapment),
        combined=combined(n_target, n_entrapment, r),
        paired=_share(n_entrapment + false_targets, n_target, n_entrapment) if matched else None,
        n_target=int(n_target),
        n_entrapment=int(n_entrapment),
        interval_low=low,
        interval_high=high,
    )


def verdict(estimate: FdpEstimate, claimed_fdr: float) -> Verdict:
    """Say whether a claimed FDR holds.

    Returns
    -------
    str
        "valid" if even the upper estimate's interval lies below the claimed FDR, "invalid" if even the lower bound's
        lies above it, otherwise "inconclusive".
    """
    if estimate.interval_low > claimed_fdr:
        return "invalid"
    if estimate.interval_high < claimed_fdr:
        return "valid"
    return "inconclusive"


def _share(numerator: float, n_target: float, n_entrapment: float) -> float:
    total = n_target + n_entrapment
    if n_target < 0 or n_entrapment < 0:
        raise DataError(f"Negative numbers of discoveries: {n_target} targets, {n_entrapment} entrapments.")
    return float(numerator / total) if total else 0.0


def _check_ratio(r: float) -> None:
    if not (np.isfinite(r) and r > 0):
        raise DataError(f"The ratio of entrapment to target sequences must be above 0, not {r}.")


def _interval(
    patterns: FloatArray,
    counts: NDArray[np.int64],
    matched: bool,
    r: float,
    confidence: float,
    generator: np.random.Generator,
) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    # One more entrapment, alone, before resampling: near the exact upper limit of a Poisson count for any N_E.
    extra = np.array([[0.0, 1.0, 1.0 / r]])
    low, high = 0.0, 0.0
    if counts.size:
        n_target, n_entrapment, _ = resampled(patterns, counts, generator)
        low = float(np.quantile(n_entrapment / (n_target + n_entrapment), tail))
    n_target, n_entrapment, false_targets = resampled(
        np.vstack([patterns.reshape(-1, 3), extra]), np.append(counts, 1), generator
    )
    false_targets = false_targets if matched else n_entrapment / r
    high = float(np.quantile((n_entrapment + false_targets) / (n_target + n_entrapment), 1 - tail))
    return low, high
