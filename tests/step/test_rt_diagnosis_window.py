import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_rt import made

from alphadia_tl.bundle import Bundle
from alphadia_tl.models.gate import Decision
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.rt_diagnosis import choose_rt_tolerance, window_config


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
