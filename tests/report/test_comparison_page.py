import pandas as pd
import pytest
from made_outputs import precursors, write_output

from alphadia_tl.comparison.compare import compare
from alphadia_tl.comparison.errors import NO_ESTIMATE
from alphadia_tl.entrapment.database import Entrapment
from alphadia_tl.host.search_tables import read_output
from alphadia_tl.report.comparison_page import (
    comparison_tables,
    render_comparison,
    render_text,
    write_comparison,
)


@pytest.fixture
def comparison(tmp_path):
    """Return a function that compares two made searches."""

    def make(*, names=("off", "on"), entrapment=None, notes=(), n_runs=1):
        wrong = [precursors(range(900, 920), proteins="ENTRAPMENT_P{}")] if entrapment else []
        runs = [precursors(range(100), run=f"run_{i}", seed=i) for i in range(n_runs)]
        log = "0:00:01.0 INFO: Running step 'library'\n0:02:05.0 PROGRESS: Search step 'library' finished\n"
        outputs = [
            read_output(write_output(tmp_path / str(i), *runs, *wrong, log=log), name) for i, name in enumerate(names)
        ]
        return compare(outputs, entrapment, notes=notes)

    return make


def test_without_entrapment_it_is_said_beside_every_count(comparison):
    c = comparison()
    lines = render_text(c).splitlines()
    counts = [
        line for line in lines if line.startswith(("precursor  ", "peptide  ", "protein group  ")) and " 1 %" in line
    ]
    assert len(counts) == 6
    assert all(line.endswith(NO_ESTIMATE) for line in counts)
    assert render_comparison(c).count(NO_ESTIMATE) >= 6


def test_with_entrapment_estimates_stand_beside_the_counts(comparison):
    text = render_text(comparison(entrapment=Entrapment("ENTRAPMENT_", design="foreign")))
    assert NO_ESTIMATE not in text
    row = next(line for line in text.splitlines() if line.startswith("precursor"))
    assert [cell in row for cell in ("120", "100", "20", "33 %")] == [True] * 4
    assert "invalid" in text


def test_columns_are_aligned(comparison):
    for block in render_text(comparison(n_runs=2)).split("\n\n"):
        title, *table = block.splitlines()
        if len(table) > 1 and set(table[1]) == {"-", " "}:
            ends = [i for i, (a, b) in enumerate(zip(table[1], table[1][1:] + " ", strict=True)) if a == "-" != b]
            assert all(len(line) <= ends[-1] + 1 for line in table), title


def test_times_are_shown_per_search(comparison):
    tables = {t.title: t for t in comparison_tables(comparison())}
    assert tables["Time per stage"].head == ("stage", "off", "on")
    assert tables["Time per stage"].rows[0] == ("library step", "2 min 04 s", "2 min 04 s")


@pytest.mark.parametrize(("n_runs", "shown"), [(1, 1), (3, 4), (13, 1)])
def test_runs_are_shown_where_there_are_some_but_not_too_many(comparison, n_runs, shown):
    rows = comparison_tables(comparison(n_runs=n_runs))[0].rows
    assert len({row[1] for row in rows}) == shown


def test_every_text_is_escaped_and_nothing_is_loaded(comparison):
    evil = "<script>alert(1)</script>"
    html = render_comparison(comparison(names=("off", evil), notes=[evil]))
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "http://" not in html
    assert "https://" not in html
    assert "src=" not in html


def test_the_page_looks_like_the_report(comparison):
    html = render_comparison(comparison())
    assert "--blue: #0072B2" in html
    assert html.startswith("<!DOCTYPE html>")


def test_both_files_are_written(comparison, tmp_path):
    c = comparison()
    table, page = write_comparison(tmp_path / "out", c)
    pd.testing.assert_frame_equal(pd.read_csv(table, sep="\t"), c.table)
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")
