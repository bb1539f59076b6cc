"""How long and how fast to train, and what follows from the number of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["FitSettings", "auto_batch_size", "auto_epoch_rows", "auto_passes"]

MIN_STEPS = 30
MIN_BATCH = 8
EPOCHS_TO_SEE_ALL = 4


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to train.

    Parameters
    ----------
    max_lr : float
        Highest learning rate.
    batch_size : int
        Rows per optimizer step.
    safe_lr : float, optional
        A rate that is known to serve. A training with a higher one that gets worse or stands still starts over with
        this one.
    epochs, warmup_epochs, lr_patience, stopping_patience : int
        See the config section ``transfer_learning``; all in epochs.
    weight_decay : float
        A step shrinks the weights by this, times the learning rate.
    averaged_epochs : float
        Epochs over which the weights that are validated and kept are averaged.
    passes : int
        How often an epoch goes over the rows.
    epoch_rows : int, optional
        An epoch is a random sample of this many rows; None: all rows.
    dropout : bool
        Whether the network's dropout is on while it is trained.
    """

    max_lr: float
    batch_size: int
    safe_lr: float | None = None
    epochs: int = 50
    warmup_epochs: int = 5
    lr_patience: int = 3
    stopping_patience: int = 12
    weight_decay: float = 0.0
    averaged_epochs: float = 2.0
    passes: int = 1
    epoch_rows: int | None = None
    dropout: bool = True

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
    """Choose how often an epoch goes over the rows, so that it has at least 30 steps."""
    return math.ceil(MIN_STEPS / math.ceil(n_rows / batch_size))
