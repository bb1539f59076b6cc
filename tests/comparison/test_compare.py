import math

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_outputs import precursors, write_output, write_runs

from alphadia_tl.comparison import compare as compare_module
from alphadia_tl.comparison.compare import (
    compare,
    quantity_agreement,
    rt_agreement,
    settings_differences,
    shared_table,
    variation,
)
from alphadia_tl.comparison.errors import NO_ESTIMATE, matched_prefix
from alphadia_tl.entrapment.database import Entrapment
from alphadia_tl.entrapment.estimate import Discoveries, combined
from alphadia_tl.errors import SettingsError
from alphadia_tl.host.search_tables import read_output

ENTRAPMENT = Entrapment("ENTRAPMENT_", design="foreign")
FALSE = "ENTRAPMENT_P{}"


@pytest.fixture
def outputs(tmp_path):
    """Return a function that writes folders from tables and reads them."""

    def make(**tables):
        return [read_output(write_output(tmp_path / name, *parts), name) for name, parts in tables.items()]

    return make


def test_gained_lost_and_shared_are_counted_at_each_level(outputs):
    c = compare(outputs(off=[precursors(range(16))], on=[precursors(range(8, 32))]))
    expected = {"precursor": (8, 16, 8), "peptide": (4, 8, 4), "protein group": (2, 4, 2)}
    for level, numbers in expected.items():
        assert tuple(c.value(level, "on vs off", m) for m in ("shared", "gained", "lost")) == numbers
    assert c.value("precursor", "off", "identified") == 16
    assert c.value("protein group", "on", "identified") == 6


def test_runs_are_counted_on_their_own_and_together(outputs):
    two = [precursors(range(10)), precursors(range(5, 15), run="run_2")]
    c = compare(outputs(off=two, on=[precursors(range(4))]))
    assert [c.value("precursor", "off", "identified", run) for run in ("all", "run_1", "run_2")] == [15, 10, 10]
    assert [c.value("precursor", "on", "identified", run) for run in ("all", "run_1", "run_2")] == [4, 4, 0]
    assert any("the runs differ (run_2)" in note for note in c.notes)


def test_every_other_search_is_compared_with_the_first(outputs):
    c = compare(outputs(a=[precursors(range(4))], b=[precursors(range(6))], c=[precursors(range(8))]))
    assert set(c.table["arm"]) == {"a", "b", "c", "b vs a", "c vs a"}


def test_without_entrapment_no_error_is_claimed_and_it_is_said(outputs):
    c = compare(outputs(off=[precursors(range(8))], on=[precursors(range(12))]))
    assert not c.measured
    assert not c.table["metric"].str.contains("fdp").any()
    assert len(c.verdicts) == 3
    assert all(NO_ESTIMATE in text for text in c.verdicts)
    assert "+50.0%" in c.verdicts[0]


def test_more_identifications_that_are_wrong_are_no_gain_at_the_same_estimated_fdp(outputs):
    off = [precursors(range(1000)), precursors([5000], proteins=FALSE)]
    wrong = [precursors(range(1000, 1100)), precursors(range(5000, 5050), proteins=FALSE)]
    c = compare(outputs(off=off, on=[precursors(range(1000)), *wrong]), ENTRAPMENT)
    assert c.value("precursor", "on", "identified") == 1150
    assert c.value("precursor", "on", "n_target") == 1100
    assert c.value("precursor", "on", "fdp_combined") == pytest.approx(100 / 1150)
    matched = c.value("precursor", "on", "matched_fdp")
    assert matched == c.value("precursor", "off", "matched_fdp") == pytest.approx(2 / 1001)
    assert c.value("precursor", "off", "targets_at_matched_fdp") == 1000
    assert c.value("precursor", "on", "targets_at_matched_fdp") == 1100  # all of them score better than the wrong ones
    assert any("precursor, on: estimated FDP 8.70%" in text and text.endswith("invalid") for text in c.verdicts)


def test_wrong_identifications_among_the_gained_cost_matched_targets(outputs):
    mixed = [precursors(range(1000, 2000, 2)), precursors(range(1001, 2001, 2), proteins=FALSE)]
    off = [precursors(range(1000)), precursors([5000], proteins=FALSE)]
    c = compare(outputs(off=off, on=[precursors(range(1000)), *mixed]), ENTRAPMENT)
    assert c.value("precursor", "on", "targets_at_matched_fdp") == pytest.approx(1001, abs=2)


@pytest.mark.parametrize("gone", [None, "off", "on"])
def test_entrapments_that_the_protein_fdr_takes_away_are_counted(tmp_path, gone):
    """Of all searches or, where the tables of one are gone, of none: they must be judged alike."""
    reported = pd.concat([precursors(range(1000)), precursors([4000, 4001], proteins=FALSE)])
    taken = {"off": precursors(range(5000, 5020), proteins=FALSE), "on": precursors(range(5000, 5010), proteins=FALSE)}
    beyond = precursors(range(6000, 6500), proteins=FALSE, **{"precursor.qval": 0.02})
    decoys = precursors(range(7000, 7500), proteins=FALSE, **{"precursor.decoy": 1})
    for arm, entrapments in taken.items():
        write_output(tmp_path / arm, reported)
        if arm != gone:
            write_runs(tmp_path / arm, reported, entrapments, beyond, decoys)
    c = compare([read_output(tmp_path / arm, arm) for arm in taken], ENTRAPMENT)
    expected = {"off": 2, "on": 2} if gone else {"off": 22, "on": 12}
    for arm, number in expected.items():
        assert c.value("precursor", arm, "n_entrapment") == number
        assert c.value("peptide", arm, "n_entrapment") == number / 2
        assert c.value("protein group", arm, "n_entrapment") == 1
        assert c.value("precursor", arm, "n_target") == 1000
        assert c.value("precursor", arm, "identified") == 1002
    said = [note for note in c.notes if "protein FDR" in note]
    assert len(said) == 1
    assert ("too low" in said[0]) == (gone is not None)
    assert gone is None or f"gone in {gone}." in said[0]


def test_entrapments_are_neither_gained_nor_lost(outputs):
    c = compare(
        outputs(off=[precursors(range(8))], on=[precursors(range(8)), precursors(range(100, 108), proteins=FALSE)]),
        ENTRAPMENT,
    )
    assert c.value("precursor", "on vs off", "gained") == 0
    assert any("Fewer than 10 entrapments in off, on" in note for note in c.notes)


FASTAS = [
    ("entrapment was searched", ">P1\nMK\n>ENTRAPMENT_P1\nKM\n", ""),
    ("another prefix", ">P1\nMK\n>TRAP_P1\nKM\n", "no protein of the FASTA begins with 'ENTRAPMENT_'"),
    (
        "the prefix within an accession",
        ">P1\nMK\n>XENTRAPMENT_P1\nKM\n",
        "no protein of the FASTA begins with 'ENTRAPMENT_'",
    ),
    ("no FASTA", None, "no protein that was found begins with 'ENTRAPMENT_', and there is no FASTA to look into"),
]


def decoys(numbers):
    return precursors(numbers, **{"precursor.decoy": 1})


def test_errors_of_what_was_gained_are_told_apart_from_those_of_what_was_kept(tmp_path):
    """By decoys, and by entrapment with the twins of another class: one of ten gained is wrong, of 990 kept none."""
    one = [precursors(range(990)), decoys(range(4000, 4002))]
    two = [precursors(range(500, 1100)), precursors(range(5000, 5010), proteins=FALSE), decoys(range(4001, 4012))]
    for arm, parts in (("off", one), ("on", two)):
        targets = [p for p in parts if not p["precursor.decoy"].any()]
        write_runs(write_output(tmp_path / arm, *targets), *parts)
    c = compare([read_output(tmp_path / arm, arm) for arm in ("off", "on")], ENTRAPMENT)

    def values(metric):
        return [c.value("precursor", "on vs off", f"{name}: {metric}") for name in ("kept", "gained", "lost")]

    assert values("precursors") == [490, 120, 500]
    assert values("decoys") == [1, 10, 1]
    assert values("fdp_decoys") == [1 / 490, 10 / 120, 1 / 500]
    assert values("entrapment") == [0, 10, 0]
    assert values("fdp") == [0, 20 / 120, 0]
    ends = zip(values("fdp_decoys_interval_low"), values("fdp_decoys"), values("fdp_decoys_interval_high"), strict=True)
    assert all(low <= value < high for low, value, high in ends)


@pytest.mark.parametrize(
    ("runs", "kinds", "why"),
    [
        (([], []), ("diann", "diann"), "the tables of the runs are gone in off, on"),
        ((["targets", "decoys"], []), ("diann", "diann"), "the tables of the runs are gone in on"),
        ((["targets"], ["targets"]), ("diann", "diann"), "no decoy passes in either search"),
        ((["targets", "decoys"],) * 2, ("diann", "pseudo"), "fdr.decoy_type: diann, fdr.decoy_type: pseudo"),
        ((["targets", "decoys"],) * 2, ("diann", "given.hdf"), "given.hdf"),
        ((["targets", "decoys"],) * 2, ("given.hdf", "given.hdf"), None),
        ((["targets", "decoys"],) * 2, ("diann", "transfer/speclib.tuned.hdf"), None),
        ((["targets", "decoys"],) * 2, ("diann", "diann"), None),
        ((["targets", "decoys"], ["targets"]), ("diann", "diann"), None),
    ],
)
def test_where_decoys_say_nothing_it_is_said_why(tmp_path, runs, kinds, why):
    tables = {"targets": precursors(range(100)), "decoys": decoys(range(4000, 4002))}
    for arm, parts, kind in zip(("off", "on"), runs, kinds, strict=True):
        write_output(tmp_path / arm, tables["targets"], fdr=0.01)
        config = yaml.safe_load((tmp_path / arm / "frozen_config.yaml").read_text())
        config["fdr"]["decoy_type"] = kind.replace("given.hdf", "diann").replace("transfer/speclib.tuned.hdf", "diann")
        if kind.endswith(".hdf"):
            config["library_path"] = str(tmp_path / kind) if kind == "given.hdf" else str(tmp_path / arm / kind)
        (tmp_path / arm / "frozen_config.yaml").write_text(yaml.safe_dump(config))
        if parts:
            write_runs(tmp_path / arm, *(tables[part] for part in parts))
    c = compare([read_output(tmp_path / arm, arm) for arm in ("off", "on")])
    said = [note for note in c.notes if "errors by decoys: cannot be said" in note]
    assert c.value("precursor", "on vs off", "kept: precursors") == 100
    assert (c.value("precursor", "on vs off", "kept: fdp_decoys") is None) == (why is not None)
    assert c.value("precursor", "on vs off", "gained: fdp_decoys") is None  # nothing was gained
    assert len(said) == (why is not None)
    assert why is None or why in said[0]


@pytest.mark.parametrize(("text", "reason"), [f[1:] for f in FASTAS], ids=[f[0] for f in FASTAS])
def test_no_entrapment_found_says_something_only_where_some_was_searched(tmp_path, text, reason):
    """Else a mistyped prefix, with tables of any FASTA, would show a search without errors."""
    if text:
        (tmp_path / "x.fasta").write_text(text)
    found = [
        read_output(write_output(tmp_path / arm, precursors(range(8000)), fasta_paths=[str(tmp_path / "x.fasta")]), arm)
        for arm in ("off", "on")
    ]
    c = compare(found, Entrapment("ENTRAPMENT_", {"ACK": "CAK"}, frozenset({"CCK"})))
    assert c.measured == (not reason)
    assert c.value("precursor", "on", "n_entrapment") == (None if reason else 0)
    assert any(v.startswith("precursor, on: estimated FDP 0.00%") and v.endswith("valid") for v in c.verdicts) == (
        not reason
    )
    assert any("8,000 against 8,000 (+0.0%) targets before the first entrapment" in v for v in c.verdicts) == (
        not reason
    )
    assert [n for n in c.notes if "the error cannot be said" in n] == [
        f"{a}: the error cannot be said: {reason}." for a in ("off", "on") if reason
    ]


def test_searches_without_a_run_in_common_are_not_compared(outputs):
    c = compare(outputs(off=[precursors(range(8))], on=[precursors(range(12), run="run_2")], none=[precursors([])]))
    said = [v for v in c.verdicts if v.startswith("precursor")]
    assert said[0] == "precursor, on vs off: which found more cannot be said: they have no run in common"
    assert said[1].startswith("precursor, none vs off: 0 against 8 (-100.0%)")
    assert c.value("precursor", "on vs off", "gained") is None
    assert c.value("precursor", "none vs off", "lost") == 8


def test_searches_that_all_found_nothing_match_at_no_fdp(outputs, tmp_path):
    (tmp_path / "x.fasta").write_text(">ENTRAPMENT_P1\nKM\n")
    fasta = {"fasta_paths": [str(tmp_path / "x.fasta")]}
    found = [read_output(write_output(tmp_path / arm, precursors([]), **fasta), arm) for arm in ("off", "on")]
    c = compare(found, ENTRAPMENT)
    assert c.value("precursor", "on", "matched_fdp") is None
    assert c.value("precursor", "on", "fdp_combined") is None
    assert not any("valid" in verdict for verdict in c.verdicts)


def test_a_search_that_found_nothing_has_no_estimate_and_does_not_decide_the_match(outputs):
    found = [precursors(range(100)), precursors([900], proteins=FALSE)]
    c = compare(outputs(off=found, empty=[precursors([])]), ENTRAPMENT)
    assert c.value("precursor", "empty", "fdp_combined") is None
    assert c.value("precursor", "empty", "identified") == 0
    assert c.value("precursor", "off", "targets_at_matched_fdp") == 100


def test_variation_over_replicates_is_also_told_of_what_all_searches_have(outputs):
    runs = [precursors(range(40), run=f"run_{i}", seed=i) for i in range(3)]
    c = compare(outputs(off=runs, on=[r[:20] for r in runs]))
    assert c.value("precursor", "off", "cv_identifications") == 40
    assert c.value("precursor", "on", "cv_identifications") == 20
    assert 0.01 < c.value("precursor", "off", "cv_median") < 0.2  # made with a spread of 0.1 on the log2 scale
    common = [c.value("precursor", arm, "cv_median_of_common") for arm in ("off", "on")]
    assert common[0] == common[1] == c.value("precursor", "on", "cv_median")


def test_stages_are_in_the_table(tmp_path):
    log = "0:00:01.0 INFO: Running step 'library'\n0:00:05.0 PROGRESS: Search step 'library' finished\n"
    off = write_output(tmp_path / "off", precursors(range(3)), log=log)
    on = write_output(tmp_path / "on", precursors(range(3)), log=log, provenance={"seconds": {"tuning": 2.0}})
    c = compare([read_output(off, "off"), read_output(on, "on")])
    assert c.value("search", "off", "seconds: library step") == 4.0
    assert c.value("search", "on", "seconds: tuning") == 2.0
    assert c.value("search", "on", "seconds: total") == 5.0


@pytest.mark.parametrize("names", [["a"], ["a", "a"]])
def test_one_search_is_no_comparison(outputs, names):
    made = outputs(a=[precursors(range(3))])
    with pytest.raises(SettingsError, match="at least two"):
        compare(made * len(names))


@pytest.mark.parametrize("limit", [0.0, 0.005, 0.01, 0.02, 0.5, 2.0])
def test_the_matched_prefix_is_the_longest_one_within_the_limit(limit):
    draw = np.random.default_rng(0)
    marked = draw.random(500) < np.linspace(0, 0.1, 500)
    found = Discoveries(marked, np.arange(500.0)[::-1], np.linspace(0, 0.01, 500), np.arange(500).astype(object))
    within = [
        n for n in range(501)
        if n == 0 or combined(int((~marked[:n]).sum()), int(marked[:n].sum()), 1.0) <= limit
    ]  # fmt: skip
    assert matched_prefix(found, 1.0, limit) == max(within)


def test_settings_that_transfer_learning_changes_are_no_difference():
    one = {"library_path": None, "general": {"transfer_step_enabled": False}, "fdr": {"fdr": 0.01}, "raw_paths": ["a"]}
    two = {"library_path": "x", "general": {"transfer_step_enabled": True}, "fdr": {"fdr": 0.05}, "raw_paths": ["a"]}
    assert settings_differences(one, two) == ["fdr.fdr 0.01 / 0.05"]


def test_many_differences_are_cut_short():
    found = settings_differences({f"k{i}": 0 for i in range(15)}, {})
    assert len(found) == 11
    assert found[-1] == "and 5 more"


def test_differing_settings_are_a_note(tmp_path):
    folders = [write_output(tmp_path / str(seed), precursors(range(3)), search={"seed": seed}) for seed in (1, 2)]
    c = compare([read_output(f, f.name) for f in folders])
    assert any("search.seed 1 / 2" in note for note in c.notes)


def test_the_table_is_long(outputs):
    c = compare(outputs(off=[precursors(range(3))], on=[precursors(range(3))]))
    assert list(c.table.columns) == ["level", "run", "arm", "metric", "value"]
    assert pd.api.types.is_float_dtype(c.table["value"])
    assert not c.table.duplicated(["level", "run", "arm", "metric"]).any()


def test_the_claim_is_judged_for_each_run(outputs):
    """Each of ten runs has 1 % false precursors of its own: sound, although the list of all has far more."""
    runs = [
        part
        for i in range(10)
        for part in (
            precursors(range(990), run=f"run_{i}"),
            precursors(range(2000 + 40 * i, 2005 + 40 * i), proteins=FALSE, run=f"run_{i}"),
        )
    ]
    c = compare(outputs(off=runs, on=runs), ENTRAPMENT)
    assert c.value("precursor", "off", "fdp_combined") == pytest.approx(100 / 1040)
    assert any(
        text.startswith("precursor, off: estimated FDP in each run 1.01%")
        and "inconclusive (all runs together: 9.62%)" in text
        for text in c.verdicts
    )
    assert not any(text.startswith(("precursor", "peptide")) and "invalid" in text for text in c.verdicts)
    assert sum("for each run" in note for note in c.notes) == 1


def test_rows_are_split_by_run_once(outputs, monkeypatch):
    """Not for each level, figure and run again: searches of a hundred runs have millions of rows."""
    split = []
    original = compare_module._by_run
    monkeypatch.setattr(compare_module, "_by_run", lambda rows: split.append(len(rows)) or original(rows))
    compare(outputs(off=[precursors(range(8), run=f"run_{i}") for i in range(20)], on=[precursors(range(8))]))
    assert len(split) == 2 + 3 * 2  # the rows of each search, and at each level those that are judged


def rows(numbers, *, run="run_1", rt_shift=0.0, factor=1.0):
    numbers = np.asarray(list(numbers))
    return pd.DataFrame(
        {
            "run": run,
            "precursor": numbers.astype("uint64"),
            "q": 0.0,
            "proba": 0.01,
            "rt": numbers * 10.0 + rt_shift,
            "precursor_intensity": (numbers + 1) * 100.0 * factor,
        }
    )


def test_shared_are_the_same_identifications_in_the_same_run():
    first = pd.concat([rows(range(10)), rows(range(5), run="run_2")])
    second = pd.concat([rows(range(5, 12)), rows(range(5), run="run_3")])
    assert len(shared_table(first, second, "precursor")) == 5


def test_shifted_times_and_scaled_quantities_are_told_exactly():
    shared = shared_table(rows(range(10)), rows(range(10), rt_shift=-3, factor=4), "precursor")
    assert rt_agreement(shared) == pytest.approx({"rt_median_abs_difference": 3.0, "rt_correlation": 1.0})
    assert quantity_agreement(shared) == pytest.approx(
        {
            "quantity_log2_correlation": 1.0,
            "quantity_median_ratio": 4.0,
            "quantity_log2_mad": 0.0,
            "quantity_pairs": 10.0,
        }
    )


def test_quantities_of_zero_or_missing_are_left_out():
    first = rows(range(6)).assign(precursor_intensity=[0, np.nan, 1, 2, 4, 8])
    second = rows(range(6)).assign(precursor_intensity=[1, 1, 0, 2, 4, 16])
    assert quantity_agreement(shared_table(first, second, "precursor"))["quantity_pairs"] == 3


@given(st.lists(st.tuples(st.floats(1, 1e9), st.floats(1, 1e9)), min_size=1, max_size=20))
def test_turning_the_comparison_round_inverts_the_ratio_only(pairs):
    one = pd.DataFrame(pairs, columns=["intensity_first", "intensity_second"])
    there = quantity_agreement(one)
    back = quantity_agreement(one.rename(columns={"intensity_first": "intensity_second",
                                                  "intensity_second": "intensity_first"}))  # fmt: skip
    assert back["quantity_median_ratio"] == pytest.approx(1 / there["quantity_median_ratio"])
    assert back["quantity_log2_mad"] == pytest.approx(there["quantity_log2_mad"], abs=1e-9)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_pairs_have_no_correlation(n):
    shared = shared_table(rows(range(n)), rows(range(n)), "precursor")
    assert math.isnan(rt_agreement(shared)["rt_correlation"])
    assert math.isnan(quantity_agreement(shared)["quantity_log2_correlation"])


def test_variation_is_that_of_identifications_in_every_run():
    found = pd.concat([rows(range(4)), rows(range(3), run="run_2", factor=3)])
    spread = variation(found, "precursor")
    assert spread.index.tolist() == [0, 1, 2]
    assert spread.to_numpy() == pytest.approx(math.sqrt(2) / 2)  # of 1 and 3: standard deviation √2, mean 2


@pytest.mark.parametrize("found", [rows(range(4)), rows([])], ids=["one run", "nothing"])
def test_one_run_has_no_variation(found):
    assert variation(found, "precursor").empty


def test_a_run_without_any_quantity_leaves_nothing_to_compare():
    found = pd.concat([rows(range(4)), rows(range(4), run="run_2", factor=0)])
    assert variation(found, "precursor").empty
