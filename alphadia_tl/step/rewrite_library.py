"""The library of the final pass, predicted again by the accepted models."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from alphadia_tl.errors import PredictionError
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.speclib.regenerate import TunedModels, regenerate
from alphadia_tl.step.outcome import StepOutcome, collision_energy, save_models
from alphadia_tl.step.step_settings import StepSettings

UNCHANGED = "the library stays as it is: only the charge model was accepted, and no charge states are filtered"


def rewrite_library(
    settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome, speclib: Path
) -> StepOutcome:
    """Write the tuned library from that of the first pass; write down and return the outcome with what came of it.

    A model whose predictions turn out unusable goes back to its pretrained weights. Where no accepted model changes the
    library, none is written, and one of an earlier call is removed.
    """
    start = time.perf_counter()
    outcome = _predicted_again(settings, manager, replace(outcome, regeneration=None), speclib)
    if outcome.regeneration is None:
        outcome.bundle.tuned_library.unlink(missing_ok=True)
    outcome = outcome.with_seconds("library prediction", time.perf_counter() - start)
    outcome.write_provenance()
    return outcome


def _predicted_again(
    settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome, speclib: Path
) -> StepOutcome:
    if not outcome.changing:
        # values of a given library that stay in it were told where that was decided
        told = not outcome.accepted or outcome.library_values_kept
        return outcome if told else outcome.with_warnings(UNCHANGED)
    try:
        models = TunedModels(manager, outcome.changing, settings.predicted_frag_types, outcome.charge_cutoff)
        summary = regenerate(speclib, outcome.bundle.tuned_library, models)
    except PredictionError as error:
        if error.model is None:
            raise
        manager.restore_pretrained(error.model)
        energy = collision_energy(settings, manager, outcome.provenance.get("nce_curve"))
        hashes = save_models(manager, outcome.bundle)
        outcome = outcome.without(error.model, error.what).with_provenance(**energy, models=hashes)
        return _predicted_again(settings, manager, outcome, speclib)
    return replace(outcome, regeneration=summary)
