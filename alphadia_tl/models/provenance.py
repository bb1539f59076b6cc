"""Where models come from: the bundle that they were started from, and what they were trained on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl import __version__
from alphadia_tl.bundle import Bundle, weights_folder
from alphadia_tl.errors import WeightsError
from alphadia_tl.files import read_yaml
from alphadia_tl.tasks.held_out import MIN_PEPTIDES

logger = logging.getLogger(__name__)

MAX_GRADIENT_CHANGE = 0.2  # run lengths that differ by more than this fraction are told


def gradient_minutes(times: pd.Series, runs: pd.Series) -> float | None:
    """Return the latest retention time (given in seconds) in minutes, the median over runs; None without any."""
    latest = times.groupby(runs.to_numpy()).max().dropna()
    return round(float(latest.median()) / 60, 2) if len(latest) else None


def describe_training(
    precursor_df: pd.DataFrame,
    *,
    fragment_types: Sequence[str],
    modifications: Mapping[str, Mapping[str, int]],
    nce: float,
    instrument: str,
) -> dict[str, Any]:
    """Return what a later search with the models has to know, as plain values.

    ``precursor_df`` is the transfer library's; ``modifications`` are training peptides per modification and model.
    """
    return {
        "fragment_types": list(fragment_types),
        "modifications": {name: dict(counts) for name, counts in modifications.items() if any(counts.values())},
        "gradient_minutes": gradient_minutes(precursor_df["rt_observed"], precursor_df["raw_name"]),
        "lengths": _range(precursor_df["sequence"].str.len()),
        "charges": _range(precursor_df["charge"]),
        "nce": nce,
        "instrument": instrument,
        "runs": sorted(str(run) for run in precursor_df["raw_name"].unique()),
    }


def _range(values: pd.Series) -> list[int]:
    return [int(values.min()), int(values.max())] if len(values) else []


def beyond_training(record: Mapping[str, Any], precursor_df: pd.DataFrame) -> list[str]:
    """Tell, a line each, which precursors are longer, shorter or charged otherwise than any that models were tuned on.

    ``record`` is that of a bundle; one that says nothing of it tells nothing.
    """
    trained, lines = record.get("trained_on") or {}, []
    told = {"lengths": ("residues", precursor_df["sequence"].str.len()), "charges": ("charges", precursor_df["charge"])}
    for key, (unit, values) in told.items():
        if limits := trained.get(key):
            outside = ~values.between(*limits)
            if outside.any():
                lines.append(
                    f"{outside.sum():,} of {len(values):,} precursors have {unit} from {values.min()} to "
                    f"{values.max()}, but the models were tuned on {limits[0]} to {limits[1]}"
                )
    return lines


def differences(
    record: Mapping[str, Any],
    *,
    fragment_types: Iterable[str],
    modifications: Iterable[str],
    nce: float,
    instrument: str,
) -> list[str]:
    """Tell, a line each, in what a prediction differs from what a bundle's models were trained for (its ``record``)."""
    trained: Mapping[str, Any] | None = record.get("trained_on")
    if not trained:
        return ["it is not recorded what the models were trained on: nothing can be compared"]
    accepted = accepted_models(record)
    if not accepted:
        return ["no tuned model was accepted in the models' bundle: they are those that it started from"]
    lines = []
    if "ms2" in accepted and (unknown := sorted(set(fragment_types) - set(trained["fragment_types"]))):
        known = ", ".join(trained["fragment_types"])
        lines.append(f"fragment types {', '.join(unknown)} are predicted, but the MS2 model was tuned on {known} only")
    lines += _modifications(trained["modifications"], accepted, modifications)
    if "ms2" in accepted:
        for key, now in (("nce", nce), ("instrument", instrument)):
            if trained[key] != now:
                lines.append(f"library_prediction.{key} is {now}, but the models were tuned with {trained[key]}")
    return lines


def log_predictors(models: Iterable[str]) -> None:
    """Log, in the form in which ProteoBench reads parameters of a search, which models of its library were tuned."""
    tuned = "+".join(models)
    logger.info(f"predictors_library: AlphaPeptDeep ({tuned} tuned by alphadia_tl {__version__}) [user defined]")


def tuned_nce(record: Mapping[str, Any]) -> float | None:
    """Return the normalised collision energy with which a bundle's MS2 model was tuned; None where it was not tuned."""
    found = (record.get("trained_on") or {}).get("nce")
    return float(found) if "ms2" in accepted_models(record) and found is not None else None


def accepted_models(record: Mapping[str, Any]) -> list[str]:
    """Return the models of a bundle whose tuned weights were accepted."""
    return [d["model"] for d in record.get("decisions") or () if d.get("accepted")]


def _modifications(
    trained: Mapping[str, Mapping[str, int]], accepted: Collection[str], wanted: Iterable[str]
) -> list[str]:
    lines = []
    for name in sorted(set(wanted)):
        counts = {model: trained.get(name, {}).get(model, 0) for model in accepted}
        few = {model: n for model, n in counts.items() if n < MIN_PEPTIDES}
        if few:
            peptides = ", ".join(f"{model} {n}" for model, n in few.items())
            lines.append(f"modification {name} was not learnt by the models (training peptides: {peptides})")
    return lines


def gradient_difference(record: Mapping[str, Any], minutes: float | None) -> list[str]:
    """Tell whether the runs are longer or shorter than those that a bundle's models were trained on.

    Nothing where ``minutes``, the length of the runs now, is None: not known.
    """
    trained = (record.get("trained_on") or {}).get("gradient_minutes")
    if not trained or not minutes or abs(minutes / trained - 1) <= MAX_GRADIENT_CHANGE:
        return []
    return [
        f"precursors elute until {minutes:.1f} min, but the models were tuned on runs in which they elute until "
        f"{trained:.1f} min: predicted retention times fit another gradient"
    ]


HISTORY_KEYS = ("random_state", "versions", "started_from", "trained_on", "models")


def model_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each weight file in a folder, by model name."""
    return {p.stem: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.pth"))}


@dataclass(frozen=True)
class StartBundle:
    """An earlier bundle, and the content of its ``alphadia_tl.yaml``."""

    folder: Path
    record: Mapping[str, Any]

    def history(self) -> list[dict[str, Any]]:
        """Return this bundle and those that it came from, the latest first."""
        entry = {"bundle": str(self.folder), "accepted": accepted_models(self.record)}
        entry |= {key: self.record[key] for key in HISTORY_KEYS if key in self.record}
        return [entry, *(self.record.get("history") or ())]

    def check_files(self, output_folder: Path) -> None:
        """Make sure that the weight files are those that the bundle was written with, and stay so.

        Raises WeightsError if a file is missing or another one, or a new bundle in the output folder would overwrite
        this one.
        """
        if output_folder.resolve() == self.folder:
            raise WeightsError(
                f"The bundle {self.folder} that models come from would be overwritten.", "Choose another output folder."
            )
        recorded = self.record.get("models") or {}
        found = model_hashes(Bundle(self.folder).models)
        for name, expected in recorded.items():
            if found.get(name) != expected:
                state = "missing from" if name not in found else "not the one that was written into"
                raise WeightsError(
                    f"The {name} model is {state} the bundle {self.folder} (its alphadia_tl.yaml holds another hash).",
                    "Copy the bundle again, or give library_prediction.peptdeep_model_path a folder of its own with "
                    "the weight files.",
                )


def find_start_bundle(model_path: Path | None) -> StartBundle | None:
    """Return the bundle that ``peptdeep_model_path``, a bundle or its folder of weights, belongs to; None for others.

    Raises WeightsError if the bundle's ``alphadia_tl.yaml`` cannot be read.
    """
    if model_path is None:
        return None
    weights = weights_folder(model_path).resolve()
    bundle = Bundle(weights.parent)
    if weights != bundle.models or not bundle.provenance.is_file():
        return None
    record = read_yaml(bundle.provenance, error=WeightsError, advice="Copy the bundle again.")
    return StartBundle(bundle.folder, record)
