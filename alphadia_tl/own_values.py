"""A library that was given has values of its own, measured ones perhaps: what predictions do not surely beat stays."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np

from alphadia_tl import gate
from alphadia_tl.finetune import FinetuneManager
from alphadia_tl.library import TransferLibrary
from alphadia_tl.outcome import StepOutcome
from alphadia_tl.speclib import OwnValues, load_library
from alphadia_tl.step_settings import StepSettings
from alphadia_tl.tasks import GivenScores, Headline, TaskData

__all__ = ["keep_better_values"]

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
