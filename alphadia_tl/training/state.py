"""Everything that changes while a network is trained, so that a training can be left and taken up again."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from alphadia_tl.training.averaging import AveragedWeights
from alphadia_tl.training.epoch import make_optimizer
from alphadia_tl.training.history import History
from alphadia_tl.training.memory import RowLimit
from alphadia_tl.training.schedule import CustomScheduler
from alphadia_tl.training.settings import FitSettings
from alphadia_tl.training.stopping import EarlyStopping, StopReason

__all__ = ["Best", "TrainingState"]


@dataclass
class Best:
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


class TrainingState:
    """A training between two epochs.

    Parameters
    ----------
    network : torch.nn.Module
        The network, with the weights to start from.
    settings : FitSettings
        Duration and speed.
    n_rows : int
        Rows to train on.
    start_loss : float
        Validation loss of the start weights.
    generator : torch.Generator
        What rows are shuffled with.
    history : History
        Gets what is measured.

    Attributes
    ----------
    epochs : int
        Epochs trained.
    epochs_given_up : int
        Those of them before the training started over.
    train_loss : float
        Of the last epoch.
    back_offs : int
        How often the best weights were put back.
    reason : StopReason or None
        Why the training ended; None while it goes on.
    row_limit : RowLimit
        What memory holds at once; found anew where a training is taken up, maybe on another device.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        settings: FitSettings,
        *,
        n_rows: int,
        start_loss: float,
        generator: torch.Generator,
        history: History,
    ) -> None:
        self.network, self.generator, self.history = network, generator, history
        self.optimizer = make_optimizer(network, settings.max_lr, settings.weight_decay)
        self.scheduler = CustomScheduler(self.optimizer, settings.max_lr, settings.warmup_epochs, settings.lr_patience)
        self.stopping = EarlyStopping(max(1, settings.stopping_patience))
        self.averaged = AveragedWeights(network, settings.averaged_epochs * settings.steps(n_rows))
        self._start = Best(start_loss, copy.deepcopy(network.state_dict()))
        self.best = replace(self._start)
        self.row_limit = RowLimit()
        self.epochs, self.epochs_given_up, self.train_loss, self.back_offs = 0, 0, math.inf, 0
        self.reason: StopReason | None = None if settings.epochs else StopReason.MAX_EPOCHS

    def back_to_best(self, factor: float) -> None:
        """Put the best weights back and multiply all learning rates from now on."""
        self.back_offs += 1
        self.network.load_state_dict(self.best.weights)
        self.optimizer.state.clear()
        self.averaged.restart()
        self.scheduler.back_off(factor)

    def start_over(self, max_lr: float) -> None:
        """Put the start weights back and begin anew, with another highest learning rate."""
        self.back_offs += 1
        self.epochs_given_up = self.epochs
        self.best = replace(self._start)
        self.network.load_state_dict(self.best.weights)
        self.optimizer.state.clear()
        self.averaged.restart()
        self.stopping.reset()
        self.scheduler.start_over(max_lr)
        self.train_loss = math.inf

    def to_mapping(self) -> dict[str, Any]:
        """Return tensors and plain values, random states included; to be called where dropout is seeded."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "stopping": self.stopping.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": vars(self.best),
            "epochs": self.epochs,
            "epochs_given_up": self.epochs_given_up,
            "train_loss": self.train_loss,
            "back_offs": self.back_offs,
            "reason": None if self.reason is None else str(self.reason),
            "history": self.history.rows,
            "shuffling": self.generator.get_state(),
            "dropout": torch.get_rng_state(),
            "dropout_cuda": [torch.cuda.get_rng_state(d) for d in self._cuda()],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from where `to_mapping` was called, as if nothing had come between."""
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scheduler.load_state_dict(saved["scheduler"])
        self.stopping.load_state_dict(saved["stopping"])
        self.averaged.load_state_dict(saved["averaged"])
        self.best = Best(**saved["best"])
        self.epochs, self.epochs_given_up = saved["epochs"], saved["epochs_given_up"]
        self.train_loss, self.back_offs = saved["train_loss"], saved["back_offs"]
        self.reason = None if saved["reason"] is None else StopReason(saved["reason"])
        self.history.rows[:] = [tuple(row) for row in saved["history"]]
        self.generator.set_state(saved["shuffling"])
        torch.set_rng_state(saved["dropout"])
        for device, state in zip(self._cuda(), saved["dropout_cuda"], strict=True):
            torch.cuda.set_rng_state(state, device)

    def _cuda(self) -> list[torch.device]:
        return sorted({p.device for p in self.network.parameters() if p.device.type == "cuda"}, key=str)
