import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from alphadia_tl.errors import DataError
from alphadia_tl.models.weights import new_network
from alphadia_tl.settings import TrainingSettings
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.charge import ChargeTask
from alphadia_tl.tasks.ms2 import Ms2Task
from alphadia_tl.tasks.scalar import RtTask
from alphadia_tl.tasks.tuning import WATCHED_ROWS, TuneSettings, fit_settings_of, tune
from alphadia_tl.training.epoch import Learner, infer
from alphadia_tl.training.loop import fit
from alphadia_tl.training.schedule import FitSettings
from alphadia_tl.training.state import HISTORY_COLUMNS, History
from tasks.made import make_fragments, make_peptides

PEPTIDES = make_peptides(150, seed=4)
FRAGMENTS = make_fragments(PEPTIDES)
SETTINGS = TrainingSettings(epochs=2, warmup_epochs=1, batch_size=32)
NAMES = ("rt", "charge", "ms2", "ccs")
METRICS = {
    "rt": {"l1_loss", "r_square", "r", "slope", "intercept", "abs_error_95th_percentile"},
    "ccs": {"l1_loss", "r_square", "r", "slope", "intercept", "abs_error_95th_percentile"},
    "charge": {"ce_loss", "accuracy", "precision", "recall"},
    "ms2": {"l1_loss"} | {f"{m}-{s}" for m in ("PCC", "COS", "SA", "SPC") for s in ("mean", "median")},
}


def tuned(name, network=None, data=None, settings=SETTINGS, seed=0, precision="fp32"):
    network = new_network(name, seed=1).model if network is None else network
    data = TaskData(PEPTIDES, FRAGMENTS if name == "ms2" else None) if data is None else data
    return network, tune(
        get_task(name), network, data, TuneSettings(settings, seed=seed, precision=precision, from_scratch=True)
    )


@pytest.fixture(scope="module", params=NAMES)
def result(request):
    return tuned(request.param)[1]


def last_epoch(result):
    return result.epochs + result.last_epochs - 1


def test_history_is_the_long_table_with_all_metrics(result):
    frame = result.history
    assert tuple(frame.columns) == HISTORY_COLUMNS
    assert set(frame["property"]) == {result.name}
    at = {key: set(group["metric_name"]) for key, group in frame.groupby(["epoch", "data_split"])}
    metrics = METRICS[result.name] | {result.headline.name}
    assert at.pop((-1, "test")) == at.pop((last_epoch(result), "test")) == metrics
    assert set(at) == {(-1, "validation"), (0, "train"), (0, "validation"), (1, "train"), (1, "validation")}
    assert at[(0, "train")] == {"train_loss", "lr"}
    assert at[(-1, "validation")] == at[(1, "validation")] == metrics | {"val_loss"}
    assert not frame.duplicated(["epoch", "data_split", "metric_name"]).any()


@pytest.mark.parametrize(
    ("name", "given", "max_lr", "epochs"),
    [
        ("rt", None, None, 18),
        ("ms2", None, None, 12),
        ("ms2", 7, None, 7),
        ("rt", 70, None, 70),
        ("rt", None, 1e-2, 18),
        ("rt", None, 5e-4, 36),
        ("rt", None, 1e-5, 54),
        ("rt", 7, 1e-5, 7),
    ],
)
def test_a_model_has_its_own_most_epochs_unless_the_user_gives_a_number(name, given, max_lr, epochs):
    task = get_task(name)
    found = fit_settings_of(task, TrainingSettings(epochs=given, max_lr=max_lr), 100)
    assert (found.epochs, found.safe_lr) == (epochs, task.max_lr)


class WatchedRt(RtTask):
    """Counts the rows that are predicted, and notes what is learnt from between two predictions."""

    def __init__(self):
        self.predicted, self.learnt, self.learning = 0, [], False

    def forward(self, network, batch):
        if not network.training:
            self.predicted += len(batch["residues"])
        elif not self.learning:
            self.learnt.append(set())
        self.learning = network.training
        if network.training:
            self.learnt[-1].update(batch["target"].tolist())
        return super().forward(network, batch)


def test_no_more_than_a_sample_of_the_validation_rows_is_looked_at_after_each_epoch():
    data = TaskData(make_peptides(800, seed=4))
    predicted, validation = [], 0
    for epochs in (1, 2):
        task = WatchedRt()
        how = TrainingSettings(
            epochs=epochs, warmup_epochs=0, train_fraction=0.1, validation_fraction=0.85, test_fraction=0.05
        )
        result = tune(task, new_network("rt", seed=1).model, data, TuneSettings(how, from_scratch=True))
        assert result.epochs == epochs
        predicted.append(task.predicted)
        validation = result.n_rows["validation"]
    assert predicted[1] - predicted[0] == WATCHED_ROWS < validation


def test_before_and_after_are_scored_on_the_same_test_rows(result):
    assert result.scores_before.shape == result.scores_after.shape == (result.n_rows["test"],)
    assert result.test_groups.shape == (result.n_rows["test"],)
    assert len(set(result.test_groups)) == result.n_peptides["test"]
    frame = result.history
    for epoch, metrics in ((-1, result.before), (last_epoch(result), result.after)):
        rows = frame[(frame["epoch"] == epoch) & (frame["data_split"] == "test")]
        assert dict(zip(rows["metric_name"], rows["value"], strict=True)) == pytest.approx(metrics, nan_ok=True)


def test_modifications_are_those_of_the_test_rows_and_training_peptides(result):
    assert result.test_mods.shape == (result.n_rows["test"],)
    for sequence, mods in zip(result.test_groups, result.test_mods, strict=True):
        assert mods == ("Oxidation@M" if "M" in sequence else "")
    assert result.training_mods == {"Oxidation@M": sum("M" in s for s in result.sequences["train"])}


def test_splits_have_the_asked_for_share_of_the_peptides(result):
    total = sum(result.n_peptides.values())
    assert total == len(set(PEPTIDES["sequence"]))
    shares = [result.n_peptides[k] / total for k in ("train", "validation", "test")]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.01)


@pytest.mark.parametrize(("name", "precision"), [*((n, "fp32") for n in NAMES), ("charge", "bf16")])
def test_same_seed_gives_the_same_weights_bit_by_bit(name, precision):
    data = TaskData(PEPTIDES.iloc[:50], FRAGMENTS if name == "ms2" else None)
    settings = TrainingSettings(epochs=1, warmup_epochs=0, batch_size=16, max_lr=1e-3)
    networks = [tuned(name, data=data, settings=settings, seed=s, precision=precision)[0] for s in (0, 0, 1)]
    first, second, third = (n.state_dict() for n in networks)
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not all(torch.equal(first[k], third[k]) for k in first)


@pytest.mark.parametrize("name", ["rt", "ms2"])
def test_tuning_improves_held_out_peptides(name):
    settings = TrainingSettings(epochs=6, warmup_epochs=1, batch_size=16, max_lr=2e-3 if name == "rt" else None)
    _, result = tuned(name, settings=settings)
    sign = 1 if result.headline.higher_is_better else -1
    gain = sign * (result.after[result.headline.name] - result.before[result.headline.name])
    assert gain > 0
    assert np.median(sign * (result.scores_after - result.scores_before)) > 0


@pytest.mark.parametrize("name", NAMES)
def test_training_and_validation_loss_are_the_same_on_the_same_rows(name):
    task, network = get_task(name), new_network(name, seed=1).model.eval()
    network.train = lambda mode=True: network  # no dropout: it stays in evaluation mode
    mask = pd.DataFrame(np.random.default_rng(0).random(FRAGMENTS.shape) < 0.8, columns=FRAGMENTS.columns)
    of_spectra = (FRAGMENTS, mask) if name == "ms2" else ()
    examples = task.prepare(TaskData(PEPTIDES, *of_spectra)).examples
    settings = FitSettings(epochs=1, warmup_epochs=0, batch_size=32, max_lr=1e-30)
    history = History(name)
    fit(
        Learner(network, task.forward, task.loss, torch.Generator()),
        examples,
        lambda: (infer(network, examples, task.forward, loss=task.loss)[1], {}),
        settings,
        history=history,
    )
    losses = history.to_frame().set_index("metric_name")["value"]
    assert losses["train_loss"] == pytest.approx(losses["val_loss"], rel=1e-5)


def test_copies_of_a_peptide_stay_in_one_split():
    df = PEPTIDES.loc[np.repeat(PEPTIDES.index, 3)].reset_index(drop=True)
    _, result = tuned("rt", data=TaskData(df), settings=TrainingSettings(epochs=1))
    assert result.n_rows["test"] == 3 * result.n_peptides["test"]


def test_charge_result_knows_the_probabilities_of_observed_states():
    _, result = tuned("charge")
    held_out = result.observed
    assert set(held_out) == {"validation", "test"}
    assert all(v.ndim == 1 and v.size and np.all((v > 0) & (v < 1)) for v in held_out.values())


class AnnealedCharge(type(get_task("charge"))):
    last_epochs = 5


def test_validation_probabilities_come_from_weights_that_had_not_learnt_from_them():
    settings = TrainingSettings(epochs=2, warmup_epochs=0, max_lr=1e-3, batch_size=32)
    plain, annealed = (
        tune(task, new_network("charge", seed=1).model, TaskData(PEPTIDES), TuneSettings(settings, precision="fp32"))
        for task in (get_task("charge"), AnnealedCharge())
    )
    assert annealed.last_epochs > plain.last_epochs == 0
    np.testing.assert_array_equal(annealed.observed["validation"], plain.observed["validation"])
    assert not np.array_equal(annealed.observed["test"], plain.observed["test"])


def test_scalar_results_know_the_measured_values_of_their_peptides(result):
    if result.name not in ("rt", "ccs"):
        assert result.measured == {}
        return
    column = {"rt": "rt_norm", "ccs": "ccs"}[result.name]
    truth = PEPTIDES.set_index("sequence")[column]
    assert result.measured["test"].index.tolist() == result.test_groups.tolist()
    for split, measured in result.measured.items():
        assert len(measured) == result.n_rows[split]
        assert measured.to_numpy() == pytest.approx(truth[measured.index].to_numpy(), rel=1e-6)


def test_held_out_rows_are_those_that_were_scored(result):
    rows = result.held_out.rows
    if result.name == "charge":
        assert set(rows["sequence"]) == set(result.test_groups)
        seen = rows[rows["observed"] == 1]
        assert seen["after"].to_numpy() == pytest.approx(result.observed["test"], rel=1e-5)
        return
    assert rows["sequence"].tolist() == result.test_groups.tolist()
    assert rows["mods"].tolist() == result.test_mods.tolist()
    assert rows["score_before"].to_numpy() == pytest.approx(result.scores_before, rel=1e-5)
    assert rows["score_after"].to_numpy() == pytest.approx(result.scores_after, rel=1e-5)
    assert result.held_out.spectra.empty == (result.name != "ms2")


def test_too_few_peptides_are_an_error_that_says_so():
    with pytest.raises(DataError, match="2 distinct peptides are too few to tune the RT model"):
        tuned("rt", data=TaskData(PEPTIDES.iloc[:2]))


def test_no_usable_spectrum_is_an_error_that_says_so():
    with pytest.raises(DataError, match="0 distinct peptides are too few to tune the MS2 model"):
        tuned("ms2", data=TaskData(PEPTIDES, FRAGMENTS * 0))


class SpoilingTask(RtTask):
    def warm_start(self, network, outputs, examples):
        with torch.no_grad():
            for parameter in network.rt_decoder.parameters():
                parameter.add_(10.0)


class HastyTask(ChargeTask):
    max_lr = 0.9


@pytest.mark.parametrize(("task", "max_lr"), [(SpoilingTask(), 1e-6), (HastyTask(), None)])
def test_training_that_makes_it_worse_gives_the_start_weights_back(task, max_lr):
    network = new_network(task.name, seed=1).model
    if task.name == "charge":
        tuned("charge", network, settings=TrainingSettings(epochs=3, warmup_epochs=1, max_lr=1e-3))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    settings = TrainingSettings(epochs=1, warmup_epochs=0, max_lr=max_lr)
    result = tune(task, network, TaskData(PEPTIDES), TuneSettings(settings, precision="fp32", from_scratch=True))
    assert result.best_epoch == -1
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert result.after == pytest.approx(result.before)


def test_log_has_the_lines_that_users_know(caplog):
    with caplog.at_level(logging.INFO):
        tuned("rt")
    text = caplog.text
    for line in (
        "RT model tested on validation dataset with the following metrics:",
        "Fine-tuning RT model with the following settings:",
        "Train fraction: 0.70  Train size: 105",
        "Validation fraction: 0.20  Validation size: 30",
        "Test fraction: 0.10  Test size: 15",
        "Epoch 1  Lr: 0.00100  Training loss: ",
        "RT model tested on test dataset with the following metrics:",
    ):
        assert line in text


class CountingTask(Ms2Task):
    """Counts the rows that the network predicts without learning from them."""

    predicted = 0

    def forward(self, network, batch):
        if not network.training:
            self.predicted += len(batch["residues"])
        return super().forward(network, batch)


def test_no_row_is_predicted_more_often_than_it_takes_to_score_it():
    made = get_task("ms2", nce=30.0)
    task = CountingTask(made.charged_frag_types, made.charged_frag_types, 30.0, "Lumos")
    network = new_network("ms2", seed=1).model
    settings = TrainingSettings(epochs=1, warmup_epochs=0, batch_size=32)
    how = TuneSettings(settings, precision="fp32", from_scratch=True)
    result = tune(task, network, TaskData(PEPTIDES, FRAGMENTS), how)
    rows = result.n_rows
    # validation: before, after the epoch, with its weights, after the annealing; test: before and after
    assert task.predicted == 4 * rows["validation"] + 2 * rows["test"]


def test_no_test_peptide_is_learnt_from_not_even_in_the_last_epochs():
    distinct = PEPTIDES["rt_norm"].rank(method="first") / len(PEPTIDES)  # so that a value tells the row
    task, data = WatchedRt(), TaskData(PEPTIDES.assign(rt_norm=distinct))
    settings = TuneSettings(replace(SETTINGS, epochs=4), from_scratch=True)
    result = tune(task, new_network("rt", seed=1).model, data, settings)
    train, validation, test = (set(result.measured[k].tolist()) for k in ("train", "validation", "test"))
    assert not test & (train | validation)
    assert result.last_epochs > 0
    assert task.learnt == [*[train] * result.epochs, train | validation]


@pytest.mark.parametrize(
    ("name", "n_rows", "batch_size", "steps", "dropout"),
    [
        ("ms2", 1000, 8, 125, False),
        ("ms2", 40_000, 80, 125, False),
        ("ms2", 100_000, 128, 196, False),
        ("ms2", 100, 8, 26, False),
        ("rt", 1000, 33, 31, False),
        ("ccs", 40_000, 256, 40, False),
        ("charge", 1000, 33, 31, True),
    ],
)
def test_a_model_is_trained_at_its_own_pace(name, n_rows, batch_size, steps, dropout):
    settings = fit_settings_of(get_task(name), TrainingSettings(), n_rows)
    assert (settings.batch_size, settings.steps(n_rows), settings.dropout) == (batch_size, steps, dropout)
    assert settings.max_lr == settings.safe_lr == get_task(name).max_lr


def test_what_the_user_wrote_counts():
    settings = fit_settings_of(get_task("ms2"), TrainingSettings(batch_size=50, max_lr=1e-5, epochs=3), 1000)
    assert (settings.batch_size, settings.max_lr, settings.epochs, settings.passes) == (50, 1e-5, 3, 1)


def test_warm_up_and_patience_of_the_user_reach_the_training():
    wanted = {"warmup_epochs": 3, "lr_patience": 7}
    settings = fit_settings_of(get_task("rt"), TrainingSettings(**wanted), 1000)
    assert {name: getattr(settings, name) for name in wanted} == wanted
    assert settings.stopping_patience == TrainingSettings(**wanted).stopping_patience == 28
    assert all(getattr(TrainingSettings(), name) != value for name, value in wanted.items())


@pytest.mark.parametrize(("slower", "times"), [(0.5, 1), (1, 1), (2, 2), (30, 3)])
def test_a_lower_rate_gets_more_epochs(slower, times):
    task = get_task("ms2")
    found = fit_settings_of(task, TrainingSettings(max_lr=task.max_lr / slower), 100)
    assert found.epochs == times * task.epochs
