"""Collision energy, instrument and isolation windows in a step: one value each for training and prediction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl import gate
from alphadia_tl.finetune import FinetuneManager
from alphadia_tl.outcome import StepOutcome
from alphadia_tl.run_facts import RunFacts, nce_warnings, observable_mz
from alphadia_tl.step_settings import StepSettings
from alphadia_tl.tasks import Better
from alphadia_tl.tasks.ms2 import Ms2Task

logger = logging.getLogger(__name__)


def observed_precursor_mz(
    settings: StepSettings, facts: Mapping[str, RunFacts | None], outcome: StepOutcome
) -> list[tuple[float, float]]:
    """Return the precursor m/z ranges that could have been observed; log what the raw files say and warn of surprises.

    Parameters
    ----------
    settings : StepSettings
        All settings.
    facts : mapping of str to RunFacts or None
        What is known of each run of the transfer library.
    outcome : StepOutcome
        Gets the facts and the warnings.
    """
    known = [f for f in facts.values() if f is not None]
    for line in (f.line for f in known):
        if line:
            logger.info(line)
    wanted = settings.plugin.nce
    nce, key = (
        (float(wanted), "alphadia_tl.nce")
        if isinstance(wanted, int | float)
        else (settings.nce, "library_prediction.nce")
    )
    outcome.warnings += nce_warnings(facts, nce, key)
    if known:
        keys = ("instrument", "nce", "precursor_mz")
        outcome.provenance["run_facts"] = {f.run: {k: f.to_mapping()[k] for k in keys} for f in known}
    return observable_mz(settings.precursor_mz, {run: f for run, f in facts.items() if run in outcome.runs})


def without_own_conditions(precursor_df: pd.DataFrame, outcome: StepOutcome, **configured: float | str) -> pd.DataFrame:
    """Leave out the observations' own collision energy and instrument, which prediction would not know; say so."""
    for column, value in configured.items():
        if column not in precursor_df.columns:
            continue
        other = sorted({str(v) for v in precursor_df[column].unique() if v != value})
        if other:
            outcome.warnings.append(
                f"the transfer library's own {column} ({', '.join(other[:5])}) is not used: the MS2 model is tuned and "
                f"predicts with one value"
            )
        precursor_df = precursor_df.drop(columns=column)
    return precursor_df


def better_than_chance(settings: StepSettings) -> Better:
    """Return the test that another collision energy has to pass: the gate's, for the best of several comparisons."""
    generator = np.random.default_rng([settings.seed, 3])

    def better(before: NDArray[Any], after: NDArray[Any], groups: NDArray[Any], comparisons: int) -> bool:
        low, _ = gate.improvement_interval(
            before,
            after,
            groups,
            higher_is_better=True,
            trimmed=Ms2Task.headline.trimmed,
            confidence=1 - (1 - settings.plugin.gate_confidence) / comparisons,
            generator=generator,
        )
        return low > 0

    return better


def note_nce(settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome) -> None:
    """Write the collision energy in use into the provenance, and log where it is not the configured one."""
    search = manager.nce_search
    outcome.provenance["nce"] = float(manager.nce)
    outcome.provenance["library_prediction_nce"] = settings.nce
    curve = {nce: round(angle, 5) for nce, angle in search.curve.items()} if search else None
    outcome.provenance["nce_curve"] = curve or outcome.provenance.get("nce_curve")
    if manager.nce != settings.nce:
        logger.info(f"The MS2 model was tuned with NCE {manager.nce:.1f}, and predicts with it.")
    elif search is not None and search.chosen != settings.nce:
        logger.info(f"The MS2 model keeps its pretrained weights, and NCE {settings.nce:.1f} with them.")
