from __future__ import annotations

import numpy as np
import pytest

from alphadia_tl.report import words
from alphadia_tl.report.plots import training_figure

from .conftest import made_history


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3599.7, "1 h 00 min"),
     (7325, "2 h 02 min"), (None, "–"), (float("nan"), "–")],
)  # fmt: skip
def test_duration(seconds, expected):
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(100, 110, "+10 (+10.0 %)"), (1000, 0, "-1,000 (-100.0 %)"), (0, 3, "–"), (None, 3, "–"), (3, None, "–")],
)
def test_change(before, after, expected):
    assert words.change(before, after) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (True, "yes"),
        (None, "–"),
        (12345, "12,345"),
        (0.123456, "0.1235"),
        (float("nan"), "–"),
        ([], "–"),
        (["rt", "ms2"], "rt, ms2"),
        ({2: 1000, 3: 5}, "2: 1,000, 3: 5"),
        ("a_b", "a_b"),
    ],
)
def test_value(item, expected):
    assert words.value(item) == expected


def test_yaml_of_values_it_does_not_know():
    assert words.as_yaml({"a": np.float32(0.5), 1: (1, None), "p": {"x"}}) == "a: '0.5'\n'1':\n- 1\n- null\np:\n- x\n"


@pytest.mark.parametrize(("best", "words_shown"), [(12, "epoch 12 restored"), (-1, "start weights restored")])
def test_restored_epoch_is_marked(best, words_shown):
    figure = training_figure(made_history(), "rt", {"best_epoch": best})
    assert {s.x0 for s in figure.layout.shapes} == {best}
    assert [a.text for a in figure.layout.annotations] == [words_shown]


def test_curves_hold_the_history():
    history = made_history()
    figure = training_figure(history, "ms2", {})
    validation = next(t for t in figure.data if t.name == "validation loss")
    rows = history.query("property == 'ms2' and metric_name == 'val_loss'")
    assert list(validation.x) == rows["epoch"].tolist()
    assert list(validation.y) == pytest.approx(rows["value"].tolist())
    assert {t.name for t in figure.data} == {"training loss", "validation loss", "learning rate"}
    styles = {(t.line.color, t.line.dash, t.marker.symbol) for t in figure.data}
    assert len(styles) == 3


@pytest.mark.parametrize("history", [None, made_history(("charge",))])
def test_no_figure_without_losses(history):
    assert training_figure(history, "rt", {}) is None
