"""How long and how fast to train, and what follows from the number of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["FitSettings", "auto_batch_size", "auto_passes"]

MIN_STEPS = 30
MIN_BATCH = 8


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


def auto_batch_size(n_rows: int, cap: int = 256) -> int:
    """Choose the rows per step so that an epoch has at least 30 steps where the data allows it."""
    return max(MIN_BATCH, min(cap, n_rows // MIN_STEPS))


def auto_passes(n_rows: int, batch_size: int) -> int:
    """Choose how often an epoch goes over the rows, so that it has at least 30 steps."""
    return math.ceil(MIN_STEPS / math.ceil(n_rows / batch_size))
