import pytest

from regression.tables import (
    BEGIN,
    END,
    SUMMARY_BEGIN,
    SUMMARY_END,
    estimates_table,
    gap_closed,
    main_table,
    own_hits_table,
    summary_table,
    true_at,
    write_page,
)


def row(arm, true, reported, cell="all, seed 1", ahead=()):
    counted = {"true": true, "reported": reported, "fdp": 1 - true / reported, "misplaced": 3}
    rest = {"cell": cell, "arm": arm, "seconds": 60.0, "true_by_false": list(ahead)}
    return {**counted, **rest, "after_protein_fdr": counted}


@pytest.mark.parametrize(("on", "closed"), [(150, 0.5), (200, 1.0), (100, 0.0), (90, -0.1)])
def test_the_gap_is_that_between_one_pass_and_a_perfect_library(on, closed):
    off, oracle = row("off", 100, 101), row("oracle", 200, 202)
    assert gap_closed(off, row("on", on, on + 1), oracle) == pytest.approx(closed)


@pytest.mark.parametrize(("fdp", "expected"), [(0.0, 50), (0.01, 99), (0.0199, 110), (0.03, 120), (1.0, 120)])
def test_true_precursors_are_counted_at_the_longest_list_of_an_fdp(fdp, expected):
    assert true_at(row("on", 120, 123, ahead=[50, 99, 110]), fdp) == expected


def test_the_tables_hold_every_search_and_the_change_of_the_fdp():
    rows = [row("off", 100, 101), row("on", 150, 155), row("oracle", 200, 202)]
    rows += [row("off", 100, 102, "all, seed 2"), row("on", 160, 165, "all, seed 2")]
    rows += [{"cell": "all, seed 3", "arm": "off", "code": 1, "seconds": 3.0, "error": "no space"}]
    table = main_table(rows)
    assert table.count("\n") == 1 + 6
    assert "| all, seed 3 | one pass | exit code 1: no space | | | | | | 3 |" in table
    assert "| 50 % |" in table
    line = next(x for x in own_hits_table(rows).splitlines() if x.startswith("| alphadia_tl |"))
    change = ((150 / 155 - 100 / 101) + (160 / 165 - 100 / 102)) / -2
    assert f"| 2 | {change:+.2%} ±" in line


def test_estimates_stand_beside_what_is_known():
    told = {"fdp": 0.02, "fdp_interval": [0.01, 0.03], "verdict": "inconclusive"}
    rows = [row("on", 150, 155) | {"estimate": told}, row("off", 100, 101)]
    assert "| 3.23% | 1.94% | 2.00% (1.00% to 3.00%) | inconclusive |" in estimates_table(rows)


def test_the_summary_has_a_line_per_experiment_with_what_users_choose_between():
    rows = [row("off", 100, 101), row("oracle", 200, 202), row("on", 190, 200), row("few", 120, 125)]
    rows += [row("off", 100, 102, "none"), row("oracle", 110, 112, "none"), row("on", 1, 2, "no oracle")]
    lines = summary_table(rows).splitlines()[2:]
    assert lines == [
        "| all, seed 1 | 100 (1.0) | 190 (5.0) | – | 200 (1.0) | 90 % |",
        "| none | 100 (2.0) | – | – | 110 (1.8) | – |",
    ]


def test_only_what_is_between_the_markers_of_the_page_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"a\n{SUMMARY_BEGIN}old{SUMMARY_END}\nb\n{BEGIN}old{END}\nc")
    for _ in range(2):
        write_page(page, [row("off", 100, 101), row("oracle", 200, 202)])
        text = page.read_text()
        assert "old" not in text
        assert text.count("| experiment | one pass |") == text.count("### What the estimators say") == 1
        assert text.startswith(f"a\n{SUMMARY_BEGIN}\n\n| experiment")
        assert text.endswith(f"{END}\nc")


def test_a_page_that_is_not_there_is_made(tmp_path):
    write_page(tmp_path / "page.md", [row("off", 100, 101), row("oracle", 200, 202)])
    text = (tmp_path / "page.md").read_text()
    assert text.index(SUMMARY_BEGIN) < text.index("| experiment | one pass |") < text.index(SUMMARY_END)
    assert text.index(BEGIN) < text.index("| experiment | search |") < text.index(END)


def test_searches_of_features_that_are_gone_have_no_line():
    told = {"fdp": 0.02, "fdp_interval": [0.01, 0.03], "verdict": "inconclusive"}
    rows = [row("no longer", 150, 155) | {"estimate": told}, row("on", 150, 155) | {"estimate": told}]
    assert estimates_table(rows).count("inconclusive") == 1
    assert len(main_table(rows).splitlines()) == 2 + 1
