"""Where two searches found the same: retention times, quantities, and their variation over runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MIN_PAIRS = 3  # fewer give no correlation


def shared_table(first: pd.DataFrame, second: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return what both searches (`SearchOutput.rows`) found in the same run, one row per run and identification.

    The key is the column that tells identifications apart; their quantity is in ``<key>_intensity``. Gives columns
    ``rt_first``, ``rt_second`` (seconds), ``intensity_first``, ``intensity_second``.
    """
    columns = {"rt": "rt", f"{key}_intensity": "intensity"}
    tables = [
        rows.sort_values(["q", "proba"], kind="stable")
        .drop_duplicates(["run", key])[["run", key, *columns]]
        .rename(columns=columns)
        for rows in (first, second)
    ]
    return tables[0].merge(tables[1], on=["run", key], suffixes=("_first", "_second"))


def rt_agreement(shared: pd.DataFrame) -> dict[str, float]:
    """Return the median absolute difference (seconds) and Pearson correlation of retention times."""
    first, second = shared["rt_first"].to_numpy(float), shared["rt_second"].to_numpy(float)
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    return {
        "rt_median_abs_difference": _median(np.abs(second - first)),
        "rt_correlation": _correlation(first, second),
    }


def quantity_agreement(shared: pd.DataFrame) -> dict[str, float]:
    """Compare quantities, on the log2 scale, where both are above zero.

    Returns
    -------
    dict
        ``quantity_log2_correlation`` (Pearson), ``quantity_median_ratio`` (second / first), ``quantity_log2_mad``
        (median absolute deviation of the log2 ratio from its median), ``quantity_pairs``.
    """
    first, second = shared["intensity_first"].to_numpy(float), shared["intensity_second"].to_numpy(float)
    known = np.isfinite(first) & np.isfinite(second) & (first > 0) & (second > 0)
    one, two = np.log2(first[known]), np.log2(second[known])
    ratio = two - one
    middle = _median(ratio)
    return {
        "quantity_log2_correlation": _correlation(one, two),
        "quantity_median_ratio": 2.0**middle,
        "quantity_log2_mad": _median(np.abs(ratio - middle)),
        "quantity_pairs": float(len(ratio)),
    }


def variation(rows: pd.DataFrame, key: str) -> pd.Series[float]:
    """Return the coefficient of variation over runs (replicates) of what has a quantity above zero in every run.

    By identification: standard deviation (n - 1) divided by the mean; empty with fewer than two runs. See
    `shared_table` for the key.
    """
    quantity = f"{key}_intensity"
    wide = rows[rows[quantity] > 0].pivot_table(index=key, columns="run", values=quantity, aggfunc="max")
    if rows["run"].nunique() < 2 or wide.shape[1] < rows["run"].nunique():
        return pd.Series(dtype=float)
    wide = wide.dropna().astype(float)
    return wide.std(axis=1, ddof=1) / wide.mean(axis=1)


def _median(values: NDArray[Any]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    if len(first) < MIN_PAIRS or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
