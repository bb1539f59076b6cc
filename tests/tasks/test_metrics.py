import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import log_loss

from alphadia_tl.tasks.metrics import (
    charge_cross_entropy,
    charge_metrics,
    fit_calibration,
    mean_and_median,
    regression_metrics,
    spectral_similarity,
)

RNG = np.random.default_rng(0)


def test_regression_metrics_agree_with_scipy():
    x = RNG.normal(size=200)
    y = 0.7 * x + 0.1 + RNG.normal(size=200) * 0.2
    line = stats.linregress(x, y)
    got = regression_metrics(x, y)
    assert got == pytest.approx(
        {
            "l1_loss": np.abs(x - y).mean(),
            "r_square": line.rvalue**2,
            "r": line.rvalue,
            "slope": line.slope,
            "intercept": line.intercept,
            "abs_error_95th_percentile": np.percentile(np.abs(x - y), 95),
        }
    )


@pytest.mark.parametrize(
    ("x", "y", "undefined"),
    [
        ([], [], {"l1_loss", "r_square", "r", "slope", "intercept", "abs_error_95th_percentile"}),
        ([1.0], [2.0], {"r_square", "r", "slope", "intercept"}),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], {"r_square", "r", "slope", "intercept"}),
        ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0], {"r_square", "r"}),
    ],
)
def test_what_regression_cannot_tell_is_nan(x, y, undefined):
    got = regression_metrics(x, y)
    assert {k for k, v in got.items() if np.isnan(v)} == undefined


def curve(x):
    return np.tanh(2 * x) + 0.3 * x


@pytest.mark.parametrize(("n", "limit"), [(100, 0.03), (2000, 0.01)])
def test_calibration_follows_a_monotone_curve(n, limit):
    x = np.random.default_rng(1).uniform(0, 1, n)
    inside = np.linspace(0.05, 0.95, 50)
    assert np.abs(fit_calibration(x, curve(x))(inside) - curve(inside)).max() < limit


def test_calibration_is_not_moved_by_outliers():
    x = np.random.default_rng(1).uniform(0, 1, 1000)
    y = curve(x)
    y[::10] = RNG.uniform(0, 5, 100)
    inside = np.linspace(0.05, 0.95, 50)
    assert np.abs(fit_calibration(x, y)(inside) - curve(inside)).max() < 0.05


def test_calibration_of_few_rows_is_a_line():
    x = np.linspace(0, 1, 30)
    calibrate = fit_calibration(x, 3 * x - 1)
    assert calibrate(np.array([-5.0, 0.5, 7.0])) == pytest.approx([-16.0, 0.5, 20.0])


@given(st.integers(0, 1000), st.integers(100, 400))
def test_calibration_never_turns_back(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n).round(1)
    calibrate = fit_calibration(x, rng.normal(size=n))
    assert np.all(np.diff(calibrate(np.linspace(-5, 5, 300))) >= -1e-9)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([1.0] * 200, list(range(200)))])
def test_calibration_without_information_changes_nothing(x, y):
    assert fit_calibration(x, y)(np.array([0.3, 4.0])).tolist() == [0.3, 4.0]


def test_cross_entropy_agrees_with_sklearn():
    p, y = RNG.uniform(0.01, 0.99, (50, 10)), RNG.integers(0, 2, (50, 10))
    expected = [log_loss(y[i], p[i], labels=[0, 1]) for i in range(50)]
    assert charge_cross_entropy(p, y) == pytest.approx(expected)
    assert charge_metrics(p, y)["ce_loss"] == pytest.approx(np.mean(expected))


def test_charge_metrics_count_what_their_names_say():
    observed = np.array([[0, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]])
    p = np.array([[0.1, 0.9, 0.2], [0.1, 0.6, 0.4], [0.3, 0.7, 0.1], [0.2, 0.6, 0.8]])
    got = charge_metrics(p, observed)
    assert got["accuracy"] == 3 / 4  # rows 0, 1 and 3 have an observed state on top
    assert got["precision"] == 3 / 5
    assert got["recall"] == 3 / 5


def test_states_that_could_not_be_observed_do_not_count():
    observed = np.array([[0, 1, 0]])
    p = np.array([[0.99, 0.9, 0.1]])
    observable = np.array([[False, True, True]])
    got = charge_metrics(p, observed, observable)
    assert got["ce_loss"] == pytest.approx(-np.log(0.9))
    assert (got["accuracy"], got["precision"], got["recall"]) == (1, 1, 1)
    assert charge_metrics(p, observed)["accuracy"] == 0


def test_observed_states_count_even_outside_the_limits():
    loss = charge_cross_entropy([[0.2, 0.3]], [[1, 0]], [[False, False]])
    assert loss == pytest.approx([-np.log(0.2)])


def test_certain_probabilities_give_a_finite_loss():
    assert np.isfinite(charge_cross_entropy([[0.0, 1.0]], [[1, 0]])).all()


@pytest.mark.parametrize("shape", [(0, 10)])
def test_no_peptidoforms_give_nan(shape):
    assert all(np.isnan(v) for v in charge_metrics(np.zeros(shape), np.zeros(shape)).values())


def spectra(seed=0, sizes=(6, 9, 6, 30)):
    rng = np.random.default_rng(seed)
    n = np.array(sizes)
    target = rng.choice([0, 0, 0.1, 0.5, 1.0], size=(n.sum(), 4)) * 1.0
    predicted = np.where(rng.random(target.shape) < 0.3, 0, rng.random(target.shape).round(1))
    return predicted.astype(np.float32), target.astype(np.float32), rng.random(target.shape) < 0.8, n


@pytest.mark.parametrize("seed", range(5))
def test_similarities_agree_with_scipy_on_ragged_masked_spectra_with_ties(seed):
    p, t, m, n = spectra(seed)
    got = spectral_similarity(p, t, m, n)
    start = 0
    for i, size in enumerate(n):
        rows = slice(start, start + size)
        x, y = p[rows][m[rows]].astype(float), t[rows][m[rows]].astype(float)
        cosine = x @ y / np.sqrt((x @ x) * (y @ y))
        assert got["PCC"][i] == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-6)
        assert got["SPC"][i] == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-6)
        assert got["COS"][i] == pytest.approx(cosine, abs=1e-6)
        assert got["SA"][i] == pytest.approx(1 - 2 * np.arccos(cosine) / np.pi, abs=1e-6)
        assert got["l1_loss"][i] == pytest.approx(np.abs(x - y).mean(), abs=1e-6)
        start += size


@given(st.data(), st.lists(st.integers(3, 8), min_size=1, max_size=5))
def test_rank_correlation_with_ties_is_scipys_on_masked_rows(data, sizes):
    shape = (sum(sizes), 2)
    levels = st.sampled_from([0.0, 0.0, 0.0, 0.25, 0.5, 1.0])
    p, t = (data.draw(hnp.arrays(np.float32, shape, elements=levels)) for _ in range(2))
    m = data.draw(hnp.arrays(bool, shape))
    got = spectral_similarity(p, t, m, sizes)["SPC"]
    for value, rows in zip(got, np.split(np.arange(shape[0]), np.cumsum(sizes)[:-1]), strict=True):
        x, y = p[rows][m[rows]], t[rows][m[rows]]
        if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-6)


def test_rank_correlation_of_peptdeep_is_wrong_with_ties():
    """Pins the defect that ours does not have: fails once peptdeep ranks ties as one."""
    from peptdeep.model.ms2 import calc_ms2_similarity

    rng = np.random.default_rng(0)
    t = np.where(rng.random((60, 4)) < 0.8, 0, rng.random((60, 4))).astype(np.float32)
    p = np.where(rng.random(t.shape) < 0.3, 0, t).astype(np.float32)
    n = np.full(6, 10)
    stop = np.cumsum(n)
    df = pd.DataFrame({"nAA": n + 1, "frag_start_idx": stop - n, "frag_stop_idx": stop})
    names = ["b_z1", "b_z2", "y_z1", "y_z2"]
    frames = (pd.DataFrame(v, columns=names) for v in (p, t))
    theirs = calc_ms2_similarity(df, *frames, metrics=["PCC", "SPC"])[0]
    spearman = [stats.spearmanr(p[s - 10 : s].ravel(), t[s - 10 : s].ravel()).statistic for s in stop]
    ours = spectral_similarity(p, t, np.ones_like(p, dtype=bool), n)
    assert ours["SPC"] == pytest.approx(spearman, abs=1e-6)
    assert theirs["PCC"].to_numpy() == pytest.approx(ours["PCC"], abs=1e-3)  # same spectra
    error = np.abs(theirs["SPC"].to_numpy() - spearman)
    assert error.min() > 0.03
    assert error.max() > 0.25


def test_masked_fragments_change_nothing():
    p, t, m, n = spectra()
    other = np.where(m, p, 7.0)
    first, second = spectral_similarity(p, t, m, n), spectral_similarity(other, t, m, n)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])


def test_equal_spectra_are_perfectly_similar():
    _, t, m, n = spectra()
    got = spectral_similarity(t, t, m, n)
    assert all(got[k] == pytest.approx(np.ones(len(n)), abs=1e-6) for k in ("PCC", "COS", "SA", "SPC"))


@pytest.mark.parametrize(
    ("predicted", "target", "mask", "undefined"),
    [
        ([1, 0, 0], [1, 0, 0], [0, 0, 0], {"PCC", "COS", "SA", "SPC", "l1_loss"}),
        ([0, 0, 0], [1, 0, 0], [1, 1, 1], {"PCC", "COS", "SA", "SPC"}),
        ([1, 1, 1], [1, 0, 0], [1, 1, 1], {"PCC", "SPC"}),
        ([1, 0, 0], [1, 0, 0], [1, 0, 0], {"PCC", "SPC"}),
    ],
)
def test_similarity_that_is_not_defined_is_nan(predicted, target, mask, undefined):
    column = [np.array(v, dtype=float)[:, None] for v in (predicted, target, mask)]
    got = spectral_similarity(*column, [3])
    assert {k for k, v in got.items() if np.isnan(v[0])} == undefined


def test_means_are_means_and_medians_are_medians():
    values = {k: np.array([0.0, 0.1, 0.8, np.nan]) for k in ("PCC", "COS", "SA", "SPC", "l1_loss")}
    got = mean_and_median(values)
    assert got["PCC-mean"] == pytest.approx(0.3)
    assert got["PCC-median"] == pytest.approx(0.1)
    assert set(got) == {"l1_loss"} | {f"{k}-{s}" for k in ("PCC", "COS", "SA", "SPC") for s in ("mean", "median")}


def test_no_spectra_give_nan_without_a_crash():
    empty = np.zeros((0, 4))
    assert all(np.isnan(v) for v in mean_and_median(spectral_similarity(empty, empty, empty, [])).values())
