"""Where held-out peptides are few or in doubt, tuning is repeated with others held out, to tell whether it helps."""

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
from scipy.stats import mstats, trim_mean

from alphadia_tl.tasks.base import Task, TaskData
from alphadia_tl.tasks.held_out import HeldOut, TuneResult
from alphadia_tl.tasks.tuning import TuneSettings, tune
from alphadia_tl.training.epoch import infer

logger = logging.getLogger(__name__)

MAX_FOLDS = 5
MOST_AVERAGED = 3
ENOUGH_IF_CLEAR = 50
CLEAR = 3.0
IN_DOUBT = 2.0
ENOUGH_IN_DOUBT = 500


def tune_in_folds(task: Task, network: torch.nn.Module, data: TaskData, settings: TuneSettings) -> TuneResult:
    """Tune a network, and copies of it with other peptides held out where the set is small or the gain in doubt.

    The first finds out how fast and how long to train; the others start alike and need not search. The network is left
    with the weights of the first fold or the mean of all; the result has the held-out rows of all.
    """
    start = copy.deepcopy(network)
    networks: list[torch.nn.Module] = []
    held_out: list[NDArray[Any]] = []

    def tune_fold(fold: int) -> TuneResult:
        networks.append(copy.deepcopy(start) if networks else network)
        result = tune(task, networks[-1], data, settings, fold=fold, fitted=first.fitted if fold else None)
        held_out.append(result.sequences["test"])
        return result

    first = tune_fold(0)
    if first.best_epoch < 0:
        return first
    # a collision energy was chosen on the test peptides of further folds
    wanted = task.wanted_peptides if settings.baseline is None else 0
    result = add_folds(first, tune_fold, wanted, task.averaged_rows)
    if len(networks) > 1 and task.averages_folds:
        average_folds(task, networks, data, held_out)
    return result


def n_folds(held_out_peptides: int, all_peptides: int, wanted: int) -> int:
    """Return how often to tune so that the wanted peptides have been held out, none twice; at most five times."""
    possible = all_peptides // max(1, held_out_peptides)
    return max(1, min(MAX_FOLDS, possible, math.ceil(wanted / max(1, held_out_peptides))))


def add_folds(
    first: TuneResult, tune_again: Callable[[int], TuneResult], wanted: int, averaged_rows: int = 0
) -> TuneResult:
    """Add held-out scores of further folds to a result.

    What the folds tell together is whether tuning on this data, with these settings, helps peptides that it has
    not seen. ``tune_again`` tunes the start weights once more, in the fold given, whose test peptides no other has.
    ``wanted`` held-out peptides are enough to tell, and fewer where the gain is clear; 0 where those of further folds
    are not unseen. With fewer than ``averaged_rows`` rows two or three folds are tuned for the mean of their weights.
    """
    held_out, peptides = first.n_peptides["test"], sum(first.n_peptides.values())
    results = [first]

    def until(folds: int, why: str, enough: float = ENOUGH_IF_CLEAR) -> None:
        while len(results) < folds and not (len(results) * held_out >= enough and is_clear(pooled(results))):
            logger.info("%s: %s; tuning once more with other peptides held out", first.name.upper(), why)
            results.append(tune_again(len(results)))

    rows = max(1, sum(first.n_rows.values()))
    folds = min(n_folds(held_out, peptides, peptides), MOST_AVERAGED, math.ceil(averaged_rows / rows))
    until(folds, f"of {rows} rows the mean of several models is better than one", math.inf)
    until(n_folds(held_out, peptides, wanted), "held-out peptides are few to tell whether it helps")
    if wanted and is_in_doubt(pooled(results)):
        until(n_folds(held_out, peptides, ENOUGH_IN_DOUBT), "it seems to help, but that may be chance")
    return pooled(results) if len(results) > 1 else first


def is_clear(result: TuneResult) -> bool:
    """Return whether the mean gain per held-out peptide is more than three standard errors away from zero."""
    gain = _gains(result)
    return bool(gain.size > 1 and abs(gain.mean()) > CLEAR * gain.std(ddof=1) / math.sqrt(gain.size))


def is_in_doubt(result: TuneResult) -> bool:
    """Return whether tuning seems to help, and the gate would yet keep the pretrained model.

    That is, the trimmed mean gain per held-out peptide is above zero, but by less than two standard errors (those of
    the winsorised values, Tukey and McLaughlin 1963), or the headline is no better.
    """
    gain, headline = _gains(result), result.headline
    if gain.size < 2 or trim_mean(gain, headline.trimmed) <= 0:
        return False
    winsorized = np.asarray(mstats.winsorize(gain, limits=(headline.trimmed, headline.trimmed)))
    error = winsorized.std(ddof=1) / ((1 - 2 * headline.trimmed) * math.sqrt(gain.size))
    before, after = result.before[headline.name], result.after[headline.name]
    better = after > before if headline.higher_is_better else after < before
    return bool(not better or trim_mean(gain, headline.trimmed) < IN_DOUBT * error)


def _gains(result: TuneResult) -> NDArray[np.float64]:
    """Return how much better each held-out peptide is scored after tuning than before."""
    sign = 1.0 if result.headline.higher_is_better else -1.0
    change = sign * (result.scores_after - result.scores_before)
    valid = np.isfinite(change)
    _, peptide = np.unique(result.test_groups[valid], return_inverse=True)
    gains: NDArray[np.float64] = np.bincount(peptide, weights=change[valid]) / np.bincount(peptide)
    return gains


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
        folds=len(results),
        measured=measured,
        held_out=HeldOut.pooled([r.held_out for r in results]),
    )


def average_folds(
    task: Task, networks: Sequence[torch.nn.Module], data: TaskData, held_out: Sequence[NDArray[np.object_]]
) -> bool:
    """Put the mean of all folds' weights into the first network, unless it left their common basin; tell whether.

    Weights tuned from the same start average well (Wortsman et al. 2022, model soups): the chance of the split and
    of the steps averages out. The mean, which has learnt from nearly all rows, must fit them at least as well as the
    folds fit the rows that they have not learnt from, those of the sequences ``held_out``. (What the folds have learnt
    by heart the mean has not, so that their loss on it would be no fair limit.)
    """
    prepared = task.prepare(data)
    device = next(networks[0].parameters()).device

    def loss(network: torch.nn.Module, rows: NDArray[np.int64]) -> float:
        examples = prepared.examples.select(torch.from_numpy(rows)).to(device)
        return infer(network, examples, task.forward, loss=task.loss)[1]

    mean = copy.deepcopy(networks[0])
    folds = [dict(network.named_parameters()) for network in networks]
    with torch.no_grad():
        for name, parameter in mean.named_parameters():
            parameter.copy_(torch.stack([fold[name] for fold in folds]).mean(dim=0))
    unseen = [np.flatnonzero(np.isin(prepared.sequences, list(sequences))) for sequences in held_out]
    limit = float(np.mean([loss(n, rows) for n, rows in zip(networks, unseen, strict=True)]))
    of_mean = loss(mean, np.arange(len(prepared.sequences)))
    fits = of_mean <= limit
    losses = f"loss {of_mean:.5f}, that of each on its held-out peptides {limit:.5f}"
    used = "the mean is used" if fits else "the first is used"
    logger.info(f"{task.title}: mean weights of {len(networks)} tunings: {losses}: {used}")
    if fits:
        networks[0].load_state_dict(mean.state_dict())
    return fits
