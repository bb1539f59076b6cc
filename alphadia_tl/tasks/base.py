"""What a model has to tell the common loop: features, targets, loss, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.tasks.metrics import Calibration
from alphadia_tl.training.examples import Batch, Examples

MzLimits = tuple[float, float] | Sequence[tuple[float, float]]
FloatArray = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Headline:
    """The metric that decides between two models.

    Parameters
    ----------
    name : str
        Its name.
    higher_is_better : bool
        Its direction.
    trimmed : float
        Fraction of the peptides that are left out at either end when gains are averaged: a quarter where
        the metric is a median; none where it is a mean.
    """

    name: str
    higher_is_better: bool
    trimmed: float = 0.25

    @property
    def use_median(self) -> bool:
        """Whether it is a median over rows, else a mean."""
        return self.trimmed > 0


@dataclass(frozen=True)
class TaskData:
    """What a model learns from.

    Parameters
    ----------
    precursor_df : pd.DataFrame
        Identified precursors, in any row order.
    fragment_intensity_df, fragment_mask_df : pd.DataFrame, optional
        For MS2: fragments of the precursors at ``frag_start_idx:frag_stop_idx``; the mask is True
        for trusted fragments.
    charge_limits : tuple of (int, int), optional
        For the charge model: lowest and highest charge that could have been observed.
    mz_limits : tuple of (float, float) or sequence of such, optional
        For the charge model: lowest and highest precursor m/z that could have been observed, or several such ranges.
    searched_df : pd.DataFrame, optional
        For the charge model: the precursors that were searched for, where these are not all within the limits.
    """

    precursor_df: pd.DataFrame
    fragment_intensity_df: pd.DataFrame | None = None
    fragment_mask_df: pd.DataFrame | None = None
    charge_limits: tuple[int, int] | None = None
    mz_limits: MzLimits | None = None
    searched_df: pd.DataFrame | None = None


@dataclass(frozen=True)
class Prepared:
    """Encoded rows with targets, and the stripped sequence and the modifications of each row (n,).

    ``precursors`` says the same with ``mod_sites`` and ``charge``, missing where the table has none.
    """

    examples: Examples
    sequences: NDArray[np.object_]
    mods: NDArray[np.object_]
    precursors: pd.DataFrame

    @classmethod
    def of(cls, examples: Examples, df: pd.DataFrame) -> Prepared:
        """Join encoded rows with the columns ``sequence`` and ``mods`` of the table that they were made from."""
        sequences, mods = (df[c].fillna("").to_numpy(dtype=object) for c in ("sequence", "mods"))
        precursors = df.reindex(columns=PRECURSOR).reset_index(drop=True)
        return cls(examples, sequences, mods, precursors)


@dataclass(frozen=True)
class Evaluation:
    """Scores of a network's predictions.

    Parameters
    ----------
    metrics : dict of str to float
        Over all rows.
    scores : ndarray
        (n,) each row's own contribution to the headline.
    predictions : ndarray
        What was scored: (n,) for RT (after calibration) and CCS, (n, 10) for charge, (fragments, types) for MS2
        (relative to the highest trusted fragment).
    observed : ndarray
        Charge model only: predicted probability of each charge state that was observed.
    """

    metrics: dict[str, float]
    scores: FloatArray
    predictions: FloatArray
    observed: FloatArray = field(default_factory=lambda: np.zeros(0))


class Task(Protocol):
    """One model: what differs between RT, charge, MS2 and CCS.

    Attributes
    ----------
    name : str
        Name in tables and settings.
    title : str
        Name in log lines.
    headline : Headline
        The metric that decides.
    max_lr : float
        Default of the highest learning rate.
    epochs : int
        Default of the most epochs.
    weight_decay : float
        An optimizer step shrinks the weights by this, times the learning rate.
    last_epochs : int
        Most epochs of annealing on training and validation rows.
    averages_turns : bool
        Whether the weights of several turns are averaged where a small set took them.
    averaged_rows : int
        Turns are taken for their mean alone until they have this many rows in all.
    wanted_peptides : int
        Held-out peptides with which one can tell whether tuning helped.
    epoch_rows : int
        An epoch goes over this many rows, or over a quarter of them where that is more.
    max_batch, min_steps : int
        Upper limit of the automatic batch size; steps that an epoch is to have.
    dropout : bool
        Whether the network's dropout is on in training.
    warm_starts : bool
        Whether `warm_start` does anything.
    reduced_precision : bool
        Whether the network may run in bf16.
    reduced_training : bool
        Whether it trains faster in bf16 where it predicts faster.
    """

    name: str
    title: str
    headline: Headline
    max_lr: float
    epochs: int
    weight_decay: float
    last_epochs: int
    averages_turns: bool
    averaged_rows: int
    wanted_peptides: int
    epoch_rows: int
    max_batch: int
    min_steps: int
    dropout: bool
    warm_starts: bool
    reduced_precision: bool
    reduced_training: bool

    def encode(self, df: pd.DataFrame) -> Examples:
        """Encode rows for prediction."""
        ...

    def prepare(self, data: TaskData) -> Prepared:
        """Encode rows and targets for training; rows without a usable target are left out."""
        ...

    def forward(self, network: torch.nn.Module, batch: Batch) -> Tensor:
        """Run the network on a batch: what `loss` takes."""
        ...

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss, the mean over the batch."""
        ...

    def finish(self, outputs: Tensor, examples: Examples) -> FloatArray:
        """Turn the outputs of all rows into predictions."""
        ...

    def warm_start(self, network: torch.nn.Module, outputs: Tensor, examples: Examples) -> None:
        """Adapt the network's last layer to the training rows before the first epoch, if that helps."""
        ...

    def calibrate(self, predictions: FloatArray, examples: Examples) -> Calibration | None:
        """Fit on the validation rows what the headline forgives; None where it forgives nothing."""
        ...

    def evaluate(self, predictions: FloatArray, examples: Examples, calibration: Calibration | None) -> Evaluation:
        """Score the predictions."""
        ...
