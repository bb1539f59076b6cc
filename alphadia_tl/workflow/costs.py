"""What jobs of a workflow need: memory and time from the size of their inputs (``benchmarks/results/scaling.md``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

MB = 1024**2


def bytes_of(path: str | Path) -> int:
    """Return the size of a raw file in bytes, or of all files in it where it is a folder; 0 where there is none."""
    where = Path(path)
    if where.is_dir():
        return sum(p.stat().st_size for p in where.rglob("*") if p.is_file())
    return where.stat().st_size if where.is_file() else 0


def rows_in(files: Iterable[str | Path]) -> int:
    """Return the precursors of a library from the receipt of its preparation among some files, 0 without one.

    Raises FileNotFoundError if the receipt has not been written yet.
    """
    for file in map(Path, files):
        if file.name == "prepared.yaml":
            rows = yaml.safe_load(file.read_text(encoding="utf-8"))["rows"]
            return max(rows.values(), default=0)
    return 0


class Cost(NamedTuple):
    """What a job is expected to need."""

    mb: float
    seconds: float


@dataclass(frozen=True)
class Costs:
    """Costs of jobs, and what is asked of a cluster for them. Constants are measured on two cores without GPU.

    ``base_mb`` and ``start_seconds`` are those of a process with torch and alphaDIA in it, until it begins.
    ``precursors_per_fasta_byte`` is for tryptic peptides, one missed cleavage, one variable modification, charges 2 to
    4. Memory: ``digest_kb`` and ``library_kb`` per precursor while a FASTA is digested and a library is put together;
    ``chunk_mb`` for predicting chunks, whatever their number; ``search_mb`` for the smallest search; ``raw_factor`` and
    ``flat_factor`` per byte of a raw file and of a flat library on the disk, while a run is searched; ``run_mb`` per
    run of some 50,000 precursors while tables are combined; ``tune_mb`` for tuning, whose training set is bounded, so
    it does not grow with runs. Time: ``digest_rate``, ``predict_rate`` and ``assemble_rate`` in precursors per second
    and two threads; ``raw_rate`` and ``flat_rate`` in bytes per second while a run is searched. ``assemble_seconds``
    (compilation), ``search_seconds`` (calibration and classifiers) and ``combine_seconds`` are those of the smallest
    library, file and tables; ``run_seconds`` and ``collect_seconds`` are per run, while tables are combined and the
    training set is collected. ``tune_seconds`` is for the largest training set, with every model tuned four times as
    where a gain is in doubt. ``safety`` is what is asked for per what is expected; a job that needs more is repeated
    with twice as much. No job that predicts is to take much longer than ``shard_minutes``.
    """

    threads: int = 2
    base_mb: float = 1000
    start_seconds: float = 15
    precursors_per_fasta_byte: float = 0.3
    digest_kb: float = 2.0
    library_kb: float = 7.0
    chunk_mb: float = 2000
    search_mb: float = 300
    raw_factor: float = 4.0
    flat_factor: float = 15.0
    run_mb: float = 100
    tune_mb: float = 2500
    digest_rate: float = 20_000
    predict_rate: float = 1_200
    assemble_rate: float = 10_000
    assemble_seconds: float = 10
    search_seconds: float = 40
    raw_rate: float = 3e6
    flat_rate: float = 2.5e6
    combine_seconds: float = 25
    run_seconds: float = 5
    collect_seconds: float = 1
    tune_seconds: float = 2000
    safety: float = 1.5
    shard_minutes: float = 30

    def _cost(self, mb: float, seconds: float) -> Cost:
        return Cost(self.base_mb + mb, self.start_seconds + seconds / (max(self.threads, 1) / 2))

    def prepare(self, fasta_bytes: float) -> Cost:
        """Digest FASTA files of so many bytes."""
        rows = fasta_bytes * self.precursors_per_fasta_byte
        return self._cost(rows * self.digest_kb / 1024, rows / self.digest_rate)

    def predict(self, rows: float, shards: int = 1) -> Cost:
        """Predict a share of a library of so many precursors."""
        return self._cost(self.chunk_mb, rows / max(shards, 1) / self.predict_rate)

    def shards(self, prepared: Mapping[str, Any]) -> int:
        """Number of jobs that share the prediction of a library, from the receipt of its preparation."""
        rows = max(prepared["rows"].values(), default=0)
        wanted = math.ceil(rows / (self.predict_rate * max(self.threads, 1) / 2) / 60 / self.shard_minutes)
        return min(int(prepared["chunks"]), max(wanted, 1))

    def library(self, rows: float) -> Cost:
        """Put a library of so many precursors together."""
        return self._cost(rows * self.library_kb / 1024, self.assemble_seconds + rows / self.assemble_rate)

    def search(self, raw_bytes: float, flat_bytes: float) -> Cost:
        """Search a raw file with a library, both in bytes on the disk."""
        mb = self.search_mb + (raw_bytes * self.raw_factor + flat_bytes * self.flat_factor) / MB
        return self._cost(mb, self.search_seconds + raw_bytes / self.raw_rate + flat_bytes / self.flat_rate)

    def combine(self, runs: float) -> Cost:
        """Write the tables over so many runs."""
        return self._cost(runs * self.run_mb, self.combine_seconds + runs * self.run_seconds)

    def tune(self, runs: float) -> Cost:
        """Tune on the identifications of so many runs."""
        return self._cost(self.tune_mb, self.tune_seconds + runs * self.collect_seconds)

    def mb(self, cost: Cost) -> int:
        """Memory (MB) to ask for."""
        return math.ceil(self.safety * cost.mb)

    def minutes(self, cost: Cost) -> int:
        """Time (minutes) to ask for; never less than ten, for file systems have slow days."""
        return max(10, math.ceil(self.safety * cost.seconds / 60))
