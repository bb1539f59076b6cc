"""Predictions in the row order of the table, whatever that order is, and whether they can be used."""

from __future__ import annotations

import logging
from collections.abc import Collection

import numpy as np
import pandas as pd
import torch
from scipy import stats

from alphadia_tl.errors import PredictionError
from alphadia_tl.tasks.base import Task
from alphadia_tl.tasks.metrics import FloatArray
from alphadia_tl.training.epoch import infer
from alphadia_tl.training.examples import Examples, length_batches
from alphadia_tl.training.precision import select_dtype

logger = logging.getLogger(__name__)

SAMPLE_ROWS = 64


def choose_dtype(
    task: Task, network: torch.nn.Module, examples: Examples, precision: str, *, training: bool = False
) -> torch.dtype | None:
    """Choose the arithmetic for a network: bf16 where asked for, possible, faster and in agreement with fp32."""
    if not task.reduced_precision or len(examples) == 0:
        return None
    if training and precision == "auto" and not task.reduced_training:
        return None
    rows = max(length_batches(examples, SAMPLE_ROWS), key=len)
    batch = examples.batch(rows)
    network.eval()
    return select_dtype(precision, rows.device, lambda: task.forward(network, batch))


def predict(task: Task, network: torch.nn.Module, df: pd.DataFrame, precision: str) -> FloatArray:
    """Predict all n rows of ``df`` in its order, with the network on the device where it is."""
    examples = task.encode(df).to(next(network.parameters()).device)
    outputs, _ = infer(network, examples, task.forward, dtype=choose_dtype(task, network, examples, precision))
    predictions = task.finish(outputs, examples)
    if problem := why_unusable(predictions, df["sequence"].to_numpy(dtype=object)):
        raise PredictionError(
            f"The predictions of the {task.title} model for {len(df)} rows {problem}.",
            "Its weights are unusable: take others, or the pretrained ones.",
        )
    return predictions


def why_unusable(predictions: FloatArray, sequences: Collection[str]) -> str:
    """Say what is wrong with predictions for peptides of these sequences, empty if nothing is."""
    if len(sequences) == 0:
        return ""
    if not np.isfinite(predictions).all():
        return "are not all finite"
    if not predictions.any():
        return "are all zero"
    if np.ptp(predictions, axis=0).max() == 0 and len(set(sequences)) > 1:
        return "are the same for all peptides"
    return ""


CORRELATION_FLOORS = {"rt": 0.5, "ccs": 0.5, "ms2": 0.2}
MIN_ROWS_TO_JUDGE = 30
_ADVICE = (
    "Compare the training curves in the report; leave this model out of 'alphadia_tl.models' to search with its "
    "pretrained predictions."
)


def check_values(values: FloatArray, what: str) -> None:
    """Raise PredictionError, with the number of offending values, for predictions not finite, all zero or constant."""
    n_bad = int(np.size(values) - np.count_nonzero(np.isfinite(values)))
    if n_bad:
        raise PredictionError(f"{n_bad:,} of {np.size(values):,} predicted {what} values are not finite.", _ADVICE)
    if not np.any(values):
        raise PredictionError(f"All {np.size(values):,} predicted {what} values are zero.", _ADVICE)
    if np.size(values) >= MIN_ROWS_TO_JUDGE and np.ptp(values) == 0:
        raise PredictionError(
            f"All {np.size(values):,} predicted {what} values equal {np.ravel(values)[0]:.4g}.", _ADVICE
        )


def rank_correlation(new: FloatArray, replaced: pd.Series) -> float:
    """Return Spearman's rank correlation with the numbers among the values replaced; NaN where these say nothing."""
    old = pd.to_numeric(replaced, errors="coerce").to_numpy(dtype=np.float64)
    valid = np.isfinite(old) & np.isfinite(new)
    if valid.sum() < MIN_ROWS_TO_JUDGE or np.ptp(old[valid]) == 0 or np.ptp(new[valid]) == 0:
        return float("nan")
    return float(stats.spearmanr(new[valid], old[valid]).statistic)


def median_correlation(correlations: FloatArray) -> float:
    """Return the median over precursors, NaN where too few can be judged."""
    enough = np.isfinite(correlations).sum() >= MIN_ROWS_TO_JUDGE
    return float(np.nanmedian(correlations)) if enough else float("nan")


def check_correlation(model: str, correlation: float, n_precursors: int, replaced: str) -> None:
    """Raise PredictionError if predictions correlate with what they ``replaced`` by less than the floor of this model.

    NaN means that the old values say nothing (constant, missing, too few): logged, not judged.
    """
    floor = CORRELATION_FLOORS[model]
    if np.isnan(correlation):
        logger.warning("Tuned %s predictions could not be compared with %s: no usable values.", model, replaced)
    elif correlation < floor:
        raise PredictionError(
            f"Tuned {model} predictions of {n_precursors:,} precursors correlate with what they replace ({replaced}) "
            f"at only {correlation:.3f}; at least {floor} is expected of the same peptides.",
            _ADVICE,
        )
