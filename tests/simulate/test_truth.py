from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from alphadia_tl.errors import DataError
from alphadia_tl.simulate.demo import SearchResult, format_table
from alphadia_tl.simulate.truth import Score, score_classes, score_precursors, score_runs, score_search

TRUTH = pd.DataFrame(
    {
        "sequence": ["AAAK", "CCCK", "CCCK", "DDDK"],
        "mods": ["", "Carbamidomethyl@C", "Carbamidomethyl@C", ""],
        "mod_sites": ["", "1", "1", ""],
        "charge": [2, 2, 3, 2],
        "rt_seconds": [10.0, 20.0, 20.0, 30.0],
    }
)


def found(*rows: tuple[str, str, str, int, float, float, str]) -> pd.DataFrame:
    names = ["sequence", "mods", "mod_sites", "charge", "rt.observed", "qval"]
    columns = [f"precursor.{n}" for n in names] + ["pg.proteins"]
    return pd.DataFrame(list(rows), columns=columns)


TRUE = ("AAAK", "", "", 2, 11.0, 0.001, "P00001")
MODIFIED = ("CCCK", "Carbamidomethyl@C", "1", 3, 18.0, 0.001, "P00002")
MISPLACED = ("DDDK", "", "", 2, 60.0, 0.001, "P00001")
WRONG_CHARGE = ("AAAK", "", "", 3, 10.0, 0.001, "P00001")
WRONG_FORM = ("AAAK", "Oxidation@M", "1", 2, 15.0, 0.001, "P00001")
FORM_ELSEWHERE = ("AAAK", "Oxidation@M", "1", 2, 17.0, 0.001, "P00001")
OTHER_CHARGES_TIME = ("DDDK", "", "", 2, 20.0, 0.001, "P00001")
ENTRAPMENT = ("EEEK", "", "", 2, 10.0, 0.001, "E00001")
SHARED = ("FFFK", "", "", 2, 10.0, 0.001, "E00001;P00003")
POOR = ("CCCK", "Carbamidomethyl@C", "1", 2, 20.0, 0.02, "P00002")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((TRUE, MODIFIED), Score(2, 2, 0, 0, 0, 0, 0.0, 2, 2)),
        ((TRUE, MISPLACED), Score(2, 1, 0, 0, 1, 0, 0.5, 1, 1)),
        ((TRUE, OTHER_CHARGES_TIME), Score(2, 1, 0, 0, 1, 0, 0.5, 1, 1)),
        ((TRUE, WRONG_CHARGE), Score(2, 1, 0, 1, 0, 0, 0.5, 1, 1)),
        ((TRUE, WRONG_FORM), Score(2, 1, 0, 1, 0, 0, 0.5, 1, 1)),
        ((TRUE, FORM_ELSEWHERE), Score(2, 1, 0, 0, 1, 0, 0.5, 1, 1)),
        ((TRUE, ENTRAPMENT), Score(2, 1, 1, 0, 0, 1, 0.5, 2, 1)),
        ((TRUE, SHARED), Score(2, 1, 1, 0, 0, 0, 0.5, 2, 2)),
        ((TRUE, POOR), Score(1, 1, 0, 0, 0, 0, 0.0, 1, 1)),
        ((), Score(0, 0, 0, 0, 0, 0, 0.0, 0, 0)),
    ],
)
def test_search_is_counted_against_the_truth(rows, expected: Score):
    assert score_precursors(found(*rows), TRUTH) == expected


def test_tolerance_decides_what_is_misplaced():
    assert score_precursors(found(TRUE), TRUTH, tolerance_seconds=0.5).misplaced == 1


def test_missing_column_is_an_error():
    with pytest.raises(DataError, match=r"precursor\.qval"):
        score_precursors(found(TRUE).drop(columns="precursor.qval"), TRUTH)


def test_repeated_truth_is_an_error():
    with pytest.raises(DataError, match="twice"):
        score_precursors(found(TRUE), pd.concat([TRUTH, TRUTH]))


def test_search_folder_is_scored_and_an_empty_one_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match=r"precursors\.parquet"):
        score_search(tmp_path, TRUTH)
    found(TRUE, MISPLACED).to_parquet(tmp_path / "precursors.parquet")
    assert score_search(tmp_path, TRUTH).true == 1


def test_table_shows_each_search_and_its_stages():
    gained = {"gained": Score(210, 190, 8, 2, 10, 4, 20 / 210, 9, 9)}
    text = format_table(
        [
            SearchResult("off", 0, 61.4, Score(1000, 950, 30, 10, 10, 20, 0.05, 90, 88), {}),
            SearchResult("on", 0, 200.0, Score(1200, 1170, 10, 10, 10, 10, 0.025, 95, 94), {"tuning": 55.0}, gained),
            SearchResult("broken", 1, 2.0, None, {}),
        ]
    ).splitlines()
    assert text[2].split() == ["off", "1,000", "950", "5.00%", "90", "88", "61"]
    assert text[3].split()[3] == "2.50%"
    assert "failed" in text[4]
    assert text[5] == "on, gained: 210 reported, 190 true, 8 unrelated, 2 relative, 10 misplaced"
    assert text[6] == "on: tuning 55 s"


def write_runs(folder, **runs):
    """Write what each run has before the protein FDR, with a decoy of each and the same beyond the FDR."""
    for run, rows in runs.items():
        table = found(*rows).rename(columns=lambda c: c.removeprefix("precursor."))
        table = table.rename(columns={"rt.observed": "rt_observed", "pg.proteins": "proteins"})
        table = table.assign(proba=0.1, decoy=0)
        (folder / "quant" / run).mkdir(parents=True)
        parts = [table, table.assign(decoy=1), table.assign(qval=0.02, sequence=table["sequence"] + "K")]
        pd.concat(parts).to_parquet(folder / "quant" / run / "psm.parquet")
    return folder


def test_precursors_of_runs_are_counted_before_the_protein_fdr(tmp_path):
    write_runs(tmp_path, a=[TRUE], b=[TRUE])
    assert score_runs(tmp_path, TRUTH).true == 2
    assert score_runs(tmp_path, TRUTH).reported == 2
    assert score_runs(tmp_path, TRUTH, "a").reported == 1
    with pytest.raises(DataError, match="No tables of runs"):
        score_runs(tmp_path / "absent", TRUTH)


def test_what_was_kept_gained_and_lost_is_counted_against_the_truth_run_by_run(tmp_path):
    first = write_runs(tmp_path / "1", a=[TRUE, MISPLACED], b=[MODIFIED])
    second = write_runs(tmp_path / "2", a=[TRUE, WRONG_CHARGE, ENTRAPMENT], b=[MODIFIED, TRUE])
    assert score_classes(first, second, TRUTH) == {
        "kept": Score(2, 2, 0, 0, 0, 0, 0.0, 2, 2),
        "gained": Score(3, 1, 1, 1, 0, 1, 1 - 1 / 3, 2, 1),
        "lost": Score(1, 0, 0, 0, 1, 0, 1.0, 1, 1),
    }
