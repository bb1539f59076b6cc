"""One pass over the training rows."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from alphadia_tl.training.examples import Batch, Examples, length_batches, training_steps
from alphadia_tl.training.precision import RowLimit, autocast, in_parts
from alphadia_tl.training.schedule import FitSettings

Forward = Callable[[torch.nn.Module, Batch], Tensor]
Loss = Callable[[Tensor, Batch], Tensor]

INFERENCE_BATCH = 512
CLIP_NORM = 1.0


@dataclass(frozen=True)
class Learner:
    """A network, on the device of the rows that it learns from, and what it takes to train it.

    ``forward(network, batch)`` gives the output, ``loss(output, batch)`` its mean over the batch. ``generator`` is on
    the CPU; it seeds shuffling and dropout. ``dtype`` is autocast's; None for fp32.
    """

    network: torch.nn.Module
    forward: Forward
    loss: Loss
    generator: torch.Generator = field(default_factory=torch.Generator)
    dtype: torch.dtype | None = None


def infer(
    network: torch.nn.Module,
    examples: Examples,
    forward: Forward,
    *,
    loss: Loss | None = None,
    dtype: torch.dtype | None = None,
    batch_size: int = INFERENCE_BATCH,
) -> tuple[Tensor, float]:
    """Return the network's outputs for all rows, float32 in their order, and the mean loss (NaN without loss or rows).

    Outputs per row are (n, …); outputs per fragment, (b, length - 1, types) for a batch, become
    (sum of lengths - n, types). The network is left in the mode it was in.
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


def make_optimizer(network: torch.nn.Module, max_lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov & Hutter 2019): a step shrinks the weights by learning rate x weight decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    fused = all(p.device.type in ("cpu", "cuda") for p in trained)
    return torch.optim.AdamW(trained, lr=max_lr, weight_decay=weight_decay, fused=fused)


def train_epoch(
    learner: Learner,
    examples: Examples,
    optimizer: torch.optim.Optimizer,
    settings: FitSettings,
    *,
    limit: RowLimit | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """Train on all rows, or a random sample of them, ``settings.passes`` times and return their mean loss.

    ``limit`` says what memory was found to hold in epochs before.
    """
    network = learner.network
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout) and not settings.dropout:
            module.eval()
    limit = RowLimit() if limit is None else limit
    device = examples.lengths.device
    total = torch.zeros((), device=device)
    seen = 0
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def gradients(batches: list[Tensor]) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        step_size, step_loss = sum(map(len, batches)), torch.zeros((), device=device)
        for batch_rows in batches:
            batch = examples.batch(batch_rows)
            with autocast(device, learner.dtype):
                output = learner.forward(network, batch)
            part = learner.loss(output.float(), batch) * (len(batch_rows) / step_size)
            part.backward()  # type: ignore[no-untyped-call]
            step_loss += part.detach()
        return step_loss

    for _ in range(settings.passes):
        for step in training_steps(examples, settings.batch_size, learner.generator, rows=settings.epoch_rows):
            step_rows = sum(map(len, step))
            total += in_parts(step, gradients, limit) * step_rows
            seen += step_rows
            torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
            optimizer.step()
            after_step()
    return float(total) / seen


@contextlib.contextmanager
def seeded(generator: torch.Generator, device: torch.device, *, dropout: bool = True) -> Iterator[None]:
    """Seed dropout from a generator for the duration, and leave the global state as it was.

    Without dropout the global state is not touched: another training may be drawing from it.
    """
    devices = [device] if device.type == "cuda" else []
    seed = int(torch.randint(2**62, (1,), generator=generator))
    if not dropout:
        yield
        return
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
