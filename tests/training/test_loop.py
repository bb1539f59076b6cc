import logging
import math
import re
from contextlib import contextmanager

import pytest
import torch
from small_network import Net, forward, loss, made
from torch.optim.optimizer import register_optimizer_step_pre_hook

from alphadia_tl.training.epoch import Learner, infer
from alphadia_tl.training.loop import FitResult, anneal, fit
from alphadia_tl.training.schedule import (
    FitSettings,
    StopReason,
)
from alphadia_tl.training.state import History


def train(network, validate=None, seed=1, **kwargs):
    examples = made()
    held_out = made(seed=9)
    if validate is None:

        def validate():
            return infer(network, held_out, forward, loss=loss)[1], {}

    defaults = {"max_lr": 0.05, "batch_size": 16, "epochs": 8, "warmup_epochs": 2, "lr_patience": 1}
    history = History("rt")
    settings = FitSettings(**(defaults | kwargs))
    result = fit(
        Learner(network, forward, loss, torch.Generator().manual_seed(seed)),
        examples,
        validate,
        settings,
        history=history,
    )
    return result, history.to_frame()


def test_training_learns():
    network = Net()
    before = infer(network, made(seed=9), forward, loss=loss)[1]
    result, _ = train(network, epochs=15)
    assert result.best_loss < 0.1 * before


def test_history_has_rate_and_losses_of_each_epoch():
    result, frame = train(Net())
    assert list(frame.columns) == ["epoch", "property", "data_split", "metric_name", "value"]
    counts = frame.groupby(["data_split", "metric_name"]).size()
    assert counts.to_dict() == {("train", "lr"): 8, ("train", "train_loss"): 8, ("validation", "val_loss"): 8}
    rates = frame[frame.metric_name == "lr"]["value"].tolist()
    assert rates[:2] == pytest.approx([0.025, 0.05])
    assert max(rates) <= 0.05
    assert result.epochs == 8


@pytest.mark.parametrize("rise", [1.0, 0.05], ids=["so far that the rate is lowered", "little"])
def test_best_epoch_is_restored(rise):
    network = Net()
    seen = []

    def validate():
        seen.append({k: v.clone() for k, v in network.state_dict().items()})
        return [3.0, 1.0, *[1 + rise] * 6][len(seen) - 1], {}

    result, _ = train(network, validate)
    assert (result.best_epoch, result.best_loss) == (1, 1.0)
    assert torch.equal(network.emb.weight, seen[1]["emb.weight"])
    assert not torch.equal(seen[1]["emb.weight"], seen[2]["emb.weight"])
    assert not network.training


@pytest.mark.parametrize("lr_patience", [0, 2])
def test_the_rate_falls_after_as_many_epochs_as_the_user_wants(lr_patience):
    def still(output, batch):
        return 0 * loss(output, batch) + 1

    settings = FitSettings(max_lr=0.05, batch_size=300, epochs=8, warmup_epochs=2, lr_patience=lr_patience)
    history = History("rt")
    fit(Learner(Net(), forward, still, torch.Generator()), made(), lambda: (1.0, {}), settings, history=history)
    rates = [row[4] for row in history.rows if row[3] == "lr"]
    assert rates.index(0.05) == 1
    assert [r < 0.05 for r in rates[2:]].index(True) == 1 + lr_patience


def test_start_weights_are_restored_where_no_epoch_is_better():
    network = Net()
    settings = FitSettings(max_lr=0.05, batch_size=16, epochs=2)
    result = fit(
        Learner(network, forward, loss, torch.Generator().manual_seed(0)),
        made(),
        lambda: (5.0, {}),
        settings,
        start_loss=4.0,
    )
    assert result.best_epoch == -1
    assert not network.emb.weight.any()


@pytest.mark.parametrize(
    ("val_loss", "reason", "epochs"),
    [(1.0, StopReason.NOT_IMPROVING, 4), (math.nan, StopReason.NAN, 1)],
)
def test_training_stops_with_a_reason(val_loss, reason, epochs):
    result, _ = train(Net(), lambda: (val_loss, {}), epochs=20, stopping_patience=3)
    assert (result.stop_reason, result.epochs) == (reason, epochs)


def test_training_loss_that_is_not_finite_stops_and_restores():
    network = Net()
    calls = []

    def broken(output, batch):
        calls.append(1)
        return loss(output, batch) * (math.nan if len(calls) > 25 else 1.0)

    settings = FitSettings(max_lr=0.05, batch_size=16, epochs=10)
    values = iter([0.5, 0.4, 0.3, 0.2])
    result = fit(Learner(network, forward, broken, torch.Generator()), made(), lambda: (next(values), {}), settings)
    assert result.stop_reason == StopReason.NAN
    assert torch.isfinite(network.emb.weight).all()


@contextmanager
def before_each_step(note):
    """Call a function with each optimizer that is about to step."""
    hook = register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: note(optimizer))
    try:
        yield
    finally:
        hook.remove()


def gradients(scale):
    """Return the gradient of each optimizer step of one epoch in one step, and the full gradient."""
    network, examples, seen = Net(), made(), []

    def scaled(output, batch):
        return scale * loss(output, batch)

    settings = FitSettings(max_lr=0.1, batch_size=len(examples), epochs=1)
    with before_each_step(lambda _: seen.append(network.emb.weight.grad.clone())):
        fit(Learner(network, forward, scaled, torch.Generator()), examples, lambda: (1.0, {}), settings)
    start = Net()
    total = sum(
        (forward(start, b) - b["target"]).abs().sum() for b in (examples.batch(torch.tensor([i])) for i in range(300))
    )
    (scale * total / 300).backward()
    return seen, start.emb.weight.grad


def test_a_step_over_several_lengths_takes_the_gradient_of_the_mean_over_its_rows():
    seen, expected = gradients(scale=0.01)
    assert expected.norm() < 1  # nothing to clip
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], expected)


def test_gradients_are_clipped():
    seen, expected = gradients(scale=100.0)
    assert expected.norm() > 2
    assert float(seen[0].norm()) == pytest.approx(1, rel=1e-3)


def test_same_seed_gives_the_same_weights_bit_by_bit():
    nets = [Net(dropout=0.3) for _ in range(3)]
    for network, seed in zip(nets, (1, 1, 2), strict=True):
        torch.rand(3)  # the global generator must not matter
        train(network, seed=seed)
    assert torch.equal(nets[0].emb.weight, nets[1].emb.weight)
    assert not torch.equal(nets[0].emb.weight, nets[2].emb.weight)


def test_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    network = Net(dropout=0.3)
    torch.manual_seed(5)
    train(network, epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_log_lines_are_those_that_users_know(caplog):
    with caplog.at_level(logging.INFO):
        train(Net(), epochs=2)
    lines = [r.getMessage() for r in caplog.records]
    pattern = r"Epoch \d+  Lr: \d\.\d{5}  Training loss: \d+\.\d{4}  validation loss: \d+\.\d{4}"
    assert len(lines) == 2
    assert all(re.fullmatch(pattern, line) for line in lines)


def test_a_learning_rate_that_is_far_too_high_is_lowered_until_training_helps():
    network, examples = Net(), made()
    held_out = made(seed=9)
    start = infer(network, held_out, forward, loss=loss)[1]
    history = History("rt")
    settings = FitSettings(max_lr=300.0, batch_size=16, epochs=30, warmup_epochs=0)
    result = fit(
        Learner(network, forward, loss, torch.Generator().manual_seed(1)),
        examples,
        lambda: (infer(network, held_out, forward, loss=loss)[1], {}),
        settings,
        history=history,
        start_loss=start,
    )
    frame = history.to_frame()
    rates = frame[frame.metric_name == "lr"]["value"].tolist()
    assert rates[0] == 300.0
    assert rates[1] == pytest.approx(90.0)
    assert result.best_loss < 0.5 * start
    assert result.highest_lr < 30


@pytest.mark.parametrize(
    "losses",
    [[0.8, 0.7, 1.0, 0.9, 0.6, 0.5, 0.4], [0.8, 0.8, 0.8, 0.9, 0.6, 0.5, 0.4]],
    ids=["the loss leaves its best", "the loss stands still"],
)
def test_a_rate_above_the_safe_one_that_does_not_serve_is_given_up_with_what_was_learnt(losses):
    network, in_epoch = Net(), {}
    start = network.emb.weight.detach().clone()
    left, history = iter(losses), History("rt")

    def watched(net, batch):
        in_epoch.setdefault(sum(row[3] == "lr" for row in history.rows), net.emb.weight.detach().clone())
        return forward(net, batch)

    settings = FitSettings(
        max_lr=0.01, safe_lr=0.004, batch_size=16, epochs=4, warmup_epochs=2, stopping_patience=2, lr_patience=9
    )
    result = fit(
        Learner(network, watched, loss, torch.Generator()), made(), lambda: (next(left), {}), settings, history=history
    )
    rates = [row[4] for row in history.rows if row[3] == "lr"]
    assert rates == pytest.approx([0.005, 0.01, 0.01, 0.002, 0.004, 0.004, 0.004])
    at_start = [epoch for epoch in range(len(losses)) if torch.equal(in_epoch[epoch], start)]
    assert at_start == [0, 3]
    assert (result.epochs, result.best_epoch, result.best_loss, result.epochs_given_up) == (7, 6, 0.4, 3)
    assert result.stop_reason is StopReason.MAX_EPOCHS


@pytest.mark.parametrize("safe_lr", [None, 0.01])
def test_a_safe_rate_only_goes_back_to_the_best_epoch(safe_lr):
    losses = iter([0.8, 0.7, 1.0, 0.6])
    settings = FitSettings(max_lr=0.01, safe_lr=safe_lr, batch_size=300, epochs=4, warmup_epochs=2)
    result = fit(Learner(Net(), forward, loss, torch.Generator()), made(), lambda: (next(losses), {}), settings)
    assert (result.epochs, result.best_epoch) == (4, 3)


def test_back_off_puts_the_best_weights_back():
    network = Net()
    best = network.emb.weight.detach().clone()
    seen = []

    def validate():
        return 10.0, {}

    def watched(net, batch):
        seen.append(net.emb.weight.detach().clone())
        return forward(net, batch)

    settings = FitSettings(max_lr=0.1, batch_size=300, epochs=2, warmup_epochs=0)
    fit(Learner(network, watched, loss, torch.Generator()), made(), validate, settings, start_loss=1.0)
    assert torch.equal(seen[-1], best)


def test_an_epoch_trains_on_its_sample_and_its_loss_is_the_mean_over_it():
    seen = []

    def counting(output, batch):
        seen.append(len(output))
        return loss(output, batch) * 0 + 2.0

    settings = FitSettings(max_lr=0.01, batch_size=16, epochs=1, warmup_epochs=0, epoch_rows=100)
    history = History("rt")
    fit(Learner(Net(), forward, counting, torch.Generator()), made(), lambda: (1.0, {}), settings, history=history)
    assert sum(seen) == 100
    table = history.to_frame()
    assert table.loc[table["metric_name"] == "train_loss", "value"].tolist() == [pytest.approx(2.0)]


def test_weight_decay_shrinks_the_weights():
    network = Net()
    torch.nn.init.ones_(network.emb.weight)
    settings = FitSettings(max_lr=0.01, batch_size=300, epochs=1, warmup_epochs=0, weight_decay=10, averaged_epochs=0)
    fit(Learner(network, forward, lambda o, b: 0 * o.sum(), torch.Generator()), made(), lambda: (0.5, {}), settings)
    assert network.emb.weight[5].item() == pytest.approx(0.9, rel=1e-3)


def annealed(best_epoch, epochs_given_up=0, **changes):
    network, rates = Net(), []
    settings = FitSettings(max_lr=0.05, batch_size=30, **changes)
    fitted = FitResult(best_epoch, 20, StopReason.NOT_IMPROVING, 0.1, 0.02, epochs_given_up)
    with before_each_step(lambda optimizer: rates.append(optimizer.param_groups[0]["lr"])):
        epochs = anneal(Learner(network, forward, loss, torch.Generator()), made(), settings, fitted, epochs=4)
    return network, epochs, rates


def test_annealing_lets_the_rate_fall_to_zero_from_the_highest_that_served():
    _, epochs, rates = annealed(best_epoch=7)
    assert epochs == 4
    assert max(rates) <= 0.02
    assert rates[-1] < 0.1 * max(rates)
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize(
    ("best_epoch", "given_up", "epochs"),
    [(-1, 0, 0), (0, 0, 2), (2, 0, 4), (30, 0, 4), (-1, 5, 0), (5, 5, 2), (7, 5, 4)],
)
def test_annealing_is_no_longer_than_twice_the_training_that_helped(best_epoch, given_up, epochs):
    assert annealed(best_epoch, given_up)[1] == epochs


def test_annealing_that_is_not_finite_puts_the_weights_back():
    network = Net()
    before = network.emb.weight.detach().clone()
    fitted = FitResult(3, 5, StopReason.NOT_IMPROVING, 0.1, highest_lr=0.02)
    broken = lambda output, batch: loss(output, batch) * math.nan  # noqa: E731
    settings = FitSettings(max_lr=0.05, batch_size=30)
    assert anneal(Learner(network, forward, broken, torch.Generator()), made(), settings, fitted, epochs=4) == 0
    assert torch.equal(network.emb.weight, before)


@pytest.mark.parametrize("dropout", [True, False])
def test_dropout_is_on_in_training_only_where_it_is_wanted(dropout):
    network, seen = Net(dropout=0.5), set()

    def watched(network, batch):
        seen.add((network.training, network.dropout.training))
        return forward(network, batch)

    settings = FitSettings(max_lr=0.01, batch_size=16, epochs=1, warmup_epochs=0, dropout=dropout)
    generator = torch.Generator().manual_seed(1)
    result = fit(Learner(network, watched, loss, generator), made(), lambda: (1.0, {}), settings)
    anneal(Learner(network, watched, loss, generator), made(), settings, result, epochs=1)
    assert seen == {(True, dropout)}
