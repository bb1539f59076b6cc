import pytest

from regression.tables import (
    BEGIN,
    END,
    added_table,
    gap_closed,
    main_table,
    worse_than_one_pass,
    write_page,
    write_table,
)

CLASSES = {"unrelated": 2, "relative": 1, "misplaced": 3}


def row(arm, true, cell="measured", state=1, estimate=0.02):
    reported = true + sum(CLASSES.values())
    counted = {"true": true, "reported": reported, "fdp": 1 - true / reported, **CLASSES}
    told = {"fdp": estimate, "fdp_interval": [estimate / 2, 2 * estimate], "verdict": "inconclusive"}
    return {"cell": cell, "arm": arm, "state": state, "base_spectral_angle": 0.8, "estimate": told, **counted}


@pytest.mark.parametrize(("on", "closed"), [(150, 0.5), (200, 1.0), (100, 0.0), (90, -0.1)])
def test_the_gap_is_that_between_one_pass_and_a_perfect_library(on, closed):
    assert gap_closed(row("off_near", 100), row("on", on), row("oracle_near", 200)) == pytest.approx(closed)


FAILED = {"cell": "measured", "arm": "stock", "state": 1, "code": 1, "seconds": 3.0, "error": "no space"}


def test_a_kind_of_search_has_a_line_with_the_classes_of_its_errors_over_all_random_states():
    rows = [row("off", 94), row("off", 194, state=2, estimate=0.04), row("on", 194), row("no longer", 5), FAILED]
    assert main_table(rows).splitlines()[2:] == [
        "| measured | one pass | 144 | 1.5/0.8/2.2 | 3.0 (1.0–8.0) |",
        "|  | tuned, window | 194 | 1.0/0.5/1.5 | 2.0 (1.0–4.0) |",
        "|  | transfer step | failed | – | – |",
    ]


@pytest.mark.parametrize(
    ("unrelated", "relative", "worse"),
    [
        (4, 20, []),
        (12, 20, ["measured: unrelated 1.20% instead of 0.30%"]),
        (0, 40, ["measured: relative 4.00% instead of 2.00%"]),
        (0, 25, []),
    ],
)
def test_a_share_of_errors_is_worse_only_beyond_noise(unrelated, relative, worse):
    of_one_pass = row("off", 900) | {"reported": 1000, "unrelated": 3, "relative": 20}
    of_plugin = row("on", 900) | {"reported": 1000, "unrelated": unrelated, "relative": relative}
    assert worse_than_one_pass([of_one_pass, of_plugin]) == worse


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
        write_table(page, [row("off", 100)])
        text = page.read_text()
        assert "old" not in text
        assert text.count("| measured | one pass | 100 |") == 1
        assert text.startswith(f"a\n{BEGIN}\n\n| experiment")
        assert text.endswith(f"{END}\nc")


def test_each_search_is_told_with_what_made_it_and_a_failed_one_with_its_error(tmp_path):
    made = {"revision": "abc", "cpu": "AVX2"}
    done = row("off", 100) | made | {"entrapment": 2, "seconds": 60.4}
    write_page(tmp_path / "page.md", [done, FAILED | made])
    text = (tmp_path / "page.md").read_text()
    assert "| measured | one pass | 1 | 106 | 100 | 2 | 1 | 3 | 2 | 5.66% | inconclusive | 60 | abc, AVX2 |" in text
    assert "| measured | transfer step | 1 | no space |  |  |  |  |  |  | – | 3 | abc, AVX2 |" in text
