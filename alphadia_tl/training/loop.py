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

from alphadia_tl.training.averaging import AveragedWeights
from alphadia_tl.training.epoch import make_optimizer, seeded, train_epoch
from alphadia_tl.training.examples import Examples
from alphadia_tl.training.history import History
from alphadia_tl.training.inference import Forward, Loss
from alphadia_tl.training.schedule import CustomScheduler
from alphadia_tl.training.stopping import EarlyStopping, StopReason

__all__ = ["FitResult", "FitSettings", "auto_batch_size", "auto_passes", "fit"]

logger = logging.getLogger(__name__)

Validate = Callable[[], tuple[float, Mapping[str, float]]]

MIN_STEPS = 30
MIN_BATCH = 8
BACK_OFF_ABOVE = 1.1
BACK_OFF_FACTOR = 0.3
MAX_BACK_OFFS = 8
_EPOCH_LINE = "Epoch %d  Lr: %.5f  Training loss: %.4f  validation loss: %.4f"
_BACK_OFF_LINE = "Epoch %d: the validation loss left its best by far; back to epoch %d, learning rate %.6f"


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
    weight_decay : float
        A step shrinks the weights by this, times the learning rate.
    averaged_epochs : float
        Epochs over which the weights that are validated and kept are averaged.
    passes : int
        How often an epoch goes over the rows.
    """

    max_lr: float
    batch_size: int
    epochs: int = 50
    warmup_epochs: int = 5
    lr_patience: int = 3
    stopping_patience: int = 12
    test_interval: int = 1
    weight_decay: float = 0.0
    averaged_epochs: float = 2.0
    passes: int = 1

    def steps(self, n_rows: int) -> int:
        """Return about how many steps an epoch has."""
        return self.passes * math.ceil(n_rows / self.batch_size)


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
    best_lr : float
        Learning rate of the best epoch.
    """

    best_epoch: int
    epochs: int
    stop_reason: StopReason
    best_loss: float
    best_lr: float = 0.0


def auto_batch_size(n_rows: int, cap: int = 256) -> int:
    """Choose the rows per step so that an epoch has at least 30 steps where the data allows it."""
    return max(MIN_BATCH, min(cap, n_rows // MIN_STEPS))


def auto_passes(n_rows: int, batch_size: int) -> int:
    """Choose how often an epoch goes over the rows, so that it has at least 30 steps."""
    return math.ceil(MIN_STEPS / math.ceil(n_rows / batch_size))


@dataclass
class _Best:
    """The best weights so far."""

    loss: float
    weights: dict[str, Any]
    epoch: int = -1
    lr: float = 0.0

    def see(self, epoch: int, loss: float, lr: float, network: torch.nn.Module) -> None:
        """Keep the network's weights if the loss is the lowest yet."""
        if loss < self.loss:
            self.epoch, self.loss, self.lr = epoch, loss, lr
            self.weights = copy.deepcopy(network.state_dict())


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

    The weights that are validated, and kept, are an average over the last epochs. Where the
    validation loss rises by more than a tenth above its best, the learning rate was too high: the best
    weights are put back and all learning rates from then on are 0.3 times lower.

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
    optimizer = make_optimizer(network, settings.max_lr, settings.weight_decay)
    scheduler = CustomScheduler(optimizer, settings.max_lr, settings.warmup_epochs, settings.lr_patience)
    stopping = EarlyStopping(max(1, math.ceil(settings.stopping_patience / settings.test_interval)))
    averaged = AveragedWeights(network, settings.averaged_epochs * settings.steps(len(examples)))
    best = _Best(start_loss, copy.deepcopy(network.state_dict()))
    reason, train_loss, epoch, back_offs = StopReason.MAX_EPOCHS, math.inf, -1, 0
    with seeded(generator, examples.lengths.device), _progress(settings.epochs) as bar:
        for epoch in range(settings.epochs):
            scheduler.step(epoch, train_loss)
            lr = scheduler.get_last_lr()[0]
            train_loss = train_epoch(
                network,
                examples,
                forward,
                loss,
                optimizer,
                settings.batch_size,
                generator,
                dtype=dtype,
                passes=settings.passes,
                after_step=averaged.update,
            )
            history.add(epoch, "train", {"train_loss": train_loss, "lr": lr})
            bar.update()
            finite = math.isfinite(train_loss)
            if finite and (epoch + 1) % settings.test_interval and epoch + 1 < settings.epochs:
                continue
            val_loss = math.nan
            if finite:
                with averaged.applied():
                    val_loss, metrics = validate()
                    best.see(epoch, val_loss, lr, network)
                history.add(epoch, "validation", {"val_loss": val_loss, **metrics})
            logger.info(_EPOCH_LINE, epoch, lr, train_loss, val_loss)
            if _too_fast(val_loss, best.loss) and back_offs < MAX_BACK_OFFS:
                back_offs += 1
                network.load_state_dict(best.weights)
                optimizer.state.clear()
                averaged.restart()
                scheduler.back_off(BACK_OFF_FACTOR)
                logger.info(_BACK_OFF_LINE, epoch, best.epoch, scheduler.get_last_lr()[0])
            elif not stopping.step(val_loss):
                reason = stopping.reason or reason
                break
    network.load_state_dict(best.weights)
    network.eval()
    return FitResult(best.epoch, epoch + 1, reason, best.loss, best.lr)


def _too_fast(val_loss: float, best_loss: float) -> bool:
    """Tell whether the loss has left the good region; a loss that is not finite has."""
    return math.isfinite(best_loss) and not val_loss <= best_loss + (BACK_OFF_ABOVE - 1) * abs(best_loss)


@contextlib.contextmanager
def _progress(epochs: int) -> Iterator[Any]:
    with tqdm(total=epochs, unit="epoch", leave=False, disable=not sys.stderr.isatty()) as bar:
        yield bar
