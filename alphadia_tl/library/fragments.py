"""Dense tables of observed fragments, and the mask of those that can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from alphabase.peptide.fragment import FRAGMENT_TYPES, create_fragment_mz_dataframe

from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PRECURSOR

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


def block_bounds(lengths: npt.ArrayLike) -> tuple[Ints, Ints]:
    """Return start and stop row of each block, for peptide lengths ``nAA``."""
    stop = np.cumsum(np.asarray(lengths, dtype=np.int64) - 1)
    return stop - (np.asarray(lengths, dtype=np.int64) - 1), stop


def with_blocks(precursor_df: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with ``frag_start_idx``/``frag_stop_idx`` laid out in the order of the rows."""
    start, stop = block_bounds(precursor_df["nAA"].to_numpy())
    return precursor_df.assign(frag_start_idx=start, frag_stop_idx=stop)


def block_rows(start: Ints, stop: Ints) -> Ints:
    """Return the row numbers of the blocks, one after the other (to gather precursors in another order)."""
    lengths: Ints = stop - start
    shift: Ints = start - (np.cumsum(lengths) - lengths)
    rows: Ints = np.arange(int(lengths.sum()), dtype=np.int64)
    rows += np.repeat(shift, lengths)
    return rows


def block_owner(start: Ints, stop: Ints) -> Ints:
    """Return the number of the precursor that each row belongs to, for blocks that lie in order without gaps."""
    return np.repeat(np.arange(len(start), dtype=np.int64), stop - start)


def type_codes(charged_frag_types: Sequence[str]) -> Ints:
    """Encode charged fragment types such as ``b_z1`` or ``y_H2O_z2`` as alphabase's flat columns do.

    A code is ``(type << 16) | (loss_type << 8) | charge``, with the series' ASCII code and alphabase's loss number.
    Raises DataError for a name that alphabase does not know.
    """
    codes = []
    for name in charged_frag_types:
        series, _, charge = name.rpartition("_z")
        if series not in FRAGMENT_TYPES or not charge.isdigit():
            raise DataError(
                f"Unknown fragment type '{name}'.", f"Known series: {', '.join(FRAGMENT_TYPES)}, with _z<charge>."
            )
        known = FRAGMENT_TYPES[series]
        codes.append((known.series_id << 16) | (known.loss_id << 8) | int(charge))
    return np.asarray(codes, dtype=np.int64)


def flat_codes(series: npt.NDArray[np.generic], loss: npt.NDArray[np.generic], charge: npt.NDArray[np.generic]) -> Ints:
    """Encode flat fragment columns ``type``, ``loss_type`` and ``charge`` like :func:`type_codes`."""
    return (series.astype(np.int64) << 16) | (loss.astype(np.int64) << 8) | charge.astype(np.int64)


def find(values: Ints, among: Ints) -> Ints:
    """Return the index of each value in ``among``, the first of equal ones; -1 where it is absent."""
    index = pd.Series(np.arange(len(among)), index=among)
    return np.asarray(index[~index.index.duplicated()].reindex(values, fill_value=-1))


def block_median(values: Floats, owner: Ints, count: int) -> Floats:
    """Median of the finite values (m,) of each owner (m,), 0 to count - 1; 0 for an owner without values."""
    return pd.Series(values).groupby(owner).median().reindex(range(count), fill_value=0).to_numpy(np.float32)


def theoretical_mz(precursor_df: pd.DataFrame, charged_frag_types: Sequence[str]) -> Floats:
    """Calculate fragment m/z (Th) for rows sorted by nAA whose blocks lie in order; 0 where there is no such ion."""
    columns = [*PRECURSOR, "nAA"]
    frame = create_fragment_mz_dataframe(precursor_df[columns].reset_index(drop=True), list(charged_frag_types))
    values: Floats = frame.to_numpy(np.float32)
    return values


MIN_TRUSTED_FRAGMENTS = 3
"""Trusted fragments with signal that a spectrum needs to teach. With one, the normalised target is 1 whatever the
peptide; with two, it is one ratio, which a single interfered fragment decides. alphaDIA asks for none of its own: its
median over fragments accepts a precursor with one."""


def clean_intensity(intensity: Floats) -> tuple[Floats, Bools]:
    """Return a copy with NaN, infinite and negative intensities set to 0, and True where the value was sound."""
    sound = np.isfinite(intensity) & (intensity >= 0)
    return np.where(sound, intensity, np.float32(0)).astype(np.float32), sound


def interference_mask(
    intensity: Floats,
    correlation: Floats,
    start: Ints,
    stop: Ints,
    *,
    precursor_correlation_cutoff: float,
    fragment_correlation_ratio: float,
) -> tuple[Bools, Bools]:
    """Mark the fragments to trust (rows, types) and the precursors to use (n,), from elution-profile correlations.

    The median correlation of a precursor is taken over its fragments with intensity > 0, as alphaDIA does. A fragment
    with signal that correlates no better than ``median * fragment_correlation_ratio`` is interference: its intensity
    belongs to something else and says nothing about this peptide, so it is masked (alphaDIA sets it to 0, which teaches
    that the fragment does not form). A fragment without signal was looked for and not found: a trusted zero. A
    precursor is used with a median above the cut-off and at least ``MIN_TRUSTED_FRAGMENTS`` trusted fragments with
    signal. Intensities and correlations (-1 to 1) are dense (rows, types); blocks ``start`` and ``stop`` (n,) lie in
    order without gaps.
    """
    owner = block_owner(start, stop)
    sound = np.isfinite(intensity) & (intensity >= 0)
    signal = sound & (intensity > 0)
    rated = signal & np.isfinite(correlation)
    row, _ = np.nonzero(rated)
    median = block_median(correlation[rated], owner[row], len(start))
    threshold = (median * np.float32(fragment_correlation_ratio))[owner, None]
    with np.errstate(invalid="ignore"):
        mask = sound & (~signal | (correlation > threshold))
    return mask, (median > precursor_correlation_cutoff) & enough_fragments(mask & signal, start, stop)


def enough_fragments(trusted_signal: Bools, start: Ints, stop: Ints) -> Bools:
    """Say which precursors have enough trusted fragments with signal (rows, types) to learn a spectrum from.

    Their blocks ``start`` and ``stop`` (n,) lie in order without gaps.
    """
    row, _ = np.nonzero(trusted_signal)
    counts = np.bincount(block_owner(start, stop)[row], minlength=len(start))
    enough: Bools = counts >= MIN_TRUSTED_FRAGMENTS
    return enough


def observable(intensity: Floats, mz: Floats, lower: Floats, upper: Floats) -> Bools:
    """Mark the values (rows, types) that say something: seen, or absent from where the instrument looked.

    False only for zeros outside the m/z limits (rows,) in Th. Ions that cannot exist (charge above the precursor's, m/z
    0) stay: they are zero in truth.
    """
    inside = (mz >= lower[:, None]) & (mz <= upper[:, None])
    informative: Bools = (intensity > 0) | inside | (mz == 0)
    return informative
