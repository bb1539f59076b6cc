"""How the runs were acquired: what their raw files say, and what of it the models are tuned with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from alphadia_tl.host.run_facts import RunFacts, nce_warnings, observable_mz
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.step.step_settings import StepSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Acquisition:
    """How the runs of a transfer library were acquired.

    Attributes
    ----------
    observable_mz : sequence of two floats each
        Precursor m/z ranges (Th) that were isolated.
    warnings : tuple of str
        Where the raw files say otherwise than the config.
    provenance : mapping
        Of runs whose raw files say so: instrument, collision energy and precursor m/z.
    """

    observable_mz: Sequence[tuple[float, float]]
    warnings: tuple[str, ...]
    provenance: Mapping[str, Any]


def read_acquisition(settings: StepSettings, library: TransferLibrary, runs: Sequence[str]) -> Acquisition:
    """Look up what the raw files say of the runs of a transfer library; log it."""
    known = {name: RunFacts.from_mapping(values) for name, values in library.run_facts.items()}
    facts: dict[str, RunFacts | None] = dict.fromkeys(runs) | known
    for line in (f.line for f in known.values()):
        if line:
            logger.info(line)
    wanted, nce, key = settings.plugin.nce, settings.nce, "library_prediction.nce"
    if isinstance(wanted, int | float):
        nce, key = float(wanted), "alphadia_tl.nce"
    keys = ("instrument", "nce", "precursor_mz")
    return Acquisition(
        observable_mz(settings.precursor_mz, {run: facts[run] for run in runs}),
        tuple(nce_warnings(facts, nce, key)),
        {"run_facts": {f.run: {k: f.to_mapping()[k] for k in keys} for f in known.values()}} if known else {},
    )


def without_own_conditions(
    precursor_df: pd.DataFrame, **configured: float | str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Leave out the observations' own collision energy and instrument, which prediction would not know; say so."""
    warnings = []
    for column, value in configured.items():
        if column not in precursor_df.columns:
            continue
        other = sorted({str(v) for v in precursor_df[column].unique() if v != value})
        if other:
            warnings.append(
                f"the transfer library's own {column} ({', '.join(other[:5])}) is not used: the MS2 model is tuned and "
                f"predicts with one value"
            )
        precursor_df = precursor_df.drop(columns=column)
    return precursor_df, tuple(warnings)
