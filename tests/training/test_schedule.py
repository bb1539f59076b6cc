import pytest
import torch

from alphadia_tl.training.schedule import CustomScheduler


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
