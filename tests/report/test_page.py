from __future__ import annotations

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from alphadia_tl.errors import OutputError
from alphadia_tl.report import render_report, write_report
from alphadia_tl.report.page import headline, stages, total_seconds

PAYLOAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>.raw"


class Page(HTMLParser):
    """Elements, references to elsewhere, and text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [v for k, v in attrs if k in ("src", "href", "action", "data")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]

    def handle_data(self, data):
        if self.tags[-1:] != ["script"] and self.tags[-1:] != ["style"]:
            self.text += data


def poisoned(item):
    """Replace every text in nested facts by the payload, keys of counts and settings too."""
    if isinstance(item, dict):
        return {k: poisoned(v) for k, v in item.items()}
    if isinstance(item, list | tuple):
        return type(item)(poisoned(v) for v in item)
    return PAYLOAD if isinstance(item, str) else item


def test_no_text_of_the_facts_becomes_markup(facts):
    clean = Page(render_report(facts))
    bad = {k: v if k == "history" else poisoned(v) for k, v in facts.items()}
    bad["provenance"][PAYLOAD] = {PAYLOAD: 1}
    bad["transfer_library"][PAYLOAD] = 1
    bad["seconds"][PAYLOAD] = 1.0
    bad["history"] = facts["history"].assign(property=PAYLOAD)
    bad["training"] = {PAYLOAD: {"stop_reason": PAYLOAD, "best_epoch": 3, "epochs": 4, "seconds": 1.0}}
    text = render_report(bad)
    page = Page(text)
    assert "img" not in page.tags
    assert page.handlers == []
    assert text.count("<script>alert") == 0
    n_figures = 4  # each of the four decisions now names the poisoned model
    assert page.tags.count("script") == 1 + n_figures
    assert clean.tags.count("script") == 1 + 3
    assert "<script>alert(1)</script>" in page.text  # shown as text


def test_a_raw_file_named_like_a_script_is_shown_as_text(facts):
    facts["runs"] = ["<script>alert(1)</script>"]
    text = render_report(facts)
    assert "<script>alert(1)</script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_page_is_one_small_file_that_loads_nothing(facts, tmp_path):
    path = tmp_path / "deep" / "report.html"
    write_report(path, facts)
    text = path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_size < 8e6
    assert Page(text).references == []
    assert text.count("plotly.js v") == 1
    assert "default-src &#39;none&#39;" in text


def test_first_screen_says_what_came_out(facts):
    text = Page(render_report(facts)).text
    for words in (
        "18,950 precursors in the second pass, 16,412 in the first: +2,538 (+15.5 %)",
        "Tuned models in use: Retention time, Fragment intensities.",
        "0.02317 → 0.00912",
        "0.712 → 0.791",
        "the data has no ion mobility",
        "lab_3.hdf was left out",
        "not measured",
        "18 min 37 s",
    ):
        assert words in text
    order = [text.index(w) for w in ("Please note", "Identified at", "Models", "Training", "Provenance")]
    assert order == sorted(order)


def test_modifications_are_shown_with_what_was_learnt(facts):
    html = " ".join(render_report(facts).split())
    phospho, oxidation = (
        html[html.index(f"<td>{name}</td>") :].split("</tr>")[0] for name in ("Phospho@S", "Oxidation@M")
    )
    assert '12 <span class="tag">not learnt</span>' in phospho
    assert "– → –" in phospho
    assert "not learnt" not in oxidation
    assert all(value in oxidation for value in ("Fragment intensities", "1,512", "205", "0.612 → 0.723"))


def test_training_tells_stop_reason_and_restored_epoch(facts):
    text = " ".join(render_report(facts).split())
    assert "Stopped after 18 epochs: not improving. Weights of epoch 12 restored." in text
    assert "The start weights were restored." in text
    assert "epoch 12 restored" in text


def test_the_gradient_is_shown_bin_by_bin(facts):
    text = " ".join(re.sub("<[^>]+>", " ", render_report(facts)).split())
    assert "0.8–0.9 200 40 0.02 → 0.0071" in text
    assert "0.9–1 100 40 0.02 → – not learnt" in text


def test_provenance_is_complete(facts):
    text = Page(render_report(facts)).text
    for words in ("alphadia: 2.3.0", "random_state: 42", "ab" * 32, "gate_confidence: 0.95", "lab_2.hdf"):
        assert words in text


def test_measured_fdp_stands_beside_the_counts(facts):
    facts["identified"]["first_pass"]["fdp"] = 0.0123
    facts["identified"]["second_pass"]["fdp"] = 0.011
    text = Page(render_report(facts)).text
    assert "1.2 %" in text
    assert "1.1 %" in text
    assert "was not measured" not in text


@pytest.mark.parametrize("missing", [
    "decisions", "training", "history", "identified", "runs", "transfer_library", "regeneration", "modifications",
    "rt_bins", "seconds", "warnings", "provenance",
])  # fmt: skip
def test_whatever_is_missing_is_left_out(facts, missing):
    del facts[missing]
    assert "Transfer learning report" in render_report(facts)


def test_without_training_there_is_no_figure_and_no_script(facts):
    facts["history"] = pd.DataFrame(columns=["epoch", "property", "data_split", "metric_name", "value"])
    facts["regeneration"] = None
    facts["identified"]["second_pass"] = None
    text = render_report(facts)
    assert "No model was trained." in text
    assert "script" not in Page(text).tags


def test_nothing_at_all_still_gives_a_page():
    assert "No tuned model was better" in render_report({})


@pytest.mark.parametrize(
    ("decisions", "first", "second", "expected"),
    [
        ([], None, None, "No tuned model was better"),
        ([{"model": "rt", "accepted": False}], {"precursors": 5}, {"precursors": 5}, "No tuned model was better"),
        ([{"model": "rt", "accepted": True}], None, None, "Tuned models in use: Retention time."),
        ([{"model": "rt", "accepted": True}], {"precursors": 50}, {"precursors": 45}, "-5 (-10.0 %)"),
        ([{"model": "rt", "accepted": True}], {"precursors": 0}, {"precursors": 45}, "45 precursors"),
    ],
)
def test_headline(decisions, first, second, expected):
    assert expected in headline(decisions, first, second)


def test_parts_of_a_stage_stand_below_it_and_count_once():
    seconds = {"tuning rt": 2.0, "first pass": 6.0, "tuning": 4.0, "tuning ms2": 1.0}
    assert [(s.name, s.is_part) for s in stages(seconds)] == [
        ("first pass", False), ("tuning", False), ("tuning rt", True), ("tuning ms2", True),
    ]  # fmt: skip
    assert total_seconds(seconds) == 10
    assert [s.share for s in stages(seconds)] == [0.6, 0.4, 0.2, 0.1]


def test_report_that_cannot_be_written_says_so(facts, tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report\.html"):
        write_report(tmp_path / "report.html", facts)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
