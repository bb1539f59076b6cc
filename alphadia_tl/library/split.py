"""Split of observations into training, validation and test by stripped sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alphadia_tl.errors import DataError

TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, -1


def split_by_peptide(
    sequences: Sequence[str] | npt.NDArray[np.object_],
    fractions: tuple[float, float, float] = (0.7, 0.2, 0.1),
    *,
    generator: np.random.Generator,
    turn: int = 0,
) -> npt.NDArray[np.int8]:
    """Label every row as training (0), validation (1) or test (2); a peptide never straddles.

    Parameters
    ----------
    sequences : sequence of str, shape (n,)
        Stripped sequence of each row. Rows of one sequence (other charges, modifications or
        runs) get the same label.
    fractions : tuple of three floats
        Fractions of the *distinct sequences*. Where they add up to less than 1, the rest is
        labelled -1 (unused).
    generator : numpy.random.Generator
        Source of the shuffle. Called once, on the sorted distinct sequences, so that neither
        the order of the rows nor how often a sequence occurs changes anything.
    turn : int
        Other turns of the same shuffle have other test peptides, as long as there are any left.

    Returns
    -------
    numpy.ndarray of int8, shape (n,)
        With at least as many peptides as positive fractions, no such split is empty.

    Raises
    ------
    DataError
        For fractions that are negative or add up to more than 1, or missing sequences.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() > 1 + 1e-9:
        raise DataError(f"Impossible split fractions {tuple(fractions)}.", "Use three that add up to at most 1.")
    values = np.asarray(sequences, dtype=object)
    if values.size == 0:
        return np.zeros(0, dtype=np.int8)
    if not all(isinstance(s, str) for s in values):
        raise DataError("The sequence column has missing or non-text values, so it cannot be split by peptide.")
    distinct, inverse = np.unique(values.astype(str), return_inverse=True)
    labels = np.full(len(distinct), UNUSED, dtype=np.int8)
    counts = _counts(shares, len(distinct))
    bounds = np.concatenate([[0], np.cumsum(counts)])
    order = np.roll(generator.permutation(len(distinct)), turn * int(counts[TEST]))
    for label in (TRAIN, VALIDATION, TEST):
        labels[order[bounds[label] : bounds[label + 1]]] = label
    per_row: npt.NDArray[np.int8] = labels[inverse.reshape(-1)]
    return per_row


def _counts(shares: npt.NDArray[np.float64], total: int) -> npt.NDArray[np.int64]:
    """Whole numbers of peptides per split: rounded bounds, then no positive share left empty."""
    bounds = np.minimum(np.floor(np.cumsum(shares) * total + 0.5 + 1e-9), total).astype(np.int64)
    counts = np.diff(bounds, prepend=0)
    for empty in np.flatnonzero((counts == 0) & (shares > 0)):
        largest = int(np.argmax(counts))
        unused = total - int(counts.sum())
        if unused > 0 or counts[largest] > 1:
            counts[largest] -= unused == 0
            counts[empty] = 1
    return counts
