"""Small data sets are tuned several times, each time with other peptides held out, to tell whether tuning helps."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from alphadia_tl.tasks.base import Task, TaskData
from alphadia_tl.tasks.held_out import HeldOut
from alphadia_tl.tasks.result import TuneResult
from alphadia_tl.training import infer

__all__ = ["average_turns", "n_turns", "pooled", "take_turns"]

logger = logging.getLogger(__name__)

WANTED_PEPTIDES = 100
MAX_TURNS = 5


def n_turns(held_out_peptides: int, all_peptides: int) -> int:
    """Return how often to tune so that about 100 peptides have been held out, none twice; at most five times."""
    possible = all_peptides // max(1, held_out_peptides)
    return max(1, min(MAX_TURNS, possible, math.ceil(WANTED_PEPTIDES / max(1, held_out_peptides))))


def take_turns(first: TuneResult, tune_again: Callable[[int], TuneResult]) -> TuneResult:
    """Add held-out scores of further turns to a result.

    What the turns tell together is whether tuning on this data, with these settings, helps peptides that it has
    not seen.

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
        held_out=HeldOut.pooled([r.held_out for r in results]),
    )


def average_turns(task: Task, networks: Sequence[torch.nn.Module], data: TaskData) -> bool:
    """Put the mean of all turns' weights into the first network, if it is no worse than they are.

    Weights tuned from the same start average well (Wortsman et al. 2022, model soups): the chance of the split and
    of the steps averages out. That the mean did not leave their common basin is checked on all rows, nearly all of
    which every turn has learnt from, so that neither side has an advantage.

    Parameters
    ----------
    task : Task
        Which model it is.
    networks : sequence of torch.nn.Module
        One tuned network per turn.
    data : TaskData
        The rows of all turns.

    Returns
    -------
    bool
        False: the first network's weights are those of the first turn.
    """
    examples = task.prepare(data).examples.to(next(networks[0].parameters()).device)

    def loss(network: torch.nn.Module) -> float:
        return infer(network, examples, task.forward, loss=task.loss)[1]

    mean = copy.deepcopy(networks[0])
    others = [dict(network.named_parameters()) for network in networks]
    with torch.no_grad():
        for name, parameter in mean.named_parameters():
            parameter.copy_(torch.stack([other[name] for other in others]).mean(dim=0))
    of_mean, of_turns = loss(mean), [loss(network) for network in networks]
    fits = of_mean <= max(of_turns)
    logger.info(
        "%s: loss over all rows %.5f with the mean weights of %d turns, %.5f to %.5f with one turn's: %s",
        task.title,
        of_mean,
        len(networks),
        min(of_turns),
        max(of_turns),
        "the mean is used" if fits else "the first turn is used",
    )
    if fits:
        networks[0].load_state_dict(mean.state_dict())
    return fits
