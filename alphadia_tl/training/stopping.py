"""Early stopping on the validation loss, with a named reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

__all__ = ["EarlyStopping", "StopReason"]


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
        """Take the next validation loss.

        Parameters
        ----------
        val_loss : float
            Validation loss of this epoch.

        Returns
        -------
        bool
            True: go on. False: stop, and ``reason`` says why.
        """
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
