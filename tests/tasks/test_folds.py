import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl import gate
from alphadia_tl.finetune import FinetuneManager
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task, new_network, predict
from alphadia_tl.tasks.folds import fold_settings, folds_of, predict_by_fold
from tasks.made import make_peptides

PEPTIDES = make_peptides(150, seed=5)
SEQUENCES = st.lists(st.text("ACDEFGHIKLMNPQRSTVWY", min_size=6, max_size=20), min_size=1, max_size=30)


@given(SEQUENCES, st.integers(1, 10), st.integers(0, 5))
def test_a_peptide_has_one_fold_wherever_it_is_met(sequences, n_folds, seed):
    folds = folds_of(sequences, n_folds, seed)
    assert ((folds >= 0) & (folds < n_folds)).all()
    np.testing.assert_array_equal(folds_of(sequences[::-1], n_folds, seed)[::-1], folds)
    np.testing.assert_array_equal(folds_of([s.replace("I", "L") for s in sequences], n_folds, seed), folds)


def test_folds_are_about_equal_and_change_with_the_seed():
    sequences = [f"PEP{i}K" for i in range(3000)]
    counts = np.bincount(folds_of(sequences, 3, 0))
    assert counts.min() > 900
    assert (folds_of(sequences, 3, 0) != folds_of(sequences, 3, 1)).mean() > 0.5


@pytest.mark.parametrize("n_folds", [2, 3, 5, 10])
def test_all_folds_together_cost_no_more_than_one_model(n_folds):
    one = TrainingSettings(epochs=50)
    fold = fold_settings(one, n_folds)
    cost = n_folds * fold.train_fraction * fold.epochs
    assert cost == pytest.approx(one.train_fraction * one.epochs, rel=0.12)
    assert fold.train_fraction + fold.validation_fraction + fold.test_fraction == pytest.approx(1)
    assert fold.train_fraction / fold.validation_fraction == pytest.approx(one.train_fraction / one.validation_fraction)


@pytest.mark.parametrize("name", ["rt", "ms2", "charge"])
def test_every_row_is_predicted_by_the_network_of_its_fold(name):
    task = get_task(name)
    networks = [new_network(name, seed=s).model for s in (1, 3, 4)]
    df = PEPTIDES.sample(frac=1, random_state=1).reset_index(drop=True)
    got = predict_by_fold(task, networks, df, "fp32", seed=7)
    single = [predict(task, n, df, "fp32") for n in networks]
    fold = folds_of(df["sequence"], 3, 7)
    owner = np.repeat(fold, df["sequence"].str.len() - 1) if name == "ms2" else fold
    expected = np.choose(owner.reshape(-1, *[1] * (got.ndim - 1)), single)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert all(not np.allclose(got, s) for s in single)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    for each in ("rt", "ms2", "charge", "ccs"):
        torch.save(new_network(each, seed=3).model.state_dict(), tmp_path / f"{each}.pth")
    monkeypatch.setattr("alphadia_tl.tasks.tuning.check_pretrained", lambda *a, **k: None)
    return tmp_path


def test_no_peptide_is_predicted_by_a_model_that_learnt_from_it(weights, monkeypatch):
    from alphadia_tl.tasks import tuning

    learnt = []
    split = tuning.split_rows

    def watched(task, sequences, settings, seed, turn, n_folds):
        rows = split(task, sequences, settings, seed, turn, n_folds)
        learnt.append({sequences[i] for name in ("train", "validation") for i in rows[name]})
        return rows

    monkeypatch.setattr(tuning, "split_rows", watched)
    manager = FinetuneManager("cpu", {"epochs": 2}, models=weights, precision="fp32", cross_fit=3)
    manager.finetune_rt(PEPTIDES)
    fold = folds_of(PEPTIDES["sequence"], 3, manager._seed("rt"))
    assert len(learnt) == len(manager.fold_networks["rt"]) == 3
    assert all(not learnt[f] & set(PEPTIDES["sequence"][fold == f]) for f in range(3))
    result = manager.results["rt"]
    assert set(result.test_groups) == set(PEPTIDES["sequence"])
    assert gate.decide(result, confidence=0.9, generator=np.random.default_rng(0)).n_peptides["test"] == len(
        set(PEPTIDES["sequence"])
    )


def test_a_rejected_model_loses_its_folds_and_a_used_one_is_saved_with_them(weights, tmp_path):
    manager = FinetuneManager("cpu", {"epochs": 1}, models=weights, precision="fp32", cross_fit=2)
    pretrained = manager.predict_rt_array(PEPTIDES)
    manager.finetune_rt(PEPTIDES)
    tuned = manager.predict_rt_array(PEPTIDES)
    manager.save_models(tmp_path / "out")
    fold = folds_of(PEPTIDES["sequence"], 2, manager._seed("rt"))
    for number in range(2):
        network = new_network("rt").model
        network.load_state_dict(torch.load(tmp_path / "out" / f"fold_{number + 1}" / "rt.pth", weights_only=True))
        again = predict(get_task("rt"), network, PEPTIDES, "fp32")
        np.testing.assert_allclose(again[fold == number], tuned[fold == number], atol=1e-5)
    manager.restore_pretrained("rt")
    np.testing.assert_allclose(manager.predict_rt_array(PEPTIDES), pretrained, atol=1e-6)
    manager.save_models(tmp_path / "out")
    assert not list((tmp_path / "out").glob("fold_*/*.pth"))


def test_folds_are_loaded_in_the_order_in_which_they_were_saved(weights, tmp_path):
    """By name, fold_10 comes before fold_2."""
    manager = FinetuneManager("cpu", models=weights, precision="fp32", cross_fit=10)
    networks = [new_network("rt").model for _ in range(10)]
    for number, network in enumerate(networks):
        for weight in network.parameters():
            weight.data.fill_(number)
    manager.fold_networks["rt"] = networks
    manager.save_models(tmp_path)
    manager.fold_networks.clear()
    manager.load_tuned(tmp_path, ["rt"])
    assert [int(next(n.parameters()).flatten()[0]) for n in manager.fold_networks["rt"]] == list(range(10))
