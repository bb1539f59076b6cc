"""Predictions in the row order of the table, whatever that order is; never zeros in silence."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from alphadia_tl.errors import PredictionError
from alphadia_tl.tasks.base import Task
from alphadia_tl.tasks.metrics import FloatArray
from alphadia_tl.tasks.ms2 import fragment_positions
from alphadia_tl.tasks.scalar import mobility_per_ccs
from alphadia_tl.training.epoch import infer
from alphadia_tl.training.examples import Examples, length_batches
from alphadia_tl.training.precision import select_dtype

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
    _check(task, predictions, df)
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


def _check(task: Task, predictions: FloatArray, df: pd.DataFrame) -> None:
    problem = why_unusable(predictions, df["sequence"].to_numpy(dtype=object))
    if problem:
        raise PredictionError(
            f"The predictions of the {task.title} model for {len(df)} rows {problem}.",
            "Its weights are unusable: take others, or the pretrained ones.",
        )


def mobility_of_ccs(df: pd.DataFrame, column: str) -> NDArray[np.float32]:
    """Return (n,) 1/K0 in Vs/cm² of a column with CCS in Å², in the row order of ``df``."""
    return df[column].to_numpy(np.float32) * mobility_per_ccs(df)


def charge_table(
    df: pd.DataFrame, probabilities: FloatArray, charge_limits: tuple[int, int], cutoff: float
) -> pd.DataFrame:
    """Return one row per row of ``df`` and charge within the limits that is more probable than the cut-off."""
    charges = np.arange(1, probabilities.shape[1] + 1)
    wanted = (charges >= charge_limits[0]) & (charges <= charge_limits[1])
    row, column = np.nonzero((probabilities > cutoff) & wanted)
    chosen = df.iloc[row].reset_index(drop=True)
    return chosen.assign(charge=charges[column].astype(np.int8), charge_prob=probabilities[row, column])


def fragment_table(
    df: pd.DataFrame, values: FloatArray, columns: list[str], reference: pd.DataFrame | None
) -> pd.DataFrame:
    """Return fragment intensities as a table.

    With ``reference``, the table has its rows, and ``frag_start_idx`` of ``df`` points into it; otherwise
    ``frag_start_idx`` and ``frag_stop_idx`` are set in ``df``.
    """
    if reference is not None:
        rows = np.zeros((len(reference), len(columns)), dtype=np.float32)
        rows[fragment_positions(df, len(reference))] = values
        return pd.DataFrame(rows, columns=columns)
    counts = df["sequence"].str.len().to_numpy() - 1
    df["frag_stop_idx"] = np.cumsum(counts)
    df["frag_start_idx"] = df["frag_stop_idx"] - counts
    return pd.DataFrame(values, columns=columns)
