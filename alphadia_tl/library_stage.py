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

OWN_VALUES = (
    "The library was given (library_path): what it says itself is replaced by predictions of {models}. The tuned "
    "models were compared with the pretrained ones, not with the library's own values, which may be measured and "
    "better: compare the passes, and leave out of alphadia_tl.models what should stay the library's."
)


def regenerate_library(settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome, speclib: Path) -> None:
    """Write the tuned library; a model whose predictions turn out unusable goes back to its pretrained weights.

    Where no accepted model changes the library, none is written, and one of an earlier call is removed.
    """
    outcome.regeneration = None
    if settings.library_is_given and outcome.changing:
        outcome.warnings.append(OWN_VALUES.format(models=", ".join(m.upper() for m in outcome.changing)))
        logger.warning(outcome.warnings[-1])
    while outcome.accepted:
        changing = outcome.changing
        if not changing:
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
