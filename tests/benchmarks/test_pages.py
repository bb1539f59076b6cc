from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_only_what_is_between_the_markers_is_replaced(tmp_path):
    from pages import write_tables

    page = tmp_path / "page.md"
    page.write_text("a\n<!-- x: begin -->old<!-- x: end -->\nb")
    for _ in range(2):
        write_tables(page, "x", "new")
        assert page.read_text() == "a\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nb"


def test_a_page_that_is_not_there_is_made(tmp_path):
    from pages import write_tables

    write_tables(tmp_path / "page.md", "x", "new")
    assert (tmp_path / "page.md").read_text() == "<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\n"


@pytest.mark.parametrize("name", ["finetune_real", "speed", "scaling"])
def test_the_page_of_a_benchmark_has_its_markers(name):
    text = (BENCHMARKS / "results" / f"{name}.md").read_text()
    assert text.count(f"<!-- {name}: begin -->") == text.count(f"<!-- {name}: end -->") == 1
