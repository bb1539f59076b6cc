from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.report.drawing import Drawing, Guide, Panel, Series, plotly_figure, to_div
from alphadia_tl.report.figures import (
    MAX_POINTS,
    errors_drawing,
    mirror_drawings,
    nce_drawing,
    observed_drawing,
    reliability_drawing,
    sampled,
    similarity_drawing,
    training_drawing,
    wilson,
)
from alphadia_tl.report.page import drawings_of

from .conftest import made_held_out, made_history, made_spectra

PAYLOAD = "<script>alert(1)</script>$x_{$"
HELD_OUT = made_held_out()


def rows_of(model):
    return HELD_OUT[HELD_OUT["model"] == model]


def series_of(drawing, panel=0):
    return {s.name: s for s in drawing.panels[panel].series}


@pytest.mark.parametrize(
    ("best", "stop", "expected"),
    [(12, "not improving", "epoch 12 restored"), (-1, "rising", "start weights restored")],
)
def test_the_restored_epoch_is_marked_and_the_reason_of_the_stop_told(best, stop, expected):
    drawing = training_drawing(made_history(), "rt", {"best_epoch": best, "stop_reason": stop})
    assert [(g.kind, g.at, g.text) for g in drawing.panels[0].guides] == [("vertical", best, expected)]
    assert expected in drawing.alt
    assert f"stopped: {stop}" in drawing.alt


def test_curves_hold_the_history():
    history = made_history()
    drawing = training_drawing(history.sample(frac=1, random_state=1), "ms2", {})
    assert [set(series_of(drawing, i)) for i in (0, 1)] == [{"training loss", "validation loss"}, {"learning rate"}]
    validation = series_of(drawing)["validation loss"]
    rows = history.query("property == 'ms2' and metric_name == 'val_loss'")
    assert validation.x.tolist() == rows["epoch"].tolist()
    assert validation.y.tolist() == pytest.approx(rows["value"].tolist())


def test_one_epoch_has_no_curve_of_learning_rates():
    history = made_history()
    assert len(training_drawing(history[history["epoch"] <= history["epoch"].min() + 1], "rt", {}).panels) == 1


@pytest.mark.parametrize("history", [None, made_history(("charge",)), made_history().iloc[:0]])
def test_no_curves_without_losses(history):
    assert training_drawing(history, "rt", {}) is None


def test_collision_energies_in_use_and_configured_are_marked():
    drawing = nce_drawing({"configured": 30.0, "used": 25.0, "curve": {30.0: 0.6, 20.0: 0.5, 25.0: 0.7}})
    assert series_of(drawing)["pretrained model"].x.tolist() == [20, 25, 30]
    assert [g.text for g in drawing.panels[0].guides] == ["used: 25", "configured: 30"]
    assert len(nce_drawing({"configured": 30.0, "used": 30.0, "curve": {30.0: 0.6}}).panels[0].guides) == 1
    assert nce_drawing({"configured": 30.0, "used": 30.0, "curve": None}) is None


@pytest.mark.parametrize("model", ["rt", "ccs"])
def test_observed_and_predicted_stand_on_the_same_axes(model):
    drawing = observed_drawing(rows_of(model), model)
    before, after = drawing.panels
    assert before.x_range == before.y_range == after.x_range == after.y_range
    assert before.series[0].y.tolist() == pytest.approx(rows_of(model)["before"].tolist(), rel=1e-6)
    error = (rows_of(model)["after"] - rows_of(model)["observed"]).abs().median()
    assert f"{error:.4g}" in after.title
    assert ("calibrated" in after.y_label) == (model == "rt")


def test_errors_by_group_are_medians_and_quartiles():
    rows = rows_of("rt")
    drawing = errors_drawing(rows, "rt")
    assert [p.x_label for p in drawing.panels] == ["observed normalised RT", "charge", "length", "modification"]
    charges = drawing.panels[1].series[1]
    error = (rows["after"] - rows["observed"]).groupby(rows["charge"])
    assert charges.y.tolist() == pytest.approx(error.median().tolist(), rel=1e-4)
    assert charges.low.tolist() == pytest.approx(error.quantile(0.25).tolist(), rel=1e-4)
    assert list(drawing.panels[3].ticks.values()) == ["Carbamidomethyl@C", "Oxidation@M", "none"]


def test_a_row_with_two_modifications_counts_for_both():
    rows = pd.DataFrame({
        "sequence": "PEPTIDEK", "charge": np.nan, "mods": ["A@K;B@K"] * 5 + ["B@K"] * 5,
        "score_before": [0.2] * 5 + [0.4] * 5, "score_after": [0.6] * 5 + [0.8] * 5,
    })  # fmt: skip
    panel = errors_drawing(rows, "ms2").panels[-1]
    assert list(panel.ticks.values()) == ["A@K", "B@K"]
    assert panel.series[1].y.tolist() == pytest.approx([0.6, 0.7])


def test_groups_of_few_rows_are_left_out():
    rows = rows_of("rt").iloc[:4]
    assert errors_drawing(rows, "rt") is None


def test_similarity_tells_medians_and_the_share_that_got_better():
    rows = rows_of("ms2")
    drawing = similarity_drawing(rows, "ms2")
    assert f"after: median {rows['score_after'].median():.3f}" in series_of(drawing)
    assert all(sum(s.y) == pytest.approx(100, rel=1e-4) for panel in drawing.panels for s in panel.series)
    assert f"{(rows['score_after'] > rows['score_before']).mean():.0%} of spectra are better" in drawing.alt


def test_reliability_of_calibrated_probabilities_lies_on_the_diagonal():
    p = np.random.default_rng(3).random(40_000)
    observed = (np.random.default_rng(4).random(40_000) < p).astype(float)
    rows = pd.DataFrame({"before": p**2, "after": p, "observed": observed})
    curves = series_of(reliability_drawing(rows, "charge"))
    assert len(curves["after"].x) == 10
    np.testing.assert_allclose(curves["after"].y, curves["after"].x, atol=0.02)
    assert np.abs(curves["before"].y - curves["before"].x).max() > 0.15
    assert (curves["after"].low <= curves["after"].y).all()


@given(st.floats(0, 1), st.integers(1, 10_000))
def test_intervals_of_fractions_hold_the_fraction_and_stay_in_range(fraction, n):
    low, high = wilson(np.array([fraction]), np.array([float(n)]))
    assert -1e-9 <= low[0] <= fraction <= high[0] <= 1 + 1e-9


def test_the_same_points_are_drawn_each_time():
    rows = pd.DataFrame({"a": np.arange(MAX_POINTS * 3)})
    assert len(sampled(rows)) == MAX_POINTS
    pd.testing.assert_frame_equal(sampled(rows), sampled(rows))
    assert len(sampled(rows.iloc[:10])) == 10


def test_mirror_plots_show_observed_above_and_predicted_below():
    spectra = made_spectra()
    drawings = mirror_drawings(spectra)
    assert [d.name for d in drawings] == ["spectra_typical", "spectra_best_gained", "spectra_worst"]
    assert all(len(d.panels) == 4 for d in drawings)
    first = spectra[(spectra["kind"] == "typical") & (spectra["spectrum"] == 0)]
    values = np.concatenate([s.y for s in drawings[0].panels[1].series])
    assert values.max() == pytest.approx(first["observed"].max(), rel=1e-5)
    assert values.min() == pytest.approx(-first["after"].max(), rel=1e-5)
    labels = [label for s in drawings[0].panels[1].series for label in s.labels if label]
    assert set(labels) == set(first.nlargest(6, "observed")["ion"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 100])
def test_predictions_that_are_no_numbers_do_not_stop_the_report(facts, value, n):
    held_out = facts["held_out"].groupby("model").head(n).assign(after=value, score_after=np.nan)
    for model in ("rt", "charge", "ms2", "ccs"):
        for drawing in drawings_of(facts | {"held_out": held_out, "spectra": None}, model):
            assert plotly_figure(drawing).to_json()


def test_every_figure_has_its_own_name_and_says_what_it_shows(facts):
    drawings = [d for model in ("rt", "charge", "ms2", "ccs") for d in drawings_of(facts, model)]
    assert {d.name for d in drawings} == {
        "training_rt", "observed_rt", "errors_rt", "training_charge", "reliability_charge", "training_ms2",
        "similarity_ms2", "errors_ms2", "spectra_typical", "spectra_best_gained", "spectra_worst", "nce",
        "observed_ccs", "errors_ccs",
    }  # fmt: skip
    assert len({d.name for d in drawings}) == len(drawings)
    assert all(len(d.alt) > 60 for d in drawings)


EVERYTHING = Drawing(
    PAYLOAD,
    PAYLOAD,
    PAYLOAD,
    [
        Panel(
            [
                Series("line", "l", [0, 1], [1, np.nan], low=[0, 0], high=[2, 2]),
                Series("sticks", PAYLOAD, [0.5, 1], [1, -1], labels=[PAYLOAD, ""]),
                Series("dots", "d", [0], [0]),
                Series("steps", "s", [0, 1], [0, 1]),
                Series("points", "p", [0, 1], [0, 1]),
            ],
            PAYLOAD,
            PAYLOAD,
            title=PAYLOAD,
            guides=[Guide("vertical", 0.5, PAYLOAD), Guide("horizontal", 0.5), Guide("diagonal")],
            ticks={0: PAYLOAD},
        )
    ]
    * 3,
    columns=2,
)


def test_text_of_the_data_is_drawn_literally_on_the_page():
    texts = [t for t in strings(json.loads(plotly_figure(EVERYTHING).to_json())) if "alert" in t]
    assert len(texts) > 10
    assert not [t for t in texts if "<" in t]


def strings(item):
    if isinstance(item, dict):
        return [s for v in item.values() for s in strings(v)]
    if isinstance(item, list):
        return [s for v in item for s in strings(v)]
    return [item] if isinstance(item, str) else []


def test_each_figure_has_a_button_that_saves_it_as_svg_under_a_name_that_any_file_may_have():
    config = json.loads(re.search(r"(\{[^{]*\"modeBarButtons\".*\})\s*\)", to_div(EVERYTHING)).group(1))
    saved = config["toImageButtonOptions"]
    assert config["displayModeBar"] is True
    assert "toImage" in config["modeBarButtons"][0]
    assert (saved["format"], saved["filename"]) == ("svg", "script_alert_1_script_x")


@pytest.mark.parametrize("values", [{"y": [1]}, {"low": [1], "high": [1]}, {"labels": ["a"]}])
def test_values_of_different_lengths_are_refused(values):
    with pytest.raises(ValueError, match="different lengths"):
        Series("line", "n", **({"x": [0, 1], "y": [0, 1]} | values))
