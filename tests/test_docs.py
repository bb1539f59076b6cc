import re
from pathlib import Path

import pytest

from alphadia_tl.errors import TransferLearningError

ROOT = Path(__file__).parents[1]
TESTS = "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "tests").rglob("test_*.py")))
NAMED = re.findall(r"`(test_\w+)`", (ROOT / "benchmarks" / "results" / "reliability.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMED)
def test_every_row_of_the_reliability_table_is_a_test(name):
    assert f"def {name}(" in TESTS


@pytest.mark.parametrize("page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def _codes(error=TransferLearningError):
    return {c.code for c in error.__subclasses__()} | {code for c in error.__subclasses__() for code in _codes(c)}


def test_every_error_code_is_explained_and_no_other():
    explained = re.findall(r"^\| `(TL_\w+)`", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(_codes())


def test_every_page_is_in_the_table_of_contents():
    toctree = (
        (ROOT / "docs" / "index.md").read_text().split("```{toctree}")[1].split("```")[0].split("\n\n", 1)[1].split()
    )
    assert sorted(toctree) == sorted(p.stem for p in (ROOT / "docs").glob("*.md") if p.stem != "index")
