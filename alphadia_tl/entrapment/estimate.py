"""False discovery proportion from entrapment discoveries: lower bound, combined, paired, k-matched.

The estimators are those of Wen et al., "Assessment of false discovery rate control in tandem mass spectrometry analysis
using entrapment", Nat Methods 22, 1454 (2025), doi:10.1038/s41592-025-02719-x, in the form of the authors' program
FDRBench. The so-called sample estimator, N_E / (r N_T), is neither a lower nor an upper bound; it is not offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import DataError

Array = NDArray[Any]
FloatArray = NDArray[np.floating[Any]]
Design = Literal["shuffled", "foreign"]
Verdict = Literal["valid", "invalid", "inconclusive"]
N_BOOTSTRAP = 2000


@dataclass(frozen=True)
class Discoveries:
    """Precursors, peptides or proteins that a search reports; decoys are removed already.

    All arrays have shape (n,). ``is_entrapment`` is True where nothing but entrapment sequences explains the discovery.
    ``score``, higher is better, ranks an entrapment against its target twin; ``q`` is in [0, 1]; ``key`` is a unique
    name, such as peptidoform and charge. ``twin_key`` is for an entrapment the key of the target that it was made from,
    None or "" where it has none; targets' entries are not read. ``peptide`` is the stripped sequence, an entrapment
    twin's that of its target: what has one is wrong together, in all its charge states, and is resampled together; with
    None each target is, with its twins.
    """

    is_entrapment: Array
    score: Array
    q: Array
    key: Array
    twin_key: Array | None = None
    peptide: Array | None = None

    def __post_init__(self) -> None:
        shapes = {name: np.shape(values) for name, values in vars(self).items() if values is not None}
        if any(shape != (len(self.key),) for shape in shapes.values()):
            raise DataError(f"Discoveries need columns of one length, but they are {shapes}.")
        if np.asarray(self.is_entrapment).dtype != bool:
            raise DataError("Discoveries: 'is_entrapment' must be boolean.")
        if not np.isfinite(np.asarray(self.score, dtype=float)).all():
            raise DataError("Discoveries: some scores are not finite.", "Remove rows without a score.")
        q = np.asarray(self.q, dtype=float)
        if not ((q >= 0) & (q <= 1)).all():
            raise DataError("Discoveries: some q values are outside [0, 1] or missing.")
        twice = pd.Index(self.key).duplicated()
        if twice.any():
            raise DataError(
                f"Discoveries: {int(twice.sum())} keys occur more than once, such as {self.key[twice][0]!r}.",
                "Keep the best row of each key.",
            )

    def __len__(self) -> int:
        return len(self.key)


def group_patterns(lists: Sequence[Discoveries], k: int | None) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return distinct combinations of targets, entrapments and estimated false targets of a peptide, and their counts.

    A peptide's are those of its groups, of a target with its ``k`` twins, or each discovery where ``k`` is None; shapes
    (m, 3) and (m,). Of several runs it has what it is in all of them together, so that a bootstrap draws a peptide with
    its twins, charge states and runs. Raises DataError if a target has more than ``k`` twins.
    """
    owners = [_owners(discoveries, k) for discoveries in lists]
    group, names = pd.factorize(np.concatenate([np.empty(0, dtype=object), *owners]))
    groups = np.split(group, np.cumsum([len(o) for o in owners])[:-1]) if owners else []
    totals = np.zeros((len(names), 3))
    for discoveries, of_list in zip(lists, groups, strict=True):
        totals += _of_groups(discoveries, of_list, len(names), k)
    peptides = [np.asarray(o if d.peptide is None else d.peptide) for d, o in zip(lists, owners, strict=True)]
    of_group = np.zeros(len(names), dtype=np.int64)
    of_group[group], units = pd.factorize(np.concatenate([np.empty(0, dtype=object), *peptides]))
    of_peptide = np.zeros((len(units), 3))
    np.add.at(of_peptide, of_group, totals)
    found, counts = np.unique(of_peptide, axis=0, return_counts=True)
    return found, counts


def _owners(discoveries: Discoveries, k: int | None) -> NDArray[np.object_]:
    """Return the name of each discovery's group: its target's, or its own."""
    owner = np.array(discoveries.key, dtype=object)
    if k is not None and discoveries.twin_key is not None:
        named = np.array([isinstance(t, str) and t != "" for t in discoveries.twin_key], bool)
        has_twin = np.asarray(discoveries.is_entrapment) & named
        owner[has_twin] = discoveries.twin_key[has_twin]
    return owner


def _of_groups(discoveries: Discoveries, group: NDArray[Any], n_groups: int, k: int | None) -> FloatArray:
    entrapment = np.asarray(discoveries.is_entrapment)
    n_entrapment = np.bincount(group[entrapment], minlength=n_groups)
    n_target = np.bincount(group[~entrapment], minlength=n_groups)
    false_targets = np.zeros(n_groups)
    if k is not None:
        if n_entrapment.max(initial=0) > k:
            raise DataError(f"A target has {n_entrapment.max()} entrapment twins among the discoveries, but k is {k}.")
        false_targets = _false_targets(discoveries, group, n_target, n_entrapment, k)
    return np.column_stack([n_target, n_entrapment, false_targets])


def _false_targets(
    discoveries: Discoveries, group: NDArray[Any], n_target: NDArray[Any], n_entrapment: NDArray[Any], k: int
) -> FloatArray:
    """Return j A_j of each group; a tie for the last place counts as the share that chance would give the target."""
    entrapment = np.asarray(discoveries.is_entrapment)
    score = np.asarray(discoveries.score, dtype=float)
    target_score = np.full(n_target.size, -np.inf)
    target_score[group[~entrapment]] = score[~entrapment]
    rival, of_target = score[entrapment], target_score[group[entrapment]]
    beaten = np.bincount(group[entrapment], weights=rival < of_target, minlength=n_target.size)
    tied = np.bincount(group[entrapment], weights=rival == of_target, minlength=n_target.size)
    alone = n_entrapment / (k - n_entrapment + 1)
    together = np.where((n_entrapment == k) & (beaten == 0), (k + 1) / (tied + 1), 0.0)
    return np.where(n_target > 0, together, alone)


def resampled(patterns: FloatArray, counts: NDArray[np.int64], generator: np.random.Generator) -> FloatArray:
    """Return total targets, entrapments and false targets of bootstrap samples of groups, shape (3, N_BOOTSTRAP)."""
    drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=N_BOOTSTRAP)
    totals: FloatArray = (drawn @ patterns).T
    return totals


def lower_bound(n_target: float, n_entrapment: float) -> float:
    """Return N_E / (N_T + N_E): only the false discoveries that are seen to be false; NaN without any."""
    return _share(n_entrapment, n_target, n_entrapment)


def combined(n_target: float, n_entrapment: float, r: float) -> float:
    """Return N_E (1 + 1/r) / (N_T + N_E): for each false entrapment, 1/r false targets are assumed."""
    _check_ratio(r)
    return _share(n_entrapment * (1 + 1 / r), n_target, n_entrapment)


@dataclass(frozen=True)
class FdpEstimate:
    """Estimates of the false discovery proportion of one list of ``n_target`` targets and ``n_entrapment`` entrapments.

    ``paired`` is (N_E + sum over j of j A_j) / (N_T + N_E); None without twins. A_j are groups of a target and its k
    twins of which j are discovered and in which the target has the lowest score of all k + 1. Were it false, each would
    be the last with the same probability: the target is the last in 1 / (k + 1) of the groups, and among the discovered
    in j / (k + 1). A true target is seldom the last, so it adds little. Where some targets lack twins (r below k), the
    false targets are multiplied by k / r.

    ``interval_low`` is the lower end of the bootstrap interval of the lower bound. ``interval_high`` is the upper end
    of that of the paired estimate, or of the combined one where there are no twins, with one more entrapment counted
    than was found: a list without any says little if it is short.
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

    ``r`` is the size of the entrapment database divided by that of the targets. Shuffled entrapments are twins of
    targets, ``k`` of each; with ``twin_key`` they get the paired estimate. The two-sided bootstrap interval resamples
    peptides with their twins, charge states and runs; without a ``generator`` its seed is 0.
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


def decoy_estimate(targets: Array, decoys: Array, *, confidence: float = 0.95) -> tuple[float, float, float]:
    """Estimate the false discovery proportion of some targets of a list by the decoys that are in it for them.

    A wrong target and a decoy get anywhere with the same probability, so N_D decoys tell of as many wrong ones among
    N_T targets: N_D / N_T, as alphaDIA itself counts (target-decoy competition, Elias and Gygi, Nat Methods 4, 207
    (2007)), but in a part of the list. Both arrays hold the stripped sequence of each precursor, at least one target.

    Returns the estimate and both ends of its interval, of which the upper one counts a decoy more than there is; the
    bootstrap resamples stripped sequences, with all their charge states and runs.
    """
    unit, names = pd.factorize(np.concatenate([targets, decoys]))
    of_peptide = np.zeros((len(names) + 1, 3))
    np.add.at(of_peptide, (unit, np.repeat([0, 1], [len(targets), len(decoys)])), 1.0)
    of_peptide[-1, 1] = 1.0  # one more decoy, alone
    tail, generator = (1 - confidence) / 2, np.random.default_rng(0)
    ends = []
    for rows, quantile in ((of_peptide[:-1], tail), (of_peptide, 1 - tail)):
        patterns, counts = np.unique(rows, axis=0, return_counts=True)
        n_target, n_decoy, _ = resampled(patterns, counts, generator)
        ends.append(float(np.quantile(np.minimum(1.0, n_decoy / np.maximum(1.0, n_target)), quantile)))
    return min(1.0, len(decoys) / len(targets)), ends[0], ends[1]


def verdict(estimate: FdpEstimate, claimed_fdr: float) -> Verdict:
    """Say whether a claimed FDR holds.

    "valid" if even the upper estimate's interval lies below the claimed FDR, "invalid" if even the lower bound's lies
    above it, otherwise "inconclusive".
    """
    if estimate.interval_low > claimed_fdr:
        return "invalid"
    if estimate.interval_high < claimed_fdr:
        return "valid"
    return "inconclusive"


def _share(numerator: float, n_target: float, n_entrapment: float) -> float:
    total = n_target + n_entrapment
    return float(numerator / total) if total else float("nan")


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
