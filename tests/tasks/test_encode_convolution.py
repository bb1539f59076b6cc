import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peptdeep.model.building_block import SeqCNN
from peptdeep.model.rt import AlphaRTModel
from torch.utils._python_dispatch import TorchDispatchMode

from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.encode import as_one_product
from alphadia_tl.tasks.tuning import TuneSettings, tune
from tasks.made import make_peptides


class Convolutions(TorchDispatchMode):
    """Counts gradients of convolutions."""

    def __init__(self):
        super().__init__()
        self.backward = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.backward += func is torch.ops.aten.convolution_backward.default
        return func(*args, **(kwargs or {}))


def output_and_gradients(module, x):
    x = x.clone().requires_grad_()
    module.zero_grad()
    output = module(x)
    (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
    return [output.detach(), x.grad, *(p.grad.clone() for p in module.parameters())]


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(1, 9), residues=st.integers(1, 30), channels=st.integers(1, 40), seed=st.integers(0, 99))
def test_output_and_gradients_are_those_of_the_convolutions(rows, residues, channels, seed):
    torch.manual_seed(seed)
    module, x = SeqCNN(channels), torch.randn(rows, residues, channels)
    wanted = output_and_gradients(module, x)
    with as_one_product(module):
        found = output_and_gradients(module, x)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * max(1.0, float(b.abs().max())))


def gradients_of_convolutions(network):
    with Convolutions() as counted:
        network(torch.randint(1, 26, (2, 9)), torch.zeros(2, 9, 109)).sum().backward()
    return counted.backward


def test_the_network_is_left_as_it_was():
    network = AlphaRTModel(device="cpu").model
    with pytest.raises(RuntimeError, match="on the way"), as_one_product(network):
        raise RuntimeError("on the way")
    assert gradients_of_convolutions(network) == 3


def test_training_computes_no_gradient_of_a_convolution():
    network, settings = AlphaRTModel(device="cpu").model, TrainingSettings(epochs=1)
    with Convolutions() as counted:
        tune(get_task("rt"), network, TaskData(make_peptides(120)), TuneSettings(settings, from_scratch=True))
    assert counted.backward == 0
    assert gradients_of_convolutions(network) == 3
