import importlib
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from alphadia_tl import cli
from alphadia_tl.commands.common import check_command
from alphadia_tl.errors import TransferLearningError
from alphadia_tl.workflow.costs import MB, Costs

ROOT = Path(__file__).parents[1]
TESTS = "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "tests").rglob("test_*.py")))
NAMED = re.findall(r"`(test_\w+)`", (ROOT / "benchmarks" / "results" / "reliability.md").read_text(encoding="utf-8"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.md"))
LIMITS = {
    "README.md": 450,
    "docs/validation.md": 1110,
    "docs/benchmarks.md": 500,
    "docs/architecture.md": 600,
}
LABORATORY_NOTES = re.compile(
    r"beside other work|another machine|\brevision [0-9a-f]{6,}|\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b",
    re.IGNORECASE,
)


def _words(page):
    return len(page.read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_a_page_is_short(name, limit):
    assert _words(ROOT / name) <= limit


def test_all_pages_together_are_read_in_an_hour():
    assert sum(_words(page) for page in PAGES) <= 10140


@pytest.mark.parametrize("name", ["docs/validation.md", "docs/benchmarks.md", "README.md"])
def test_a_page_of_numbers_has_one_table(name):
    assert len(re.findall(r"^\|[-:| ]+\|$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_page_is_no_laboratory_notebook(page):
    assert LABORATORY_NOTES.findall(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("note", ["revision e596187", "(c516014)", "It ran beside other work.", "Another machine"])
def test_laboratory_notes_are_known_when_they_are_seen(note):
    assert LABORATORY_NOTES.search(note)


@pytest.mark.parametrize("page", RESULTS, ids=lambda p: p.name)
def test_a_page_of_raw_results_names_the_command_that_makes_it(page):
    assert re.search(r"^    (python|make|alphadia)", page.read_text(encoding="utf-8"), re.MULTILINE)


def _numbers(text):
    return set(re.findall(r"\b\d{1,3}(?:,\d{3})+\b|\b\d+\.\d+\b", text))


@pytest.mark.parametrize("name", ["README.md", "docs/validation.md", "docs/benchmarks.md"])
def test_every_figure_of_a_table_stands_in_the_raw_results(name):
    raw = "\n".join(page.read_text(encoding="utf-8") for page in RESULTS)
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    figures = _numbers("\n".join(line for line in lines if line.startswith("|")))
    rounded = {f"{float(number):.1f}" for number in re.findall(r"(\d+\.\d+)%", raw)}
    assert figures
    assert figures - _numbers(raw) - rounded == set()


@pytest.mark.parametrize("page", [*PAGES, *RESULTS, ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_a_command_or_test_that_is_named_is_there(page):
    for path in re.findall(
        r"(?:tests|benchmarks|config|docs|alphadia_tl)/[\w/.-]+\w/?", page.read_text(encoding="utf-8")
    ):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", NAMED)
def test_every_row_of_the_reliability_table_is_a_test(name):
    assert f"def {name}(" in TESTS


@pytest.mark.parametrize("page", [*PAGES, *RESULTS, ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


IMPORTS = sorted(
    {
        (module, name.strip())
        for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "docs" / "tutorial.ipynb"]
        for module, names in re.findall(
            r"from (alphadia_tl[\w.]*) import ([\w, ]+)", page.read_text(encoding="utf-8").replace("\\n", "\n")
        )
        for name in names.split(",")
    }
)


@pytest.mark.parametrize(("module", "name"), IMPORTS)
def test_what_the_pages_and_the_tutorial_import_is_there(module, name):
    assert hasattr(importlib.import_module(module), name)


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


FASTA_TEXT = ">sp|P1|A_HUMAN A\nMSTAGKVDLEQWNPFTRLLSEAGHVKADFTYELNGR\n"
PEPTIDES = "ProteoBenchFASTA_Entrapment_Human_with_contaminants_entrapment_pep.txt"
# Programs of the page that would download or search: they make small files, or write down how they were called.
STAND_INS = {
    "curl": '[ "$1" = -fLo ] && cp "$FASTA" "$2" || echo x > "${2##*/}"',
    "tar": f'for n in 1 2 3; do echo x > LFQ_Astral_DIA_15min_50ng_Human_0$n.raw; done; cp "$FASTA" {PEPTIDES}',
    "unzip": '[ "$1" = -p ] && cat "$FASTA" || { mkdir "${1%.zip}"; echo x | tee "${1%.zip}"/analysis.tdf{,_bin}; }',
    "alphadia-tl": 'printf \'%q \' "$@" >> "$CALLS"; echo >> "$CALLS"',
}


def test_the_commands_for_real_data_run_up_to_the_first_search(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")
    script = "set -euo pipefail\n" + "\n".join(re.findall(r"```bash\n(.*?)```", page, re.DOTALL))
    fasta, calls = tmp_path / "made.fasta", tmp_path / "calls"
    fasta.write_text(FASTA_TEXT)
    (tmp_path / "config").symlink_to(ROOT / "config")
    for name, text in STAND_INS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/bash\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    environment = os.environ | {"FASTA": str(fasta), "CALLS": str(calls)}
    subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=True)
    monkeypatch.chdir(tmp_path / "real")
    monkeypatch.setattr("alphadia_tl.search.raw_files.has_reader", lambda kind: True)
    searched = []
    monkeypatch.setattr("alphadia_tl.commands.compare.run_searches", lambda c, *_: searched.append(c["on"]) or 7)
    codes = {"doctor": [], "entrapment": [], "compare": [], "--config": []}
    for words in map(shlex.split, calls.read_text().splitlines()):
        if words[0] == "--config":
            check_command(words)
        codes[words[0]].append(cli.main(words) if words[0] in ("entrapment", "compare") else 0)
    assert codes == {"doctor": [0], "entrapment": [0, 0, 0], "compare": [7, 7, 7], "--config": [0]}
    assert [len(config["raw_paths"]) for config in searched] == [3, 2, 2]
    assert all(config["alphadia_tl"]["enabled"] for config in searched)


def test_the_costs_of_real_data_are_those_of_the_model():
    page = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")
    rows = [re.findall(r"[\d–]+", line.rpartition(")")[2]) for line in page.splitlines() if line.startswith("| ")][1:]
    none, gb, flat = Costs().search(0, 0), Costs().search(1e9, 0), Costs().search(0, 1717 * MB)
    mb = [round((cost.mb - none.mb) * MB / 1e9) for cost in (gb, flat)]
    minutes = [round((cost.seconds - none.seconds) / 60) for cost in (gb, flat)]
    assert rows == [
        [str(mb[0]), str(mb[1])],
        ["–", "2"],
        ["–", str(round(1e6 / Costs().predict_rate / 60))],
        [str(minutes[0]), str(minutes[1])],
    ]
    assert f"some {Costs().tune(0).seconds / 60:.0f} minutes" in page
