"""One epoch loop for all models: training and validation differ only by the step function."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm

from alphadia_tl.training.examples import Examples, training_steps
from alphadia_tl.training.history import History
from alphadia_tl.training.inference import Forward, Loss
from alphadia_tl.training.precision import autocast
from alphadia_tl.training.schedule import CustomScheduler
from alphadia_tl.training.stopping import EarlyStopping, StopReason

__all__ = ["FitResult", "FitSettings", "auto_batch_size", "fit"]

logger = logging.getLogger(__name__)

Validate = Callable[[], tuple[float, Mapping[str, float]]]

MIN_STEPS = 30
MIN_BATCH = 8
CLIP_NORM = 1.0


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to train.

    Parameters
    ----------
    max_lr : float
        Highest learning rate.
    batch_size : int
        Rows per optimizer step.
    epochs, warmup_epochs, lr_patience, stopping_patience, test_interval : int
        See the config section ``transfer_learning``; all in epochs.
    """

    max_lr: float
    batch_size: int
    epochs: int = 50
    warmup_epochs: int = 5
    lr_patience: int = 3
    stopping_patience: int = 12
    test_interval: int = 1


@dataclass(frozen=True)
class FitResult:
    """How a training went.

    Parameters
    ----------
    best_epoch : int
        Epoch whose weights were restored; -1 when no epoch was better than the start.
    epochs : int
        Epochs trained.
    stop_reason : StopReason
        Why it ended.
    best_loss : float
        Validation loss of the best epoch.
    """

    best_epoch: int
    epochs: int
    stop_reason: StopReason
    best_loss: float


def auto_batch_size(n_rows: int, cap: int = 256) -> int:
    """Choose the rows per step so that an epoch has at least 30 steps where the data allows it."""
    return max(MIN_BATCH, min(cap, n_rows // MIN_STEPS))


def _train_epoch(
    network: torch.nn.Module,
    examples: Examples,
    forward: Forward,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    batch_size: int,
    generator: torch.Generator,
    dtype: torch.dtype | None,
) -> float:
    network.train()
    device = examples.lengths.device
    total = torch.zeros((), device=device)
    parameters = [p for p in network.parameters() if p.requires_grad]
    for step in training_steps(examples, batch_size, generator):
        optimizer.zero_grad(set_to_none=True)
        step_size = sum(len(b) for b in step)
        for batch_rows in step:
            batch = examples.batch(batch_rows)
            with autocast(device, dtype):
                output = forward(network, batch)
            part = loss(output.float(), batch) * (len(batch_rows) / step_size)
            part.backward()  # type: ignore[no-untyped-call]
            total += part.detach() * step_size
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
    return float(total) / len(examples)


@contextlib.contextmanager
def _seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    devices = [device] if device.type == "cuda" else []
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def fit(
    network: torch.nn.Module,
    examples: Examples,
    forward: Forward,
    loss: Loss,
    validate: Validate,
    settings: FitSettings,
    generator: torch.Generator,
    *,
    history: History | None = None,
    dtype: torch.dtype | None = None,
    start_loss: float = math.inf,
) -> FitResult:
    """Train ``network`` in place and leave it with the weights of its best epoch.

    Parameters
    ----------
    network : torch.nn.Module
        The network, on the device of the examples.
    examples : Examples
        The rows to train on.
    forward, loss : callable
        ``forward(network, batch) -> output`` and ``loss(output, batch) -> mean over the batch``.
    validate : callable
        Returns the validation loss, on the same transform as ``loss``, and further metrics.
    settings : FitSettings
        Duration and speed.
    generator : torch.Generator
        CPU generator; seeds shuffling and dropout.
    history : History, optional
        Gets the learning rate, both losses and the metrics of each epoch.
    dtype : torch.dtype, optional
        Autocast type; None for fp32.
    start_loss : float
        Validation loss of the start weights, which are restored if no epoch is better.

    Returns
    -------
    FitResult
        Best epoch, epochs trained and reason to stop.
    """
    history = History("") if history is None else history
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=settings.max_lr)
    scheduler = CustomScheduler(optimizer, settings.max_lr, settings.warmup_epochs, settings.lr_patience)
    stopping = EarlyStopping(max(1, math.ceil(settings.stopping_patience / settings.test_interval)))
    best_epoch, best_loss, best_weights = -1, start_loss, copy.deepcopy(network.state_dict())
    reason, train_loss, epoch = StopReason.MAX_EPOCHS, math.inf, -1
    with _seeded(generator, examples.lengths.device), _progress(settings.epochs) as bar:
        for epoch in range(settings.epochs):
            scheduler.step(epoch, train_loss)
            lr = scheduler.get_last_lr()[0]
            train_loss = _train_epoch(
                network, examples, forward, loss, optimizer, settings.batch_size, generator, dtype
            )
            history.add(epoch, "train", {"train_loss": train_loss, "lr": lr})
            bar.update()
            if not math.isfinite(train_loss):
                reason = StopReason.NAN
                logger.warning("Epoch %d: the training loss is not finite; training stops.", epoch)
                break
            if (epoch + 1) % settings.test_interval and epoch + 1 < settings.epochs:
                continue
            val_loss, metrics = validate()
            history.add(epoch, "validation", {"val_loss": val_loss, **metrics})
            logger.info(
                "Epoch %d  Lr: %.5f  Training loss: %.4f  validation loss: %.4f", epoch, lr, train_loss, val_loss
            )
            if val_loss < best_loss:
                best_epoch, best_loss, best_weights = epoch, val_loss, copy.deepcopy(network.state_dict())
            if not stopping.step(val_loss):
                reason = stopping.reason or reason
                break
    network.load_state_dict(best_weights)
    network.eval()
    return FitResult(best_epoch, epoch + 1, reason, best_loss)


@contextlib.contextmanager
def _progress(epochs: int) -> Iterator[Any]:
    with tqdm(total=epochs, unit="epoch", leave=False, disable=not sys.stderr.isatty()) as bar:
        yield bar
