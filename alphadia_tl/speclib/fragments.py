"""Dense fragment frames: their order, their m/z values, and predicted intensities for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alphabase.spectral_library.base import SpecLibBase
from numpy.typing import NDArray

from alphadia_tl.errors import LibraryError, PredictionError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.host.hooks import Predictor
from alphadia_tl.library.fragments import Ints, block_rows, with_blocks
from alphadia_tl.tasks.metrics import FloatArray, spectral_similarity
from alphadia_tl.tasks.predict import check_values

logger = logging.getLogger(__name__)

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
    """Give a dense library the columns asked for beside its own, computing m/z only for those that it lacks, in place.

    The types asked for come first; intensities of new ones are 0.
    """
    mz, intensity = library._fragment_mz_df, library._fragment_intensity_df
    columns = list(dict.fromkeys([*charged_frag_types, *mz.columns]))
    if new := [c for c in columns if c not in mz.columns]:
        mz = pd.concat([mz, create_fragment_mz_dataframe(library._precursor_df.copy(), new)], axis=1)
    library._fragment_mz_df = mz[columns]
    library._fragment_intensity_df = intensity.reindex(columns=columns, fill_value=0.0)
    library.charged_frag_types = columns


def model_input(precursor_df: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that models read, with a fresh RangeIndex."""
    columns = [c for c in (*PRECURSOR, "nAA", "precursor_mz") if c in precursor_df.columns]
    return precursor_df[columns].reset_index(drop=True)


def predicted_types(library: SpecLibBase, wanted: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the fragment types to ask a model for: those wanted, and of the library's own those that it knows."""
    advice = "Let 'transfer_library.fragment_types' and 'max_charge' cover them."
    if missing := [c for c in wanted if c not in known]:
        raise PredictionError(f"The MS2 model does not predict {', '.join(missing)}, only {', '.join(known)}.", advice)
    own = [c for c, values in library._fragment_intensity_df.items() if (values > 0).any()]
    types = list(dict.fromkeys([*wanted, *(c for c in own if c in known)]))
    if own and not set(own) & set(types):
        raise PredictionError(f"The MS2 model learnt none of the library's {', '.join(own)}: they stay.", advice)
    return types


def predict_intensities(
    library: SpecLibBase, predictor: Predictor, types: Sequence[str], *, chunk_rows: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], int, list[str]]:
    """Predict intensities of some types for a dense library with columns for them, which is not changed.

    Fragments of zero m/z (no neutral loss, charge above the precursor's) get zero intensity. What is not predicted
    stays as the library has it: other fragment types, put on the scale of the predictions, precursor by precursor, by
    the factor between the sums of predicted and given intensities of fragments that have both; where a precursor has
    none, its highest given fragment counts as much as its highest predicted one. ``chunk_rows`` precursors are
    predicted per call. Returns the intensities (rows, types), the highest of each precursor 1; their correlations (n,)
    with those replaced, NaN where these say nothing; the number of precursors without any fragment; and the types whose
    intensities were not predicted. Raises PredictionError if predictions are not finite, all zero, constant, or leave
    more than 1 % of the precursors without fragments.
    """
    known, columns = list(predictor.charged_frag_types), list(library._fragment_mz_df.columns)
    picked, where = [known.index(c) for c in types], [columns.index(c) for c in types]
    exists = library._fragment_mz_df.to_numpy() > 0
    intensities = np.where(exists, library._fragment_intensity_df[columns].to_numpy(), 0).astype(np.float32)
    own = [i for i in range(len(columns)) if intensities[:, i].any()]
    others, shared = [i for i in own if i not in where], [i for i in where if i in own]
    start, stop = fragment_bounds(library._precursor_df, len(exists))
    df = model_input(library._precursor_df)
    correlations = np.full(len(start), np.nan, dtype=np.float32)
    for begin in range(0, len(df), chunk_rows):
        chunk = slice(begin, min(begin + chunk_rows, len(df)))
        rows = slice(int(start[chunk][0]), int(stop[chunk][-1]))
        starts = start[chunk] - rows.start
        predicted = np.asarray(predictor.predict_ms2_array(df.iloc[chunk].reset_index(drop=True)))[:, picked]
        values = np.where(exists[rows][:, where], np.maximum(predicted, 0), 0).astype(np.float32)
        old, new = intensities[rows], np.zeros((len(values), len(columns)), dtype=np.float32)
        new[:, where] = values
        both, lengths = exists[rows][:, shared], stop[chunk] - start[chunk]
        correlations[chunk] = spectral_similarity(new[:, shared], old[:, shared], both, lengths, ["PCC"])["PCC"]
        if others:
            new[:, others] = old[:, others] * _factors(values, old, where, starts)[:, None]
        intensities[rows] = new
        if chunk.stop < len(df):
            logger.info(f"MS2: {chunk.stop:,} of {len(df):,} precursors are predicted")
    check_values(intensities[:, where], "fragment intensity")
    n_empty = _scale(intensities, start)
    if n_empty > MAX_EMPTY_FRACTION * len(start):
        raise PredictionError(
            f"{n_empty:,} of {len(start):,} precursors have no predicted fragment at all.",
            "Check that the charged fragment types are those the MS2 model was trained on.",
        )
    return intensities, correlations, n_empty, [columns[i] for i in others]


def _factors(values: NDArray[np.float32], given: NDArray[np.float32], where: Sequence[int], starts: Ints) -> FloatArray:
    """Return (rows,) by what to multiply the given intensities to have them on the scale of the predicted ones."""
    lengths = np.diff(np.append(starts, len(values)))
    both = (given[:, where] > 0) & (values > 0)
    new, old = (np.add.reduceat(np.where(both, cells, 0).sum(axis=1), starts) for cells in (values, given[:, where]))
    top_new, top_old = (np.maximum.reduceat(cells.max(axis=1), starts) for cells in (values, given))
    fallback = np.where(top_new > 0, top_new, 1) / np.where(top_old > 0, top_old, 1)
    return np.repeat(np.where(old > 0, new / np.where(old > 0, old, 1), fallback), lengths)


def _scale(values: NDArray[np.float32], starts: Ints) -> int:
    """Scale each precursor's highest fragment to 1 in place; return how many have none."""
    top = np.maximum.reduceat(values.max(axis=1), starts)
    lengths = np.diff(np.append(starts, len(values)))
    values /= np.repeat(np.where(top > 0, top, 1), lengths)[:, None]
    return int(np.count_nonzero(top <= 0))
