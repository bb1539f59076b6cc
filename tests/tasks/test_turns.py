import numpy as np
import pandas as pd
import pytest

from alphadia_tl.finetune import FinetuneManager
from alphadia_tl.tasks import TuneResult, get_task, new_network
from alphadia_tl.tasks.turns import n_turns, take_turns
from tasks.made import make_peptides

PEPTIDES = make_peptides(120, seed=4)


def made(turn, peptides=20, name="rt"):
    scores = np.full(peptides, 1.0 + turn)
    return TuneResult(
        name=name,
        history=pd.DataFrame({"epoch": [turn]}),
        before={"median_abs_error_calibrated": 1.0 + turn, "ce_loss": 1.0 + turn, "r": 0.5},
        after={"median_abs_error_calibrated": 0.5, "ce_loss": 0.5, "r": 0.6},
        headline=get_task(name).headline,
        scores_before=scores,
        scores_after=scores / 2,
        test_groups=np.array([f"T{turn}P{i}" for i in range(peptides)], dtype=object),
        test_mods=np.full(peptides, "", dtype=object),
        sequences={"test": np.array([f"T{turn}P{i}" for i in range(peptides)], dtype=object)},
        n_peptides={"train": 7 * peptides, "validation": 2 * peptides, "test": peptides},
        n_rows={"test": peptides},
        seconds=2.0,
        measured={"test": pd.Series(scores, index=[f"T{turn}P{i}" for i in range(peptides)])},
    )


@pytest.mark.parametrize(
    ("held_out", "all_peptides", "turns"),
    [(5, 50, 5), (20, 200, 5), (60, 600, 2), (100, 1000, 1), (30, 100, 3)],
)
def test_few_held_out_peptides_take_more_turns_but_none_twice(held_out, all_peptides, turns):
    assert n_turns(held_out, all_peptides) == turns


@pytest.mark.parametrize(
    ("name", "headline", "before"),
    [("rt", "median_abs_error_calibrated", 3.0), ("charge", "ce_loss", 3.0)],
)
def test_held_out_rows_of_all_turns_decide(name, headline, before):
    result = take_turns(made(0, name=name), lambda turn: made(turn, name=name))
    assert result.turns == 5
    assert len(set(result.test_groups)) == len(result.scores_after) == len(result.measured["test"]) == 100
    assert result.n_peptides["test"] == 100
    assert result.before[headline] == before
    assert result.after[headline] == before / 2
    assert result.before["r"] == 0.5
    assert result.seconds == 10


def test_enough_held_out_peptides_take_one_turn():
    first = made(0, peptides=250)
    assert take_turns(first, lambda turn: pytest.fail("tuned again")) is first


def test_the_weights_are_those_of_the_first_turn_and_all_turns_start_alike(tmp_path, monkeypatch):
    import torch

    from alphadia_tl import finetune

    for name in ("rt", "ms2", "charge", "ccs"):
        torch.save(new_network(name, seed=3).model.state_dict(), tmp_path / f"{name}.pth")
    starts, ends, held_out = [], [], []
    tune = finetune.tune

    def watched(task, network, **kwargs):
        starts.append(network.rt_decoder.nn[2].weight.clone())
        result = tune(task, network, **kwargs)
        ends.append(network.rt_decoder.nn[2].weight.clone())
        held_out.append(set(result.test_groups))
        return result

    monkeypatch.setattr(finetune, "tune", watched)
    monkeypatch.setattr("alphadia_tl.tasks.tuning.check_pretrained", lambda *a, **k: None)
    manager = FinetuneManager("cpu", {"epochs": 1}, models=tmp_path, precision="fp32")
    manager.finetune_rt(PEPTIDES)
    assert manager.results["rt"].turns == len(starts) == 5
    assert all(torch.equal(s, starts[0]) for s in starts)
    assert torch.equal(manager.interface("rt").model.rt_decoder.nn[2].weight, ends[0])
    assert not torch.equal(ends[0], ends[1])
    assert len(set().union(*held_out)) == sum(map(len, held_out))
    assert set(manager.results["rt"].test_groups) == set().union(*held_out)
