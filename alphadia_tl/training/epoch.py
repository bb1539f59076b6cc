"""One pass over the training rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from alphadia_tl.training.examples import Examples, training_steps
from alphadia_tl.training.inference import Forward, Loss
from alphadia_tl.training.memory import RowLimit, in_parts
from alphadia_tl.training.precision import autocast

__all__ = ["make_optimizer", "seeded", "train_epoch"]

CLIP_NORM = 1.0


def make_optimizer(network: torch.nn.Module, max_lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov & Hutter 2019): a step shrinks the weights by learning rate x weight decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    fused = all(p.device.type in ("cpu", "cuda") for p in trained)
    return torch.optim.AdamW(trained, lr=max_lr, weight_decay=weight_decay, fused=fused)


def train_epoch(
    network: torch.nn.Module,
    examples: Examples,
    forward: Forward,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    batch_size: int,
    generator: torch.Generator,
    *,
    dtype: torch.dtype | None = None,
    passes: int = 1,
    rows: int | None = None,
    limit: RowLimit | None = None,
    dropout: bool = True,
    before_step: Callable[[], None] = lambda: None,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """Train on all rows, or a random sample of them, ``passes`` times and return their mean loss.

    Parameters
    ----------
    network, examples, forward, loss, generator, dtype
        As for `fit`.
    optimizer : torch.optim.Optimizer
        Of the network's parameters.
    batch_size : int
        Rows per step.
    passes : int
        How often every row is seen.
    rows : int, optional
        A pass goes over a new random sample of this many rows; None: over all.
    limit : RowLimit, optional
        What memory was found to hold in epochs before.
    dropout : bool
        Whether the network's dropout is on.
    before_step, after_step : callable
        Called around each step of the optimizer.
    """
    network.train()
    if not dropout:
        _without_dropout(network)
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
            with autocast(device, dtype):
                output = forward(network, batch)
            part = loss(output.float(), batch) * (len(batch_rows) / step_size)
            part.backward()  # type: ignore[no-untyped-call]
            step_loss += part.detach()
        return step_loss

    for _ in range(passes):
        for step in training_steps(examples, batch_size, generator, rows=rows):
            before_step()
            step_rows = sum(map(len, step))
            total += in_parts(step, gradients, limit) * step_rows
            seen += step_rows
            torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
            optimizer.step()
            after_step()
    return float(total) / seen


def _without_dropout(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()


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
