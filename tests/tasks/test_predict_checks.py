from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alphadia_tl.errors import PredictionError
from alphadia_tl.tasks import predict


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
        predict.check_values(np.array(values), "rt")


def test_few_equal_predictions_are_no_proof_of_a_defect():
    predict.check_values(np.array([0.25, 0.25]), "rt")


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
    got = predict.rank_correlation(np.arange(50, dtype=np.float32) ** 2, replaced)
    assert got == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("model", "passes", "fails"), [("rt", 0.5, 0.49), ("ccs", 0.6, -1.0), ("ms2", 0.21, 0.19)])
def test_floor_of_correlation(model, passes, fails):
    predict.check_correlation(model, passes, 100, "old")
    predict.check_correlation(model, float("nan"), 100, "old")
    with pytest.raises(PredictionError, match=rf"{model} predictions of 100 .* only {fails:.3f}"):
        predict.check_correlation(model, fails, 100, "old")
