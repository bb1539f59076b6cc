from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from alphadia_tl import gate


@dataclass
class Result:
    scores_before: np.ndarray
    scores_after: np.ndarray
    name: str = "rt"
    headline: object = field(
        default_factory=lambda: SimpleNamespace(name="error", higher_is_better=False, use_median=True)
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
    headline = SimpleNamespace(name="error", higher_is_better=True, use_median=False)
    assert _decide(Result(ERRORS, ERRORS * 2, headline=headline)).accepted
    assert not _decide(Result(ERRORS, ERRORS * 0.5, headline=headline)).accepted


def test_rows_of_one_peptide_are_no_independent_evidence():
    before = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    many = np.repeat(before, 100)
    after = np.repeat(before - np.array([0.9, -0.01, -0.01, -0.01, -0.01]), 100)

    class Grouped(Result):
        @property
        def test_groups(self):
            return np.repeat(np.arange(5), 100)

    headline = SimpleNamespace(name="error", higher_is_better=False, use_median=False)
    assert not _decide(Grouped(many, after, headline=headline)).accepted
    assert _decide(Result(many, after, headline=headline)).accepted


def test_a_tuned_model_that_cannot_be_scored_is_refused():
    decision = _decide(Result(ERRORS, ERRORS * 0.5, after={"error": float("nan")}))
    assert not decision.accepted
    assert "could not be scored" in decision.reason


def test_the_same_seed_gives_the_same_interval():
    result = Result(ERRORS, ERRORS * 0.98)
    assert _decide(result).interval == _decide(result).interval


def test_decisions_hold_plain_values_for_yaml():
    values = _decide(Result(ERRORS, ERRORS * 0.5)).to_mapping()
    assert isinstance(values["interval"], list)
    assert all(isinstance(v, float) for v in values["interval"])
