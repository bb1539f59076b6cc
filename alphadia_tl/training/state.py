"""All that changes in a training, and how it is kept on disk."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import logging
import math
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from alphadia_tl import __version__
from alphadia_tl.errors import OutputError
from alphadia_tl.files import write_whole
from alphadia_tl.training.epoch import make_optimizer
from alphadia_tl.training.examples import Examples, SparseSites
from alphadia_tl.training.precision import RowLimit
from alphadia_tl.training.schedule import CustomScheduler, EarlyStopping, FitSettings, StopReason

logger = logging.getLogger(__name__)

HISTORY_COLUMNS = ("epoch", "property", "data_split", "metric_name", "value")


@dataclass
class History:
    """Collects metric values of one model ("rt", "charge", "ms2" or "ccs") as rows of the long table."""

    property_name: str
    rows: list[tuple[int, str, str, str, float]] = field(default_factory=list)

    def add(self, epoch: int, data_split: str, metrics: Mapping[str, float]) -> None:
        """Add one row per metric; epoch -1 stands for the model before training."""
        self.rows += [(epoch, self.property_name, data_split, name, float(value)) for name, value in metrics.items()]

    def to_frame(self) -> pd.DataFrame:
        """Return the table with the columns ``epoch, property, data_split, metric_name, value``."""
        frame = pd.DataFrame(self.rows, columns=list(HISTORY_COLUMNS))
        return frame.astype({"epoch": "int64", "value": "float64"})


class AveragedWeights:
    """Average of the trained weights over the last steps: over ``horizon`` of them, the first ones over fewer."""

    def __init__(self, network: torch.nn.Module, horizon: float) -> None:
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._limit = 1 - 1 / max(1.0, horizon)
        self.restart()

    def restart(self) -> None:
        """Begin anew from the network's present weights."""
        self._average = [p.detach().clone() for p in self._parameters]
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after a step."""
        self._steps += 1
        keep = min(self._limit, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._average, [p.detach() for p in self._parameters], 1 - keep)

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of steps in it."""
        return {"average": self._average, "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self._average = [saved.to(p.device) for saved, p in zip(state["average"], self._parameters, strict=True)]
        self._steps = state["steps"]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the network for the duration."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, average in zip(self._parameters, self._average, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)


@dataclass
class Best:
    """The best weights so far."""

    loss: float
    weights: dict[str, Any]
    epoch: int = -1

    def see(self, epoch: int, loss: float, network: torch.nn.Module) -> None:
        """Keep the network's weights if the loss is the lowest yet."""
        if loss < self.loss:
            self.epoch, self.loss = epoch, loss
            self.weights = copy.deepcopy(network.state_dict())


_WITH_STATE = ("network", "optimizer", "scheduler", "stopping", "averaged")
_PLAIN = ("epochs", "epochs_given_up", "train_loss", "back_offs")


class TrainingState:
    """A training between two epochs.

    ``network`` has the weights to start from, ``start_loss`` is their validation loss, ``n_rows`` the rows to train on.
    ``generator`` is what rows are shuffled with.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        settings: FitSettings,
        n_rows: int,
        *,
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
        self.row_limit = RowLimit()  # found anew where a training is taken up, maybe on another device
        self.epochs, self.epochs_given_up = 0, 0  # all that were trained, and those before it started over
        self.train_loss, self.back_offs = math.inf, 0  # back-offs: how often the best weights were put back
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
            **{name: getattr(self, name).state_dict() for name in _WITH_STATE},
            **{name: getattr(self, name) for name in _PLAIN},
            "best": vars(self.best),
            "reason": None if self.reason is None else str(self.reason),
            "history": self.history.rows,
            "shuffling": self.generator.get_state(),
            "dropout": torch.get_rng_state(),
            "dropout_cuda": [torch.cuda.get_rng_state(d) for d in self._cuda()],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from where `to_mapping` was called, as if nothing had come between."""
        for name in _WITH_STATE:
            getattr(self, name).load_state_dict(saved[name])
        for name in _PLAIN:
            setattr(self, name, saved[name])
        self.best = Best(**saved["best"])
        self.reason = None if saved["reason"] is None else StopReason(saved["reason"])
        self.history.rows[:] = [tuple(row) for row in saved["history"]]
        self.generator.set_state(saved["shuffling"])
        torch.set_rng_state(saved["dropout"])
        for device, state in zip(self._cuda(), saved["dropout_cuda"], strict=True):
            torch.cuda.set_rng_state(state, device)

    def _cuda(self) -> list[torch.device]:
        return sorted({p.device for p in self.network.parameters() if p.device.type == "cuda"}, key=str)


SECONDS = 30.0


def identity_of(*things: Any) -> str:
    """Return a hash of all that a training depends on, the versions of torch and of this package included.

    Tensors, mappings, networks and encoded rows count by the values in them; of anything else its text counts.
    """
    found = hashlib.sha256(f"{torch.__version__} {__version__}".encode())

    def add(thing: Any) -> None:
        if isinstance(thing, torch.nn.Module):
            add(thing.state_dict())
        elif isinstance(thing, torch.Tensor):
            found.update(f"{thing.dtype} {tuple(thing.shape)} {thing.device.type}".encode())
            found.update(thing.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(thing, Examples | SparseSites):
            add(vars(thing))
        elif isinstance(thing, Mapping):
            for name in sorted(thing):
                found.update(str(name).encode())
                add(thing[name])
        else:
            found.update(repr(thing).encode())

    for thing in things:
        add(thing)
    return found.hexdigest()


class Checkpoint:
    """One training's file; a file with another ``identity``, the hash of all that it depends on, is not taken up.

    An unfinished training is written once in ``seconds`` at most.
    """

    def __init__(self, path: Path, identity: str, seconds: float = SECONDS) -> None:
        self._path, self._identity, self._seconds = path, identity, seconds
        self._written = time.monotonic()
        self._gives_up = False

    def load(self) -> dict[str, Any] | None:
        """Return what was saved, its tensors on the CPU; None where there is nothing that fits.

        Nothing in the file is executed.
        """
        try:
            found = torch.load(self._path, map_location="cpu", weights_only=True)
            if found["identity"] == self._identity:
                state: dict[str, Any] = found["state"]
                return state
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            logger.info(f"{self._path} cannot be read ({error}): the training begins anew.")
            return None
        logger.info(f"{self._path} is of another training, which has other data, settings or versions.")
        return None

    def save(self, state: Callable[[], Mapping[str, Any]], *, finished: bool) -> None:
        """Write the state, if the last time is long enough ago or the training is finished.

        Where it cannot be written the training goes on without.
        """
        if self._gives_up or not (finished or time.monotonic() - self._written >= self._seconds):
            return
        content = io.BytesIO()
        torch.save({"identity": self._identity, "state": dict(state())}, content)
        try:
            write_whole(self._path, lambda part: part.write_bytes(content.getbuffer()))
        except OutputError as error:
            self._gives_up = True
            logger.warning(f"No checkpoints of this training: {error}")
        self._written = time.monotonic()
