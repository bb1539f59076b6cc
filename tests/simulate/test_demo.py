import pytest

from alphadia_tl.simulate import demo
from alphadia_tl.simulate.demo import SearchResult, format_table, run_demo
from alphadia_tl.simulate.truth import Score

SCORE = Score(reported=2000, true=1900, absent=40, misplaced=60, entrapment=3, fdp=0.05, proteins=80, true_proteins=78)


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
def test_a_failed_search_costs_no_other_and_gives_its_exit_code_and_the_end_of_its_log(tmp_path, monkeypatch, code):
    class Made:
        folder = tmp_path

    (tmp_path / "experiment.yaml").write_text("true_precursors: 1\nlibrary_precursors: 2\n")
    (tmp_path / "stock_transfer.log").write_text("first\nValueError: could not broadcast\n")

    def run_search(experiment, output, title, changes, *, oracle):
        failed = output.name == "stock_transfer"
        return SearchResult(title, code if failed else 0, 1.0, None if failed else SCORE)

    monkeypatch.setattr(demo, "make_experiment", lambda folder, preset, mzml: Made())
    monkeypatch.setattr(demo, "run_search", run_search)
    said = []
    assert run_demo(tmp_path, said.append, stock_transfer=True, oracle=True) == code
    [told] = [text for text in said if "ValueError: could not broadcast" in text]
    assert f"exit code {code}" in told
    rows = said[-1].splitlines()
    assert len([row for row in rows if "2,000" in row]) == 3
    assert len([row for row in rows if "failed" in row]) == 1
