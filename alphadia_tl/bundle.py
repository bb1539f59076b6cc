"""The files that a transfer-learning step leaves behind."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

CHECKPOINTS = ".checkpoints"
PACKAGES = (
    "alphadia_tl",
    "alphadia",
    "alphadia-search-rs",
    "alpharaw",
    "peptdeep",
    "alphabase",
    "torch",
    "numpy",
    "pandas",
)


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
        found = [*sorted(self.models.glob("*.pth")), self.tuned_library, *tables]
        return [path for path in found if path.is_file()]


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


def versions() -> dict[str, str]:
    """Return the versions of what decides about the results."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
