"""The library of the final pass: predicted again by the accepted models, given values kept where these are no worse."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np

from alphadia_tl.errors import PredictionError
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models import gate
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.speclib.given_values import OwnValues
from alphadia_tl.speclib.regenerate import regenerate
from alphadia_tl.speclib.storage import load_library
from alphadia_tl.step.outcome import StepOutcome, note_nce, save_models
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.tasks.base import Headline, TaskData
from alphadia_tl.tasks.held_out import GivenScores

logger = logging.getLogger(__name__)

COMPARED = "{model}: {metric} {given:.4f} of the library itself, {tuned:.4f} of the tuned model, {n} held-out peptides"
REPLACED = "they are replaced"
STAY = "the model is not surely better: the library's own values stay in it"


def keep_better_values(
    settings: StepSettings, library: TransferLibrary, manager: FinetuneManager, outcome: StepOutcome, given: Path
) -> None:
    """Compare accepted models with a given library's own values, which stay where a model is not surely better.

    The gate has compared them with the pretrained models, which are no measure of a library that was measured.

    Parameters
    ----------
    settings : StepSettings
        All settings.
    library : TransferLibrary
        What was learnt from, with the held-out peptides.
    manager : FinetuneManager
        Has the results of tuning.
    outcome : StepOutcome
        Gets the models whose values stay the library's.
    given : Path
        The library, as the first pass saved it.
    """
    judged = [name for name in outcome.accepted if name != "charge"]
    if not judged:
        return
    own = OwnValues(load_library(given), manager.charged_frag_types)
    data = TaskData(library.precursor_df, library.fragment_intensity_df, library.fragment_mask_df)
    for number, name in enumerate(judged):
        scores = manager.score_given(name, data, partial(own.of, name))
        headline = manager.results[name].headline
        if len(scores.peptides) == 0:
            logger.info(f"{name.upper()}: the library says nothing itself of the held-out peptides.")
            continue
        told = COMPARED.format(
            model=name.upper(),
            metric=headline.name,
            given=scores.metric_given,
            tuned=scores.metric_tuned,
            n=len(scores.peptides),
        )
        generator = np.random.default_rng([settings.seed, 6, number])
        if _surely_better(scores, headline, settings.plugin.gate_confidence, generator):
            logger.info(f"{told}: {REPLACED}")
            continue
        outcome.library_values_kept.append(name)
        outcome.warnings.append(f"{told}: {STAY}")
        logger.info(outcome.warnings[-1])


def _surely_better(scores: GivenScores, headline: Headline, confidence: float, generator: np.random.Generator) -> bool:
    if len(scores.peptides) < gate.MIN_PEPTIDES:
        return False
    low, _ = gate.improvement_interval(
        scores.given,
        scores.tuned,
        scores.peptides,
        higher_is_better=headline.higher_is_better,
        trimmed=headline.trimmed,
        confidence=confidence,
        generator=generator,
    )
    return low > 0


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
