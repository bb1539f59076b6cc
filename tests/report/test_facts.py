from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from jsonschema import validate

from alphadia_tl.bundle import Bundle, read_bundle
from alphadia_tl.errors import ResultsError
from alphadia_tl.files import write_stats
from alphadia_tl.models.gate import Decision
from alphadia_tl.report import facts as words
from alphadia_tl.report.facts import read_facts
from alphadia_tl.report.page import all_drawings, render_report, to_json, write_report
from alphadia_tl.step.outcome import StepOutcome, finish, write_held_out
from alphadia_tl.tasks.held_out import modification_table

from .conftest import made_history

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text(encoding="utf-8"))


def test_what_is_written_is_read_again(bundle, facts):
    (bundle.folder / "frozen_config.yaml").write_text("first: 1\n")
    (bundle.folder.parent / "frozen_config.yaml").write_text("second: 2\n")
    found = read_facts(bundle)
    assert found["configs"] == {"first pass": "first: 1\n", "second pass": "second: 2\n"}
    same = {"decisions", "training", "identified", "between_passes", "runs", "warnings", "seconds", "transfer_library"}
    for key in same | {"nce"}:
        assert found[key] == facts[key], key
    for key in ("history", "held_out", "spectra"):
        pd.testing.assert_frame_equal(found[key], facts[key], check_dtype=False)
    for key in ("rt_bins", "modifications"):
        pd.testing.assert_frame_equal(pd.DataFrame(found[key]), pd.DataFrame(facts[key]))
    assert found["provenance"]["random_state"] == 42


@pytest.mark.parametrize("file", ["stats", "rt_bins", "modifications", "held_out", "spectra"])
def test_a_file_that_is_not_there_is_left_out(bundle, file):
    keys = {"stats": "history"}
    getattr(bundle, file).unlink()
    facts = read_facts(bundle)
    assert keys.get(file, file) not in facts
    assert "Transfer learning report" in render_report(facts, all_drawings(facts))


def test_a_run_in_which_every_model_was_skipped_has_a_report(tmp_path):
    outcome = StepOutcome(Bundle(tmp_path / "transfer"), decisions=(Decision("rt", False, "4 peptides to train on"),))
    write_stats(outcome.bundle.stats, made_history().iloc[:0])
    write_stats(outcome.bundle.modifications, modification_table({}))
    write_held_out({}, outcome.bundle)
    finish(outcome, first_pass={"precursors": 4, "proteins": 2}, second_pass=None)
    text = outcome.bundle.report.read_text(encoding="utf-8")
    assert "No tuned model was better" in text
    assert "4 peptides to train on" in text
    summary = json.loads(outcome.bundle.report_json.read_text())
    assert summary["identified"] == {"first_pass": {"precursors": 4, "proteins": 2}, "second_pass": None}
    assert summary["decisions"][0]["accepted"] is False
    validate(summary, SCHEMA)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("held_out", b"PAR1 but no parquet", "cannot be read"),
        ("stats", b"epoch\tvalue\n1\t2\n", r"lacks the column\(s\) data_split, metric_name, property"),
        ("stats", b"", "cannot be read"),
        ("provenance", b"decisions: 1\n", "'decisions' is not as"),
        ("provenance", b"a: [1,", "is no valid YAML"),
        ("provenance", b"- 1\n", "no mapping"),
        ("provenance", b"\xff\xfe\x00", "is UTF-16 text"),
    ],
)
def test_a_damaged_file_is_named(bundle, file, content, problem):
    path = getattr(bundle, file)
    path.write_bytes(content)
    with pytest.raises(ResultsError, match=problem) as caught:
        read_facts(bundle)
    assert path.name in str(caught.value)


def test_a_bundle_is_found_from_the_output_folder_and_from_their_own(bundle):
    assert read_bundle(bundle.folder.parent) == read_bundle(bundle.folder) == bundle


@pytest.mark.parametrize("content", [None, "versions: {}\n"])
def test_a_folder_without_results_is_an_error(tmp_path, content):
    if content:
        (tmp_path / "alphadia_tl.yaml").write_text(content)  # a search with models as they are
    with pytest.raises(ResultsError, match="holds no results of transfer learning"):
        read_bundle(tmp_path)


def test_json_says_what_the_facts_say(bundle, facts):
    write_report(bundle)
    summary = json.loads(bundle.report_json.read_text(encoding="utf-8"))
    assert summary["format"] == 1
    for key in ("decisions", "training", "identified", "between_passes", "runs", "warnings", "seconds"):
        assert summary[key] == facts[key], key
    assert summary["rt_bins"][9]["median_abs_error_after"] is None  # NaN
    assert summary["transfer_library"]["charges"] == {"2": 11000, "3": 6500, "4": 1250}
    scores = facts["held_out"].query("model == 'ms2'")["score_after"]
    assert summary["held_out"]["ms2"]["rows"] == len(scores)
    assert summary["held_out"]["ms2"]["score_quantiles"]["after"]["0.5"] == pytest.approx(scores.median())
    assert summary["held_out"]["charge"]["score_quantiles"] == {}
    assert not {"history", "spectra"} & summary.keys()
    validate(summary, SCHEMA)
    assert SCHEMA["properties"].keys() == summary.keys()


def test_json_takes_numpy_values():
    text = to_json({"seconds": {"a": np.float64("nan"), "b": np.int64(3)}, "runs": ("x",)})
    assert json.loads(text) == {"format": 1, "seconds": {"a": None, "b": 3}, "runs": ["x"]}


def test_provenance_holds_the_runs(tmp_path):
    outcome = StepOutcome(Bundle(tmp_path), runs=("a.raw",))
    outcome.write_provenance()
    assert yaml.safe_load(outcome.bundle.provenance.read_text())["runs"] == ["a.raw"]


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
    ("values", "expected"),
    [
        ([0.0392, 0.006074], "0.0392 – 0.0061"),
        ([0.4014, 0.2444], "0.401 – 0.244"),
        ([12.34, 0.5], "12.3 – 0.5"),
        ([1234.5, 2.0], "1,234 – 2"),
        ([-0.02, 0.01], "-0.0200 – 0.0100"),
        ([None, 0.5], "– – 0.500"),
        ([float("nan"), None], "– – –"),
        ([0.0, 0.0], "0 – 0"),
        ([1e-30, 0.0], "0.00000 – 0.00000"),
    ],
)
def test_values_side_by_side_have_the_same_decimals(values, expected):
    assert words.together(values, " – ") == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (True, "yes"),
        (None, "–"),
        (12345, "12,345"),
        (0.123456, "0.1235"),
        (10877.378, "10,877"),
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
    assert words.as_yaml({"a": np.float32(0.5), 1: (1, None), "p": {"x"}}) == "a: 0.5\n'1':\n- 1\n- null\np:\n- x\n"
