"""The runs of a search: which of many the models are tuned on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

__all__ = ["sample_note", "spread"]

logger = logging.getLogger(__name__)


def spread(raw_paths: Sequence[str], number: int | None) -> list[str]:
    """Choose raw files that are spread evenly over all of them, the first and the last among them.

    Raw files are mostly in the order in which they were acquired; a column ages and an instrument drifts over a batch,
    and models for all of it must see all of it.

    Parameters
    ----------
    raw_paths : sequence of str
        All raw files, in their order.
    number : int or None
        How many to choose; None for all.

    Returns
    -------
    list of str
        In their order.
    """
    if number is None or number >= len(raw_paths):
        return list(raw_paths)
    if number == 1:
        chosen = [len(raw_paths) // 2]
    else:
        chosen = [round(i * (len(raw_paths) - 1) / (number - 1)) for i in range(number)]
    logger.info(
        f"The first pass searches {number} of {len(raw_paths)} raw files, spread evenly over them "
        "(alphadia_tl.tuning_runs); the models are tuned on these."
    )
    return [raw_paths[i] for i in chosen]


def sample_note(searched: int, runs: int) -> str:
    """Say that the first pass has not searched all runs; empty if it has."""
    if searched >= runs:
        return ""
    return f"The first pass searched {searched} of {runs} runs: its numbers are of these."
