"""What is done where the memory of a GPU is out: smaller batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["halves", "in_parts"]

logger = logging.getLogger(__name__)
T = TypeVar("T")


def halves(batches: Sequence[Tensor]) -> list[Tensor]:
    """Return each batch of rows in two parts, single rows as they are."""
    return [part for rows in batches for part in rows.chunk(2)]


def in_parts(batches: Sequence[Tensor], run: Callable[[list[Tensor]], T]) -> T:
    """Run on batches of rows; where memory is out, once more on halves of them, down to single rows.

    Parameters
    ----------
    batches : sequence of Tensor
        Row numbers of each batch.
    run : callable
        Takes the batches, and may be called again from the start.

    Raises
    ------
    torch.OutOfMemoryError
        When single rows are too much.
    """
    parts = list(batches)
    while True:
        try:
            return run(parts)
        except torch.OutOfMemoryError:
            if max(map(len, parts)) == 1:
                raise
        # not in the handler: its traceback holds the tensors that are in the way
        torch.cuda.empty_cache()
        parts = halves(parts)
        logger.warning("GPU memory is out: going on with batches of at most %d rows", max(map(len, parts)))
