"""The demo: a small experiment with known truth, searched without and with transfer learning by the real commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alphadia_tl.errors import ResultsError
from alphadia_tl.files import Manifest, read_yaml, write_yaml
from alphadia_tl.host import deep_merge
from alphadia_tl.report.comparison_page import TextTable, aligned
from alphadia_tl.simulate.experiment import DEMO, RECORD, RENDERED, Experiment, Preset, make_experiment
from alphadia_tl.simulate.truth import Score, score_classes, score_search


@dataclass(frozen=True)
class SearchResult:
    """One search of the demo: exit code and wall time of its command, what was found, seconds of the plugin's stages.

    There is no score where the search failed, and there are no stages without the plugin. ``classes`` are what a search
    of two passes kept, gained and lost.
    """

    title: str
    code: int
    seconds: float
    score: Score | None
    stages: dict[str, float] = field(default_factory=dict)
    classes: dict[str, Score] = field(default_factory=dict)


def run_search(
    experiment: Experiment, output: Path, title: str, changes: Mapping[str, Any], *, oracle: bool = False
) -> SearchResult:
    """Run the ``alphadia-tl`` command on an experiment, its config updated with `changes`, and score its output.

    The output folder is emptied first; what the command says goes to ``<output>.log`` beside it. With `oracle` the
    perfect library is searched.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    config_path = output.with_suffix(".yaml")
    write_yaml(config_path, deep_merge(experiment.config(oracle=oracle), changes))
    command = [sys.executable, "-m", "alphadia_tl.cli", "--config", str(config_path), "-o", str(output)]
    started = time.perf_counter()
    with output.with_suffix(".log").open("w", encoding="utf-8") as log:
        code = subprocess.run(
            command, env=experiment.environment(), stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode
    seconds = time.perf_counter() - started
    truth, first = experiment.read_truth(), output / "transfer"
    score = score_search(output, truth) if code == 0 else None
    classes = score_classes(first, output, truth) if code == 0 and first.is_dir() else {}
    provenance = first / "alphadia_tl.yaml"
    stages = read_yaml(provenance, error=ResultsError).get("seconds") if provenance.is_file() else None
    return SearchResult(title, code, seconds, score, stages or {}, classes)


def format_table(results: list[SearchResult]) -> str:
    """Return the results as a text table; below it what was kept, gained and lost, and the stages of each search."""
    head = ("search", "precursors", "true", "true FDP", "proteins", "true", "seconds")
    rows = []
    for r in results:
        cells = ("failed", "", "", "", "")
        if s := r.score:
            cells = (f"{s.reported:,}", f"{s.true:,}", f"{s.fdp:.2%}", f"{s.proteins:,}", f"{s.true_proteins:,}")
        rows.append((r.title, *cells, f"{r.seconds:.0f}"))
    _, *lines = aligned(TextTable("", head, tuple(rows), 1))
    counted = ("reported", "true", "unrelated", "relative", "misplaced")
    told = [
        f"{r.title}, {name}: " + ", ".join(f"{getattr(s, c):,} {c}" for c in counted)
        for r in results
        for name, s in r.classes.items()
    ]
    told += [f"{r.title}: " + ", ".join(f"{k} {v:.0f} s" for k, v in r.stages.items()) for r in results if r.stages]
    return "\n".join([*lines, *told])


def run_demo(
    output: Path,
    write: Callable[[str], object],
    *,
    preset: Preset = DEMO,
    oracle: bool = False,
    stock_transfer: bool = False,
) -> int:
    """Make the demo experiment, search it without and with transfer learning, and give one table to `write`.

    The experiment in the folder is reused by the next call; the searches are not. On request the perfect library is
    searched too (how much there is to gain), and with alphaDIA's own transfer step. Returns 0, or the exit code of
    the first search that failed; the others are run all the same.
    """
    write(f"Making the experiment in {output} (reused when it is there) ...\n")
    started = time.perf_counter()
    experiment = make_experiment(output / "experiment", preset)
    facts = Manifest(experiment.folder, RECORD).facts(RENDERED)
    write(
        f"  {facts['true_precursors']:,} precursors in the sample, {facts['library_precursors']:,} in the FASTA's "
        f"library; {time.perf_counter() - started:.0f} s\n"
    )
    searches: list[tuple[str, str, dict[str, Any]]] = [
        ("off", "alphaDIA, base models", {}),
        ("on", "with alphadia_tl", {"alphadia_tl": {"enabled": True}}),
    ]
    if stock_transfer:
        stock = {"general": {"transfer_step_enabled": True}}
        searches.append(("stock_transfer", "alphaDIA's own transfer step", stock))
    if oracle:
        searches.append(("oracle", "alphaDIA, perfect library", {}))
    results = []
    for name, title, changes in searches:
        write(f"Searching: {title} ...\n")
        result = run_search(experiment, output / name, title, changes, oracle=name == "oracle")
        if result.code != 0:
            log = output / f"{name}.log"
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
            head = f"The search '{title}' ended with exit code {result.code}; end of {log}:"
            write("\n".join([head, *tail, ""]))
        results.append(result)
    write("\n" + format_table(results) + "\n")
    return next((r.code for r in results if r.code != 0), 0)
