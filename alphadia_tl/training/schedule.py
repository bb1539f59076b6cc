"""Learning rate: linear warm-up, then halved whenever the training loss stays on a plateau."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

__all__ = ["CustomScheduler"]


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
        return ReduceLROnPlateau(
            self._optimizer,
            mode="min",
            factor=0.5,
            patience=self._lr_patience,
            threshold=self._threshold,
            threshold_mode="rel",
        )

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
        """Set the learning rate of the optimizer for ``epoch``.

        Parameters
        ----------
        epoch : int
            Epoch number, from 0.
        loss : float
            Latest training loss; not used during the warm-up.
        """
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
