"""Reading the library of the first pass, and writing the tuned one completely or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.errors import LibraryError, QuantificationError
from alphadia_tl.files import require_space, write_whole
from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR

logger = logging.getLogger(__name__)

#: Columns that alphaDIA takes a library's retention times from, in its order.
RT_COLUMNS = ("rt_library", "rt", "rt_norm", "rt_pred", "rt_norm_pred", "irt")
ROWS_AT_ONCE = 200_000
BEST_COMPRESSION = 0.3


def library_precursors(path: Path, sequences: Iterable[str]) -> pd.DataFrame:
    """Read the precursors of some peptides (stripped sequences) from a library that alphaDIA saved.

    One row each: sequence, mods, mod_sites, charge, and, where it has any of `RT_COLUMNS`, rt_library. Raises
    QuantificationError if the file cannot be read.
    """
    wanted = pd.Index(sequences).unique()
    try:
        with h5py.File(path) as file:
            columns = file["library/precursor_df"]
            time = next((name for name in RT_COLUMNS if name in columns), None)
            n = len(columns["sequence"])
            parts = []
            for begin in range(0, max(n, 1), ROWS_AT_ONCE):
                rows = slice(begin, min(begin + ROWS_AT_ONCE, n))
                part = pd.DataFrame({name: columns[name].asstr()[rows] for name in PEPTIDOFORM})
                part["charge"] = columns["charge"][rows].astype(np.int64)
                if time is not None:
                    part["rt_library"] = columns[time][rows].astype(float)
                parts.append(part[part["sequence"].isin(wanted)])
    except (OSError, KeyError, TypeError) as error:
        raise QuantificationError(f"{path} cannot be read: {error}.", "Is it a library that alphaDIA saved?") from error
    return pd.concat(parts).drop_duplicates(PRECURSOR, ignore_index=True)


def load_library(path: Path) -> SpecLibBase:
    """Load an alphabase library with all its columns.

    Raises LibraryError if the file is missing, is no HDF5 file, or holds no dense spectral library.
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


def save_library(library: SpecLibBase, path: Path) -> None:
    """Write a library whole or not at all; OutputError where there is no permission or no space."""
    frames = (library._precursor_df, library._fragment_mz_df, library._fragment_intensity_df)
    require_space(path.parent, int(BEST_COMPRESSION * sum(df.memory_usage(index=False).sum() for df in frames)))
    write_whole(path, lambda part: library.save_hdf(str(part)))
    logger.info("Wrote %s (%.1f MB)", path, path.stat().st_size / 1e6)
