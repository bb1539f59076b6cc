"""Predictions in chunks of rows, which other processes can make beforehand.

A chunk is what is predicted at once: its rows are batched among themselves only, so that its predictions do not depend
on which process makes them, nor on the rows around it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from alphadia_tl.bundle import write_whole
from alphadia_tl.errors import PredictionError

__all__ = ["CHUNK_ROWS", "PEPTIDOFORM", "PredictionParts", "asked", "in_chunks", "network_fingerprint"]

FloatArray = NDArray[np.floating[Any]]

CHUNK_ROWS = 50_000
PEPTIDOFORM = ("sequence", "mods", "mod_sites")
# What the models predict from, and the types by which equal values are recognised; other columns do not count.
_TYPES = {**dict.fromkeys(PEPTIDOFORM, "str"), "charge": "int64", "nce": "float64", "instrument": "str"}
MODEL_COLUMNS: dict[str, tuple[str, ...]] = {
    "rt": PEPTIDOFORM,
    "charge": PEPTIDOFORM,
    "ccs": (*PEPTIDOFORM, "charge"),
    "ms2": (*PEPTIDOFORM, "charge", "nce", "instrument"),
}


def asked(model: str, df: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a table that a model predicts from, those that it has, with fixed types."""
    columns = [c for c in MODEL_COLUMNS[model] if c in df.columns]
    return df[columns].astype({c: _TYPES[c] for c in columns}).reset_index(drop=True)


class PredictionParts:
    """Predictions of chunks, as files that are found by what was asked of which model.

    Parameters
    ----------
    folder : Path
        Where the files are; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken = 0
        self.missing = 0

    def path(self, model: str, fingerprint: str, chunk: pd.DataFrame) -> Path:
        """Return the file of a chunk's predictions; other rows, another order or another model give another file."""
        table = asked(model, chunk)
        rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
        key = hashlib.sha256(rows.tobytes() + repr((fingerprint, list(table.columns))).encode()).hexdigest()
        return self.folder / f"{model}.{key[:24]}.npy"

    def take(self, path: Path) -> FloatArray | None:
        """Return predictions that were made beforehand, None where there are none.

        Raises
        ------
        PredictionError
            If the file is damaged.
        """
        if not path.is_file():
            self.missing += 1
            return None
        try:
            values: FloatArray = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise PredictionError(f"{path} cannot be read: {error}.", "Remove it and run the command again.") from error
        self.taken += 1
        return values

    def put(self, path: Path, values: FloatArray) -> None:
        """Write predictions, whole or not at all."""

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.save(file, values, allow_pickle=False)

        write_whole(path, write)


def network_fingerprint(network: torch.nn.Module, settings: Mapping[str, object]) -> str:
    """Return a hash of weights and of what else decides about the predictions of a model."""
    found = hashlib.sha256(repr(sorted(settings.items())).encode())
    for name, values in sorted(network.state_dict().items()):
        content = values.detach().cpu().contiguous().numpy()
        found.update(f"{name}{content.shape}{zlib.crc32(content.tobytes())}".encode())
    return found.hexdigest()


def in_chunks(df: pd.DataFrame, predict: Callable[[pd.DataFrame], FloatArray], *, rows: int = CHUNK_ROWS) -> FloatArray:
    """Predict consecutive chunks of a table, one after the other.

    Parameters
    ----------
    df : pandas.DataFrame
        n rows with the column ``sequence``.
    predict : callable
        Returns, for a chunk with a RangeIndex, one output per row or one per fragment position (length - 1 per row).
    rows : int
        Rows per chunk.

    Returns
    -------
    ndarray
        Outputs of all rows, in their order.
    """
    if len(df) <= rows:
        return predict(df.reset_index(drop=True))
    positions = df["sequence"].str.len().to_numpy() - 1
    result: FloatArray | None = None
    done = 0
    for start in range(0, len(df), rows):
        chunk = df.iloc[start : start + rows].reset_index(drop=True)
        values = predict(chunk)
        if result is None:
            per_row = len(values) == len(chunk)
            size = len(df) if per_row else int(positions.sum())
            result = np.empty((size, *values.shape[1:]), dtype=values.dtype)
        result[done : done + len(values)] = values
        done += len(values)
    if result is None or done != len(result):
        raise PredictionError(f"{done:,} outputs were predicted for {len(df):,} rows.")
    return result
