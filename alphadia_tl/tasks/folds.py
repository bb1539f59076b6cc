"""Cross-fitting: every peptide is predicted by a model that has not learnt from it.

A model that was trained on a false identification predicts it better, and its decoy does not profit: the second pass
then believes it. With peptides in folds and one model per fold, no identification can confirm itself (double/debiased
machine learning, Chernozhukov et al. 2018; Percolator's cross-validation, Granholm et al. 2012).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks.base import Task
from alphadia_tl.tasks.predict import predict

__all__ = ["fold_settings", "folds_of", "predict_by_fold"]

FloatArray = NDArray[np.floating[Any]]


def folds_of(sequences: Iterable[str], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each stripped sequence, the same for identified and for predicted peptides.

    Peptides that differ in isoleucine and leucine only share a fold: they have the same masses and nearly the same
    predictions.

    Parameters
    ----------
    sequences : iterable of str
        Stripped sequences.
    n_folds : int
        Number of folds.
    seed : int
        Another seed gives other folds.

    Returns
    -------
    ndarray of int64
        0 to ``n_folds - 1``.
    """
    hashes = (zlib.crc32(f"{seed}/{s.replace('I', 'L')}".encode()) for s in sequences)
    return np.fromiter((h % n_folds for h in hashes), dtype=np.int64)


def fold_settings(settings: TrainingSettings, n_folds: int) -> TrainingSettings:
    """Return the settings of one fold's tuning: all folds together train on no more rows x epochs than one model.

    The fold itself is the test split; the other folds are divided as training and validation were.
    """
    learnt = settings.train_fraction + settings.validation_fraction
    rest = (n_folds - 1) / n_folds
    train = rest * settings.train_fraction / learnt
    share = min(1.0, settings.train_fraction / (n_folds * train))
    return replace(
        settings,
        train_fraction=train,
        validation_fraction=rest * settings.validation_fraction / learnt,
        test_fraction=1 / n_folds,
        epochs=None if settings.epochs is None else max(1, round(settings.epochs * share)),
        warmup_epochs=round(settings.warmup_epochs * share),
    )


def predict_by_fold(
    task: Task, networks: Sequence[torch.nn.Module], df: pd.DataFrame, precision: str, seed: int
) -> FloatArray:
    """Predict each row with the network of its fold, in the order of the rows.

    Parameters
    ----------
    task : Task
        Which model it is.
    networks : sequence of torch.nn.Module
        One per fold, which has not learnt from the fold.
    df : pandas.DataFrame
        n rows, as for `predict`.
    precision : str
        "auto", "fp32" or "bf16".
    seed : int
        Of the folds.
    """
    fold = folds_of(df["sequence"], len(networks), seed)
    parts = {f: predict(task, networks[f], df[fold == f], precision) for f in np.unique(fold)}
    if len(df) == 0:
        return predict(task, networks[0], df, precision)
    some = next(iter(parts.values()))
    per_bond = len(some) != int((fold == next(iter(parts))).sum())
    owner = np.repeat(fold, df["sequence"].str.len().to_numpy() - 1) if per_bond else fold
    result = np.empty((len(owner), *some.shape[1:]), dtype=some.dtype)
    for f, values in parts.items():
        result[owner == f] = values
    return result
