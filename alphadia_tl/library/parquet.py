"""Reads parquet files of a run, with errors that name the run and the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from alphadia_tl.errors import QuantificationError

READ_ERRORS = (OSError, pa.ArrowException, ValueError, TypeError)
_BATCH = 1_000_000


def open_table(path: Path, run: str, columns: Sequence[str], advice: str) -> pq.ParquetFile:
    """Open a parquet file that must exist and have these columns.

    Raises
    ------
    QuantificationError
        Naming run and file; `advice` says what to do about a missing one.
    """
    if not path.is_file():
        raise QuantificationError(f"Run '{run}': {path} is missing.", advice)
    try:
        file = pq.ParquetFile(path)
    except READ_ERRORS as error:
        raise unreadable(path, run, error) from error
    missing = [c for c in columns if c not in file.schema_arrow.names]
    if missing:
        raise QuantificationError(
            f"Run '{run}': {path} lacks the column(s) {', '.join(missing)}.", "Was it written by alphaDIA 2.3?"
        )
    return file


def batches(file: pq.ParquetFile, columns: Sequence[str], path: Path, run: str) -> Iterator[pd.DataFrame]:
    """Yield a table a million rows at a time.

    Raises
    ------
    QuantificationError
        For a file that is corrupt inside.
    """
    parts = file.iter_batches(batch_size=_BATCH, columns=list(columns))
    while True:
        try:
            frame = next(parts).to_pandas()
        except StopIteration:
            return
        except READ_ERRORS as error:
            raise unreadable(path, run, error) from error
        yield frame


def unreadable(path: Path, run: str, error: Exception) -> QuantificationError:
    """Make the error for a corrupt file."""
    reason = " ".join(str(error).split())[:200]
    return QuantificationError(f"Run '{run}': {path} cannot be read ({reason}).", "Search this run again.")
