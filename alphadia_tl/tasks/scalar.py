"""Tasks of one number per precursor: retention time and collision cross section."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from alphabase.peptide.mobility import ccs_to_mobility_for_df, mobility_to_ccs_for_df
from numpy.typing import NDArray
from torch import Tensor

from alphadia_tl.errors import DataError
from alphadia_tl.tasks.base import Evaluation, Headline, Prepared, Task, TaskData, as_numpy
from alphadia_tl.tasks.encode import encode_peptidoforms, in_length_order, number_column
from alphadia_tl.tasks.metrics import Calibration, FloatArray, fit_calibration, line_through, regression_metrics
from alphadia_tl.training.examples import Batch, Examples

MIN_CORRELATION = 0.5


def rescale_last_layer(layer: torch.nn.Linear, outputs: Tensor, targets: Tensor) -> None:
    """Fold the least-squares line of the targets on the outputs into a linear output layer.

    The network then starts on the scale of the data (gradient length, instrument) and needs no epochs
    to find it. Nothing is changed where outputs and targets correlate by less than 0.5.
    Outputs and targets are (n,) on the training rows.
    """
    r, slope, intercept = line_through(as_numpy(outputs.double()), as_numpy(targets.double()))
    if not r >= MIN_CORRELATION:
        return
    with torch.no_grad():
        layer.weight.mul_(slope)
        layer.bias.mul_(slope).add_(intercept)


def target_of(examples: Examples) -> FloatArray:
    """Return (n,) the targets."""
    return as_numpy(examples.per_row["target"])


class ScalarTask(Task):
    """What retention time and collision cross section have in common."""

    max_lr = 1e-3
    last_epochs = 8
    averaged_rows = 2000
    epoch_rows = 2000
    max_batch = 256
    dropout = False
    warm_starts = True
    reduced_precision = False
    relative_error: bool

    def scale(self, examples: Examples) -> FloatArray | float:
        """Return what values are multiplied by before a search engine calibrates them."""
        return 1.0

    def calibrate(self, predictions: FloatArray, examples: Examples) -> Calibration:
        """Fit the monotone curve that a search engine fits in each run by itself."""
        scale = self.scale(examples)
        return fit_calibration(predictions * scale, target_of(examples) * scale)

    def forward(self, network: torch.nn.Module, batch: Batch) -> Tensor:
        """Return (b,) predictions; the network is given the charge where the task has one."""
        output: Tensor = network(*(batch[name] for name in ("residues", "modifications", "charge") if name in batch))
        return output

    def finish(self, outputs: Tensor, examples: Examples) -> FloatArray:
        """Return (n,) values; none is negative."""
        return as_numpy(outputs.clamp_min(0))

    def warm_start(self, network: torch.nn.Module, outputs: Tensor, examples: Examples) -> None:
        """Put the predictions on the scale of the measured values."""
        layer = network.get_submodule(f"{self.name}_decoder.nn.2")
        rescale_last_layer(layer, outputs, examples.per_row["target"])  # type: ignore[arg-type]

    def evaluate(self, predictions: FloatArray, examples: Examples, calibration: Calibration | None) -> Evaluation:
        """Score predictions; the headline and the scores are absolute or relative errors after calibration."""
        target = target_of(examples)
        scale = self.scale(examples)
        calibrated = predictions if calibration is None else calibration(predictions * scale) / scale
        scores = np.abs(calibrated - target)
        if self.relative_error:
            scores = scores / target
        metrics = regression_metrics(predictions, target)
        metrics[self.headline.name] = float(np.median(scores)) if scores.size else np.nan
        return Evaluation(metrics, scores, calibrated)


# Fraction of the gradient. A row with an error of this size has half the weight of one that is nearly right.
TOLERATED = 0.1


class RtTask(ScalarTask):
    """Normalised retention time (0 to 1 of the gradient) of a peptidoform; a search engine calibrates it by itself."""

    name = "rt"
    title = "RT"
    headline = Headline("median_abs_error_calibrated", higher_is_better=False)
    epochs = 18
    limits = {"rt_norm": (-np.inf, np.inf)}  # noqa: RUF012
    weight_decay = 1.0
    relative_error = False

    def prepare(self, data: TaskData) -> Prepared:
        """Encode rows with the target ``rt_norm``."""
        df = data.precursor_df
        target = torch.from_numpy(number_column(df, "rt_norm", "the RT model").astype(np.float32))
        return Prepared.of(encode_peptidoforms(df, {"target": target}), df)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean of ``T log(1 + |error| / T)``, T = `TOLERATED`: the absolute error, where it is small.

        A false identification, far from where it should be, pulls less than in a mean of absolute errors.
        """
        error = (output - batch["target"]).abs()
        return TOLERATED * torch.log1p(error / TOLERATED).mean()


CHARGE_FACTOR = 0.1


def _measured_column(df: pd.DataFrame) -> str:
    for column in ("ccs", "mobility"):
        if column in df.columns:
            return column
    raise DataError("The table for the CCS model has neither column 'ccs' nor 'mobility'.")


def measured_ccs(df: pd.DataFrame) -> FloatArray:
    """Return (n,) CCS in Å² from the column ``ccs``, or from ``mobility`` (1/K0 in Vs/cm²)."""
    column = _measured_column(df)
    ccs = number_column(df, column, "the CCS model")
    if column == "mobility":
        order, ordered = in_length_order(df)
        ccs = np.empty(len(df))
        ccs[order] = np.asarray(mobility_to_ccs_for_df(ordered, "mobility"))
    if (ccs <= 0).any():
        raise DataError(f"Column 'ccs' or 'mobility' holds {int((ccs <= 0).sum())} values that are not positive.")
    return ccs


def has_ccs(df: pd.DataFrame) -> NDArray[np.bool_]:
    """Return (n,) whether ``ccs``, or where there is none ``mobility``, is a number above 0."""
    values = pd.to_numeric(df[_measured_column(df)], errors="coerce").to_numpy(float)
    return np.asarray(np.isfinite(values) & (values > 0))


def mobility_per_ccs(df: pd.DataFrame) -> NDArray[np.float32]:
    """Return (n,) 1/K0 in Vs/cm² per Å² of CCS: they are proportional, by charge and mass of the precursor."""
    order, ordered = in_length_order(df)
    factor = np.empty(len(df), dtype=np.float32)
    factor[order] = np.asarray(ccs_to_mobility_for_df(ordered.assign(ccs=1.0), "ccs"))
    return factor


class CcsTask(ScalarTask):
    """Collision cross section in Å² of a precursor; a search engine calibrates the mobility that it stands for."""

    name = "ccs"
    title = "CCS"
    headline = Headline("median_relative_abs_error_calibrated", higher_is_better=False)
    max_lr = 7e-4
    falling_lr = 1.5
    last_epochs = 6
    epochs = 12
    weight_decay = 0.1
    relative_error = True

    def inputs(self, df: pd.DataFrame) -> dict[str, Tensor]:
        """Return the charge (n, 1), scaled."""
        charge = number_column(df, "charge", "the CCS model").astype(np.float32)
        return {"charge": torch.from_numpy(charge)[:, None] * CHARGE_FACTOR}

    def prepare(self, data: TaskData) -> Prepared:
        """Encode the rows with a measured CCS: runs without ion mobility, and single precursors, may have none."""
        df = data.precursor_df[has_ccs(data.precursor_df)].reset_index(drop=True)
        if df.empty:
            raise DataError("The table for the CCS model has no row with a CCS or mobility above 0.")
        inputs = self.inputs(df) | {"target": torch.from_numpy(measured_ccs(df).astype(np.float32))}
        inputs["mobility_per_ccs"] = torch.from_numpy(mobility_per_ccs(df))
        return Prepared.of(encode_peptidoforms(df, inputs), df)

    def scale(self, examples: Examples) -> FloatArray:
        """Return (n,) the mobility (1/K0) of each precursor per Å² of its CCS."""
        return as_numpy(examples.per_row["mobility_per_ccs"])

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean absolute error relative to the measured value."""
        return ((output - batch["target"]).abs() / batch["target"]).mean()
