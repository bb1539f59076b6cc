"""The files that a transfer-learning step leaves behind, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from alphadia_tl.errors import OutputError

GIB = 1024**3
CHECKPOINTS = ".checkpoints"
PACKAGES = ("alphadia_tl", "alphadia", "peptdeep", "alphabase", "torch", "numpy", "pandas")


@dataclass(frozen=True)
class Bundle:
    """Paths of the bundle inside one folder; names as alphaDIA gives them where it has them."""

    folder: Path

    @property
    def transfer_library(self) -> Path:
        """Observed precursors the models learnt from."""
        return self.folder / "speclib.transfer.hdf"

    @property
    def models(self) -> Path:
        """Folder of weight files, usable as ``library_prediction.peptdeep_model_path``."""
        return self.folder / "peptdeep.transfer"

    @property
    def stats(self) -> Path:
        """Metrics per epoch, long table."""
        return self.folder / "stats.transfer.tsv"

    @property
    def rt_bins(self) -> Path:
        """Counts and errors of the RT model along the gradient."""
        return self.folder / "rt_bins.transfer.tsv"

    @property
    def provenance(self) -> Path:
        """Settings, seeds, versions, weight hashes, decisions."""
        return self.folder / "alphadia_tl.yaml"

    @property
    def tuned_library(self) -> Path:
        """Spectral library of the second pass."""
        return self.folder / "speclib.tuned.hdf"

    @property
    def modifications(self) -> Path:
        """What was learnt about each modification."""
        return self.folder / "modifications.transfer.tsv"

    @property
    def held_out(self) -> Path:
        """Held-out rows of all models with what was predicted for them before and after."""
        return self.folder / "held_out.transfer.parquet"

    @property
    def spectra(self) -> Path:
        """A few held-out spectra, fragment by fragment."""
        return self.folder / "spectra.transfer.parquet"

    @property
    def report(self) -> Path:
        """Report for people."""
        return self.folder / "report.html"

    @property
    def report_json(self) -> Path:
        """The report's numbers for programs."""
        return self.folder / "report.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of trainings that are not finished; removed when the models are written."""
        return self.folder / CHECKPOINTS

    def results(self) -> list[Path]:
        """Return the files that the step has written and nothing writes again: models, libraries, tables."""
        tables = [self.transfer_library, self.stats, self.rt_bins, self.modifications, self.held_out, self.spectra]
        found = [*sorted(self.models.rglob("*.pth")), self.tuned_library, *tables]
        return [path for path in found if path.is_file()]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, flush it to disk, and rename it.

    Parameters
    ----------
    path : Path
        Final name.
    write : callable
        Writes to the path that it is given.

    Raises
    ------
    OutputError
        If the file cannot be written; a file of that name that was there before is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as handle:  # Windows flushes only what may be written
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path} could not be written: {error.strerror or error}.",
            "Check permissions and free space of the output folder, then run again.",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as YAML."""
    write_text(path, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))


def write_stats(path: Path, history: pd.DataFrame) -> None:
    """Write a table, such as the metrics per epoch, as tab-separated text, as alphaDIA does."""
    write_whole(path, lambda part: history.to_csv(part, sep="\t", index=False))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet."""
    write_whole(path, lambda part: table.to_parquet(part, index=False))


def weights_folder(path: Path) -> Path:
    """Return the folder of weight files that a path stands for.

    Parameters
    ----------
    path : Path
        A bundle, or an output folder with a bundle ``transfer`` in it: its folder of weights is meant. Any other path
        stands for itself.
    """
    for bundle in (Bundle(path), Bundle(path / "transfer")):
        if bundle.models.is_dir() and not (path / "rt.pth").is_file():
            return bundle.models
    return path


def require_space(folder: Path, needed_bytes: int) -> None:
    """Make sure that a folder can be written and has space, before hours of work.

    Raises
    ------
    OutputError
        If the folder cannot be written or has less free space than needed.
    """
    write_whole(folder / ".alphadia_tl.probe", lambda part: part.write_bytes(b"probe"))
    (folder / ".alphadia_tl.probe").unlink()
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise OutputError(
            f"{folder} has {free / GIB:.1f} GiB free, but about {needed_bytes / GIB:.1f} GiB will be needed.",
            "Free some space or choose another output folder.",
        )


def versions() -> dict[str, str]:
    """Return the versions of what decides about the results."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
