"""Simulated searches whose false discoveries are known."""

import numpy as np
import pytest

from alphadia_tl.entrapment.estimate import Discoveries, estimate_fdp, verdict

N_TARGETS = 40_000


def search(generator, *, present, r, shift=4.0, cut=2.0):
    """Score targets, of which a fraction is in the sample, and r false entrapments per target; report above a cut.

    Returns discoveries and their true false discovery proportion.
    """
    is_present = generator.random(N_TARGETS) < present
    target = generator.normal(np.where(is_present, shift, 0.0), 1.0)
    k = max(1, round(r))
    owner = np.repeat(np.arange(N_TARGETS), k)
    owner = owner[generator.random(owner.size) < r / k]
    entrapment = generator.normal(size=owner.size)
    score = np.concatenate([target, entrapment])
    is_entrapment = np.arange(score.size) >= N_TARGETS
    false = is_entrapment | ~np.concatenate([is_present, np.zeros(owner.size, bool)])
    key = np.array([f"T{i}" for i in range(N_TARGETS)] + [f"E{i}" for i in range(owner.size)], dtype=object)
    twin = np.array([""] * N_TARGETS + [f"T{i}" for i in owner], dtype=object)
    found = score > cut
    q = np.full(found.sum(), 0.01)
    rows = Discoveries(is_entrapment[found], score[found], q, key[found], twin[found])
    return rows, float(false[found].mean())


# Fraction of targets in the sample, r: true FDPs from about 4 to 70 %.
SETTINGS = [(0.5, 1), (0.2, 1), (0.02, 1), (0.5, 2), (0.1, 3), (0.3, 0.25), (0.05, 0.5)]


@pytest.mark.parametrize(("present", "r"), SETTINGS)
def test_the_estimates_bracket_the_truth(present, r):
    generator = np.random.default_rng(7)
    results = []
    for _ in range(12):
        rows, truth = search(generator, present=present, r=r)
        estimate = estimate_fdp(rows, r=r, design="foreign")
        results.append((truth, estimate.lower, estimate.combined))
    truth, lower, combined = np.mean(results, axis=0)
    # Only absent targets can be false, but r counts all targets: that is how much too high the combined estimate is.
    absent = 1 - present
    assert lower == pytest.approx(truth / (1 + absent / r), rel=0.04)
    assert combined == pytest.approx(truth * (1 + 1 / r) / (1 + absent / r), rel=0.04)
    assert lower < truth < combined * 1.02


@pytest.mark.parametrize(("present", "k"), [(0.5, 1), (0.2, 1), (0.02, 1), (0.5, 2), (0.1, 3)])
def test_twins_bring_the_upper_estimate_nearer_to_the_truth(present, k):
    generator = np.random.default_rng(11)
    results = []
    for _ in range(5):
        rows, truth = search(generator, present=present, r=k)
        estimate = estimate_fdp(rows, r=k, design="shuffled", k=k)
        results.append((truth, estimate.lower, estimate.paired, estimate.combined))
    truth, lower, paired, combined = np.mean(results, axis=0)
    assert lower < truth
    assert truth * 0.98 < paired < combined
    # A true target is seldom beaten by its twins: what is left over are true targets that were missed.
    assert paired == pytest.approx(truth, rel=0.12)


@pytest.mark.parametrize("cut", [1.0, 0.0, -1.0])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_twins_count_the_false_targets_right_where_all_are_false(k, cut):
    rows, truth = search(np.random.default_rng(29), present=0.0, r=k, cut=cut)
    assert truth == 1
    assert estimate_fdp(rows, r=k, design="shuffled", k=k).paired == pytest.approx(1, rel=0.03)


CLAIMS = [("far above the truth", 0.5, 0.20, "valid"), ("far below the truth", 0.2, 0.01, "invalid"),
          ("near the truth", 0.5, 0.06, "inconclusive")]  # fmt: skip


@pytest.mark.parametrize(("present", "claim", "expected"), [c[1:] for c in CLAIMS], ids=[c[0] for c in CLAIMS])
def test_the_verdict_is_right_where_the_truth_is_far_from_the_claim(present, claim, expected):
    rows, truth = search(np.random.default_rng(13), present=present, r=1)
    estimate = estimate_fdp(rows, r=1, design="shuffled")
    assert verdict(estimate, claim) == expected, (truth, estimate)
    assert estimate.interval_low < truth < estimate.interval_high


def test_the_interval_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(17)
    held = 0
    for _ in range(40):
        rows, truth = search(generator, present=0.3, r=1)
        estimate = estimate_fdp(rows, r=1, design="shuffled")
        held += estimate.interval_low <= truth <= estimate.interval_high
    assert held >= 38
