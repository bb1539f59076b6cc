"""What retention time and CCS have in common: one number per row, predicted by an LSTM in fp32."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphadia_tl.training import Examples

__all__ = ["as_numpy", "rescale_last_layer", "target_of"]

FloatArray = NDArray[np.floating[Any]]
MIN_CORRELATION = 0.5


def rescale_last_layer(layer: torch.nn.Linear, outputs: Tensor, targets: Tensor) -> None:
    """Fold the least-squares line of the targets on the outputs into a linear output layer.

    The network then starts on the scale of the data (gradient length, instrument) and needs no epochs
    to find it. Nothing is changed where outputs and targets correlate by less than 0.5.

    Parameters
    ----------
    layer : torch.nn.Linear
        The last layer, with one output; changed in place.
    outputs, targets : Tensor
        (n,) on the training rows.
    """
    x, y = outputs.double(), targets.double()
    dx, dy = x - x.mean(), y - y.mean()
    norm = float(torch.sqrt((dx @ dx) * (dy @ dy)))
    if len(x) < 2 or norm == 0 or float(dx @ dy) / norm < MIN_CORRELATION:
        return
    slope = float(dx @ dy) / float(dx @ dx)
    intercept = float(y.mean()) - slope * float(x.mean())
    with torch.no_grad():
        layer.weight.mul_(slope)
        layer.bias.mul_(slope).add_(intercept)


def as_numpy(values: Tensor) -> FloatArray:
    """Return a tensor of any device as an array."""
    return np.asarray(values.detach().cpu().numpy())


def target_of(examples: Examples) -> FloatArray:
    """Return (n,) the targets."""
    return as_numpy(examples.per_row["target"])
