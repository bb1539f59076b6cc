import shutil

import pytest
from stand_in import put_in_place

from alphadia_tl.simulate.demo import SearchResult, format_table, run_demo
from alphadia_tl.simulate.experiment import make_experiment
from alphadia_tl.simulate.truth import Score

from .conftest import TINY

SCORE = Score(
    reported=2000,
    true=1900,
    unrelated=30,
    relative=10,
    misplaced=60,
    entrapment=3,
    fdp=0.05,
    proteins=80,
    true_proteins=78,
)


def test_the_table_has_the_true_fdp_beside_every_number_of_precursors():
    text = format_table(
        [SearchResult("off", 0, 61.4, SCORE), SearchResult("on", 0, 122.6, SCORE, {"tuning": 30.2, "first pass": 60.0})]
    )
    head, _, off, on, stages = text.splitlines()
    assert head.split() == ["search", "precursors", "true", "true", "FDP", "proteins", "true", "seconds"]
    assert off.split() == ["off", "2,000", "1,900", "5.00%", "80", "78", "61"]
    assert on.split()[-1] == "123"
    assert stages == "on: tuning 30 s, first pass 60 s"


def test_a_failed_search_is_no_row_of_zeros():
    row = format_table([SearchResult("off", 1, 5.0, None)]).splitlines()[2]
    assert row.split() == ["off", "failed", "5"]


@pytest.mark.parametrize("code", [1, 127])
def test_a_failed_search_costs_no_other_and_gives_its_exit_code_and_its_last_lines(tmp_path, home, monkeypatch, code):
    shutil.copytree(home, tmp_path / "experiment" / "home")
    truth = make_experiment(tmp_path / "experiment", TINY).read_truth()
    found = truth.assign(qval=0.0, **{"rt.observed": truth["rt_seconds"]})
    found.rename(columns=lambda c: ("pg." if c == "proteins" else "precursor.") + c).to_parquet(tmp_path / "found")
    search = (
        "import shutil\nOUT = ARGS[ARGS.index('-o') + 1]\n"
        f"if OUT.endswith('stock_transfer'): sys.exit(print('first\\nValueError: could not broadcast') or {code})\n"
        f"shutil.copy({str(tmp_path / 'found')!r}, OUT + '/precursors.parquet')\n"
    )
    put_in_place(monkeypatch, tmp_path / "stand_in", "alphadia_tl.cli", search)
    said = []
    assert run_demo(tmp_path, said.append, preset=TINY, stock_transfer=True, oracle=True) == code
    [told] = [text for text in said if "ValueError: could not broadcast" in text]
    assert f"exit code {code}" in told
    rows = said[-1].splitlines()
    assert len([row for row in rows if f" {len(truth):,} " in row and "0.00%" in row]) == 3
    assert len([row for row in rows if "failed" in row]) == 1
