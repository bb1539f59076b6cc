"""The files that a transfer-learning step leaves behind."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from alphadia_tl.errors import ResultsError
from alphadia_tl.files import absolute_path, read_yaml

CHECKPOINTS = ".checkpoints"
PACKAGES = (
    "alphadia_tl", "alphadia", "alphadia-search-rs", "alpharaw", "peptdeep", "alphabase", "torch", "numpy", "pandas",
)  # fmt: skip


class Inside:
    """A file or folder of what has a ``folder``: its path is that of the folder and this name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, _: type) -> Path:
        path: Path = owner.folder / self.name
        return path


@dataclass(frozen=True)
class Bundle:
    """Paths of the bundle inside one folder; names as alphaDIA gives them where it has them."""

    folder: Path

    # Observed precursors that the models learnt from; weight files, usable as library_prediction.peptdeep_model_path.
    transfer_library = Inside("speclib.transfer.hdf")
    models = Inside("peptdeep.transfer")
    # Metrics per epoch, long table; counts and errors of the RT model along the gradient.
    stats = Inside("stats.transfer.tsv")
    rt_bins = Inside("rt_bins.transfer.tsv")
    # Settings, seeds, versions, weight hashes, decisions.
    provenance = Inside("alphadia_tl.yaml")
    # Spectral library of the second pass.
    tuned_library = Inside("speclib.tuned.hdf")
    # Precursors of the final pass that have positional isomers in the library, and which sites are ambiguous.
    sites = Inside("sites.transfer.tsv")
    # What was learnt about each modification.
    modifications = Inside("modifications.transfer.tsv")
    # Held-out rows of all models with what was predicted before and after; a few spectra, fragment by fragment.
    held_out = Inside("held_out.transfer.parquet")
    spectra = Inside("spectra.transfer.parquet")
    # The report for people, and its numbers for programs.
    report = Inside("report.html")
    report_json = Inside("report.json")
    # Trainings that are not finished; removed when the models are written.
    checkpoints = Inside(CHECKPOINTS)

    def results(self) -> list[Path]:
        """Return the files that the step has written and nothing writes again: models, libraries, tables."""
        tables = [self.transfer_library, self.stats, self.rt_bins, self.modifications, self.held_out, self.spectra]
        found = [*sorted(self.models.glob("*.pth")), self.tuned_library, *tables]
        return [path for path in found if path.is_file()]


ADVICE = "Give the output folder of a search with alphadia_tl: {enabled: true}, or its folder 'transfer'."


def read_bundle(folder: Path | str) -> Bundle:
    """Return the bundle in the output folder of a search, or the one that the folder is itself.

    Raises ResultsError where there is none.
    """
    folder = absolute_path(folder)
    for place in (folder / "transfer", folder):
        bundle = Bundle(place)
        if bundle.provenance.is_file() and "decisions" in read_yaml(bundle.provenance, error=ResultsError):
            return bundle
    if not folder.is_dir():
        raise ResultsError(f"{folder} is no folder.", ADVICE)
    raise ResultsError(f"{folder} holds no results of transfer learning (transfer/alphadia_tl.yaml).", ADVICE)


def weights_folder(path: Path) -> Path:
    """Return the folder of weight files that a path stands for.

    Of a bundle, or an output folder with a bundle ``transfer`` in it, its folder of weights is meant. Any other path
    stands for itself.
    """
    for bundle in (Bundle(path), Bundle(path / "transfer")):
        if bundle.models.is_dir() and not (path / "rt.pth").is_file():
            return bundle.models
    return path


def versions() -> dict[str, str]:
    """Return the versions of what decides about the results."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
