"""A training that is killed and called again ends as if nothing had come between."""

import logging
import os
import pickle

import pytest
import torch
from small_network import Net, forward, loss, made

from alphadia_tl.training.epoch import Learner, infer
from alphadia_tl.training.loop import fit
from alphadia_tl.training.schedule import (
    CustomScheduler,
    FitSettings,
)
from alphadia_tl.training.state import AveragedWeights, Checkpoint, History, TrainingState, identity_of

EXAMPLES, HELD_OUT = made(), made(seed=9)


class Killed(BaseException):
    pass


class Training:
    """The same training each time; dies in the epoch named, where the validation starts."""

    def __init__(self, folder):
        self.path = folder / "checkpoints" / "rt_0.pt"

    def run(self, dies_in=None, *, checkpoint=True, identity="same", seconds=0.0, **changes):
        network, self.history, self.validated = Net(dropout=0.3), History("rt"), 0
        known = {"max_lr": 0.05, "batch_size": 16, "epochs": 12, "warmup_epochs": 2, "lr_patience": 1}
        settings = FitSettings(**(known | {"averaged_epochs": 1.0, "stopping_patience": 4} | changes))

        def validate():
            self.validated += 1
            if dies_in is not None and len([r for r in self.history.rows if r[3] == "train_loss"]) == dies_in + 1:
                raise Killed
            return infer(network, HELD_OUT, forward, loss=loss)[1], {"metric": 1.0}

        self.result = fit(
            Learner(network, forward, loss, torch.Generator().manual_seed(3)),
            EXAMPLES,
            validate,
            settings,
            history=self.history,
            checkpoint=Checkpoint(self.path, identity, seconds) if checkpoint else None,
        )
        return network.emb.weight.detach().clone(), self.result, self.history.rows


@pytest.fixture
def training(tmp_path):
    return Training(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [{}, {"max_lr": 3.0}, {"max_lr": 3.0, "safe_lr": 0.2}, {"passes": 2}],
    ids=["plain", "backs off", "starts over", "passes"],
)
@pytest.mark.parametrize("dies_in", [[0], [3], [11], [2, 5, 8]], ids=str)
def test_a_killed_training_ends_as_an_undisturbed_one(training, changes, dies_in, caplog):
    weights, result, rows = training.run(checkpoint=False, **changes)
    for epoch in dies_in:
        epoch = min(epoch, result.epochs - 1)
        with pytest.raises(Killed):
            training.run(epoch, **changes)
    with caplog.at_level(logging.INFO):
        again = training.run(**changes)
    assert torch.equal(again[0], weights)
    assert again[1:] == (result, rows)
    assert (("Taken up" in caplog.text) or dies_in == [0]) == (training.path.exists())


def test_a_finished_training_is_not_done_again(training):
    first = training.run()
    again = training.run()
    assert training.validated == 0
    assert torch.equal(first[0], again[0])
    assert first[1:] == again[1:]


def test_only_the_same_training_is_taken_up(training, caplog):
    training.run(identity="other")
    with caplog.at_level(logging.INFO):
        weights, result, _ = training.run()
    assert "of another training" in caplog.text
    assert training.validated == result.epochs
    assert torch.equal(weights, training.run(checkpoint=False)[0])


class Malicious:
    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 torn", pickle.dumps(Malicious()), pickle.dumps({"identity": "same"})],
    ids=["empty", "torn", "malicious", "no archive"],
)
def test_a_damaged_file_costs_the_epochs_and_nothing_else(training, content, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    training.path.parent.mkdir()
    training.path.write_bytes(content)
    with caplog.at_level(logging.INFO):
        _, result, _ = training.run()
    assert training.validated == result.epochs
    assert "begins anew" in caplog.text
    assert not (tmp_path / "executed").exists()


def test_a_folder_that_cannot_be_written_stops_no_training(training, caplog):
    training.path.parent.write_text("a file where the folder should be")
    _, result, _ = training.run()
    assert training.validated == result.epochs
    assert caplog.text.count("No checkpoints of this training") == 1


def test_an_unfinished_training_is_written_now_and_then_only(training):
    with pytest.raises(Killed):
        training.run(8, seconds=3600.0)
    assert not training.path.exists()
    training.run(seconds=3600.0)
    assert training.path.exists()


@pytest.mark.parametrize(
    "other",
    [
        lambda: (Net(), made(seed=1), {"lr": 1.0}, "rt"),
        lambda: (Net(), EXAMPLES, {"lr": 2.0}, "rt"),
        lambda: (Net(), EXAMPLES, {"lr": 1.0}, "ms2"),
        lambda: (torch.nn.Linear(2, 2), EXAMPLES, {"lr": 1.0}, "rt"),
    ],
    ids=["rows", "settings", "name", "weights"],
)
def test_identity_is_of_weights_rows_and_settings(other):
    one = identity_of(Net(), EXAMPLES, {"lr": 1.0}, "rt")
    assert one == identity_of(Net(), made(), {"lr": 1.0}, "rt")
    assert one != identity_of(*other())


def walk(network, averaged, values):
    for value in values:
        with torch.no_grad():
            network.weight.fill_(value)
        averaged.update()


def test_average_is_smoother_than_the_last_step():
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(network.weight)
    averaged = AveragedWeights(network, horizon=20)
    walk(network, averaged, [1.0, -1.0] * 200)
    with averaged.applied():
        assert abs(network.weight.item()) < 0.1
    assert network.weight.item() == -1.0


def test_average_forgets_what_lies_behind_the_horizon():
    network = torch.nn.Linear(1, 1, bias=False)
    averaged = AveragedWeights(network, horizon=10)
    walk(network, averaged, [50.0] * 100 + [1.0] * 100)
    with averaged.applied():
        assert abs(network.weight.item() - 1) < 0.01


def test_restart_begins_from_the_present_weights():
    network = torch.nn.Linear(1, 1, bias=False)
    averaged = AveragedWeights(network, horizon=10)
    walk(network, averaged, [50.0] * 10)
    with torch.no_grad():
        network.weight.fill_(2.0)
    averaged.restart()
    with averaged.applied():
        assert network.weight.item() == 2.0


def test_frozen_parameters_are_left_alone():
    network = torch.nn.Linear(2, 1)
    network.bias.requires_grad_(False)
    averaged = AveragedWeights(network, horizon=10)
    with torch.no_grad():
        network.bias.fill_(7.0)
    with averaged.applied():
        assert network.bias.item() == 7.0


@pytest.mark.parametrize("back", ["start_over", "back_to_best"])
def test_nothing_of_a_rate_that_was_given_up_stays(back):
    network = Net()
    settings = FitSettings(max_lr=0.1, batch_size=300, epochs=9, warmup_epochs=0, lr_patience=1)
    state = TrainingState(network, settings, 300, start_loss=1.0, generator=torch.Generator(), history=History("rt"))
    for epoch in range(2):
        forward(network, made().batch(torch.arange(300))).sum().backward()
        state.optimizer.step()
        state.averaged.update()
        state.scheduler.step(epoch, 1.0)
    assert state.optimizer.state
    getattr(state, back)(0.01)
    assert not state.optimizer.state
    with state.averaged.applied():
        assert not network.emb.weight.any()
    if back == "start_over":  # the plateau has seen nothing: two epochs without progress are tolerated again
        fresh = CustomScheduler(torch.optim.SGD(network.parameters(), lr=1.0), 0.01, 0, 1).state_dict()
        seen = state.scheduler.state_dict()
        assert seen["max_lrs"] == fresh["max_lrs"]
        for what in ("best", "num_bad_epochs", "last_epoch"):
            assert seen["plateau"][what] == fresh["plateau"][what]
