"""Whole searches: one pass of alphaDIA, two with the plugin, two with alphaDIA's own transfer step."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from timing.measure import Row, row

SEARCHES: dict[str, dict[str, Any]] = {
    "one pass": {},
    "two passes": {"alphadia_tl": {"enabled": True}},
    "two passes, scout: all": {"alphadia_tl": {"enabled": True, "scout": "all"}},
    "alphaDIA's two passes": {"general": {"transfer_step_enabled": True}},
}
ONE_IN = 10
GIB = 1024**3


def search() -> Iterator[Row]:
    """Search the standard demo, with defaults: one pass, two, and alphaDIA's own two."""
    yield from _searched("demo", ["one pass", "two passes", "alphaDIA's two passes"])


def passes() -> Iterator[Row]:
    """Search the demo and a bacterium's proteome with one pass and with two, without alphaDIA's own two."""
    yield from _searched("demo", ["one pass", "two passes", "two passes, scout: all"])
    yield from _searched("proteome", ["one pass", "two passes"])


def _searched(kind: str, searches: list[str]) -> Iterator[Row]:
    from finetuning.domains import DATA

    from alphadia_tl.files import Manifest
    from alphadia_tl.simulate.demo import run_search
    from alphadia_tl.simulate.experiment import DEMO, RECORD, RENDERED, make_experiment

    given = DATA / "fasta" / "quantms_EColi_K12_UPS1.fasta"
    if kind == "proteome" and not given.is_file():
        print("passes: the proteome is skipped, its FASTA file is not there (ALPHADIA_TL_DATA)")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "proteome":
            fasta, preset = one_in_ten(given, folder / "proteome.fasta"), proteome_preset()
        else:
            fasta, preset = None, DEMO
        experiment = make_experiment(folder / "experiment", preset, fasta=fasta)
        size = Manifest(experiment.folder, RECORD).facts(RENDERED)["library_precursors"]
        seconds: dict[str, float] = {}
        for title in searches:
            with Peak() as peak:
                result = run_search(experiment, folder / "search", title, SEARCHES[title])
            seconds[title] = result.seconds
            found = (
                "failed"
                if result.score is None
                else (f"{result.score.true:,} true precursors ({result.score.fdp:.1%} false)")
            )
            stages = "".join(f", {stage} {s:.0f} s" for stage, s in result.stages.items())
            note = f"{found}, {peak.bytes / GIB:.1f} GiB{stages}"
            yield row(f"search of the {kind}, {title}", size, [result.seconds], [seconds["one pass"]], note)


def proteome_preset() -> Any:
    """Return the settings of a run of 20 minutes, and of a digest with two missed cleavages and charges 2 and 3."""
    from alphadia_tl.simulate.experiment import DEMO

    digestion = replace(DEMO.digestion, missed_cleavages=2, precursor_charge=(2, 3))
    return replace(
        DEMO, digestion=digestion, acquisition=replace(DEMO.acquisition, gradient_minutes=20.0, n_windows=24)
    )


def one_in_ten(given: Path, path: Path) -> Path:
    """Write the proteins of a FASTA file with one in ten in the sample, the others marked as absent from it.

    The renderer knows twenty amino acids: others become cysteine.
    """
    from alphadia_tl.simulate.sample import ABSENT_PREFIX

    lines, number = [], -1
    for line in given.read_text().splitlines():
        number += line.startswith(">")
        mark = "P" if number % ONE_IN == 0 else ABSENT_PREFIX
        head = f">sp|{mark}{number:05d}|P{number:05d} GN={number}"
        lines.append(head if line.startswith(">") else line.translate(str.maketrans("UX", "CC")))
    path.write_text("\n".join(lines) + "\n")
    return path


class Peak:
    """Most memory (bytes) that the processes which this one has started had together, looked at twice a second."""

    def __enter__(self) -> Peak:
        self.bytes, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            total = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.bytes = max(self.bytes, total)

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
