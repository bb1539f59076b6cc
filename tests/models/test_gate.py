from dataclasses import asdict, dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from alphadia_tl.models import gate
from alphadia_tl.tasks.held_out import HeldOut, PairedScores


@dataclass
class Result:
    scores_before: np.ndarray
    scores_after: np.ndarray
    name: str = "rt"
    headline: object = field(
        default_factory=lambda: SimpleNamespace(name="error", higher_is_better=False, trimmed=0.25)
    )
    before: dict = field(default_factory=lambda: {"error": 1.0})
    after: dict = field(default_factory=lambda: {"error": 0.5})
    n_peptides: dict = field(default_factory=lambda: {"train": 7, "validation": 2, "test": 1})

    @property
    def test_groups(self):
        return np.arange(len(self.scores_before))


def _decide(result, confidence=0.95):
    return gate.decide(result, confidence=confidence, generator=np.random.default_rng(0))


ERRORS = np.abs(np.random.default_rng(1).normal(size=400))
CASES = [
    ("half the error", ERRORS, ERRORS * 0.5, True),
    ("the same", ERRORS, ERRORS.copy(), False),
    ("noise around the same", ERRORS, ERRORS + np.random.default_rng(2).normal(size=400) * 0.01, False),
    ("worse", ERRORS, ERRORS * 1.2, False),
    ("all tuned scores NaN", ERRORS, np.full(400, np.nan), False),
    ("nothing held out", np.array([]), np.array([]), False),
]


@pytest.mark.parametrize(("before", "after", "accepted"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_model_is_accepted_only_if_it_is_surely_better(before, after, accepted):
    decision = _decide(Result(before, after))
    assert decision.accepted is accepted
    assert ("tuned model used" in decision.reason) is accepted


def test_the_direction_of_the_metric_counts():
    headline = SimpleNamespace(name="error", higher_is_better=True, trimmed=0.25)
    assert _decide(Result(ERRORS, ERRORS * 2, headline=headline, after={"error": 2.0})).accepted
    assert not _decide(Result(ERRORS, ERRORS * 0.5, headline=headline)).accepted


def test_rows_of_one_peptide_are_no_independent_evidence():
    before = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], 4)
    many = np.repeat(before, 100)
    after = np.repeat(before - np.tile([0.1, -0.02, -0.02, -0.02, 0.01], 4), 100)

    class Grouped(Result):
        @property
        def test_groups(self):
            return np.repeat(np.arange(20), 100)

    headline = SimpleNamespace(name="error", higher_is_better=False, trimmed=0.0)
    assert not _decide(Grouped(many, after, headline=headline)).accepted
    assert _decide(Result(many, after, headline=headline)).accepted


def test_a_small_but_steady_gain_is_seen_through_the_spread_between_peptides():
    rng = np.random.default_rng(3)
    similarity = rng.uniform(0.1, 0.9, 100)
    gain = rng.normal(0.02, 0.03, 100)
    headline = SimpleNamespace(name="error", higher_is_better=True, trimmed=0.25)
    result = Result(similarity, similarity + gain, headline=headline, before={"error": 0.5}, after={"error": 0.52})
    assert _decide(result).accepted


def test_a_model_with_a_worse_headline_is_refused_whatever_the_pairs_say():
    decision = _decide(Result(ERRORS, ERRORS * 0.9, after={"error": 1.01}))
    assert not decision.accepted
    assert decision.reason.endswith("but the metric over all is no better")


def test_a_sure_gain_that_changes_nothing_is_refused():
    decision = _decide(Result(ERRORS, ERRORS * 0.999, after={"error": 0.999}))
    assert not decision.accepted
    assert decision.reason.endswith("but that is too little to search again for")
    assert _decide(Result(ERRORS, ERRORS * 0.99, after={"error": 0.99})).accepted


def test_single_wild_rows_do_not_decide():
    after = ERRORS * 0.7
    after[:4] += 1000
    assert _decide(Result(ERRORS, after)).accepted


def test_a_handful_of_peptides_cannot_tell():
    decision = _decide(Result(ERRORS[:9], ERRORS[:9] * 0.1))
    assert not decision.accepted
    assert "9 held-out peptides are too few to tell" in decision.reason
    assert _decide(Result(ERRORS[:10], ERRORS[:10] * 0.1)).accepted


def test_a_tuned_model_that_cannot_be_scored_is_refused():
    decision = _decide(Result(ERRORS, ERRORS * 0.5, after={"error": float("nan")}))
    assert not decision.accepted
    assert "could not be scored" in decision.reason


def _unseen(factor, n=400):
    before, after = ERRORS[:n], ERRORS[:n] * factor
    peptides = np.array([f"PEPTIDE{i}K" for i in range(n)], dtype=object)
    return PairedScores(peptides, before, after, float(np.median(before)), float(np.median(after)))


WORSE = "better at the gate (error 1.0000 -> 0.5000 on 1 held-out peptides), is worse in the lockbox"
LOCKBOXES = [
    ("better there, too", 0.5, _unseen(0.6), True, "on 400 peptides that nothing has seen"),
    ("the same there", 0.5, _unseen(1.0), True, "on 400 peptides that nothing has seen"),
    ("worse there", 0.5, _unseen(1.1), False, WORSE),
    ("no number there", 0.5, _unseen(np.nan), False, "lockbox: could not be scored"),
    ("worse on a few", 0.5, _unseen(2.0, 9), True, "too few peptides to score what is shipped"),
    ("nothing kept", 0.5, PairedScores.none(), True, "too few peptides to score what is shipped"),
    ("refused by the gate", 1.0, _unseen(0.6), False, "it may be chance; lockbox: "),
]


@pytest.mark.parametrize(
    ("factor", "unseen", "accepted", "told"), [c[1:] for c in LOCKBOXES], ids=[c[0] for c in LOCKBOXES]
)
def test_a_model_that_is_worse_on_peptides_that_nothing_has_seen_is_taken_back(factor, unseen, accepted, told):
    result = Result(ERRORS, ERRORS * factor)
    decision = gate.decide(result, confidence=0.95, generator=np.random.default_rng(0), unseen=unseen)
    assert decision.accepted is accepted
    assert told in decision.reason
    assert "nan" not in f"{decision.reason} {asdict(decision)}".lower()
    assert decision.lockbox["peptides"] == len(unseen.peptides)
    assert (decision.lockbox["before"] is None) == (len(unseen.peptides) < 10 or "could not" in told)
    assert (decision.interval, decision.before) == (_decide(result).interval, 1.0)  # the gate's stay beside
    assert gate.Decision(**asdict(decision)) == decision


def test_the_same_seed_gives_the_same_interval():
    result = Result(ERRORS, ERRORS * 0.98)
    assert _decide(result).interval == _decide(result).interval


def test_decisions_hold_plain_values_for_yaml():
    values = asdict(_decide(Result(ERRORS, ERRORS * 0.5)))
    assert isinstance(values["interval"], list)
    assert all(isinstance(v, float) for v in values["interval"])


def test_noise_is_not_better_than_chance():
    better, rng = gate.better_energy(0.95, np.random.default_rng([0, 3])), np.random.default_rng(0)
    before = rng.uniform(0.3, 0.7, 400)
    peptides = np.array([f"PEPTIDE{i // 2}K" for i in range(400)], dtype=object)
    told = [better(before, before + rng.normal(0, 0.05, 400), peptides, 5) for _ in range(20)]
    assert not any(told)
    assert better(before, before + rng.normal(0.03, 0.05, 400), peptides, 5)


RUNS = [
    ("all runs gain", [0.5, 0.5], []),
    ("one is worse", [0.5, 1.5], ["run1"]),
    ("one is worse, of three", [0.5, 0.6, 1.5], ["run2"]),
    ("the same", [1.0, 1.0], []),
    ("one run alone is the gate's", [1.5], []),
]


@pytest.mark.parametrize(("factors", "worse"), [c[1:] for c in RUNS], ids=[c[0] for c in RUNS])
def test_runs_that_a_tuned_model_predicts_worse_are_named(factors, worse):
    parts = [
        pd.DataFrame({"sequence": np.arange(400), "raw_name": f"run{i}", "score_before": ERRORS})
        for i in range(len(factors))
    ]
    rows = pd.concat([part.assign(score_after=ERRORS * f) for part, f in zip(parts, factors, strict=True)])
    few = parts[0].head(5).assign(raw_name="few", score_after=9.0)
    result = SimpleNamespace(name="rt", headline=Result(ERRORS, ERRORS).headline, held_out=HeldOut(rows))
    if len(factors) > 1:
        result.held_out = HeldOut(pd.concat([rows, few]))
    result.headline.use_median = True
    told = gate.runs_made_worse(result, confidence=0.95, generator=np.random.default_rng(0))
    assert list(told) == worse
    assert all(f"for run {run} (error" in line and "400 held-out peptides" in line for run, line in told.items())
