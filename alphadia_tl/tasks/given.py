"""Scores of values that no model predicted, such as those of a measured library, on the rows a model was judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from alphadia_tl.tasks.base import Task, TaskData
from alphadia_tl.tasks.result import TuneResult

__all__ = ["GivenScores", "Values", "score_given"]

FloatArray = NDArray[np.floating[Any]]
#: From sequence, mods, mod_sites, charge of n rows to (n,) values or, for MS2, one row per bond of each; NaN: unknown.
Values = Callable[[pd.DataFrame], FloatArray]
#: With fewer other rows the calibration is fitted on the held-out ones, in favour of what is given.
MIN_CALIBRATION_ROWS = 50


@dataclass(frozen=True)
class GivenScores:
    """Scores of given values and of the tuned model, peptide by peptide.

    Parameters
    ----------
    peptides : ndarray
        (p,) held-out stripped sequences with a given value.
    given, tuned : ndarray
        (p,) mean score of each peptide's rows.
    metric_given, metric_tuned : float
        The headline over all rows of these peptides.
    """

    peptides: NDArray[np.object_]
    given: FloatArray
    tuned: FloatArray
    metric_given: float
    metric_tuned: float


def score_given(task: Task, data: TaskData, result: TuneResult, values: Values) -> GivenScores:
    """Score given values as the tuned model was scored: the same rows, the same metric, a calibration of their own.

    Parameters
    ----------
    task : Task
        RT, CCS or MS2.
    data : TaskData
        What the model learnt from and was tested on.
    result : TuneResult
        Of the tuned model.
    values : callable
        What is given for each row.
    """
    prepared = task.prepare(data)
    given = np.asarray(values(prepared.precursors))
    counts = np.ones(len(prepared.sequences), dtype=np.int64)
    if given.ndim == 2:
        counts = prepared.examples.lengths.cpu().numpy().astype(np.int64) - 1
    owner = np.repeat(np.arange(len(counts)), counts)
    unknown = np.zeros(len(counts), dtype=bool)
    unknown[owner[~np.isfinite(given.reshape(len(owner), -1)).all(axis=1)]] = True
    held_out = np.isin(prepared.sequences, np.unique(result.test_groups))
    test, rest = np.flatnonzero(held_out & ~unknown), np.flatnonzero(~held_out & ~unknown)
    if len(test) == 0:
        return GivenScores(np.zeros(0, dtype=object), np.zeros(0), np.zeros(0), float("nan"), float("nan"))
    if len(rest) < MIN_CALIBRATION_ROWS:
        rest = test
    of_test, of_rest = (given[np.isin(owner, rows)] for rows in (test, rest))
    calibration = task.calibrate(of_rest, prepared.examples.select(torch.from_numpy(rest)))
    evaluation = task.evaluate(of_test, prepared.examples.select(torch.from_numpy(test)), calibration)
    own = pd.Series(evaluation.scores, index=prepared.sequences[test], dtype=float)
    tuned = pd.Series(np.asarray(result.scores_after), index=result.test_groups, dtype=float)
    tuned = tuned[tuned.index.isin(own.index)]
    average = np.median if task.headline.use_median else np.mean
    both = pd.DataFrame({"given": own.groupby(level=0).mean(), "tuned": tuned.groupby(level=0).mean()}).dropna()
    return GivenScores(
        peptides=both.index.to_numpy(dtype=object),
        given=both["given"].to_numpy(),
        tuned=both["tuned"].to_numpy(),
        metric_given=float(average(own)),
        metric_tuned=float(average(tuned)),
    )
