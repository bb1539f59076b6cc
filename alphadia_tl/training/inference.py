"""Run a network over all rows, batch by batch, and put the outputs back into the order of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from alphadia_tl.training.examples import Batch, Examples, length_batches
from alphadia_tl.training.memory import RowLimit, in_parts
from alphadia_tl.training.precision import autocast

__all__ = ["Forward", "Loss", "infer"]

Forward = Callable[[torch.nn.Module, Batch], Tensor]
Loss = Callable[[Tensor, Batch], Tensor]

INFERENCE_BATCH = 512


def infer(
    network: torch.nn.Module,
    examples: Examples,
    forward: Forward,
    *,
    loss: Loss | None = None,
    dtype: torch.dtype | None = None,
    batch_size: int = INFERENCE_BATCH,
) -> tuple[Tensor, float]:
    """Compute the network's outputs for all rows.

    Parameters
    ----------
    network : torch.nn.Module
        Set to evaluation mode, and back as it was.
    examples : Examples
        On the network's device.
    forward : callable
        ``forward(network, batch)``: (b, …) one output per row, or (b, length - 1, types) one per fragment.
    loss : callable, optional
        ``loss(output, batch)``, averaged over the rows.
    dtype : torch.dtype, optional
        Autocast type; None for fp32.
    batch_size : int
        Rows per batch.

    Returns
    -------
    outputs : Tensor
        (n, …) float32, or (sum of lengths - n, types) for outputs per fragment, in the order of the rows.
    mean_loss : float
        NaN without ``loss`` or rows.
    """
    was_training = network.training
    network.eval()
    outputs: Tensor | None = None
    total = 0.0
    starts, limit = examples.fragment_start(), RowLimit()

    def put(batches: list[Tensor]) -> float:
        nonlocal outputs
        loss_sum = 0.0
        for rows in batches:
            batch = examples.batch(rows)
            output = forward(network, batch).float()
            if loss is not None:
                loss_sum += float(loss(output, batch)) * len(rows)
            n_fragments = batch["residues"].shape[1] - 3
            ragged = output.ndim == 3
            if outputs is None:
                size = int(examples.lengths.sum()) - len(examples) if ragged else len(examples)
                shape = (size, *output.shape[2 if ragged else 1 :])
                outputs = torch.zeros(shape, device=output.device)
            if ragged:
                position = starts[rows, None] + torch.arange(n_fragments, device=starts.device)
                outputs[position.flatten()] = output.flatten(0, 1)
            else:
                outputs[rows] = output
        return loss_sum

    with torch.inference_mode(), autocast(examples.lengths.device, dtype):
        for rows in length_batches(examples, batch_size):
            total += in_parts([rows], put, limit)
    network.train(was_training)
    mean_loss = total / len(examples) if loss is not None and len(examples) else math.nan
    return (torch.zeros(0) if outputs is None else outputs), mean_loss
