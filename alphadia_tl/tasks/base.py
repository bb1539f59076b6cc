"""What a model has to tell the common loop: features, targets, loss, metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR
from alphadia_tl.library.selection import CHARGES, learnable
from alphadia_tl.tasks.encode import encode_peptidoforms, require_columns
from alphadia_tl.tasks.metrics import Calibration, FloatArray
from alphadia_tl.training.examples import Batch, Examples

MzLimits = tuple[float, float] | Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Headline:
    """The metric that decides between two models.

    When gains are averaged, a fraction ``trimmed`` of the peptides is left out at either end: a quarter where the
    metric is a median, none where it is a mean.
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

    Fragments, for MS2, are those at ``frag_start_idx:frag_stop_idx`` of the precursors; the mask is True for trusted
    ones. For the charge model: lowest and highest charge, and lowest and highest precursor m/z (or several such
    ranges), that could have been observed, and the precursors searched for where these are not all within the limits.
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

    ``precursors`` says the same with ``mod_sites``, ``charge`` and the run, missing where the table has none.
    """

    examples: Examples
    sequences: NDArray[np.object_]
    mods: NDArray[np.object_]
    precursors: pd.DataFrame

    @classmethod
    def of(cls, examples: Examples, df: pd.DataFrame) -> Prepared:
        """Join encoded rows with the columns ``sequence`` and ``mods`` of the table that they were made from."""
        sequences, mods = (df[c].fillna("").to_numpy(dtype=object) for c in ("sequence", "mods"))
        precursors = df.reindex(columns=[*PRECURSOR, "raw_name"]).reset_index(drop=True)
        return cls(examples, sequences, mods, precursors)


def as_numpy(values: Tensor) -> FloatArray:
    """Return a tensor of any device as an array."""
    return np.asarray(values.detach().cpu().numpy())


@dataclass(frozen=True)
class Evaluation:
    """Scores of a network's predictions.

    ``metrics`` are over all rows, ``scores`` (n,) each row's own contribution to the headline. ``predictions`` are what
    was scored: (n,) for RT (after calibration) and CCS, (n, 10) for charge, (fragments, types) for MS2 (relative to the
    highest trusted fragment). ``observed`` is for the charge model only: the predicted probability of each charge state
    that was observed.
    """

    metrics: dict[str, float]
    scores: FloatArray
    predictions: FloatArray
    observed: FloatArray = field(default_factory=lambda: np.zeros(0))


class Task(ABC):
    """One model: what differs between RT, charge, MS2 and CCS."""

    name: str  # in tables and settings
    title: str  # in log lines
    headline: Headline
    max_lr: float  # default of the highest learning rate
    epochs: int  # default of the most epochs
    weight_decay: float = 0.0  # an optimizer step shrinks the weights by this, times the learning rate
    last_epochs: int = 0  # most epochs of annealing on training and validation rows
    falling_lr: float = 2.0  # where further folds start, times the highest learning rate that served in the first
    averages_folds: bool = True  # whether the weights of all folds are averaged where a small set took several
    averaged_rows: int = 0  # with fewer, two or three folds are tuned for their mean alone
    wanted_peptides: int = 100  # held-out peptides with which one can tell whether tuning helped
    epoch_rows: int = 1000  # an epoch goes over this many rows, or over a quarter of them where that is more
    max_batch: int = 128  # upper limit of the automatic batch size
    min_steps: int = 30  # steps that an epoch is to have
    dropout: bool = True  # whether the network's dropout is on in training
    limits: Mapping[str, tuple[float, float]] = CHARGES  # lowest and highest value that is learnt, by column
    warm_starts: bool = False  # whether `warm_start` does anything
    reduced_precision: bool = True  # whether the network may run in bf16
    reduced_training: bool = False  # whether it trains faster in bf16 where it predicts faster

    def inputs(self, df: pd.DataFrame) -> dict[str, Tensor]:
        """Return what the network takes beside the peptidoform: tensors of (n, …)."""
        return {}

    def encode(self, df: pd.DataFrame) -> Examples:
        """Encode rows for prediction."""
        return encode_peptidoforms(df, self.inputs(df))

    def learnable(self, df: pd.DataFrame, **names: Sequence[str]) -> pd.DataFrame:
        """Return the rows that the model can learn from; DataError if there are none, or a column is missing."""
        require_columns(df, PEPTIDOFORM, f"the {self.title} model")
        return learnable(df, f"the {self.title} model", {c: v for c, v in self.limits.items() if c in df}, **names)

    @abstractmethod
    def prepare(self, data: TaskData) -> Prepared:
        """Encode rows and targets for training; rows without a usable target are left out."""

    @abstractmethod
    def forward(self, network: torch.nn.Module, batch: Batch) -> Tensor:
        """Run the network on a batch: what `loss` takes."""

    @abstractmethod
    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss, the mean over the batch."""

    @abstractmethod
    def finish(self, outputs: Tensor, examples: Examples) -> FloatArray:
        """Turn the outputs of all rows into predictions."""

    def warm_start(self, network: torch.nn.Module, outputs: Tensor, examples: Examples) -> None:  # noqa: B027
        """Adapt the network's last layer to the training rows before the first epoch, if that helps."""

    def calibrate(self, predictions: FloatArray, examples: Examples) -> Calibration | None:
        """Fit on the validation rows what the headline forgives; None where it forgives nothing."""
        return None

    @abstractmethod
    def evaluate(self, predictions: FloatArray, examples: Examples, calibration: Calibration | None) -> Evaluation:
        """Score the predictions."""
