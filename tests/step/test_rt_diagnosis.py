import numpy as np
import pandas as pd
import pytest
from made_rt import made

from alphadia_tl.step.rt_diagnosis import N_BINS, by_retention_time


def look(result, accepted=True, fdr=0.01, seed=1):
    return by_retention_time(result, accepted=accepted, fdr=fdr, generator=np.random.default_rng(seed))


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
