"""Retention time: a robust absolute error of ``rt_norm``; decided by the error that is left after calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphadia_tl.metrics import Calibration, fit_calibration, regression_metrics
from alphadia_tl.tasks.base import Evaluation, Headline, Prepared, TaskData
from alphadia_tl.tasks.encode import encode_peptidoforms, number_column
from alphadia_tl.tasks.scalar import as_numpy, rescale_last_layer, target_of
from alphadia_tl.training import Batch, Examples

__all__ = ["RtTask"]

FloatArray = NDArray[np.floating[Any]]
# Fraction of the gradient. A row with an error of this size has half the weight of one that is nearly right.
TOLERATED = 0.1


class RtTask:
    """Normalised retention time (0 to 1 of the gradient) of a peptidoform."""

    name = "rt"
    title = "RT"
    headline = Headline("median_abs_error_calibrated", higher_is_better=False)
    max_lr = 1e-3
    epochs = 18
    weight_decay = 1.0
    last_epochs = 8
    averages_turns = True
    averaged_rows = 4000
    wanted_peptides = 100
    epoch_rows = 2000
    max_batch = 256
    min_steps = 30
    dropout = True
    warm_starts = True
    reduced_precision = False
    reduced_training = False

    def encode(self, df: pd.DataFrame) -> Examples:
        """Encode rows for prediction."""
        return encode_peptidoforms(df)

    def prepare(self, data: TaskData) -> Prepared:
        """Encode rows with the target ``rt_norm``."""
        df = data.precursor_df
        target = torch.from_numpy(number_column(df, "rt_norm", "the RT model").astype(np.float32))
        return Prepared.of(encode_peptidoforms(df, {"target": target}), df)

    def forward(self, network: torch.nn.Module, batch: Batch) -> Tensor:
        """Return (b,) predicted retention times."""
        output: Tensor = network(batch["residues"], batch["modifications"])
        return output

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean of ``T log(1 + |error| / T)``, T = `TOLERATED`: the absolute error, where it is small.

        A false identification, far from where it should be, pulls less than in a mean of absolute errors.
        """
        error = (output - batch["target"]).abs()
        return TOLERATED * torch.log1p(error / TOLERATED).mean()

    def finish(self, outputs: Tensor, examples: Examples) -> FloatArray:
        """Return (n,) retention times; none is negative."""
        return as_numpy(outputs.clamp_min(0))

    def warm_start(self, network: torch.nn.Module, outputs: Tensor, examples: Examples) -> None:
        """Put the predictions on the scale of the measured retention times."""
        rescale_last_layer(network.get_submodule("rt_decoder.nn.2"), outputs, examples.per_row["target"])  # type: ignore[arg-type]

    def calibrate(self, predictions: FloatArray, examples: Examples) -> Calibration:
        """Fit the monotone curve that a search engine fits by itself."""
        return fit_calibration(predictions, target_of(examples))

    def evaluate(self, predictions: FloatArray, examples: Examples, calibration: Calibration | None) -> Evaluation:
        """Score predictions; the headline and the scores are absolute errors after calibration."""
        target = target_of(examples)
        calibrated = predictions if calibration is None else calibration(predictions)
        scores = np.abs(calibrated - target)
        metrics = regression_metrics(predictions, target)
        metrics[self.headline.name] = float(np.median(scores)) if scores.size else np.nan
        return Evaluation(metrics, scores, calibrated)
