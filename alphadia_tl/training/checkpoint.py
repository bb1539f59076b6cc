"""A training on disk: one that was killed goes on from its last checkpoint."""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from alphadia_tl import __version__
from alphadia_tl.bundle import write_whole
from alphadia_tl.errors import OutputError
from alphadia_tl.training.examples import Examples, SparseSites

__all__ = ["Checkpoint", "identity_of"]

logger = logging.getLogger(__name__)

SECONDS = 30.0


def identity_of(*things: Any) -> str:
    """Return a hash of all that a training depends on, the versions of torch and of this package included.

    Parameters
    ----------
    *things : object
        Tensors and mappings, networks and encoded rows by the values in them; of anything else its text counts.
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
    """One training's file.

    Parameters
    ----------
    path : Path
        The file; its folder is made when there is something to write.
    identity : str
        Hash of all that the training depends on: a file with another one is not taken up.
    seconds : float
        At most this often an unfinished training is written.
    """

    def __init__(self, path: Path, identity: str, seconds: float = SECONDS) -> None:
        self._path, self._identity, self._seconds = path, identity, seconds
        self._written = time.monotonic()
        self._gives_up = False

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return what was saved, its tensors on a device; None where there is nothing that fits.

        Nothing in the file is executed.
        """
        try:
            found = torch.load(self._path, map_location="cpu", weights_only=True)
            if found["identity"] == self._identity:
                state = found["state"]
                return {name: value if name in _ON_CPU else _to(value, device) for name, value in state.items()}
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


_ON_CPU = ("shuffling", "dropout", "dropout_cuda")  # random states are CPU tensors wherever they belong to


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {k: _to(v, device) for k, v in value.items()}
    if isinstance(value, list):
        return [_to(v, device) for v in value]
    return value
