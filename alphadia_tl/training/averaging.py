"""Exponential moving average of a network's weights: less noise than the last step's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """Average of the weights over the last steps.

    Parameters
    ----------
    network : torch.nn.Module
        Network whose trained parameters are followed.
    horizon : float
        Steps over which the average reaches back; the first steps are averaged over fewer.
    """

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
        self._average, self._steps = list(state["average"]), state["steps"]

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
