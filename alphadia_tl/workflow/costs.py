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
    """Return the precursors of a library from the receipt of its preparation among some files, 0 without one."""
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

    Memory in MB, or KB per precursor, or bytes per byte; times in seconds, rates per second, with two threads.
    """

    threads: int = 2
    base_mb: float = 1000  # of a process with torch and alphaDIA in it, until it begins
    start_seconds: float = 15
    precursors_per_fasta_byte: float = 0.3  # tryptic, one missed cleavage, one variable modification, charges 2 to 4
    digest_kb: float = 2.0
    library_kb: float = 7.0  # while it is put together
    chunk_mb: float = 2000  # for predicting chunks, whatever their number
    search_mb: float = 300  # of the smallest search
    raw_factor: float = 4.0  # per byte of a raw file and of a flat library on the disk, while a run is searched
    flat_factor: float = 15.0
    run_mb: float = 100  # per run of some 50,000 precursors, while tables are combined
    tune_mb: float = 2500  # the training set is bounded: it does not grow with runs
    digest_rate: float = 20_000  # precursors
    predict_rate: float = 1_200
    assemble_rate: float = 10_000
    assemble_seconds: float = 10  # of the smallest library: compilation
    search_seconds: float = 40  # of the smallest file: calibration and classifiers
    raw_rate: float = 3e6  # bytes, while a run is searched
    flat_rate: float = 2.5e6
    combine_seconds: float = 25  # of the smallest tables
    run_seconds: float = 5  # per run, while tables are combined
    collect_seconds: float = 1  # per run, while the training set is collected
    tune_seconds: float = 2000  # largest training set, every model tuned four times as where a gain is in doubt
    safety: float = 1.5  # asked for per expected; a job that needs more is repeated with twice as much
    shard_minutes: float = 30  # no job that predicts is to take much longer

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
