from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from alphadia_tl.bundle import Bundle
from alphadia_tl.models.weights import new_network
from alphadia_tl.step.outcome import write_held_out
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.held_out import (
    ROW_COLUMNS,
    SPECTRUM_COLUMNS,
    HeldOut,
    TuneResult,
    choose_spectra,
    held_out_rows,
    score_library_values,
)
from alphadia_tl.tasks.predict import predict
from tasks.made import make_fragments, make_peptides

PEPTIDES = make_peptides(40, seed=4)
FRAGMENTS = make_fragments(PEPTIDES)


def prepared(name):
    task = get_task(name)
    return task, task.prepare(TaskData(PEPTIDES, FRAGMENTS if name == "ms2" else None, charge_limits=(2, 4)))


def held_out(name, predictions=None):
    task, ready = prepared(name)
    shape = (len(ready.sequences), 10) if name == "charge" else len(ready.sequences)
    values = np.random.default_rng(0).random(shape) if predictions is None else predictions
    before = task.evaluate(values, ready.examples, None)
    after = task.evaluate(values * 0.5, ready.examples, None)
    return ready, before, after, held_out_rows(task, ready.examples, ready.precursors, before, after)


@pytest.mark.parametrize(("name", "column"), [("rt", "rt_norm"), ("ccs", "ccs")])
def test_scalars_stand_beside_what_was_measured(name, column):
    _, before, after, result = held_out(name)
    rows = result.rows
    assert list(rows.columns) == list(ROW_COLUMNS)
    assert set(rows["model"]) == {name}
    assert rows["sequence"].tolist() == PEPTIDES["sequence"].tolist()
    assert rows["charge"].tolist() == PEPTIDES["charge"].tolist()
    assert rows["observed"].to_numpy() == pytest.approx(PEPTIDES[column].to_numpy(), rel=1e-6)
    assert rows["score_before"].to_numpy() == pytest.approx(before.scores, rel=1e-5)
    assert rows["after"].to_numpy() == pytest.approx(after.predictions, rel=1e-6)
    assert result.spectra.empty


def test_retention_times_are_those_after_calibration():
    task, ready = prepared("rt")
    values = PEPTIDES["rt_norm"].to_numpy() * 0.3 + 0.2
    evaluation = task.evaluate(values, ready.examples, task.calibrate(values, ready.examples))
    rows = held_out_rows(task, ready.examples, ready.precursors, evaluation, evaluation).rows
    assert rows["before"].to_numpy() == pytest.approx(PEPTIDES["rt_norm"].to_numpy(), abs=0.02)
    assert np.abs(rows["before"] - rows["observed"]).to_numpy() == pytest.approx(rows["score_before"], abs=1e-5)


def test_charge_has_a_row_for_each_state_that_could_have_been_observed():
    ready, before, _, result = held_out("charge")
    rows = result.rows
    assert len(rows) == 3 * len(ready.sequences)
    assert set(rows["charge"]) == {2, 3, 4}
    seen = rows[rows["observed"] == 1]
    truth = PEPTIDES.set_index("sequence")["charge"]
    assert (seen["charge"].to_numpy() == truth[seen["sequence"]].to_numpy()).all()
    assert seen["before"].to_numpy() == pytest.approx(before.observed, rel=1e-6)
    assert rows["score_before"].isna().all()


def test_spectra_hold_trusted_fragments_with_their_names_and_masses():
    task, ready = prepared("ms2")
    target = ready.examples.per_fragment["target"].numpy()
    mask = ready.examples.per_fragment["mask"].clone()
    mask[:, 1] = False  # b_z2 is not trusted
    examples = replace(ready.examples, per_fragment={**ready.examples.per_fragment, "mask": mask})
    before = task.evaluate(np.ones_like(target), examples, None)
    after = task.evaluate(target, examples, None)
    result = held_out_rows(task, examples, ready.precursors, before, after)
    assert result.rows["score_after"].to_numpy() == pytest.approx(1.0, abs=1e-3)
    spectra = result.spectra
    assert list(spectra.columns) == list(SPECTRUM_COLUMNS)
    assert spectra.groupby("kind")["spectrum"].nunique().to_dict() == {"typical": 2, "best gained": 2, "worst": 2}
    assert spectra["sequence"].nunique() == 6
    assert not spectra["ion"].str.fullmatch(r"b\d+\+\+").any()
    assert spectra["after"].to_numpy() == pytest.approx(spectra["observed"].to_numpy(), abs=1e-6)
    last_y1 = spectra[spectra["ion"] == "y1+"]
    assert last_y1["mz"].to_numpy() == pytest.approx(147.1128, abs=1e-3)  # all end with lysine
    lengths = spectra["sequence"].str.len()
    assert (spectra["ion"].str.extract(r"(\d+)")[0].astype(int) < lengths).all()


SCORES = pd.DataFrame(
    {
        "sequence": ["A", "B", "C", "D", "E", "F", "G", "G"],
        "score_before": [0.5, 0.1, 0.4, 0.6, 0.1, 0.0, 0.6, 0.6],
        "score_after": [0.6, 0.9, 0.55, 0.7, 0.2, 0.1, 0.61, 0.6],
    }
)


def test_typical_gained_and_worst_spectra_are_of_different_peptides():
    chosen = choose_spectra(SCORES, median=0.6)
    named = [(kind, SCORES["sequence"].iloc[row]) for kind, _, row in chosen]
    assert named == [
        ("typical", "A"), ("typical", "G"), ("best gained", "B"), ("best gained", "C"), ("worst", "F"), ("worst", "E"),
    ]  # fmt: skip


@pytest.mark.parametrize("n", [1, 3])
def test_few_spectra_are_shown_once(n):
    chosen = choose_spectra(SCORES.iloc[:n], median=0.6)
    assert sorted(row for _, _, row in chosen) == list(range(n))


def test_turns_are_pooled_and_spectra_chosen_again():
    task, ready = prepared("ms2")
    folds = []
    for rows in (np.arange(20), np.arange(20, 40)):
        part = ready.examples.select(torch.from_numpy(rows))
        noise = np.random.default_rng(int(rows[0])).uniform(0.2, 1, part.per_fragment["target"].shape)
        before = task.evaluate(np.ones_like(noise), part, None)
        after = task.evaluate(part.per_fragment["target"].numpy() * noise, part, None)
        folds.append(held_out_rows(task, part, ready.precursors.iloc[rows], before, after))
    result = HeldOut.pooled(folds)
    assert result.rows["sequence"].tolist() == PEPTIDES["sequence"].tolist()
    heads = result.spectra.drop_duplicates(["kind", "spectrum"])
    assert len(heads) == heads["sequence"].nunique() == 6
    worst = heads[heads["kind"] == "worst"]["score_after"].min()
    assert worst == pytest.approx(result.rows["score_after"].min())
    pd.testing.assert_frame_equal(HeldOut.pooled(folds[:1]).rows, folds[0].rows)


def test_turns_without_spectra_are_pooled():
    result = held_out("rt")[3]
    pooled = HeldOut.pooled([result, result])
    assert len(pooled.rows) == 2 * len(result.rows)
    assert list(pooled.spectra.columns) == list(SPECTRUM_COLUMNS)


def tuned(name, found):
    empty = np.zeros(0)
    headline = get_task(name).headline
    groups = np.zeros(0, dtype=object)
    return TuneResult(name, pd.DataFrame(), {}, {}, headline, empty, empty, groups, held_out=found)


def test_held_out_rows_of_all_models_are_written(tmp_path):
    found = {name: held_out(name)[3] for name in ("rt", "charge")}
    bundle = Bundle(tmp_path)
    write_held_out({name: tuned(name, h) for name, h in found.items()}, bundle)
    rows = pd.read_parquet(bundle.held_out)
    pd.testing.assert_frame_equal(rows, pd.concat([h.rows for h in found.values()], ignore_index=True))
    assert list(pd.read_parquet(bundle.spectra).columns) == list(SPECTRUM_COLUMNS)


def test_tables_of_an_earlier_call_do_not_stay_where_nothing_was_tuned(tmp_path):
    bundle = Bundle(tmp_path)
    write_held_out({"rt": tuned("rt", held_out("rt")[3])}, bundle)
    write_held_out({}, bundle)
    assert pd.read_parquet(bundle.held_out).empty


TUNED_ON = make_peptides(300, seed=4)
MEASURED = make_fragments(TUNED_ON)
DATA = TaskData(TUNED_ON, MEASURED)
HELD_OUT = TUNED_ON["sequence"].to_numpy()[::5]


def result_of_tuning(scores=0.5):
    return SimpleNamespace(test_groups=HELD_OUT, scores_after=np.full(len(HELD_OUT), scores))


def column(name):
    values = TUNED_ON.set_index("sequence")[name]
    return lambda precursors: values.loc[precursors["sequence"]].to_numpy(float)


@pytest.mark.parametrize(("name", "scale", "score"), [("rt", 1.0, 0.0), ("rt", 150.0, 0.0), ("ccs", 1.1, 0.0)])
def test_values_on_another_scale_are_forgiven_as_a_search_calibrates_them(name, scale, score):
    target = column({"rt": "rt_norm", "ccs": "ccs"}[name])
    found = score_library_values(get_task(name), DATA, result_of_tuning(), lambda df: scale * target(df))
    assert set(found.peptides) == set(HELD_OUT)
    np.testing.assert_allclose(found.before, score, atol=2e-3)
    assert found.metric_before == pytest.approx(score, abs=2e-3)
    assert found.metric_after == 0.5
    assert (found.after == 0.5).all()


@pytest.mark.parametrize("name", ["ccs", "ms2"])
def test_what_a_network_predicts_is_scored_as_the_network_is(name):
    task, network = get_task(name), new_network(name, seed=3).model
    predicted = predict(task, network, TUNED_ON, "fp32")
    found = score_library_values(task, DATA, result_of_tuning(), lambda _: predicted)
    prepared = task.prepare(DATA)
    rest = np.flatnonzero(~np.isin(prepared.sequences, HELD_OUT))
    of_rest = prepared.examples.select(torch.from_numpy(rest))
    calibration = task.calibrate(predicted[rest], of_rest) if name == "ccs" else None
    scores = task.evaluate(predicted, prepared.examples, calibration).scores
    expected = dict(zip(prepared.sequences, scores, strict=True))
    np.testing.assert_allclose(found.before, [expected[p] for p in found.peptides], rtol=1e-5)


def test_the_measured_spectrum_itself_is_perfect_on_any_scale():
    found = score_library_values(get_task("ms2"), DATA, result_of_tuning(), lambda _: 1e5 * MEASURED.to_numpy())
    np.testing.assert_allclose(found.before, 1, atol=1e-3)


@pytest.mark.parametrize("name", ["rt", "ms2"])
def test_precursors_without_a_given_value_are_left_out_on_both_sides(name):
    lost = set(HELD_OUT[:10])

    def values(precursors):
        unknown = precursors["sequence"].isin(lost).to_numpy()
        if name == "rt":
            return np.where(unknown, np.nan, column("rt_norm")(precursors))
        rows = np.repeat(unknown, precursors["sequence"].str.len() - 1)
        return np.where(rows[:, None], np.nan, MEASURED.to_numpy())

    found = score_library_values(get_task(name), DATA, result_of_tuning(), values)
    assert set(found.peptides) == set(HELD_OUT) - lost


def test_where_nothing_is_given_there_is_nothing_to_compare():
    found = score_library_values(get_task("rt"), DATA, result_of_tuning(), lambda df: np.full(len(df), np.nan))
    assert len(found.peptides) == 0
    assert np.isnan(found.metric_before)


def test_where_all_peptides_were_held_out_the_calibration_is_fitted_on_them():
    """As where five folds hold out a fifth each."""
    result = SimpleNamespace(test_groups=TUNED_ON["sequence"].to_numpy(), scores_after=np.full(len(TUNED_ON), 0.5))
    found = score_library_values(get_task("rt"), DATA, result, lambda df: 150 * column("rt_norm")(df) - 20)
    assert len(found.peptides) == TUNED_ON["sequence"].nunique()
    assert found.metric_before == pytest.approx(0, abs=2e-3)
