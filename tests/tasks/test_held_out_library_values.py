from types import SimpleNamespace

import numpy as np
import pytest

from alphadia_tl.models.weights import new_network
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.held_out import score_library_values
from alphadia_tl.tasks.predict import predict
from tasks.made import make_fragments, make_peptides

PEPTIDES = make_peptides(300, seed=4)
FRAGMENTS = make_fragments(PEPTIDES)
DATA = TaskData(PEPTIDES, FRAGMENTS)
HELD_OUT = PEPTIDES["sequence"].to_numpy()[::5]


def tuned(scores=0.5):
    return SimpleNamespace(test_groups=HELD_OUT, scores_after=np.full(len(HELD_OUT), scores))


def column(name):
    values = PEPTIDES.set_index("sequence")[name]
    return lambda precursors: values.loc[precursors["sequence"]].to_numpy(float)


@pytest.mark.parametrize(("name", "scale", "score"), [("rt", 1.0, 0.0), ("rt", 150.0, 0.0), ("ccs", 1.1, 0.1)])
def test_times_on_another_scale_are_forgiven_and_cross_sections_are_not(name, scale, score):
    """As a search calibrates the one and takes the other as it is."""
    target = column({"rt": "rt_norm", "ccs": "ccs"}[name])
    found = score_library_values(get_task(name), DATA, tuned(), lambda df: scale * target(df))
    assert set(found.peptides) == set(HELD_OUT)
    np.testing.assert_allclose(found.library, score, atol=2e-3)
    assert found.metric_library == pytest.approx(score, abs=2e-3)
    assert found.metric_tuned == 0.5
    assert (found.tuned == 0.5).all()


@pytest.mark.parametrize("name", ["ccs", "ms2"])
def test_what_a_network_predicts_is_scored_as_the_network_is(name):
    task, network = get_task(name), new_network(name, seed=3).model
    predicted = predict(task, network, PEPTIDES, "fp32")
    found = score_library_values(task, DATA, tuned(), lambda _: predicted)
    prepared = task.prepare(DATA)
    scores = task.evaluate(predicted, prepared.examples, None).scores
    expected = dict(zip(prepared.sequences, scores, strict=True))
    np.testing.assert_allclose(found.library, [expected[p] for p in found.peptides], rtol=1e-5)


def test_the_measured_spectrum_itself_is_perfect_on_any_scale():
    found = score_library_values(get_task("ms2"), DATA, tuned(), lambda _: 1e5 * FRAGMENTS.to_numpy())
    np.testing.assert_allclose(found.library, 1, atol=1e-3)


@pytest.mark.parametrize("name", ["rt", "ms2"])
def test_precursors_without_a_given_value_are_left_out_on_both_sides(name):
    lost = set(HELD_OUT[:10])

    def values(precursors):
        unknown = precursors["sequence"].isin(lost).to_numpy()
        if name == "rt":
            return np.where(unknown, np.nan, column("rt_norm")(precursors))
        rows = np.repeat(unknown, precursors["sequence"].str.len() - 1)
        return np.where(rows[:, None], np.nan, FRAGMENTS.to_numpy())

    found = score_library_values(get_task(name), DATA, tuned(), values)
    assert set(found.peptides) == set(HELD_OUT) - lost


def test_where_nothing_is_given_there_is_nothing_to_compare():
    found = score_library_values(get_task("rt"), DATA, tuned(), lambda df: np.full(len(df), np.nan))
    assert len(found.peptides) == 0
    assert np.isnan(found.metric_library)


def test_where_all_peptides_were_held_out_the_calibration_is_fitted_on_them():
    """As where five turns hold out a fifth each."""
    result = SimpleNamespace(test_groups=PEPTIDES["sequence"].to_numpy(), scores_after=np.full(len(PEPTIDES), 0.5))
    found = score_library_values(get_task("rt"), DATA, result, lambda df: 150 * column("rt_norm")(df) - 20)
    assert len(found.peptides) == PEPTIDES["sequence"].nunique()
    assert found.metric_library == pytest.approx(0, abs=2e-3)
