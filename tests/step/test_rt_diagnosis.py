from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_rt import made

from alphadia_tl.bundle import Bundle
from alphadia_tl.models.gate import Decision
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.rt_diagnosis import N_BINS, by_retention_time, choose_rt_tolerance, window_config


class Bins(NamedTuple):
    table: pd.DataFrame
    warnings: tuple[str, ...]


def look(result, accepted=True, fdr=0.01, seed=1):
    found = by_retention_time(result, accepted=accepted, fdr=fdr, generator=np.random.default_rng(seed))
    return Bins(*found)


def gradient(n, seed, end=1.0):
    return np.random.default_rng(seed).uniform(0, end, n)


def test_a_good_gradient_does_not_warn():
    bins = look(made(gradient(700, 1), gradient(200, 2)))
    assert bins.warnings == ()
    assert (bins.table["note"] == "").all()
    assert bins.table["training_peptides"].sum() == 700
    assert bins.table["held_out_peptides"].sum() == 200
    ratio = bins.table["median_abs_error_before"] / bins.table["median_abs_error_after"]
    assert ratio.to_numpy() == pytest.approx(np.full(N_BINS, 3.0))


def test_a_gradient_whose_end_is_missing_warns_and_names_the_bins():
    bins = look(made(gradient(700, 1, end=0.8), gradient(200, 2, end=0.8)))
    (warning,) = bins.warnings
    assert "0.8-0.9, 0.9-1.0" in warning
    assert "0.7-0.8" not in warning
    assert bins.table["note"].tolist() == [""] * 8 + ["not learnt"] * 2
    assert bins.table["median_abs_error_after"].isna().tolist() == [False] * 8 + [True] * 2


def test_wrong_identifications_at_the_missing_end_do_not_hide_it():
    wrong = gradient(70, 5)  # 1 % of 7,000: anywhere
    train = np.concatenate([gradient(6930, 1, end=0.8), wrong])
    assert (wrong > 0.8).sum() > 5
    (warning,) = look(made(train, gradient(200, 2, end=0.8))).warnings
    assert "0.8-0.9, 0.9-1.0" in warning


def end_error(n, factor, seed=3):
    """Held-out peptides with ``n`` in the last bin, whose errors are ``factor`` times the others'."""
    test = np.concatenate([gradient(200, 2, end=0.9), np.full(n, 0.95)])
    error = 0.01 * np.random.default_rng(seed).uniform(0.5, 1.5, test.size)
    error[200:] *= factor
    return test, error


@pytest.mark.parametrize(
    ("n", "factor", "warns"), [(30, 6, True), (30, 3, True), (10, 20, True), (9, 20, False), (30, 1.5, False)]
)
def test_a_large_error_warns_where_enough_peptides_show_it(n, factor, warns):
    test, error = end_error(n, factor)
    bins = look(made(gradient(700, 1), test, after=error))
    assert len(bins.warnings) == warns
    assert (bins.table["note"].iloc[-1] == "inaccurate") == warns
    if warns:
        assert "0.9-1.0" in bins.warnings[0]
        assert "tuned" in bins.warnings[0]


def test_chance_does_not_warn():
    warned = 0
    for seed in range(40):
        test = np.repeat(np.arange(N_BINS) / N_BINS + 0.05, 10)  # as few as are judged at all
        error = np.abs(np.random.default_rng(seed).standard_cauchy(test.size))
        warned += len(look(made(gradient(700, 1), test, after=error), seed=seed).warnings) > 0
    assert warned <= 2


def test_the_error_of_the_model_in_use_is_judged():
    test, error = end_error(30, 6)
    result = made(gradient(700, 1), test, after=error, before=np.full(error.size, 0.02))
    assert look(result, accepted=False).warnings == ()
    assert look(result, accepted=True).warnings != ()
    swapped = made(gradient(700, 1), test, before=error, after=np.full(error.size, 0.02))
    assert "pretrained" in look(swapped, accepted=False).warnings[0]


def test_rows_of_a_peptide_count_as_one():
    once, thrice = (look(made(gradient(700, 1), gradient(200, 2), repeats=r)).table for r in (1, 3))
    counts = ["training_peptides", "held_out_peptides"]
    pd.testing.assert_frame_equal(once[counts], thrice[counts])
    test = np.append(gradient(200, 2, end=0.9), np.full(9, 0.95))
    error = np.repeat(np.where(test > 0.9, 0.2, 0.01), 3)
    assert look(made(gradient(700, 1), test, after=error, repeats=3)).warnings == ()


def test_the_same_seed_gives_the_same_warnings():
    test, error = end_error(12, 3)
    results = [look(made(gradient(700, 1), test, after=error), seed=7) for _ in range(2)]
    assert results[0].warnings == results[1].warnings


def result(after, before=None):
    after = np.asarray(after, dtype=float)
    return made([], np.zeros(after.size), after, after if before is None else np.asarray(before, dtype=float))


def laplace(scale, n=4000, seed=0):
    return np.abs(np.random.default_rng(seed).laplace(0, scale, n))


@given(scale=st.floats(1e-4, 0.02), seed=st.integers(0, 50), wrong=st.floats(0, 0.1))
def test_right_precursors_are_inside_although_some_identifications_are_wrong(scale, seed, wrong):
    errors = laplace(scale, seed=seed)
    n_wrong = int(wrong * errors.size)
    errors[:n_wrong] = np.random.default_rng(seed).uniform(0, 0.5, n_wrong)
    tolerance = choose_rt_tolerance("auto", result(errors), accepted=True)
    assert (errors[n_wrong:] <= tolerance).mean() > 0.997
    assert tolerance < 10 * scale  # a quantile of the tail would be where the wrong ones are


def test_the_model_in_use_decides():
    tuned = result(laplace(0.005), before=laplace(0.02))
    used, kept = (choose_rt_tolerance("auto", tuned, accepted=a) for a in (True, False))
    assert used == pytest.approx(10 * np.median(tuned.scores_after))
    assert kept == pytest.approx(10 * np.median(tuned.scores_before))


def test_the_errors_of_a_given_librarys_own_times_are_not_those_of_the_pretrained_model():
    tuned = result(laplace(0.005), before=laplace(0.02))
    assert choose_rt_tolerance("auto", tuned, accepted=False, predicted=False) is None
    assert choose_rt_tolerance("auto", tuned, accepted=True, predicted=False) is not None


@pytest.mark.parametrize(
    ("wanted", "found", "tolerance"),
    [
        (None, result(laplace(0.005)), None),
        (40.0, None, 40.0),
        (0.1, result(laplace(0.005)), 0.1),
        ("auto", None, None),
        ("auto", result(np.full(29, 0.005)), None),
        ("auto", result(np.full(30, 0.005)), pytest.approx(0.05)),
        ("auto", result(np.full(100, 0.0251)), None),
        ("auto", result(np.full(100, 0.025)), pytest.approx(0.25)),
        ("auto", result(np.r_[np.full(29, 0.005), np.nan]), None),
        ("auto", result(np.zeros(100)), None),
        ("auto", result(np.full(100, np.nan)), None),
    ],
    ids=[
        "off",
        "seconds",
        "share",
        "not tuned",
        "few",
        "enough",
        "wide",
        "widest",
        "few finite",
        "no error",
        "not finite",
    ],
)
def test_otherwise_it_is_the_users_number_or_left_to_alphadia(wanted, found, tolerance):
    assert choose_rt_tolerance(wanted, found, accepted=True) == tolerance


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ([{}], {"search": {"target_rt_tolerance": 0.07}}),
        ([{"search": None}, {"search": {"target_rt_tolerance": 0.0}}], {"search": {"target_rt_tolerance": 0.07}}),
        ([{"search": {"target_rt_tolerance": 60}}, {}], {}),
        ([{}, {"search": {"target_rt_tolerance": 0.2}}], {}),
    ],
)
def test_a_tolerance_that_the_user_wrote_is_not_touched(configs, expected):
    assert window_config(0.07, *configs) == expected


def test_without_a_tolerance_the_search_is_left_as_it_is():
    assert window_config(None, {}) == {}


def test_the_tolerance_survives_the_step_that_found_it(tmp_path):
    outcome = StepOutcome(Bundle(tmp_path), rt_tolerance=0.07)
    assert StepOutcome.from_mapping(outcome.bundle, outcome.to_mapping()).rt_tolerance == 0.07


@pytest.mark.parametrize(("model", "tolerance"), [("rt", None), ("ms2", 0.07)])
def test_a_tuned_rt_model_that_is_taken_back_takes_its_tolerance_along(tmp_path, model, tolerance):
    outcome = StepOutcome(Bundle(tmp_path), decisions=(Decision(model, True, "better"),), rt_tolerance=0.07)
    assert outcome.without(model, "its predictions are constant").rt_tolerance == tolerance
