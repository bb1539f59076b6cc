import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from alphadia_tl.models.weights import new_network
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.held_out import TuneResult
from alphadia_tl.tasks.predict import predict
from alphadia_tl.tasks.repeated_tuning import add_folds, average_folds, n_folds, tune_in_folds
from alphadia_tl.tasks.tuning import TuneSettings, tune
from tasks.made import make_peptides

PEPTIDES = make_peptides(120, seed=4)


def made(fold, peptides=20, name="rt"):
    scores = np.full(peptides, 1.0 + fold)
    return TuneResult(
        name=name,
        history=pd.DataFrame({"epoch": [fold]}),
        before={"median_abs_error_calibrated": 1.0 + fold, "ce_loss": 1.0 + fold, "r": 0.5},
        after={"median_abs_error_calibrated": 0.5, "ce_loss": 0.5, "r": 0.6},
        headline=get_task(name).headline,
        scores_before=scores,
        scores_after=scores / 2,
        test_groups=np.array([f"T{fold}P{i}" for i in range(peptides)], dtype=object),
        test_mods=np.full(peptides, "", dtype=object),
        sequences={"test": np.array([f"T{fold}P{i}" for i in range(peptides)], dtype=object)},
        n_peptides={"train": 7 * peptides, "validation": 2 * peptides, "test": peptides},
        n_rows={"test": peptides},
        seconds=2.0,
        measured={"test": pd.Series(scores, index=[f"T{fold}P{i}" for i in range(peptides)])},
    )


@pytest.mark.parametrize(
    ("held_out", "all_peptides", "wanted", "folds"),
    [(5, 50, 100, 5), (20, 200, 100, 5), (60, 600, 100, 2), (100, 1000, 100, 1), (100, 1000, 400, 4), (30, 99, 100, 3)],
)
def test_few_held_out_peptides_take_more_tunings_but_none_twice(held_out, all_peptides, wanted, folds):
    assert n_folds(held_out, all_peptides, wanted) == folds


@pytest.mark.parametrize(
    ("name", "headline", "before"),
    [("rt", "median_abs_error_calibrated", 2.0), ("charge", "ce_loss", 2.0)],
)
def test_held_out_rows_of_all_turns_decide_until_they_are_clear(name, headline, before):
    result = add_folds(made(0, name=name), lambda fold: made(fold, name=name), 100)
    assert result.folds == 3
    assert len(set(result.test_groups)) == len(result.scores_after) == len(result.measured["test"]) == 60
    assert result.n_peptides["test"] == 60
    assert result.before[headline] == before
    assert result.after[headline] == before / 2
    assert result.before["r"] == 0.5
    assert result.seconds == 6


def test_enough_held_out_peptides_take_one_turn():
    first = made(0, peptides=250)
    assert add_folds(first, lambda fold: pytest.fail("tuned again"), 100) is first


@pytest.mark.parametrize(
    ("peptides", "gain", "noise", "folds"),
    [(150, 0.5, 0.1, 1), (150, 0.1, 0.8, 3), (150, -0.5, 0.1, 1), (40, 0.5, 0.1, 2), (60, 0.5, 0.1, 1)],
)
def test_a_clear_result_takes_no_further_tuning_unless_the_set_is_small(peptides, gain, noise, folds):
    draw = np.random.default_rng(0)

    def fold(number):
        result = made(number, peptides, name="charge")
        return replace(result, scores_after=result.scores_before - gain + draw.normal(0, noise, peptides))

    assert add_folds(fold(0), fold, 400).folds == folds


@pytest.mark.parametrize(
    ("peptides", "gain", "outlier", "folds"),
    [
        (150, 0.05, 0.0, 4),  # one standard error above zero
        (150, 0.2, 0.0, 1),
        (150, -0.05, 0.0, 1),
        (150, -0.2, 0.0, 1),
        (150, 0.2, -100.0, 1),  # one of which nothing is known says nothing about the others
        (90, 0.05, 0.0, 5),  # two are needed in any case, and leave a doubt
        (90, 0.5, 0.0, 1),
        (90, -0.05, 0.0, 2),
        (300, 0.03, 0.0, 2),
        (600, 0.02, 0.0, 1),  # five hundred that leave a doubt leave a small gain
    ],
)
@pytest.mark.parametrize("name", ["rt", "ms2"])
def test_a_gain_that_may_be_chance_takes_further_tunings(name, peptides, gain, outlier, folds):
    direction = 1 if get_task(name).headline.higher_is_better else -1
    noise = np.resize([-0.6, 0.6], peptides)  # standard error 0.05 with 150

    def fold(number):
        result = made(number, peptides, name="rt")
        gains = gain + noise
        gains[0] += outlier
        return replace(
            result,
            headline=get_task(name).headline,
            before=dict.fromkeys([get_task(name).headline.name], 1.0),
            after=dict.fromkeys([get_task(name).headline.name], 1.0 + 0.1 * direction),
            scores_after=result.scores_before + direction * gains,
        )

    assert add_folds(fold(0), fold, 100).folds == folds


def test_no_turn_is_taken_for_a_doubt_where_its_test_peptides_are_not_unseen():
    """As where the collision energy was chosen on them."""
    noise = np.random.default_rng(0).normal(0, 1, 100)

    def fold(number):
        result = made(number, 100)
        return replace(result, scores_after=result.scores_before - 0.15 - noise)

    assert add_folds(fold(0), fold, 100).folds > 1
    assert add_folds(fold(0), fold, 0).folds == 1


@pytest.mark.parametrize(("rows", "folds"), [(200, 3), (1000, 3), (2000, 2), (3999, 2), (4000, 1), (20000, 1)])
def test_tunings_are_repeated_for_their_mean_where_rows_are_few(rows, folds):
    def fold(number):
        return replace(made(number, 250), n_rows={"train": rows - 250, "test": 250})

    assert add_folds(fold(0), fold, 100, 4000).folds == folds
    assert add_folds(fold(0), fold, 100, 0).folds == 1


@pytest.mark.parametrize(("name", "averaged"), [("rt", True), ("charge", False)])
def test_all_turns_start_alike_and_their_mean_is_used(name, averaged):
    task, data, start = get_task(name), TaskData(PEPTIDES), new_network(name, seed=3).model
    settings = TuneSettings(TrainingSettings(epochs=1, batch_size=32), precision="fp32", from_scratch=True)

    def weights(network):
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    ends, held_out, fitted = [], [], None
    for fold in range(5):
        network = copy.deepcopy(start)
        result = tune(task, network, data, settings, fold=fold, fitted=fitted)
        fitted = fitted or result.fitted
        held_out.append(set(result.test_groups))
        ends.append(weights(network))
    result = tune_in_folds(task, start, data, settings)
    assert result.folds == 5
    assert not torch.equal(ends[0], ends[1])
    torch.testing.assert_close(weights(start), torch.stack(ends).mean(dim=0) if averaged else ends[0])
    assert len(set().union(*held_out)) == sum(map(len, held_out))
    assert set(result.test_groups) == set().union(*held_out)
    assert set(result.held_out.rows["sequence"]) == set().union(*held_out)


def test_a_mean_that_left_the_basin_of_the_turns_is_not_used():
    task, networks = get_task("rt"), [new_network("rt", seed=1).model for _ in range(2)]
    for network in networks:
        network.rt_decoder.nn[1].weight.data.fill_(-1.0)  # |x|, so that the negated layer below says the same
    data = TaskData(PEPTIDES.assign(rt_norm=predict(task, networks[0], PEPTIDES, "fp32")))
    halves = [PEPTIDES["sequence"].to_numpy(dtype=object)[i::2] for i in range(2)]
    assert average_folds(task, networks, data, halves)
    kept = networks[0].rt_decoder.nn[0].weight.clone()
    for parameter in networks[1].rt_decoder.nn[0].parameters():
        parameter.data.neg_()
    assert not average_folds(task, networks, data, halves)
    assert torch.equal(networks[0].rt_decoder.nn[0].weight, kept)
