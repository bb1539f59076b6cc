"""The earlier bundle that models come from: its record, its history, and whether its files are still its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alphadia_tl.bundle import Bundle, weights_folder
from alphadia_tl.errors import WeightsError

_KEPT = ("random_state", "versions", "started_from", "trained_on", "models")


def model_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each weight file in a folder, by model name."""
    return {p.stem: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.pth"))}


@dataclass(frozen=True)
class Origin:
    """An earlier bundle.

    Attributes
    ----------
    folder : Path
        Folder of the bundle.
    record : dict
        Content of its ``alphadia_tl.yaml``.
    """

    folder: Path
    record: Mapping[str, Any]

    def history(self) -> list[dict[str, Any]]:
        """Return this bundle and those that it came from, the latest first."""
        accepted = [d["model"] for d in self.record.get("decisions") or () if d.get("accepted")]
        entry = {"bundle": str(self.folder), "accepted": accepted}
        entry |= {key: self.record[key] for key in _KEPT if key in self.record}
        return [entry, *(self.record.get("history") or ())]

    def check_files(self, output_folder: Path) -> None:
        """Make sure that the weight files are those that the bundle was written with, and stay so.

        Parameters
        ----------
        output_folder : Path
            Where a new bundle will be written.

        Raises
        ------
        WeightsError
            If a file is missing or another one, or the new bundle would overwrite this one.
        """
        if output_folder.resolve() == self.folder:
            raise WeightsError(
                f"The bundle {self.folder} that models come from would be overwritten.", "Choose another output folder."
            )
        found = model_hashes(Bundle(self.folder).models)
        for name, expected in (self.record.get("models") or {}).items():
            if found.get(name) != expected:
                state = "missing from" if name not in found else "not the one that was written into"
                raise WeightsError(
                    f"The {name} model is {state} the bundle {self.folder} (its alphadia_tl.yaml holds another hash).",
                    "Copy the bundle again, or give library_prediction.peptdeep_model_path a folder of its own with "
                    "the weight files.",
                )


def find_origin(model_path: Path | None) -> Origin | None:
    """Return the bundle that a model path belongs to.

    Parameters
    ----------
    model_path : Path or None
        ``library_prediction.peptdeep_model_path``: a bundle, its folder of weights, or anything else.

    Returns
    -------
    Origin or None
        None where the path belongs to no bundle.

    Raises
    ------
    WeightsError
        If the bundle's ``alphadia_tl.yaml`` cannot be read.
    """
    if model_path is None:
        return None
    weights = weights_folder(model_path).resolve()
    bundle = Bundle(weights.parent)
    if weights != bundle.models or not bundle.provenance.is_file():
        return None
    try:
        record = yaml.safe_load(bundle.provenance.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise WeightsError(f"{bundle.provenance} cannot be read: {error}.", "Copy the bundle again.") from error
    if not isinstance(record, dict):
        raise WeightsError(f"{bundle.provenance} is not the record of a bundle.", "Copy the bundle again.")
    return Origin(bundle.folder, record)
