"""How a training goes: its settings, learning rate, and when it stops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

MIN_STEPS = 30
MIN_BATCH = 8
EPOCHS_TO_SEE_ALL = 4


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to train: epochs, warm-up and patience as in the config section ``transfer_learning``.

    ``safe_lr`` is a rate that is known to serve: a training with a higher one that gets worse or stands still starts
    over with it.
    """

    max_lr: float
    batch_size: int
    safe_lr: float | None = None
    epochs: int = 50
    warmup_epochs: int = 5
    lr_patience: int = 3
    stopping_patience: int = 12
    weight_decay: float = 0.0  # times the learning rate: what a step shrinks the weights by
    averaged_epochs: float = 2.0  # over which the weights that are validated and kept are averaged
    passes: int = 1  # how often an epoch goes over its rows
    epoch_rows: int | None = None  # rows of an epoch, a random sample; None: all
    dropout: bool = True  # of the network, while it is trained

    def rows(self, n_rows: int) -> int:
        """Return how many of the rows an epoch goes over."""
        return n_rows if self.epoch_rows is None else min(n_rows, self.epoch_rows)

    def steps(self, n_rows: int) -> int:
        """Return about how many steps an epoch has."""
        return self.passes * math.ceil(self.rows(n_rows) / self.batch_size)


def auto_epoch_rows(n_rows: int, at_least: int) -> int:
    """Choose the rows of an epoch: all of a small set, a quarter of a large one.

    Early stopping looks at the model after each epoch. What a pretrained model has to learn, it learns from a few
    thousand rows; an epoch over all of a large set would only be looked at late.
    """
    return min(n_rows, max(at_least, math.ceil(n_rows / EPOCHS_TO_SEE_ALL)))


def auto_batch_size(n_rows: int, cap: int = 256, min_steps: int = MIN_STEPS) -> int:
    """Choose the rows per step so that an epoch has at least ``min_steps`` steps where the data allows it."""
    return max(MIN_BATCH, min(cap, n_rows // min_steps))


def auto_passes(n_rows: int, batch_size: int) -> int:
    """Choose how often an epoch goes over the rows, so that it has about 30 steps or more."""
    return max(1, round(MIN_STEPS / math.ceil(n_rows / batch_size)))


class CustomScheduler:
    """Warm-up to ``max_lr``, then reduction on plateau.

    During the warm-up, ``lr(t) = max_lr * t / num_warmup_steps`` with ``t = epoch + 1``: the last
    warm-up epoch runs at ``max_lr``, and no epoch runs above it. From then on the learning rate is
    halved after more than ``lr_patience`` epochs without progress of the training loss.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Its parameter groups get the scheduled learning rate.
    max_lr : float or sequence of float, optional
        Highest learning rate, one for all or one per parameter group. None: each group's own
        learning rate at construction.
    num_warmup_steps : int, default 5
        Epochs of warm-up; 0 starts at ``max_lr``.
    lr_patience : int, default 3
        Epochs without progress that are tolerated on the plateau.
    threshold : float, default 1e-4
        A training loss counts as progress when it is lower than the best one by this fraction.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        max_lr: float | Sequence[float] | None = None,
        num_warmup_steps: int = 5,
        lr_patience: int = 3,
        threshold: float = 1e-4,
    ) -> None:
        if num_warmup_steps < 0 or lr_patience < 0:
            raise ValueError("num_warmup_steps and lr_patience must not be negative.")
        self._optimizer = optimizer
        self._max_lrs = self._per_group(max_lr)
        self._num_warmup_steps = num_warmup_steps
        self._lr_patience, self._threshold = lr_patience, threshold
        self._plateau = self._new_plateau()
        self._set_fraction(1 / max(1, num_warmup_steps))

    def _new_plateau(self) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(self._optimizer, factor=0.5, patience=self._lr_patience, threshold=self._threshold)

    def _per_group(self, max_lr: float | Sequence[float] | None) -> list[float]:
        groups = self._optimizer.param_groups
        if max_lr is None:
            return [float(group["lr"]) for group in groups]
        if isinstance(max_lr, Sequence):
            if len(max_lr) != len(groups):
                raise ValueError(f"{len(max_lr)} learning rates were given for {len(groups)} parameter groups.")
            return [float(lr) for lr in max_lr]
        return [float(max_lr)] * len(groups)

    def _set_fraction(self, fraction: float) -> None:
        for group, max_lr in zip(self._optimizer.param_groups, self._max_lrs, strict=True):
            group["lr"] = max_lr * fraction

    def step(self, epoch: int, loss: float) -> None:
        """Set the optimizer's learning rate for an epoch, from 0, by the latest training loss (not in the warm-up)."""
        if epoch < self._num_warmup_steps:
            self._set_fraction((epoch + 1) / self._num_warmup_steps)
        else:
            self._plateau.step(loss)

    def back_off(self, factor: float) -> None:
        """Multiply the present and the highest learning rates by ``factor``; the warm-up goes on below them."""
        self._max_lrs = [lr * factor for lr in self._max_lrs]
        for group in self._optimizer.param_groups:
            group["lr"] *= factor

    def start_over(self, max_lr: float) -> None:
        """Forget what was seen; the warm-up begins anew, up to another highest learning rate."""
        self._max_lrs = [max_lr] * len(self._max_lrs)
        self._plateau = self._new_plateau()
        self._set_fraction(1 / max(1, self._num_warmup_steps))

    def state_dict(self) -> dict[str, Any]:
        """Return the highest learning rates and what the plateau has seen; the optimizer keeps the present ones."""
        return {"max_lrs": self._max_lrs, "plateau": self._plateau.state_dict()}  # type: ignore[no-untyped-call]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self._max_lrs = list(state["max_lrs"])
        self._plateau.load_state_dict(dict(state["plateau"]))  # type: ignore[no-untyped-call]

    def highest(self) -> float:
        """Return the highest learning rate that is planned for any parameter group."""
        return max(self._max_lrs)

    def get_last_lr(self) -> list[float]:
        """Return the current learning rate of each parameter group."""
        return [float(group["lr"]) for group in self._optimizer.param_groups]


class StopReason(StrEnum):
    """Why a training ended."""

    NOT_IMPROVING = "not improving"
    RISING = "rising"
    NAN = "nan"
    MAX_EPOCHS = "maximum number of epochs"


class EarlyStopping:
    """Stop when the validation loss made no significant progress for ``patience`` calls.

    Progress is measured against the loss at the last significant improvement, so that small steps
    which add up to more than the margin within the patience count, and noise around a level does not.

    Parameters
    ----------
    patience : int, default 5
        Calls without significant improvement after which training stops.
    margin : float, default 0.01
        Fraction by which a loss must be lower than the reference to be an improvement.

    Attributes
    ----------
    reason : StopReason or None
        Why training stopped; None while it goes on.
    """

    def __init__(self, patience: int = 5, margin: float = 0.01) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, not {patience}.")
        if not 0 <= margin < 1:
            raise ValueError(f"margin must be at least 0 and below 1, not {margin}.")
        self._patience = patience
        self._margin = margin
        self.reset()

    def reset(self) -> None:
        """Forget all losses seen."""
        self._reference = math.inf
        self._counter = 0
        self.reason: StopReason | None = None

    def state_dict(self) -> dict[str, float]:
        """Return what was seen so far."""
        return {"reference": self._reference, "counter": self._counter}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take what `state_dict` returned."""
        self._reference, self._counter = state["reference"], int(state["counter"])

    def step(self, val_loss: float) -> bool:
        """Take the next validation loss; return True to go on, False to stop: ``reason`` says why."""
        if not math.isfinite(val_loss):
            self.reason = StopReason.NAN
            return False
        if val_loss < self._threshold():
            self._reference = val_loss
            self._counter = 0
            return True
        self._counter += 1
        if self._counter < self._patience:
            return True
        rising = val_loss > self._reference + self._margin * abs(self._reference)
        self.reason = StopReason.RISING if rising else StopReason.NOT_IMPROVING
        return False

    def _threshold(self) -> float:
        if math.isinf(self._reference):
            return math.inf
        return self._reference - self._margin * abs(self._reference)
