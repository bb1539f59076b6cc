import torch

from alphadia_tl.training.state import AveragedWeights


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
