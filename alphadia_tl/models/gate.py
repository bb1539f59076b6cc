"""Whether something is better: a tuned model than the pretrained one or a library's values, a collision energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import trim_mean

from alphadia_tl.tasks.base import Headline
from alphadia_tl.tasks.energy import Better
from alphadia_tl.tasks.held_out import PairedScores, TuneResult
from alphadia_tl.tasks.metrics import FloatArray
from alphadia_tl.tasks.ms2 import Ms2Task

N_BOOTSTRAP = 1000
MIN_PEPTIDES = 10
MIN_GAIN = 0.005  # relative gain of the headline below which another search is not worth its time


@dataclass(frozen=True)
class Decision:
    """What was decided for one model and why.

    ``before`` and ``after`` are the metric ``headline`` of the pretrained and the tuned model on the held-out test
    peptides, ``interval`` the bootstrap interval of the paired improvement (positive: better); None where nothing was
    compared. ``reason`` is one sentence, ``n_peptides`` the distinct peptides in train, validation and test.
    ``lockbox`` has before, after and interval of the weights that tuning left, on ``peptides`` that neither it nor any
    choice has seen; the three are None where these are too few.
    """

    model: str
    accepted: bool
    reason: str
    headline: str = ""
    higher_is_better: bool = False
    before: float | None = None
    after: float | None = None
    interval: list[float] | None = None
    n_peptides: dict[str, int] | None = None
    lockbox: dict[str, Any] | None = None


def improvement_interval(
    before: FloatArray,
    after: FloatArray,
    groups: NDArray[Any],
    headline: Headline,
    *,
    confidence: float,
    generator: np.random.Generator,
) -> tuple[float, float]:
    """Bootstrap interval of the paired improvement, resampling peptides.

    The improvement (positive: tuned is better) is the trimmed mean of the differences, peptide by peptide: differences
    of pairs are far less noisy than a difference of two medians. Scores and ``groups``, the stripped sequences, are
    (n,): rows of one peptide are averaged and resampled together. The confidence is one-sided: the bounds are the
    quantiles ``1 - confidence`` and ``confidence``, NaN without valid rows.
    """
    valid = np.isfinite(before) & np.isfinite(after)
    _, peptide = np.unique(groups[valid], return_inverse=True)
    if peptide.size == 0:
        return float("nan"), float("nan")
    sign = 1.0 if headline.higher_is_better else -1.0
    gain = sign * np.bincount(peptide, weights=(after - before)[valid]) / np.bincount(peptide)
    improvements = np.empty(N_BOOTSTRAP)
    for i in range(N_BOOTSTRAP):
        improvements[i] = trim_mean(gain[generator.integers(0, gain.size, gain.size)], headline.trimmed)
    low, high = np.quantile(improvements, [1 - confidence, confidence])
    return float(low), float(high)


def better_energy(confidence: float, generator: np.random.Generator) -> Better:
    """Return the test that another collision energy has to pass: the gate's, for the best of several comparisons."""

    def better(before: FloatArray, after: FloatArray, groups: NDArray[Any], comparisons: int) -> bool:
        each = 1 - (1 - confidence) / comparisons
        low, _ = improvement_interval(before, after, groups, Ms2Task.headline, confidence=each, generator=generator)
        return low > 0

    return better


def better_than_given(
    scores: PairedScores, headline: Headline, *, confidence: float, generator: np.random.Generator
) -> bool:
    """Whether a tuned model is surely better than the values that a library has itself."""
    if len(scores.peptides) < MIN_PEPTIDES:
        return False
    low, _ = improvement_interval(
        scores.before, scores.after, scores.peptides, headline, confidence=confidence, generator=generator
    )
    return low > 0


TOO_FEW = "too few peptides to score what is shipped"


def _lockbox(
    unseen: PairedScores, headline: Headline, *, confidence: float, generator: np.random.Generator
) -> tuple[dict[str, Any], str, bool]:
    """Return what a decision holds of the unseen peptides, the same in words, and whether the tuned model is worse."""
    peptides = int(np.unique(unseen.peptides).size)
    nothing: dict[str, Any] = {"peptides": peptides, "before": None, "after": None, "interval": None}
    if peptides < MIN_PEPTIDES:
        return nothing, TOO_FEW, False
    before, after = float(unseen.metric_before), float(unseen.metric_after)
    if not np.isfinite([before, after]).all():
        return nothing, "could not be scored", True
    low, high = improvement_interval(
        unseen.before, unseen.after, unseen.peptides, headline, confidence=confidence, generator=generator
    )
    values = {"before": before, "after": after, "interval": [low, high]}
    return nothing | values, f"{before:.4f} -> {after:.4f} on {peptides} peptides that nothing has seen", high < 0


def decide(
    result: TuneResult, *, confidence: float, generator: np.random.Generator, unseen: PairedScores | None = None
) -> Decision:
    """Compare a tuned model with the pretrained one on the test peptides.

    It is accepted only if the headline is better by 0.5 % of itself, and the lower bound of the paired improvement is
    above zero with the given confidence. It is taken back where on ``unseen`` peptides, which score the weights that
    are shipped, the upper bound is below zero.
    """
    headline = result.headline
    before, after = result.before[headline.name], result.after[headline.name]
    low, high = improvement_interval(
        np.asarray(result.scores_before, dtype=float),
        np.asarray(result.scores_after, dtype=float),
        np.asarray(result.test_groups),
        headline,
        confidence=confidence,
        generator=generator,
    )
    better = after > before if headline.higher_is_better else after < before
    enough = abs(after - before) >= MIN_GAIN * abs(before)
    n_peptides = np.unique(result.test_groups).size
    accepted = bool(np.isfinite(after) and better and enough and low > 0 and n_peptides >= MIN_PEPTIDES)
    change = f"{headline.name} {before:.4f} -> {after:.4f} on {result.n_peptides['test']} held-out peptides"
    lockbox, told, is_worse = None, "", False
    if unseen is not None:
        lockbox, told, is_worse = _lockbox(unseen, headline, confidence=confidence, generator=generator)
    if accepted and is_worse:
        accepted = False
        reason = f"pretrained model kept: the tuned one, better at the gate ({change}), is worse in the lockbox"
    elif accepted:
        reason = f"tuned model used: {change}"
    elif n_peptides < MIN_PEPTIDES:
        reason = f"pretrained model kept: {n_peptides} held-out peptides are too few to tell ({change})"
    elif not np.isfinite(after):
        reason = f"pretrained model kept: the tuned one could not be scored ({change})"
    else:
        why = "it may be chance"
        if low > 0:
            why = "but that is too little to search again for" if better else "but the metric over all is no better"
        reason = f"pretrained model kept: {change}; gain per peptide {low:+.4f} to {high:+.4f}, {why}"
    return Decision(
        model=result.name,
        accepted=accepted,
        reason=f"{reason}; lockbox: {told}" if told else reason,
        headline=headline.name,
        higher_is_better=headline.higher_is_better,
        before=float(before),
        after=float(after),
        interval=[low, high],
        n_peptides=dict(result.n_peptides),
        lockbox=lockbox,
    )


def runs_made_worse(result: TuneResult, *, confidence: float, generator: np.random.Generator) -> dict[str, str]:
    """Return the runs whose held-out peptides a tuned model surely predicts worse than the pretrained one did.

    Each has a line that says so. One run alone is what the gate judges; runs that say less than ``MIN_PEPTIDES``
    peptides are passed over. The confidence holds for all runs together.
    """
    rows = result.held_out.rows.dropna(subset=["raw_name", "score_before", "score_after"])
    runs = {str(run): table for run, table in rows.groupby("raw_name") if table["sequence"].nunique() >= MIN_PEPTIDES}
    headline, told = result.headline, {}
    each = 1 - (1 - confidence) / max(len(runs), 1)
    for run, table in runs.items() if rows["raw_name"].nunique() > 1 else ():
        before, after = (table[column].to_numpy(float) for column in ("score_before", "score_after"))
        peptides = table["sequence"].to_numpy(object)
        _, high = improvement_interval(before, after, peptides, headline, confidence=each, generator=generator)
        if high < 0:
            average = np.median if headline.use_median else np.mean
            change = f"{headline.name} {average(before):.4f} -> {average(after):.4f}"
            told[run] = (
                f"{result.name.upper()}: the tuned model is worse than the pretrained one for run {run} ({change} on "
                f"{table['sequence'].nunique()} held-out peptides): it differs from the others; search it by itself"
            )
    return told
