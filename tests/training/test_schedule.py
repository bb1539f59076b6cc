import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.training.schedule import (
    CustomScheduler,
    EarlyStopping,
    FitSettings,
    StopReason,
    auto_batch_size,
    auto_epoch_rows,
    auto_passes,
)


def optimizer(lr=1.0, groups=1):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for _ in range(groups)], lr=lr)


def simulate(losses, **kwargs):
    opt = optimizer()
    scheduler = CustomScheduler(opt, max_lr=0.01, **kwargs)
    rates = []
    for epoch, loss in enumerate(losses):
        scheduler.step(epoch, loss)
        rates.append(opt.param_groups[0]["lr"])
    return rates


@pytest.mark.parametrize("warmup", [1, 2, 5, 7])
def test_warm_up_grows_linearly_to_max_lr_in_its_last_epoch(warmup):
    rates = simulate([1.0] * warmup, num_warmup_steps=warmup)
    assert rates == pytest.approx([0.01 * (e + 1) / warmup for e in range(warmup)])
    assert rates[-1] == 0.01


@pytest.mark.parametrize("warmup", [0, 1, 5])
@pytest.mark.parametrize("patience", [0, 3])
def test_learning_rate_is_never_above_max_lr(warmup, patience):
    assert max(simulate([1 / (e + 1) for e in range(30)], num_warmup_steps=warmup, lr_patience=patience)) <= 0.01


def test_without_warm_up_the_first_epoch_has_max_lr():
    assert simulate([float("inf"), 1.0], num_warmup_steps=0) == [0.01, 0.01]


def test_learning_rate_is_halved_after_more_than_patience_epochs_without_progress():
    losses = [0.12, 0.1, 0.09, 0.08, 0.07] + [0.06] * 9
    rates = simulate(losses, num_warmup_steps=5, lr_patience=3)
    assert rates[5:9] == [0.01] * 4  # 0.06 is the best, then three epochs that are tolerated
    assert rates[9:13] == pytest.approx([0.005] * 4)
    assert rates[13] == pytest.approx(0.0025)


@pytest.mark.parametrize(("patience", "halved_at"), [(0, 3), (1, 4), (5, 8)])
def test_lr_patience_of_the_user_counts(patience, halved_at):
    rates = simulate([1.0] * 10, num_warmup_steps=2, lr_patience=patience)
    assert rates[halved_at - 1] == 0.01
    assert rates[halved_at] == pytest.approx(0.005)


def test_steady_progress_keeps_the_learning_rate():
    assert set(simulate([0.99**e for e in range(40)], num_warmup_steps=0)) == {0.01}


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_progress_is_relative_to_the_loss(scale):
    assert set(simulate([scale * 0.999**e for e in range(40)], num_warmup_steps=0, lr_patience=0)) == {0.01}
    standing = simulate([scale * (1 - 1e-6) ** e for e in range(40)], num_warmup_steps=0, lr_patience=0)
    assert min(standing) < 0.01


def test_parameter_groups_keep_their_own_max_lr():
    opt = optimizer(groups=2)
    scheduler = CustomScheduler(opt, max_lr=[0.1, 0.01], num_warmup_steps=2, lr_patience=0)
    scheduler.step(0, 1.0)
    assert scheduler.get_last_lr() == pytest.approx([0.05, 0.005])
    scheduler.step(1, 1.0)
    assert scheduler.get_last_lr() == pytest.approx([0.1, 0.01])
    for epoch in (2, 3):
        scheduler.step(epoch, 1.0)
    assert scheduler.get_last_lr() == pytest.approx([0.05, 0.005])


def test_max_lr_defaults_to_that_of_the_optimizer():
    opt = optimizer(lr=0.3)
    CustomScheduler(opt, num_warmup_steps=0).step(0, 1.0)
    assert opt.param_groups[0]["lr"] == 0.3


@pytest.mark.parametrize("kwargs", [{"num_warmup_steps": -1}, {"lr_patience": -1}, {"max_lr": [0.1, 0.2]}])
def test_impossible_arguments_are_refused(kwargs):
    with pytest.raises(ValueError):
        CustomScheduler(optimizer(), **kwargs)


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
def test_impossible_arguments_of_early_stopping_are_refused(kwargs):
    with pytest.raises(ValueError):
        EarlyStopping(**kwargs)


@pytest.mark.parametrize(("n_rows", "steps"), [(35, 30), (100, 26), (700, 31), (20_000, 79)])
def test_an_epoch_has_about_thirty_steps_or_more(n_rows, steps):
    batch = auto_batch_size(n_rows)
    settings = FitSettings(max_lr=1e-3, batch_size=batch, passes=auto_passes(n_rows, batch))
    assert settings.steps(n_rows) == steps


@pytest.mark.parametrize(("n_rows", "rows"), [(10, 10), (1000, 1000), (3000, 1000), (4000, 1000), (20_000, 5000)])
def test_an_epoch_of_a_large_set_is_a_quarter_of_it(n_rows, rows):
    settings = FitSettings(max_lr=1e-3, batch_size=50, epoch_rows=auto_epoch_rows(n_rows, 1000))
    assert settings.rows(n_rows) == rows
    assert settings.steps(n_rows) == -(-rows // 50)


@pytest.mark.parametrize(("rows", "expected"), [(100, 8), (600, 20), (3000, 100), (100_000, 256)])
def test_automatic_batch_size_gives_at_least_thirty_steps_where_possible(rows, expected):
    assert auto_batch_size(rows) == expected
