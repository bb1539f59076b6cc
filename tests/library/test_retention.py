from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.errors import DataError
from alphadia_tl.library.retention import monotone_map, normalize, run_times, to_unit


def observed(times, *, first=0):
    n = len(times)
    names = [f"P{i}" for i in range(first, first + n)]
    columns = {"sequence": names, "mods": "", "mod_sites": "", "charge": 2, "proba": 0.1}
    return pd.DataFrame({**columns, "rt_observed": np.asarray(times, dtype=float)})


@pytest.fixture
def truth():
    return np.sort(np.random.default_rng(0).uniform(0, 1, 600))


def long_gradient(x):
    return 180 + 3300 * x


def short_gradient(x):
    return 60 + 1500 * x**1.3 + 60 * np.sin(4 * x)


def test_mixed_gradients_are_aligned(truth):
    rng = np.random.default_rng(1)
    half = truth[::2]
    full = run_times("long", observed(long_gradient(truth) + rng.normal(0, 3, len(truth))))
    partial = observed(short_gradient(half) + rng.normal(0, 3, len(half)))
    partial["sequence"] = [f"P{i}" for i in range(0, len(truth), 2)]
    short = run_times("short", partial)
    maps = normalize([short, full], align=True)
    reference = maps["long"](long_gradient(truth))
    aligned = maps["short"](short_gradient(truth))
    scaled = normalize([short, full], align=False)["short"](short_gradient(truth))
    assert np.abs(aligned - reference).max() < 0.02
    assert np.median(np.abs(aligned - reference)) < 0.002
    assert np.median(np.abs(scaled - reference)) > 0.02
    assert (np.diff(aligned) >= 0).all()


def test_alignment_does_not_depend_on_the_order_of_runs(truth):
    runs = [
        run_times("b", observed(long_gradient(truth))),
        run_times("a", observed(short_gradient(truth))),
        run_times("c", observed(long_gradient(truth) * 0.5)),
    ]
    one, two = normalize(runs, align=True), normalize(runs[::-1], align=True)
    for name in "abc":
        np.testing.assert_array_equal(one[name](truth * 1000), two[name](truth * 1000))
    np.testing.assert_allclose(one["a"](short_gradient(truth)), one["b"](long_gradient(truth)), atol=0.02)


def test_each_run_is_scaled_by_itself_never_by_a_pooled_maximum(truth):
    runs = [run_times("a", observed(truth * 1800)), run_times("b", observed(truth * 3600))]
    maps = normalize(runs, align=False)
    np.testing.assert_allclose(maps["a"](truth * 1800), maps["b"](truth * 3600))


@pytest.mark.parametrize(
    ("n", "first", "reverse", "words"),
    [(600, 560, False, "shares 40 peptidoforms"), (600, 0, True, "another order")],
)
def test_runs_that_do_not_fit_are_scaled_on_their_own(truth, caplog, n, first, reverse, words):
    one = run_times("one", observed(truth * 3600))
    times = truth[::-1] * 1800 if reverse else truth * 1800
    two = run_times("two", observed(times[:n], first=first))
    with caplog.at_level(logging.WARNING):
        maps = normalize([one, two], align=True)
    assert words in caplog.text
    values = maps["two"](times)
    assert values.min() == 0
    assert values.max() == 1


def test_constant_retention_time_is_refused():
    with pytest.raises(DataError, match=r"'r'.*120 s"):
        run_times("r", observed([120.0] * 5))


def test_wrong_identifications_do_not_bend_the_map(truth):
    rng = np.random.default_rng(2)
    y = long_gradient(truth)
    wrong = rng.random(len(y)) < 0.1
    mapping = monotone_map(short_gradient(truth), np.where(wrong, rng.uniform(180, 3480, len(y)), y))
    assert np.abs(mapping(short_gradient(truth)) - y).max() < 60


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), min_size=20, max_size=120),
    st.lists(st.floats(-1e4, 2e4), min_size=2, max_size=20),
)
def test_map_never_decreases(pairs, probes):
    x, y = np.array(pairs).T
    try:
        mapping = monotone_map(x, y)
    except DataError:
        return
    values = mapping(np.sort(np.array(probes)))
    assert np.isfinite(values).all()
    assert (np.diff(values) >= -1e-6 * max(1.0, np.abs(values).max())).all()


def test_to_unit_squeezes_only_what_sticks_out():
    assert to_unit(np.array([0.2, 0.8])).tolist() == [0.2, 0.8]
    assert to_unit(np.array([-0.5, 0.5, 1.5])).tolist() == [0, 0.5, 1]


def test_a_few_precursors_beyond_a_steep_end_do_not_squeeze_all_runs(truth):
    """In the other run everything late elutes within seconds, and four precursors later still."""
    more = observed(long_gradient(np.linspace(0.1, 0.9, 20)), first=20_000)
    reference = run_times("long", pd.concat([observed(long_gradient(truth)), more], ignore_index=True))
    times = np.where(truth > 0.95, 60 + 1500 * 0.95 + 40 * (truth - 0.95), 60 + 1500 * truth)
    last = observed(times.max() + np.array([20.0, 60.0, 100.0, 140.0]), first=10_000)
    other = run_times("short", pd.concat([observed(times), last], ignore_index=True))
    aligned = normalize([reference, other], align=True)["short"]
    assert aligned(last["rt_observed"].to_numpy()).max() < 1.25
    assert np.abs(aligned(times) - truth).max() < 0.03


def expected_by_library(truth, rng):
    """As an untuned model expects peptides: another curve, and off by three percent of the gradient."""
    return np.clip(0.9 * truth**1.2 + 0.05 + rng.normal(0, 0.03, len(truth)), 0, 1)


def run_of(name, truth, gradient, limits, rng, *, first, wrong=0.02):
    """A run whose peptidoforms no other has, two percent of them wrong: found anywhere."""
    times = np.where(rng.random(len(truth)) < wrong, rng.uniform(*limits, len(truth)), gradient(truth))
    in_run = limits[0] + expected_by_library(truth, rng) * (limits[1] - limits[0])
    return run_times(name, observed(times, first=first).assign(rt_library=in_run), limits)


@pytest.mark.parametrize("identified", [400, 50])
def test_fractions_of_one_gradient_keep_one_time_for_one_second(identified, caplog):
    rng = np.random.default_rng(5)
    numbers = [600] + [identified] * 5
    runs = [
        run_of(f"f{i}", rng.uniform(0.05 * i, 0.75 + 0.05 * i, n), long_gradient, (0.0, 3600.0), rng, first=10_000 * i)
        for i, n in enumerate(numbers)
    ]
    with caplog.at_level(logging.WARNING):
        maps = normalize(runs, align=True)
    assert caplog.text == ""
    seconds = np.linspace(300, 3300, 50)
    for name in ("f1", "f5"):
        np.testing.assert_allclose(maps[name](seconds), maps["f0"](seconds), atol=1e-9)


@pytest.mark.parametrize(
    ("limits", "gradient"), [((0.0, 1800.0), short_gradient), ((0.0, 3600.0), lambda x: 2 * short_gradient(x))]
)
def test_runs_of_two_gradients_without_common_peptides_are_aligned_through_the_library(limits, gradient):
    """Also where both runs are equally long."""
    rng = np.random.default_rng(6)
    one, two = (rng.uniform(0, 1, n) for n in (2000, 800))
    long = run_of("long", one, long_gradient, (0.0, 3600.0), rng, first=0)
    maps = normalize([long, run_of("short", two, gradient, limits, rng, first=10_000)], align=True)
    at = np.linspace(0.05, 0.95, 50)
    error = np.abs(maps["short"](gradient(at)) - maps["long"](long_gradient(at)))
    assert np.median(error) < 0.015
    assert error.max() < 0.04


def test_a_run_of_which_nothing_is_known_is_scaled_on_its_own_and_named(truth, caplog):
    one, two = run_times("one", observed(truth * 3600)), run_times("two", observed(truth[:20] * 1800, first=10_000))
    with caplog.at_level(logging.WARNING):
        maps = normalize([one, two], align=True)
    assert "'two' shares 0 peptidoforms" in caplog.text
    assert maps["two"](truth[:20] * 1800).tolist()[-1] == 1
