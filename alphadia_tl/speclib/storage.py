"""Reading the library of the first pass, and writing the tuned one completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.errors import LibraryError, OutputError, QuantificationError

logger = logging.getLogger(__name__)

PRECURSOR = ["sequence", "mods", "mod_sites", "charge"]
#: Columns that alphaDIA takes a library's retention times from, in its order.
TIMES = ("rt_library", "rt", "rt_norm", "rt_pred", "rt_norm_pred", "irt")
ROWS = 200_000  # of a library that are in memory at once


def library_precursors(path: Path, sequences: Iterable[str]) -> pd.DataFrame:
    """Read the precursors of some peptides from a library file.

    Parameters
    ----------
    path : Path
        Library that alphaDIA saved.
    sequences : iterable of str
        Stripped sequences that are wanted.

    Returns
    -------
    pandas.DataFrame
        Columns sequence, mods, mod_sites, charge, and, where it has any of `TIMES`, rt_library; one row per precursor.

    Raises
    ------
    QuantificationError
        If the file cannot be read.
    """
    try:
        with h5py.File(path) as file:
            columns = file["library/precursor_df"]
            time = next((name for name in TIMES if name in columns), None)
            wanted, n = pd.Index(sequences).unique(), len(columns["sequence"])
            parts = [_part(columns, time, slice(i, min(i + ROWS, n)), wanted) for i in range(0, max(n, 1), ROWS)]
    except (OSError, KeyError, TypeError) as error:
        raise QuantificationError(f"{path} cannot be read: {error}.", "Is it a library that alphaDIA saved?") from error
    return pd.concat(parts).drop_duplicates(PRECURSOR, ignore_index=True)


def _part(columns: h5py.Group, time: str | None, rows: slice, wanted: pd.Index) -> pd.DataFrame:
    texts = {name: columns[name].asstr()[rows] for name in PRECURSOR[:-1]}
    part = pd.DataFrame({**texts, "charge": columns["charge"][rows].astype(np.int64)})
    if time is not None:
        part["rt_library"] = columns[time][rows].astype(float)
    return part[part["sequence"].isin(wanted)]


_SAMPLED_STRINGS = 1000
_BEST_COMPRESSION = 0.3
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def load_library(path: Path) -> SpecLibBase:
    """Load an alphabase library with all its columns.

    Raises
    ------
    LibraryError
        If the file is missing, is no HDF5 file, or holds no dense spectral library.
    """
    if not path.is_file():
        raise LibraryError(
            f"The spectral library '{path}' does not exist.",
            "alphaDIA writes it in the first pass if 'general.save_library' is true.",
        )
    library = SpecLibBase()
    try:
        library.load_hdf(str(path), load_mod_seq=True)
    except (OSError, AttributeError, KeyError, ValueError) as error:
        raise LibraryError(
            f"The spectral library '{path}' cannot be read as an alphabase library ({error}).",
            "It must hold precursor_df, fragment_mz_df and fragment_intensity_df, as SpecLibBase.save_hdf writes them.",
        ) from error
    if len(library._fragment_mz_df) != len(library._fragment_intensity_df):
        raise LibraryError(
            f"The spectral library '{path}' has {len(library._fragment_mz_df):,} rows of fragment m/z "
            f"but {len(library._fragment_intensity_df):,} rows of intensities.",
            "The file is damaged; make it again.",
        )
    return library


def frame_bytes(df: pd.DataFrame) -> int:
    """Estimate the uncompressed size of a data frame in bytes; text columns from a sample."""
    total = 0
    for column in df.columns:
        values = df[column]
        if values.dtype == object:
            lengths = [len(str(v)) for v in values.iloc[:: max(1, len(values) // _SAMPLED_STRINGS)]]
            total += sum(lengths) * len(values) // max(len(lengths), 1)
        else:
            total += int(values.nbytes)
    return total


def save_library(library: SpecLibBase, path: Path) -> None:
    """Write a library to a temporary name, flush it to the disk, and rename it.

    Raises
    ------
    OutputError
        If there is no permission or no space; nothing is left behind under either name that was not there before.
    """
    frames = (library._precursor_df, library._fragment_mz_df, library._fragment_intensity_df)
    needed = int(_BEST_COMPRESSION * sum(frame_bytes(f) for f in frames))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{free / 1e9:.2f} GB free, at least {needed / 1e9:.2f} GB needed")
        library.save_hdf(str(temporary))
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"The spectral library '{path}' cannot be written ({error}).", _advice(error)) from error
    finally:
        with contextlib.suppress(NotADirectoryError):
            temporary.unlink(missing_ok=True)
    logger.info("Wrote %s (%.1f MB)", path, path.stat().st_size / 1e6)


def _advice(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if number in _DISK_FULL or "No space left" in str(error):
        return "Free some space, or choose an output folder on another disk."
    if isinstance(error, PermissionError) or "Permission denied" in str(error):
        return "You may not write there; choose another output folder."
    return "Check that the output folder is writable and its disk has space."
