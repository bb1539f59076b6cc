import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.training.schedule import EarlyStopping, StopReason


def run(losses, patience=3, **kwargs):
    """Return (index of the stop or None, reason)."""
    stopping = EarlyStopping(patience=patience, **kwargs)
    for i, loss in enumerate(losses):
        if not stopping.step(loss):
            return i, stopping.reason
    return None, stopping.reason


CASES = {
    "diverging": ([0.5, 0.3, 0.2, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0], {6}, StopReason.RISING),
    "creeping": (
        [0.5, 0.3, 0.2, 0.1, 0.07, 0.0695, 0.0689, 0.06883, 0.06878, 0.06874, 0.06869],
        {7, 8, 9},
        StopReason.NOT_IMPROVING,
    ),
    "converging": ([0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002, 0.0005], {None}, None),
    "steady half percent": ([0.995**i for i in range(100)], {None}, None),
    "constant": ([1.0] * 10, {3}, StopReason.NOT_IMPROVING),
    "nan": ([0.5, 0.4, math.nan, 0.1], {2}, StopReason.NAN),
    "nan at once": ([math.nan], {0}, StopReason.NAN),
    "infinite": ([0.5, math.inf], {1}, StopReason.NAN),
    "zero": ([0.0] * 6, {3}, StopReason.NOT_IMPROVING),
    "recovers in time": ([1.0, 1.1, 1.1, 0.9, 1.0, 1.0, 0.8], {None}, None),
}


@pytest.mark.parametrize(("losses", "expected", "reason"), CASES.values(), ids=CASES.keys())
def test_stops_where_it_should_and_says_why(losses, expected, reason):
    index, got = run(losses)
    assert index in expected
    assert got == reason


@pytest.mark.parametrize("seed", range(20))
def test_flat_noise_stops(seed):
    noise = 1 + np.random.default_rng(seed).uniform(-0.015, 0.015, 60)
    assert run(noise, patience=12)[0] is not None


@pytest.mark.parametrize("patience", [1, 2, 4, 12])
def test_rising_loss_stops_after_patience_epochs(patience):
    assert run([1.0] + [2.0] * 20, patience=patience)[0] == patience


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40), st.integers(1, 5), st.floats(0.01, 100))
def test_scale_of_the_loss_does_not_matter(losses, patience, scale):
    powers = 2.0 ** round(math.log2(scale))  # exact in floating point
    assert run(losses, patience)[0] == run([x * powers for x in losses], patience)[0]


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=40), st.integers(1, 5))
def test_reset_makes_it_like_new(losses, patience):
    stopping = EarlyStopping(patience=patience)
    first = [stopping.step(x) for x in losses]
    stopping.reset()
    assert stopping.reason is None
    assert [stopping.step(x) for x in losses] == first


@pytest.mark.parametrize("kwargs", [{"patience": 0}, {"margin": -0.1}, {"margin": 1.0}])
def test_impossible_arguments_are_refused(kwargs):
    with pytest.raises(ValueError):
        EarlyStopping(**kwargs)
