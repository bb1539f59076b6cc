from __future__ import annotations

import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from alphadia_tl.errors import OutputError
from alphadia_tl.report.page import all_drawings, headline, stages, total_seconds, write_report
from alphadia_tl.report.page import render_report as render

from .conftest import made_held_out, write_bundle

PAYLOAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>.raw"


FRAMES = ("history", "held_out", "spectra")


def render_report(facts):
    return render(facts, all_drawings(facts))


class Page(HTMLParser):
    """Elements, references to elsewhere, and text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.labels: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [v for k, v in attrs if k in ("src", "href", "action", "data")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]
        self.labels += [v for k, v in attrs if k == "aria-label"]

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
    bad = {k: v if k in FRAMES else poisoned(v) for k, v in facts.items()}
    bad["provenance"][PAYLOAD] = {PAYLOAD: 1}
    bad["provenance"]["models"] = {PAYLOAD: PAYLOAD}
    bad["transfer_library"][PAYLOAD] = 1
    bad["seconds"][PAYLOAD] = 1.0
    bad["configs"] = {PAYLOAD: PAYLOAD}
    bad["history"] = facts["history"].assign(property=PAYLOAD)
    bad["held_out"] = facts["held_out"].assign(sequence=PAYLOAD, mods=PAYLOAD)
    bad["spectra"] = facts["spectra"].assign(sequence=PAYLOAD, mods=PAYLOAD, ion=PAYLOAD)
    bad["training"] = {PAYLOAD: {"stop_reason": PAYLOAD, "best_epoch": 3, "epochs": 4, "seconds": 1.0}}
    for decision, name in zip(bad["decisions"], ("rt", "charge", "ms2", PAYLOAD), strict=True):
        decision["model"] = name
    text = render_report(bad)
    page = Page(text)
    assert "img" not in page.tags
    assert page.handlers == []
    assert text.count("<script>alert") == 0
    n_figures = page.tags.count("figure")
    assert n_figures == 10  # of RT, charge and MS2 all but the curves, and the curves of the poisoned name
    assert page.tags.count("script") == 2 + n_figures
    assert "<script>alert(1)</script>" in page.text  # shown as text


def test_a_raw_file_named_like_a_script_is_shown_as_text(facts):
    facts["runs"] = ["<script>alert(1)</script>"]
    text = render_report(facts)
    assert "<script>alert(1)</script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_page_is_one_small_file_that_loads_nothing(bundle):
    write_report(bundle)
    text = bundle.report.read_text(encoding="utf-8")
    assert bundle.report.stat().st_size < 8e6
    assert all(reference.startswith("#") for reference in Page(text).references)
    assert text.count("plotly.js v") == 1
    assert "default-src &#39;none&#39;" in text


def test_page_stays_small_with_many_held_out_rows(facts, tmp_path):
    small = made_held_out(500)
    facts["held_out"] = pd.concat([small] * 100, ignore_index=True)  # 200,000 rows
    facts["runs"] = [f"run_{i}.raw" for i in range(1000)]
    bundle = write_bundle(tmp_path, facts)
    write_report(bundle)
    assert bundle.report.stat().st_size < 8e6
    assert "2,000 of 50,000 rows" in bundle.report.read_text(encoding="utf-8")


def test_every_figure_can_be_read_out(facts):
    page = Page(render_report(facts))
    drawings = [d for found in all_drawings(facts).values() for d in found]
    assert len(drawings) == page.tags.count("figure") > 10
    assert {d.alt for d in drawings} <= set(page.labels)


def test_first_screen_says_what_came_out(facts):
    text = Page(render_report(facts)).text
    for words in (
        "18,950 precursors in the second pass, 16,412 in the first: +2,538 (+15.5 %)",
        "Tuned models in use: Retention time, Fragment intensities.",
        "0.0232 → 0.0091",
        "0.712 → 0.791",
        "the data has no ion mobility",
        "lab_3.hdf was left out",
        "not measured: search with an entrapment FASTA",
        "18 min 37 s",
    ):
        assert words in text
    order = [text.index(w) for w in ("Identified at", "measure", "Please note", "epoch 12 restored", "SHA-256")]
    assert order == sorted(order)


def test_what_was_kept_gained_and_lost_stands_with_its_errors_or_why_they_cannot_be_said(facts):
    text = " ".join(re.sub("<[^>]+>", " ", render_report(facts)).split())
    unknown = "cannot be said"
    assert f"kept 15,020 0 % (0 % to 0.031 %) {unknown} gained 4,011 5.3 % (3.9 % to 100 %) {unknown}" in text
    assert f"lost 1,392 {unknown} {unknown}" in text
    assert "Cannot be said: no entrapment is known." in text


def test_numbers_of_an_earlier_version_have_no_errors(facts):
    facts["between_passes"] = {"kept": 15020, "gained": 4011, "lost": 1392}
    text = " ".join(re.sub("<[^>]+>", " ", render_report(facts)).split())
    assert "gained 4,011 cannot be said cannot be said" in text


def test_after_match_between_runs_the_numbers_are_said_to_be_of_it(facts):
    assert "pass 2" in Page(render_report(facts)).text
    second = {"match_between_runs": True, "verdict": "cannot be said: only what passed was searched"}
    facts["identified"]["second_pass"] |= second
    text = Page(render_report(facts)).text
    assert "Cannot be said: only what passed was searched; no entrapment is known." in text
    assert text.count("only what passed") == 1
    assert "pass 2" not in text
    assert "18,950 precursors after match between runs, 16,412 in the first" in text


def test_modifications_are_shown_with_what_was_learnt(facts):
    html = " ".join(render_report(facts).split())
    phospho, oxidation = (
        html[html.index(f"<td>{name}</td>") :].split("</tr>")[0] for name in ("Phospho@S", "Oxidation@M")
    )
    assert '12 <span class="tag">not learnt</span>' in phospho
    assert "– → –" in phospho
    assert "not learnt" not in oxidation
    assert all(value in oxidation for value in ("1,512", "205", "0.612 → 0.723"))


def test_training_tells_stop_reason_and_restored_epoch(facts):
    text = " ".join(render_report(facts).split())
    assert "Stopped after 18 epochs: not improving. Weights of epoch 12 restored." in text
    assert "The start weights were restored." in text
    assert "epoch 12 restored" in text


def test_the_gradient_is_shown_bin_by_bin(facts):
    text = " ".join(re.sub("<[^>]+>", " ", render_report(facts)).split())
    assert "0.8–0.9 200 40 0.0200 → 0.0071" in text
    assert "0.9–1 100 40 0.0200 → – not learnt" in text


def test_provenance_is_complete(facts):
    text = Page(render_report(facts)).text
    for words in (
        "alphadia: 2.3.0",
        "random_state: 42",
        "ab" * 32,
        "ef" * 32,
        "pretrained_models_v3.zip",
        "gate_confidence: 0.95",
        "lab_2.hdf",
    ):
        assert words in text


def test_measured_fdp_stands_beside_the_counts(facts):
    facts["identified"]["first_pass"]["fdp"] = 0.0123
    facts["identified"]["second_pass"] |= {"fdp": 0.011, "fdp_interval": [0.004, 0.019], "verdict": "inconclusive"}
    text = Page(render_report(facts)).text
    assert "1.2 %" in text
    assert "1.1 % (0.4 % to 1.9 %)" in text
    assert "inconclusive" in text
    assert "not measured" not in text


@pytest.mark.parametrize("missing", [
    "decisions", "training", "history", "identified", "between_passes", "runs", "transfer_library", "regeneration",
    "modifications", "rt_bins", "seconds", "warnings", "provenance", "held_out", "spectra", "nce",
])  # fmt: skip
def test_whatever_is_missing_is_left_out(facts, missing):
    del facts[missing]
    assert "Transfer learning report" in render_report(facts)


def test_where_all_models_were_skipped_there_is_no_figure_and_no_script(facts):
    for key in ("history", "held_out", "spectra"):
        facts[key] = facts[key].iloc[:0]
    facts["decisions"] = [d | {"accepted": False} for d in facts["decisions"]]
    facts |= {"regeneration": None, "nce": {}, "training": {}}
    facts["identified"]["second_pass"] = None
    text = render_report(facts)
    assert "No model was trained." in text
    assert "No tuned model was better" in text
    assert "script" not in Page(text).tags


def test_nothing_at_all_still_gives_a_page():
    assert "No tuned model was better" in render_report({})


@pytest.mark.parametrize(
    ("decisions", "first", "second", "expected"),
    [
        ([], None, None, "No tuned model was better"),
        ([], {"precursors": 5, "of_library": 0.1}, {"precursors": 50}, "one with the pretrained models"),
        ([{"model": "rt", "accepted": True}], {"precursors": 5, "of_library": 0.1}, {"precursors": 50},
         "50 precursors in the second pass; of the 10 % of the library that were searched before tuning, too: "
         "7 against 6: +1 (+16.7 %)."),
        ([{"model": "rt", "accepted": False}], {"precursors": 5}, {"precursors": 5}, "No tuned model was better"),
        ([{"model": "rt", "accepted": True}], None, None, "Tuned models in use: Retention time."),
        ([{"model": "rt", "accepted": True}], {"precursors": 50}, {"precursors": 45}, "-5 (-10.0 %)"),
        ([{"model": "rt", "accepted": True}], {"precursors": 0}, {"precursors": 45}, "45 precursors"),
    ],
)  # fmt: skip
def test_headline(decisions, first, second, expected):
    assert expected in headline(decisions, {"kept": 4, "gained": 3, "lost": 2}, first, second)


def test_parts_of_a_stage_stand_below_it_and_count_once():
    seconds = {"tuning rt": 2.0, "first pass": 6.0, "tuning": 4.0, "tuning ms2": 1.0}
    assert [(s.name, s.is_part) for s in stages(seconds)] == [
        ("first pass", False), ("tuning", False), ("tuning rt", True), ("tuning ms2", True),
    ]  # fmt: skip
    assert total_seconds(seconds) == 10
    assert [s.share for s in stages(seconds)] == [0.6, 0.4, 0.2, 0.1]


def test_many_warnings_are_folded(facts):
    facts["warnings"] = [f"warning {i}" for i in range(8)]
    text = render_report(facts)
    assert "3 more" in text
    assert all(f"warning {i}" in text for i in range(8))


def test_report_that_cannot_be_written_says_so(bundle):
    bundle.report.mkdir()
    before = {p.name for p in bundle.folder.iterdir()}
    with pytest.raises(OutputError, match=r"report\.html"):
        write_report(bundle)
    assert {p.name for p in bundle.folder.iterdir()} == before


FEW = "Too few peptides to score what is shipped"
BOXES = [
    ({"peptides": 405, "before": 0.0241, "after": 0.0099, "interval": [0.011, 0.016]}, "0.0241 → 0.0099", False),
    ({"peptides": 3, "before": None, "after": None, "interval": None}, "0.0232 → 0.0091", True),
    (None, "0.0232 → 0.0091", False),
]


@pytest.mark.parametrize(("lockbox", "shown", "few"), BOXES)
def test_the_table_of_models_cites_the_peptides_that_nothing_has_seen_where_there_are_any(facts, lockbox, shown, few):
    facts["decisions"][0]["lockbox"] = lockbox
    text = Page(render_report(facts)).text
    table = text[text.index("before → after") : text.index("bootstrap interval over peptides")]
    assert shown in " ".join(table.split())
    assert (FEW in table) is few
    assert ("nor any choice has seen" in table) is (lockbox is not None and not few)
