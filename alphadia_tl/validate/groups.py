"""Groups of a target and its twins: what they say about false targets, and bootstrap samples of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import DataError
from alphadia_tl.validate.discoveries import Discoveries

N_BOOTSTRAP = 2000
FloatArray = NDArray[np.floating[Any]]


def group_patterns(lists: Sequence[Discoveries], k: int | None) -> tuple[FloatArray, NDArray[np.int64]]:
    """Count the kinds of groups.

    Parameters
    ----------
    lists : sequence of Discoveries
        One, or those of several runs: a group has what it is in all of them together, so that a bootstrap draws a
        target and its twins with all their runs. ``twin_key`` is read where ``k`` is given.
    k : int or None
        Twins per target; None makes each discovery a group of its own.

    Returns
    -------
    patterns : ndarray, shape (m, 3)
        Distinct combinations of targets, entrapments and estimated false targets of a group.
    counts : ndarray of int, shape (m,)
        Groups with each.

    Raises
    ------
    DataError
        If a target has more than ``k`` twins.
    """
    owners = [_owners(discoveries, k) for discoveries in lists]
    group, names = pd.factorize(np.concatenate([np.empty(0, dtype=object), *owners]))
    groups = np.split(group, np.cumsum([len(o) for o in owners])[:-1]) if owners else []
    totals = np.zeros((len(names), 3))
    for discoveries, of_list in zip(lists, groups, strict=True):
        totals += _of_groups(discoveries, of_list, len(names), k)
    found, counts = np.unique(totals, axis=0, return_counts=True)
    return found, counts


def _owners(discoveries: Discoveries, k: int | None) -> NDArray[np.object_]:
    """Return the name of each discovery's group: its target's, or its own."""
    owner = np.array(discoveries.key, dtype=object)
    if k is not None and discoveries.twin_key is not None:
        named = np.array([isinstance(t, str) and t != "" for t in discoveries.twin_key], bool)
        has_twin = np.asarray(discoveries.is_entrapment) & named
        owner[has_twin] = discoveries.twin_key[has_twin]
    return owner


def _of_groups(discoveries: Discoveries, group: NDArray[Any], n_groups: int, k: int | None) -> FloatArray:
    entrapment = np.asarray(discoveries.is_entrapment)
    n_entrapment = np.bincount(group[entrapment], minlength=n_groups)
    n_target = np.bincount(group[~entrapment], minlength=n_groups)
    false_targets = np.zeros(n_groups)
    if k is not None:
        if n_entrapment.max(initial=0) > k:
            raise DataError(f"A target has {n_entrapment.max()} entrapment twins among the discoveries, but k is {k}.")
        false_targets = _false_targets(discoveries, group, n_target, n_entrapment, k)
    return np.column_stack([n_target, n_entrapment, false_targets])


def _false_targets(
    discoveries: Discoveries, group: NDArray[Any], n_target: NDArray[Any], n_entrapment: NDArray[Any], k: int
) -> FloatArray:
    """Return j A_j of each group; a tie for the last place counts as the share that chance would give the target."""
    entrapment = np.asarray(discoveries.is_entrapment)
    score = np.asarray(discoveries.score, dtype=float)
    target_score = np.full(n_target.size, -np.inf)
    target_score[group[~entrapment]] = score[~entrapment]
    rival, of_target = score[entrapment], target_score[group[entrapment]]
    beaten = np.bincount(group[entrapment], weights=rival < of_target, minlength=n_target.size)
    tied = np.bincount(group[entrapment], weights=rival == of_target, minlength=n_target.size)
    alone = n_entrapment / (k - n_entrapment + 1)
    together = np.where((n_entrapment == k) & (beaten == 0), (k + 1) / (tied + 1), 0.0)
    return np.where(n_target > 0, together, alone)


def resampled(patterns: FloatArray, counts: NDArray[np.int64], generator: np.random.Generator) -> FloatArray:
    """Return total targets, entrapments and false targets of bootstrap samples of groups, shape (3, N_BOOTSTRAP)."""
    drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=N_BOOTSTRAP)
    totals: FloatArray = (drawn @ patterns).T
    return totals
