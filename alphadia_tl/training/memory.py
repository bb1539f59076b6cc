"""What is done where the memory of a GPU is out: smaller batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["RowLimit", "in_parts"]

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class RowLimit:
    """The most rows that memory has been found to hold at once; None as long as it was enough."""

    rows: int | None = None

    def split(self, batches: Sequence[Tensor]) -> list[Tensor]:
        """Return the batches, those that are too large in parts."""
        if self.rows is None:
            return list(batches)
        return [part for rows in batches for part in rows.chunk(-(-len(rows) // self.rows))]


def in_parts(batches: Sequence[Tensor], run: Callable[[list[Tensor]], T], limit: RowLimit) -> T:
    """Run on batches of rows; where memory is out, once more on halves of them, down to single rows.

    Parameters
    ----------
    batches : sequence of Tensor
        Row numbers of each batch.
    run : callable
        Takes the batches, and may be called again from the start.
    limit : RowLimit
        What was found before, and is found now.

    Raises
    ------
    torch.OutOfMemoryError
        When single rows are too much.
    """
    while True:
        parts = limit.split(batches)
        largest = max(map(len, parts))
        try:
            return run(parts)
        except torch.OutOfMemoryError:
            if largest == 1:
                raise
        # not in the handler: its traceback holds the tensors that are in the way
        torch.cuda.empty_cache()
        limit.rows = -(-largest // 2)
        logger.warning("GPU memory is out: going on with batches of at most %d rows", limit.rows)
