"""The demo: a small experiment with known truth, searched without and with transfer learning by the real commands."""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from alphadia_tl.host import deep_merge
from alphadia_tl.simulate.experiment import DEMO, Experiment, make_experiment
from alphadia_tl.simulate.truth import Score, score_search

logger = logging.getLogger(__name__)

LOG_LINES_ON_FAILURE = 25


@dataclass(frozen=True)
class SearchResult:
    """One search of the demo.

    Attributes
    ----------
    title : str
        Row of the table.
    code : int
        Exit code of the command.
    seconds : float
        Wall time of the command.
    score : Score or None
        Counted against the truth; None where the search failed.
    stages : dict[str, float]
        Seconds of the stages of the transfer-learning step, if there was one.
    """

    title: str
    code: int
    seconds: float
    score: Score | None
    stages: dict[str, float] = field(default_factory=dict)


def run_search(
    experiment: Experiment, output: Path, title: str, changes: Mapping[str, Any], *, oracle: bool = False
) -> SearchResult:
    """Run the ``alphadia-tl`` command on an experiment and score its output.

    Parameters
    ----------
    experiment : Experiment
        What is searched.
    output : Path
        Output folder, emptied first; the command's output goes to ``<output>.log`` beside it.
    title : str
        Row of the table.
    changes : Mapping
        What the config is updated with.
    oracle : bool, default False
        Search with the perfect library.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    config = deep_merge(experiment.config(oracle=oracle), changes)
    config_path = output.with_suffix(".yaml")
    config_path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-m", "alphadia_tl.cli", "--config", str(config_path), "-o", str(output)]
    started = time.perf_counter()
    with output.with_suffix(".log").open("w", encoding="utf-8") as log:
        code = subprocess.run(
            command, env=experiment.environment(), stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode
    seconds = time.perf_counter() - started
    score = score_search(output, experiment.read_truth()) if code == 0 else None
    return SearchResult(title, code, seconds, score, _stages(output))


def _stages(output: Path) -> dict[str, float]:
    path = output / "transfer" / "alphadia_tl.yaml"
    if not path.is_file():
        return {}
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return dict(content.get("seconds") or {})


def format_table(results: list[SearchResult]) -> str:
    """Return the results as a text table, and the stages of each search below it."""
    head = ("search", "precursors", "true", "true FDP", "proteins", "true", "seconds")
    rows = [head]
    for r in results:
        s = r.score
        cells = ("failed", "", "", "", "") if s is None else _cells(s)
        rows.append((r.title, *cells, f"{r.seconds:.0f}"))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
             for row in rows]  # fmt: skip
    lines.insert(1, "  ".join("-" * w for w in widths))
    for r in results:
        if r.stages:
            lines.append(f"{r.title}: " + ", ".join(f"{k} {v:.0f} s" for k, v in r.stages.items()))
    return "\n".join(lines)


def _cells(s: Score) -> tuple[str, str, str, str, str]:
    return f"{s.reported:,}", f"{s.true:,}", f"{s.fdp:.2%}", f"{s.proteins:,}", f"{s.true_proteins:,}"


def run_demo(
    output: Path,
    *,
    mzml: bool = False,
    oracle: bool = False,
    stock_transfer: bool = False,
    write: Callable[[str], object] | None = None,
) -> int:
    """Make the demo experiment, search it without and with transfer learning, and print one table.

    Parameters
    ----------
    output : Path
        Folder of the demo. The experiment in it is reused by the next call; the searches are not.
    mzml : bool, default False
        Write the raw file as mzML instead of alphaRaw HDF5.
    oracle : bool, default False
        Also search with the perfect library: how much there is to gain.
    stock_transfer : bool, default False
        Also run alphaDIA's own transfer step.
    write : callable, optional
        Takes the text for the user; default standard output, at once.

    Returns
    -------
    int
        0, or the exit code of the first search that failed; the others are run all the same.
    """
    write = write or _say
    write(f"Making the experiment in {output} (reused when it is there) ...\n")
    started = time.perf_counter()
    with _quiet():  # the base models' epochs are not the demo's story
        experiment = make_experiment(output / "experiment", DEMO, mzml=mzml)
    facts = yaml.safe_load((experiment.folder / "experiment.yaml").read_text(encoding="utf-8"))
    write(
        f"  {facts['true_precursors']:,} precursors in the sample, {facts['library_precursors']:,} in the FASTA's "
        f"library; {time.perf_counter() - started:.0f} s\n"
    )
    plugin = {"alphadia_tl": {"enabled": True}}
    stock = {"general": {"transfer_step_enabled": True}}
    searches: list[tuple[str, str, dict[str, Any], bool]] = [
        ("off", "alphaDIA, base models", {}, False),
        ("on", "with alphadia_tl", plugin, False),
        *([("stock_transfer", "alphaDIA's own transfer step", stock, False)] if stock_transfer else []),
        *([("oracle", "alphaDIA, perfect library", {}, True)] if oracle else []),
    ]
    results = []
    for name, title, changes, perfect in searches:
        write(f"Searching: {title} ...\n")
        result = run_search(experiment, output / name, title, changes, oracle=perfect)
        if result.code != 0:
            write(_failure(result, output / f"{name}.log"))
        results.append(result)
    write("\n" + format_table(results) + "\n")
    return next((r.code for r in results if r.code != 0), 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    package = logging.getLogger("alphadia_tl")
    level = package.level
    package.setLevel(logging.WARNING)
    try:
        yield
    finally:
        package.setLevel(level)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _failure(result: SearchResult, log: Path) -> str:
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_ON_FAILURE:]
    return "\n".join([f"The search '{result.title}' ended with exit code {result.code}; end of {log}:", *tail, ""])
