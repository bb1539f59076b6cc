from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alphadia_tl.errors import PredictionError
from alphadia_tl.speclib import checks


def test_spectrum_correlation_equals_numpys_over_the_fragments_that_exist():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 40)
    starts = np.cumsum(lengths) - lengths
    new, old = rng.random((2, lengths.sum(), 4))
    exists = rng.random(new.shape) > 0.2
    got = checks.spectrum_correlations(new, old, exists, starts)
    for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        cells = exists[start : start + length]
        if cells.sum() < 2:
            assert np.isnan(got[i])
            continue
        expected = np.corrcoef(new[start : start + length][cells], old[start : start + length][cells])[0, 1]
        assert got[i] == pytest.approx(expected, abs=1e-5)


def test_constant_spectra_are_not_judged():
    constant = np.ones((3, 2))
    varied = np.arange(6.0).reshape(3, 2)
    assert np.isnan(checks.spectrum_correlations(constant, varied, varied >= 0, np.array([0]))[0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.1, np.nan, np.inf], "2 of 3 .* not finite"),
        ([0.0, 0.0], "zero"),
        ([0.25] * 40, "equal 0.25"),
    ],
)
def test_unusable_predictions_are_refused(values, words):
    with pytest.raises(PredictionError, match=words):
        checks.check_values(np.array(values), "rt")


def test_few_equal_predictions_are_no_proof_of_a_defect():
    checks.check_values(np.array([0.25, 0.25]), "rt")


@pytest.mark.parametrize(
    ("replaced", "expected"),
    [
        (pd.Series(np.arange(50.0)), 1.0),
        (pd.Series(-np.arange(50.0)), -1.0),
        (pd.Series([str(i) for i in range(50)]), 1.0),
        (pd.Series([*range(45), "", None, "?", "", ""]), 1.0),
        (pd.Series(np.zeros(50)), np.nan),
        (pd.Series([""] * 50), np.nan),
    ],
)
def test_rank_correlation_with_what_libraries_hold(replaced, expected):
    got = checks.rank_correlation(np.arange(50, dtype=np.float32) ** 2, replaced)
    assert got == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("model", "passes", "fails"), [("rt", 0.5, 0.49), ("ccs", 0.6, -1.0), ("ms2", 0.21, 0.19)])
def test_floor_of_correlation(model, passes, fails):
    checks.check_correlation(model, passes, 100, "old")
    checks.check_correlation(model, float("nan"), 100, "old")
    with pytest.raises(PredictionError, match=rf"{model} predictions of 100 .* only {fails:.3f}"):
        checks.check_correlation(model, fails, 100, "old")
