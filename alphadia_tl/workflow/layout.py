"""Where the jobs of a workflow leave what they make, and their receipts."""

from __future__ import annotations

import re
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alphadia_tl.bundle import Inside
from alphadia_tl.errors import ResultsError
from alphadia_tl.files import read_yaml, write_yaml
from alphadia_tl.search.inputs import one_name_each

JOBS = "jobs"
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.-]+")


def run_ids(raw_paths: Sequence[str]) -> dict[str, str]:
    """Return raw file by a name that is safe in file names and shells, made from the raw file's own alone."""
    one_name_each(list(raw_paths))
    found: dict[str, str] = {}
    for path in raw_paths:
        stem = Path(path).stem
        plain = _NOT_PLAIN.sub("_", stem)
        found[plain if plain == stem else f"{plain[:60]}.{zlib.crc32(stem.encode()):08x}"] = path
    return found


@dataclass(frozen=True)
class Layout:
    """Paths in the output folder of a workflow."""

    folder: Path

    # Logs and receipts of the jobs.
    jobs = Inside(JOBS)
    # The config that all jobs read, raw files included; which runs, which of them for tuning, and which steps.
    config = Inside(f"{JOBS}/config.yaml")
    plan = Inside(f"{JOBS}/plan.yaml")
    # What the searches depend on beside their files; what tuning depends on beside the first pass.
    search_settings = Inside(f"{JOBS}/search.yaml")
    tuning_settings = Inside(f"{JOBS}/tuning.yaml")
    # Receipts of the tuning and of the report.
    tuned = Inside(f"{JOBS}/tuned.yaml")
    reported = Inside(f"{JOBS}/report.yaml")

    def step(self, step: str) -> Path:
        """Folder of the jobs of a step."""
        return self.jobs / step

    def tables(self, step: str) -> Path:
        """Folder of what the library's models will be asked."""
        return self.step(step) / "prepared"

    def predictions(self, step: str) -> Path:
        """Folder of what the models answered."""
        return self.step(step) / "parts"

    def prepared(self, step: str) -> Path:
        """Receipt of the preparation of a library."""
        return self.step(step) / "prepared.yaml"

    def predicted(self, step: str, shard: int, shards: int) -> Path:
        """Receipt of a shard of a library's prediction."""
        return self.step(step) / "predicted" / f"{shard}_of_{shards}.yaml"

    def library(self, step: str) -> Path:
        """Receipt of a library."""
        return self.step(step) / "library.yaml"

    def run(self, step: str, run_id: str) -> Path:
        """Receipt of the search of a run."""
        return self.step(step) / "runs" / f"{run_id}.yaml"

    def combined(self, step: str) -> Path:
        """Receipt of the tables of all runs."""
        return self.step(step) / "combined.yaml"


def write_receipt(path: Path, values: dict[str, Any]) -> None:
    """Write what a job did, and its most memory so far (MB)."""
    write_yaml(path, {**values, "peak_mb": round(peak_mb())})


def peak_mb() -> float:
    """Return the most memory that this process has had (MB), 0 where the system does not tell.

    On Linux of this program alone: ``ru_maxrss`` counts what the process had before it became this program, which is
    the memory of the one that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


def since(started: float) -> float:
    """Return the seconds since a value of `time.perf_counter`."""
    return round(time.perf_counter() - started, 1)


def read_receipt(path: Path) -> dict[str, Any]:
    """Read what a job did; raises ResultsError if its receipt is missing or damaged."""
    advice = (
        "Remove it and run the workflow again." if path.is_file() else "Run the job that writes it, or the workflow."
    )
    return read_yaml(path, error=ResultsError, advice=advice)
