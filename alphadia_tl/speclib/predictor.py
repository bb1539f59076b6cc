"""What the library regeneration needs of a set of models, and how it asks in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import PredictionError

FloatArray = NDArray[np.floating[Any]]

MODEL_COLUMNS = ("sequence", "mods", "mod_sites", "charge", "nAA", "precursor_mz")
PEPTIDOFORM = ["sequence", "mods", "mod_sites"]


class Predictor(Protocol):
    """Models that predict in the row order of what they are given, whatever that order is.

    The data frames have the columns ``sequence, mods, mod_sites, charge, nAA`` and, where the library has it,
    ``precursor_mz``; their index is a RangeIndex.
    """

    charged_frag_types: list[str]
    """Names of the columns of :meth:`predict_ms2_array`, in their order."""

    def predict_rt_array(self, df: pd.DataFrame) -> FloatArray:
        """Return normalised retention times, shape (n,)."""

    def predict_ccs_array(self, df: pd.DataFrame) -> FloatArray:
        """Return collision cross sections in Å², shape (n,)."""

    def predict_charge_probabilities(self, df: pd.DataFrame) -> FloatArray:
        """Return the probability of charge j + 1 in column j, shape (n, 10)."""

    def predict_ms2_array(self, df: pd.DataFrame) -> FloatArray:
        """Return fragment intensities, shape (sum(nAA - 1), len(charged_frag_types))."""


def model_input(precursor_df: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that models read, with a fresh RangeIndex."""
    columns = [c for c in MODEL_COLUMNS if c in precursor_df.columns]
    return precursor_df[columns].reset_index(drop=True)


def chunks(df: pd.DataFrame, rows: int) -> Iterator[tuple[slice, pd.DataFrame]]:
    """Yield consecutive row slices of at most ``rows`` rows and their data frames, each with a RangeIndex."""
    for start in range(0, len(df), rows):
        where = slice(start, min(start + rows, len(df)))
        yield where, df.iloc[where].reset_index(drop=True)


def predict_rows(
    df: pd.DataFrame,
    predict: Callable[[pd.DataFrame], FloatArray],
    stage: str,
    *,
    chunk_rows: int,
    n_columns: int | None = None,
) -> NDArray[np.float32]:
    """Predict one value (or one row of values) per row of ``df``, in chunks.

    Parameters
    ----------
    df : pandas.DataFrame, n rows
        As from :func:`model_input`.
    predict : callable
        One of the methods of :class:`Predictor`.
    stage : str
        Name for error messages.
    chunk_rows : int
        Rows per call.
    n_columns : int or None
        Expected number of columns; None for one value per row.

    Returns
    -------
    ndarray of float32, shape (n,) or (n, n_columns)

    Raises
    ------
    PredictionError
        If a prediction has another shape than asked for.
    """
    tail = () if n_columns is None else (n_columns,)
    result = np.empty((len(df), *tail), dtype=np.float32)
    for where, chunk in chunks(df, chunk_rows):
        values = np.asarray(predict(chunk))
        if values.shape != (len(chunk), *tail):
            raise PredictionError(
                f"The {stage} model returned an array of shape {values.shape} for {len(chunk):,} rows "
                f"instead of {(len(chunk), *tail)}.",
                "This is a defect of the predictor, not of the data.",
            )
        result[where] = values
    return result
