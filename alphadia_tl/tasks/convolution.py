"""The convolutions of peptdeep's RT and CCS encoder as one matrix product, for training on a CPU.

The encoder has three convolutions of 35 channels. PyTorch (2.6, oneDNN 3.5, AMD Zen 5) takes some 8 ms for the
gradients of each on one core, however small the batch: 25 ms of a step of RT that takes 90. As one product of
(rows x residues, 7 x 35) with (7 x 35, 3 x 35), 16 rows take 1 ms and 66 rows 4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from peptdeep.model.building_block import SeqCNN
from torch import Tensor
from torch.nn.functional import linear, pad

__all__ = ["as_one_product", "convolved"]


def convolved(module: SeqCNN, x: Tensor) -> Tensor:
    """Return what the module returns, up to rounding.

    Parameters
    ----------
    module : SeqCNN
        Three convolutions over the residues, each of which keeps their number.
    x : Tensor
        (b, residues, channels).

    Returns
    -------
    Tensor
        (b, residues, 4 x channels): ``x`` and the three convolutions of it.
    """
    convolutions = (module.cnn_short, module.cnn_medium, module.cnn_long)
    reach = max(c.padding[0] for c in convolutions)
    weights = torch.cat([pad(c.weight, (reach - c.padding[0],) * 2) for c in convolutions])
    bias = torch.cat([c.bias for c in convolutions])
    residues, padded = x.shape[1], pad(x, (0, 0, reach, reach))
    shifted = torch.cat([padded[:, i : i + residues] for i in range(2 * reach + 1)], dim=2)
    return torch.cat([x, linear(shifted, weights.permute(0, 2, 1).flatten(1), bias)], dim=2)


@contextlib.contextmanager
def as_one_product(network: torch.nn.Module) -> Iterator[None]:
    """Compute the network's convolutions with `convolved` for the duration, where it is on a CPU."""
    modules = [m for m in network.modules() if isinstance(m, SeqCNN) and next(m.parameters()).device.type == "cpu"]
    for module in modules:
        module.forward = partial(convolved, module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward
