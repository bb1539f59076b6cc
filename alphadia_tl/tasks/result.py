"""What comes out of tuning one model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.tasks.base import Headline
from alphadia_tl.tasks.held_out import HeldOut
from alphadia_tl.training import StopReason

__all__ = ["TuneResult"]

FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TuneResult:
    """What came out of tuning one model.

    Parameters
    ----------
    name : str
        "rt", "charge", "ms2" or "ccs".
    history : pd.DataFrame
        Long table ``epoch, property, data_split, metric_name, value``.
    before, after : dict of str to float
        Metrics of the pretrained and the tuned model on the same held-out test rows.
    headline : Headline
        The deciding metric and its direction.
    scores_before, scores_after : ndarray
        (test rows,) each row's contribution to the headline.
    test_groups : ndarray
        (test rows,) stripped sequence of each test row.
    test_mods : ndarray
        (test rows,) modifications of each test row, joined by semicolons.
    training_mods : dict of str to int
        Distinct stripped sequences in training per modification.
    sequences : dict of str to ndarray
        Distinct stripped sequences of each split.
    n_peptides, n_rows : dict of str to int
        Distinct stripped sequences and rows of each split.
    stop_reason : StopReason
        Why training ended.
    best_epoch, epochs : int
        Epoch restored (-1: the start weights), and epochs trained.
    last_epochs : int
        Epochs of annealing on training and validation rows after that.
    seconds : float
        Time of the training.
    turns : int
        How often the model was tuned, each time with other test peptides, to score it; the weights and the
        history are those of the first turn.
    observed : dict of str to ndarray
        Charge model only: probabilities of the charge states that were observed in the validation rows,
        from the weights of the best epoch, which had not learnt from them, and in the test rows.
    measured : dict of str to pd.Series
        Models of one number per row only: measured value of each row of a split, indexed by stripped sequence,
        the test rows in the order of the scores.
    held_out : HeldOut
        Test rows with what was predicted for them before and after.
    """

    name: str
    history: pd.DataFrame
    before: dict[str, float]
    after: dict[str, float]
    headline: Headline
    scores_before: FloatArray
    scores_after: FloatArray
    test_groups: NDArray[np.object_]
    test_mods: NDArray[np.object_] = field(default_factory=lambda: np.zeros(0, dtype=object))
    training_mods: dict[str, int] = field(default_factory=dict)
    sequences: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    n_peptides: dict[str, int] = field(default_factory=dict)
    n_rows: dict[str, int] = field(default_factory=dict)
    stop_reason: StopReason = StopReason.MAX_EPOCHS
    best_epoch: int = -1
    epochs: int = 0
    last_epochs: int = 0
    seconds: float = 0.0
    turns: int = 1
    observed: dict[str, FloatArray] = field(default_factory=dict)
    measured: dict[str, pd.Series] = field(default_factory=dict)
    held_out: HeldOut = field(default_factory=HeldOut)

    def held_out_observed(self) -> dict[str, FloatArray]:
        """Return ``observed``; for other models than the charge model the arrays are empty."""
        return self.observed
