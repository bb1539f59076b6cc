"""Small data sets are tuned several times, each time with other peptides held out, to tell whether tuning helps."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.tasks.result import TuneResult

__all__ = ["n_turns", "pooled", "take_turns"]

logger = logging.getLogger(__name__)

WANTED_PEPTIDES = 100
MAX_TURNS = 5


def n_turns(held_out_peptides: int, all_peptides: int) -> int:
    """Return how often to tune so that about 100 peptides have been held out, none twice; at most five times."""
    possible = all_peptides // max(1, held_out_peptides)
    return max(1, min(MAX_TURNS, possible, math.ceil(WANTED_PEPTIDES / max(1, held_out_peptides))))


def take_turns(first: TuneResult, tune_again: Callable[[int], TuneResult]) -> TuneResult:
    """Add held-out scores of further turns to a result.

    The weights that are used stay those of the first turn. What the others tell is whether tuning on
    this data, with these settings, helps peptides that it has not seen.

    Parameters
    ----------
    first : TuneResult
        Result of turn 0.
    tune_again : callable
        Tunes the start weights once more, in the turn given, whose test peptides no other turn has.
    """
    turns = n_turns(first.n_peptides["test"], sum(first.n_peptides.values()))
    if turns == 1:
        return first
    logger.info(
        "%s: %d held-out peptides are few; tuning %d more times with others held out, to tell whether it helps",
        first.name.upper(),
        first.n_peptides["test"],
        turns - 1,
    )
    return pooled([first, *(tune_again(turn) for turn in range(1, turns))])


def pooled(results: list[TuneResult]) -> TuneResult:
    """Return the first result with the held-out rows of all."""
    first, headline = results[0], results[0].headline

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(r, name) for r in results])

    before, after = joined("scores_before"), joined("scores_after")
    summary = np.nanmedian if headline.use_median else np.nanmean
    measured = dict(first.measured)
    if "test" in measured:
        measured["test"] = pd.concat([r.measured["test"] for r in results])
    return replace(
        first,
        before=first.before | {headline.name: float(summary(before))},
        after=first.after | {headline.name: float(summary(after))},
        scores_before=before,
        scores_after=after,
        test_groups=joined("test_groups"),
        test_mods=joined("test_mods"),
        sequences=first.sequences | {"test": np.unique(np.concatenate([r.sequences["test"] for r in results]))},
        n_peptides=first.n_peptides | {"test": sum(r.n_peptides["test"] for r in results)},
        n_rows=first.n_rows | {"test": sum(r.n_rows["test"] for r in results)},
        seconds=sum(r.seconds for r in results),
        turns=len(results),
        measured=measured,
    )
