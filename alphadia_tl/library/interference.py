"""Which fragment intensities can be trusted, and which precursors can teach fragmentation."""

from __future__ import annotations

import numpy as np

from alphadia_tl.library.dense import Bools, Floats, Ints, block_median, block_owner

MIN_TRUSTED_FRAGMENTS = 3
"""Trusted fragments with signal that a spectrum needs to teach. With one, the normalised target is 1 whatever the
peptide; with two, it is one ratio, which a single interfered fragment decides. alphaDIA asks for none of its own: its
median over fragments accepts a precursor with one."""


def clean_intensity(intensity: Floats) -> tuple[Floats, Bools]:
    """Set NaN, infinite and negative intensities to 0 and say which values were sound.

    Returns
    -------
    (intensity, sound)
        A finite copy, and True where the value came through unchanged.
    """
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
    """Mark the fragments to trust and the precursors to use, from elution-profile correlations.

    The median correlation of a precursor is taken over its fragments with intensity > 0, as alphaDIA does. A fragment
    with signal that correlates no better than ``median * fragment_correlation_ratio`` is interference: its intensity
    belongs to something else and says nothing about this peptide, so it is masked (alphaDIA sets it to 0, which
    teaches that the fragment does not form). A fragment without signal was looked for and not found: a trusted zero.

    Parameters
    ----------
    intensity, correlation : numpy.ndarray of float32, shape (rows, types)
        Dense; neither is changed. Correlations lie in -1 to 1.
    start, stop : numpy.ndarray of int64, shape (n,)
        Blocks of the precursors, in order without gaps.
    precursor_correlation_cutoff : float
        A precursor is used where its median correlation is above this.
    fragment_correlation_ratio : float
        See above.

    Returns
    -------
    mask : numpy.ndarray of bool, shape (rows, types)
        True = trusted.
    use_for_ms2 : numpy.ndarray of bool, shape (n,)
        Median above the cut-off, and at least ``MIN_TRUSTED_FRAGMENTS`` trusted fragments with signal.
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
    """Say which precursors have enough trusted fragments with signal to learn a spectrum from.

    Parameters
    ----------
    trusted_signal : numpy.ndarray of bool, shape (rows, types)
        Fragments that are trusted and have signal.
    start, stop : numpy.ndarray of int64, shape (n,)
        Blocks of the precursors, in order without gaps.
    """
    row, _ = np.nonzero(trusted_signal)
    counts = np.bincount(block_owner(start, stop)[row], minlength=len(start))
    enough: Bools = counts >= MIN_TRUSTED_FRAGMENTS
    return enough


def observable(intensity: Floats, mz: Floats, lower: Floats, upper: Floats) -> Bools:
    """Mark the values that say something: seen, or absent from where the instrument looked.

    Parameters
    ----------
    intensity, mz : numpy.ndarray of float32, shape (rows, types)
        Intensities, and fragment m/z (Th) with 0 for ions that cannot exist (fragment charge above the precursor's).
    lower, upper : numpy.ndarray of float32, shape (rows,)
        Limits of the fragment m/z range (Th).

    Returns
    -------
    numpy.ndarray of bool, shape (rows, types)
        False only for zeros outside the limits. Ions that cannot exist stay: they are zero in truth.
    """
    inside = (mz >= lower[:, None]) & (mz <= upper[:, None])
    informative: Bools = (intensity > 0) | inside | (mz == 0)
    return informative
