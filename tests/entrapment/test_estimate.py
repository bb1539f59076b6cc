from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphadia_tl.entrapment.estimate import (
    Discoveries,
    FdpEstimate,
    combined,
    decoy_estimate,
    estimate_fdp,
    group_patterns,
    lower_bound,
    verdict,
)
from alphadia_tl.errors import DataError

COUNTS = st.integers(0, 5000)
RATIOS = st.floats(0.05, 20)


def discoveries(pairs, q=0.005):
    """Build discoveries from (target score or None, *twin scores or None) groups."""
    rows = []
    for i, (target, *twins) in enumerate(pairs):
        rows += [] if target is None else [(False, target, f"T{i}", None)]
        rows += [(True, s, f"E{i}_{j}", f"T{i}") for j, s in enumerate(twins) if s is not None]
    entrapment, score, key, twin = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Discoveries(
        np.array(entrapment, dtype=bool),
        np.array(score, dtype=float),
        np.full(len(rows), q),
        np.array(key, dtype=object),
        np.array(twin, dtype=object),
    )


@st.composite
def groups(draw, k=1):
    score = st.one_of(st.none(), st.integers(0, 9).map(float))
    some = st.lists(st.tuples(score, *([score] * k)), max_size=40)
    return draw(some.filter(lambda pairs: any(s is not None for pair in pairs for s in pair)))


@given(st.integers(1, 5000), COUNTS, RATIOS)
def test_bounds_and_order_of_the_counting_estimates(n_target, n_entrapment, r):
    low, high = lower_bound(n_target, n_entrapment), combined(n_target, n_entrapment, r)
    assert 0 <= low <= 1
    assert low <= high <= 1 + 1 / r + 1e-12
    assert high == pytest.approx(low * (1 + 1 / r))


@given(st.integers(1, 5000), COUNTS, RATIOS)
def test_one_entrapment_more_raises_the_counting_estimates(n_target, n_entrapment, r):
    assert lower_bound(n_target, n_entrapment + 1) > lower_bound(n_target, n_entrapment)
    assert combined(n_target, n_entrapment + 1, r) > combined(n_target, n_entrapment, r)


def test_the_formulas_on_a_worked_example():
    assert lower_bound(90, 10) == pytest.approx(0.10)
    assert combined(90, 10, r=1) == pytest.approx(0.20)
    assert combined(90, 10, r=0.25) == pytest.approx(0.50)


def test_a_list_without_discoveries_has_no_estimate():
    nothing = estimate_fdp(discoveries([]), r=1, design="shuffled")
    assert np.isnan([lower_bound(0, 0), combined(0, 0, 1), nothing.lower, nothing.upper]).all()


# (target, twin, ...) scores, None where not discovered; what a group adds to the false targets of the paired estimate.
GROUPS = [
    ("entrapment alone", [(None, 5)], 1, 1),
    ("entrapment above its target", [(4, 5)], 1, 2),
    ("entrapment below its target", [(5, 4)], 1, 0),
    ("entrapment level with its target", [(5, 5)], 1, 1),
    ("target alone", [(5, None)], 1, 0),
    ("one of two twins", [(None, 5, None)], 2, 1 / 2),
    ("both twins alone", [(None, 5, 4)], 2, 2),
    ("both twins above the target", [(3, 5, 4)], 2, 3),
    ("one twin above, one below", [(4, 5, 3)], 2, 0),
    ("one twin above, one not found", [(4, 5, None)], 2, 0),
]


@pytest.mark.parametrize(("pairs", "k", "false_targets"), [g[1:] for g in GROUPS], ids=[g[0] for g in GROUPS])
def test_what_a_group_says_about_false_targets(pairs, k, false_targets):
    estimate = estimate_fdp(discoveries(pairs), r=k, design="shuffled", k=k)
    total = estimate.n_target + estimate.n_entrapment
    assert estimate.paired == pytest.approx((estimate.n_entrapment + false_targets) / total)


@settings(max_examples=60, deadline=None)
@given(groups())
def test_order_of_the_three_estimates(pairs):
    estimate = estimate_fdp(discoveries(pairs), r=1, design="shuffled")
    assert 0 <= estimate.lower <= estimate.paired + 1e-12
    assert estimate.interval_low <= estimate.lower + 1e-12
    assert estimate.paired <= 1.5 * estimate.combined + 1e-12
    if all(t is None or e is None or t >= e for t, e in pairs):
        assert estimate.paired <= estimate.combined + 1e-12


@settings(max_examples=40, deadline=None)
@given(groups(k=2), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(pairs, random):
    rows = discoveries(pairs)
    order = list(range(len(rows)))
    random.shuffle(order)
    assert rows.twin_key is not None
    mixed = Discoveries(
        rows.is_entrapment[order], rows.score[order], rows.q[order], rows.key[order], rows.twin_key[order]
    )
    assert estimate_fdp(mixed, r=2, design="shuffled", k=2) == estimate_fdp(rows, r=2, design="shuffled", k=2)


def test_foreign_entrapment_has_no_paired_estimate():
    estimate = estimate_fdp(discoveries([(5, 6), (5, None)]), r=2.0, design="foreign")
    assert estimate.paired is None
    assert estimate.upper == estimate.combined == pytest.approx(1 / 3 * 1.5)


def test_unpaired_discoveries_of_a_shuffled_search_get_the_combined_estimate():
    rows = discoveries([(5, 6), (5, None)])
    bare = Discoveries(rows.is_entrapment, rows.score, rows.q, rows.key)
    assert estimate_fdp(bare, r=1.0, design="shuffled").paired is None


@pytest.mark.parametrize("n_entrapment", [0, 1, 10, 100])
def test_the_upper_end_is_near_the_exact_poisson_limit(n_entrapment):
    from scipy.stats import chi2

    n = 20_000
    is_entrapment = np.arange(n) < n_entrapment
    key = np.array([str(i) for i in range(n)], dtype=object)
    rows = Discoveries(is_entrapment, np.ones(n), np.zeros(n), key)
    exact = chi2.ppf(0.975, 2 * (n_entrapment + 1)) / 2 / n
    assert estimate_fdp(rows, r=1e9, design="foreign").interval_high == pytest.approx(exact, rel=0.2)


def test_few_discoveries_without_entrapment_do_not_prove_a_claim():
    assert verdict(estimate_fdp(discoveries([(5, None)] * 100), r=1, design="shuffled"), 0.01) == "inconclusive"
    assert verdict(estimate_fdp(discoveries([(5, None)] * 5000), r=1, design="shuffled"), 0.01) == "valid"
    assert verdict(estimate_fdp(discoveries([]), r=1, design="shuffled"), 0.01) == "inconclusive"


VERDICTS = [
    (0.002, 0.008, "valid"),
    (0.012, 0.03, "invalid"),
    (0.008, 0.012, "inconclusive"),
    (0.0, 0.01, "inconclusive"),
]


@pytest.mark.parametrize(("low", "high", "expected"), VERDICTS)
def test_a_verdict_needs_the_whole_interval(low, high, expected):
    assert verdict(FdpEstimate(low, high, None, 1000, 10, low, high), 0.01) == expected


KEYS = np.array(["a", "b"], dtype=object)
YES_NO = np.array([True, False])
BAD_ROWS = [
    ("lengths differ", (YES_NO, np.zeros(3), np.zeros(2), KEYS)),
    ("no truth values", (np.array([1, 0]), np.zeros(2), np.zeros(2), KEYS)),
    ("a score is missing", (YES_NO, np.array([1, np.nan]), np.zeros(2), KEYS)),
    ("a q value is missing", (YES_NO, np.zeros(2), np.array([0, np.nan]), KEYS)),
    ("a q value is above 1", (YES_NO, np.zeros(2), np.array([0, 1.5]), KEYS)),
    ("a key occurs twice", (YES_NO, np.zeros(2), np.zeros(2), np.array(["a", "a"], dtype=object))),
    ("too few twin keys", (YES_NO, np.zeros(2), np.zeros(2), KEYS, KEYS[:1])),
]


@pytest.mark.parametrize("columns", [b[1] for b in BAD_ROWS], ids=[b[0] for b in BAD_ROWS])
def test_unusable_discoveries_are_refused(columns):
    with pytest.raises(DataError):
        Discoveries(*columns)


@pytest.mark.parametrize(
    "wrong", [{"r": 0}, {"r": np.nan}, {"design": "sample"}, {"k": 0}, {"confidence": 1.0}], ids=str
)
def test_impossible_experiments_are_refused(wrong):
    with pytest.raises(DataError):
        estimate_fdp(discoveries([(5, 6)]), **({"r": 1.0, "design": "shuffled"} | wrong))


def test_more_twins_than_k_are_refused():
    with pytest.raises(DataError, match="k is 1"):
        estimate_fdp(discoveries([(5, 6, 7)]), r=1, design="shuffled", k=1)


def test_the_interval_depends_on_the_generator_alone_and_widens_with_confidence():
    rows = discoveries([(5, None)] * 900 + [(None, 6)] * 20 + [(5, 6)] * 10)

    def interval(seed, confidence=0.95):
        generator = np.random.default_rng(seed)
        found = estimate_fdp(rows, r=1, design="shuffled", confidence=confidence, generator=generator)
        return found.interval_low, found.interval_high

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)
    assert interval(1, 0.99)[0] < interval(1, 0.8)[0] < interval(1, 0.8)[1] < interval(1, 0.99)[1]


def test_false_targets_without_a_twin_are_counted_by_the_ratio():
    """Half of the targets have a twin: those without one are false as often, and nobody sees it."""
    pairs = [(5, 6)] * 4 + [(None, 5)] * 8 + [(5, None)] * 300
    whole, half = (estimate_fdp(discoveries(pairs), r=r, design="shuffled") for r in (1.0, 0.5))
    assert whole.paired == pytest.approx((12 + 8 + 2 * 4) / 316)
    assert half.paired == pytest.approx((12 + 2 * (8 + 2 * 4)) / 316)
    assert half.interval_high > whole.interval_high


@given(st.lists(groups(), min_size=1, max_size=4))
def test_the_estimate_of_several_runs_is_that_of_their_lists_weighted_by_length(runs):
    lists = [discoveries(pairs) for pairs in runs]
    single = [estimate_fdp(found, r=1, design="shuffled") for found in lists]
    n = sum(len(found) for found in lists)
    together = estimate_fdp(lists, r=1, design="shuffled")
    assert together.n_target + together.n_entrapment == n
    for name in ("lower", "combined", "paired"):
        expected = sum(getattr(e, name) * len(found) for e, found in zip(single, lists, strict=True)) / max(n, 1)
        assert getattr(together, name) == pytest.approx(expected)


def test_the_same_errors_in_every_run_are_no_more_evidence_than_in_one():
    pairs = [(5, None)] * 500 + [(None, 5)] * 8
    one, eight = (estimate_fdp([discoveries(pairs)] * n, r=1, design="shuffled") for n in (1, 8))
    assert eight.paired == pytest.approx(one.paired)
    assert eight.interval_low == pytest.approx(one.interval_low, rel=0.1)


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


def of_charge_states(generator, n_true=2000, n_false=150, charges=4):
    """Discoveries of foreign entrapment of the targets' size: a false peptide is found in up to all of its charges."""
    false_is_entrapment = generator.random(n_false) < 0.5
    number = np.concatenate([np.ones(n_true, int), generator.choice([1, charges], n_false)])
    peptide = np.repeat(np.arange(n_true + n_false), number)
    is_entrapment = np.concatenate([np.zeros(n_true, bool), false_is_entrapment])[peptide]
    key = np.array([f"{p}_{i}" for i, p in enumerate(peptide)], dtype=object)
    columns = {"score": np.ones(len(key)), "q": np.zeros(len(key)), "key": key}
    rows = Discoveries(is_entrapment=is_entrapment, peptide=peptide.astype(str).astype(object), **columns)
    return rows, (peptide >= n_true).mean()


def test_charge_states_of_one_peptide_are_one_observation():
    """Drawn one by one, the truth is above the interval's upper end far more often than in 2.5 % of lists."""
    generator = np.random.default_rng(23)
    above = {"peptides": 0, "precursors": 0}
    for _ in range(200):
        rows, truth = of_charge_states(generator)
        for unit, drawn in (("peptides", rows), ("precursors", replace(rows, peptide=None))):
            estimate = estimate_fdp(drawn, r=1, design="foreign", generator=np.random.default_rng(1))
            above[unit] += truth > estimate.interval_high
    assert above["peptides"] / 200 <= 0.03 < 0.07 < above["precursors"] / 200


def test_a_twin_of_each_charge_state_is_drawn_with_the_peptide():
    rows = discoveries([(2.0, 1.0), (2.0, 3.0)])
    whole = replace(rows, peptide=np.array(["T"] * 4, dtype=object))
    patterns, counts = group_patterns([whole], 1)
    assert counts.tolist() == [1]
    assert patterns[0, :2].tolist() == [2, 2]
    assert group_patterns([rows], 1)[1].sum() == 2


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_decoys_tell_how_much_of_a_part_of_a_list_is_wrong(share):
    """Three charge states and runs of a peptide are wrong together, as those of a decoy pass together."""
    draw = np.random.default_rng(7)
    covered = []
    for _ in range(60):
        targets = np.array([f"T{i // 3}" for i in range(1200)])
        decoys = np.array([f"D{i // 3}" for i in range(3 * draw.poisson(share * 400))])
        value, low, high = decoy_estimate(targets, decoys)
        assert value == pytest.approx(len(decoys) / len(targets))
        covered.append(low <= share <= high)
    assert np.mean(covered) > 0.88


@pytest.mark.parametrize(("targets", "decoys", "value"), [(["A"] * 300, [], 0.0), (["A"], ["B", "C"], 1.0)])
def test_few_decoys_or_targets_leave_an_estimate_within_bounds(targets, decoys, value):
    found, low, high = decoy_estimate(np.array(targets, object), np.array(decoys, object))
    assert found == value
    assert 0 <= low <= high <= 1
    assert high > 0
