"""Dense fragment frames: their order, their m/z values, and predicted intensities for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alphabase.spectral_library.base import SpecLibBase
from numpy.typing import NDArray

from alphadia_tl.errors import LibraryError, PredictionError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.host.hooks import Predictor
from alphadia_tl.library.fragments import Ints, block_rows, with_blocks
from alphadia_tl.speclib.checks import check_values, spectrum_correlations

MAX_EMPTY_FRACTION = 0.01


def fragment_bounds(precursor_df: pd.DataFrame, n_rows: int) -> tuple[Ints, Ints]:
    """Return first and last (exclusive) fragment row of each precursor, checked against lengths and number of rows."""
    start = precursor_df["frag_start_idx"].to_numpy(dtype=np.int64)
    stop = precursor_df["frag_stop_idx"].to_numpy(dtype=np.int64)
    wrong = (stop - start != precursor_df["nAA"].to_numpy() - 1) | (start < 0) | (stop > n_rows)
    if wrong.any():
        raise LibraryError(
            f"{int(wrong.sum()):,} precursors of the spectral library do not own nAA - 1 fragment rows, "
            f"the first is {precursor_df['sequence'].to_numpy()[wrong][0]}.",
            "The library file is damaged or of another format; save it again with alphabase.",
        )
    return start, stop


def make_dense(library: SpecLibBase) -> None:
    """Bring the fragment rows into the order of the precursors and drop those nobody uses, in place."""
    n_rows = len(library._fragment_mz_df)
    start, stop = fragment_bounds(library._precursor_df, n_rows)
    if np.array_equal(start[1:], stop[:-1]) and start[0] == 0 and stop[-1] == n_rows:
        return
    rows = block_rows(start, stop)
    for name in ("_fragment_mz_df", "_fragment_intensity_df"):
        frame = getattr(library, name)
        setattr(library, name, pd.DataFrame(frame.to_numpy()[rows], columns=frame.columns))
    library._precursor_df = with_blocks(library._precursor_df)


def fit_columns(library: SpecLibBase, charged_frag_types: Sequence[str]) -> None:
    """Give ``fragment_mz_df`` the columns asked for, computing m/z values only where they differ, in place."""
    wanted = list(charged_frag_types)
    if sorted(library._fragment_mz_df.columns) == sorted(wanted):
        library._fragment_mz_df = library._fragment_mz_df[wanted]
    else:
        library._fragment_mz_df = create_fragment_mz_dataframe(library._precursor_df, wanted)
    library.charged_frag_types = wanted


def model_input(precursor_df: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that models read, with a fresh RangeIndex."""
    columns = [c for c in (*PRECURSOR, "nAA", "precursor_mz") if c in precursor_df.columns]
    return precursor_df[columns].reset_index(drop=True)


def predict_intensities(
    library: SpecLibBase, predictor: Predictor, *, chunk_rows: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], int]:
    """Predict intensities for the dense ``fragment_mz_df`` of a library, which is not changed.

    Fragments of zero m/z (no neutral loss, charge above the precursor's) get zero intensity; the highest remaining
    fragment of a precursor is 1. ``chunk_rows`` precursors are predicted per call. Returns the intensities (rows,
    types), their correlations (n,) with those replaced over the shared columns (NaN where these say nothing), and the
    number of precursors left without any fragment.

    Raises PredictionError if predictions are of the wrong shape, not finite, all zero, constant, or leave more than 1 %
    of the precursors without fragments.
    """
    columns = list(library._fragment_mz_df.columns)
    known = list(predictor.charged_frag_types)
    missing = [c for c in columns if c not in known]
    if missing:
        raise PredictionError(
            f"The tuned MS2 model does not predict {', '.join(missing)}, only {', '.join(known)}.",
            "Let 'transfer_library.fragment_types' and 'max_charge' cover those of 'library_prediction'.",
        )
    picked = [known.index(c) for c in columns]
    df = model_input(library._precursor_df)
    exists = library._fragment_mz_df.to_numpy() > 0
    shared = [c for c in columns if c in library._fragment_intensity_df.columns]
    where_shared = [columns.index(c) for c in shared]
    replaced = library._fragment_intensity_df.to_numpy()
    from_shared = [library._fragment_intensity_df.columns.get_loc(c) for c in shared]
    start, stop = fragment_bounds(library._precursor_df, len(exists))
    intensities = np.empty(exists.shape, dtype=np.float32)
    correlations = np.full(len(df), np.nan, dtype=np.float32)
    n_empty = 0
    for begin in range(0, len(df), chunk_rows):
        where = slice(begin, min(begin + chunk_rows, len(df)))
        rows = slice(int(start[where][0]), int(stop[where][-1]))
        starts = start[where] - rows.start
        predicted = np.asarray(predictor.predict_ms2_array(df.iloc[where].reset_index(drop=True)))
        values = _checked_chunk(predicted, exists[rows], picked, len(known))
        n_empty += _scale(values, starts)
        intensities[rows] = values
        if shared:
            correlations[where] = spectrum_correlations(
                values[:, where_shared], replaced[rows][:, from_shared], exists[rows][:, where_shared], starts
            )
    check_values(intensities, "fragment intensity")
    if n_empty > MAX_EMPTY_FRACTION * len(df):
        raise PredictionError(
            f"{n_empty:,} of {len(df):,} precursors have no predicted fragment at all.",
            "Check that the charged fragment types are those the MS2 model was trained on.",
        )
    return intensities, correlations, n_empty


def _checked_chunk(
    values: NDArray[Any], exists: NDArray[np.bool_], picked: Sequence[int], n_known: int
) -> NDArray[np.float32]:
    expected = (len(exists), n_known)
    if values.shape != expected:
        raise PredictionError(
            f"The MS2 model returned an array of shape {values.shape} instead of {expected}.",
            "This is a defect of the predictor, not of the data.",
        )
    values = values[:, picked]
    n_bad = int(values.size - np.count_nonzero(np.isfinite(values)))
    if n_bad:
        raise PredictionError(f"{n_bad:,} of {values.size:,} predicted fragment intensities are not finite.")
    return np.where(exists, np.maximum(values, 0), 0).astype(np.float32)


def _scale(values: NDArray[np.float32], starts: Ints) -> int:
    """Scale each precursor's highest fragment to 1 in place; return how many have none."""
    top = np.maximum.reduceat(values.max(axis=1), starts)
    lengths = np.diff(np.append(starts, len(values)))
    values /= np.repeat(np.where(top > 0, top, 1), lengths)[:, None]
    return int(np.count_nonzero(top <= 0))
