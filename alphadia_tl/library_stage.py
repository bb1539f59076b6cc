"""Predict the library again with the accepted models."""

from __future__ import annotations

import logging
from pathlib import Path

from alphadia_tl.conditions import note_nce
from alphadia_tl.errors import PredictionError
from alphadia_tl.finetune import FinetuneManager
from alphadia_tl.outcome import StepOutcome
from alphadia_tl.records import save_models
from alphadia_tl.speclib import regenerate
from alphadia_tl.step_settings import StepSettings

logger = logging.getLogger(__name__)

UNCHANGED = "the library stays as it is: only the charge model was accepted, and no charge states are filtered"


def regenerate_library(settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome, speclib: Path) -> None:
    """Write the tuned library; a model whose predictions turn out unusable goes back to its pretrained weights.

    Where no accepted model changes the library, none is written, and one of an earlier call is removed.
    """
    outcome.regeneration = None
    while outcome.accepted:
        changing = outcome.changing
        if not changing:
            if not outcome.library_values_kept:  # else that was told
                outcome.warnings.append(UNCHANGED)
            break
        try:
            outcome.regeneration = regenerate(
                speclib,
                outcome.bundle.tuned_library,
                predictor=manager,
                accepted=changing,
                charged_frag_types=settings.predicted_frag_types,
                charge_cutoff=outcome.charge_cutoff,
            )
        except PredictionError as error:
            if error.model is None:
                raise
            outcome.reject(error.model, error.what)
            manager.restore_pretrained(error.model)
            note_nce(settings, manager, outcome)
            save_models(manager, outcome)
        else:
            return
    outcome.bundle.tuned_library.unlink(missing_ok=True)
