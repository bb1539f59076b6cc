import pytest

from regression.tables import BEGIN, END, added_table, gap_closed, main_table, write_page

CLASSES = {"unrelated": 2, "relative": 1, "misplaced": 3}


def row(arm, true, cell="measured", state=1, estimate=0.02):
    reported = true + sum(CLASSES.values())
    counted = {"true": true, "reported": reported, "fdp": 1 - true / reported, **CLASSES}
    told = {"fdp": estimate, "fdp_interval": [estimate / 2, 2 * estimate], "verdict": "inconclusive"}
    return {"cell": cell, "arm": arm, "state": state, "base_spectral_angle": 0.8, "estimate": told, **counted}


@pytest.mark.parametrize(("on", "closed"), [(150, 0.5), (200, 1.0), (100, 0.0), (90, -0.1)])
def test_the_gap_is_that_between_one_pass_and_a_perfect_library(on, closed):
    assert gap_closed(row("off_near", 100), row("on", on), row("oracle_near", 200)) == pytest.approx(closed)


def test_a_search_has_a_line_with_the_classes_of_its_errors_over_all_random_states():
    rows = [row("off", 94), row("off", 194, state=2, estimate=0.04), row("on", 194), row("no longer", 5)]
    rows += [{"cell": "measured", "arm": "stock", "state": 1, "code": 1, "seconds": 3.0, "error": "no space"}]
    lines = main_table(rows).splitlines()[2:]
    assert lines == [
        "| measured | one pass | 2 | 144 (94 to 194) | 2 (2 to 2) | 1 (1 to 1) | 3 (3 to 3) | 2.25% (1.50% to 3.00%) "
        "| 4.50% (3.00% to 6.00%) | 2.00% (1.00% to 4.00%); 4.00% (2.00% to 8.00%) |",
        "| measured | alphadia_tl | 1 | 194 | 2 | 1 | 3 | 1.50% | 3.00% | 2.00% (1.00% to 4.00%) |",
        "| measured | alphaDIA's transfer step | state 1 | exit code 1: no space | | | | | | |",
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [row("off", 100), row("on", 180), row("on_wide", 140), row("off_near", 120), row("oracle_near", 200)],
            "+40 | +20 | +80 | +60 | 75 %",
        ),
        ([row("off", 100), row("on", 180, state=2)], "– | – | – | – | –"),
        (
            [row("off", 100), row("off", 110, state=2), row("on", 130), row("on", 150, state=2), row("on", 1, state=3)],
            "– | – | +35 (+30 to +40) | – | –",
        ),
        ([row("off_near", 120), row("on", 130), row("oracle_near", 110)], "– | – | – | +10 | –"),
    ],
)
def test_what_adds_is_compared_within_a_random_state_and_only_with_the_like(rows, expected):
    assert added_table(rows).splitlines()[2] == f"| measured | 0.80 | {expected} |"


def test_only_what_is_between_the_markers_of_the_page_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"a\n{BEGIN}old{END}\nc")
    for _ in range(2):
        write_page(page, [row("off", 100)])
        text = page.read_text()
        assert "old" not in text
        assert text.count("### What adds") == text.count("### All searches") == 1
        assert text.startswith(f"a\n{BEGIN}\n\n### What adds")
        assert text.endswith(f"{END}\nc")


def test_a_page_that_is_not_there_is_made(tmp_path):
    write_page(tmp_path / "page.md", [row("off", 100)])
    assert "| measured | one pass | 1 | 100 |" in (tmp_path / "page.md").read_text()
