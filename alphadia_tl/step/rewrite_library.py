"""The library of the final pass: predicted again by accepted models, or kept as given where these are no better."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from alphadia_tl.errors import PredictionError
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models import gate
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.speclib.library_values import LibraryValues
from alphadia_tl.speclib.regenerate import TunedModels, regenerate
from alphadia_tl.speclib.storage import load_library
from alphadia_tl.step.outcome import StepOutcome, collision_energy, save_models
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.tasks.base import TaskData

logger = logging.getLogger(__name__)


def compare_with_library(
    settings: StepSettings,
    observations: TransferLibrary,
    manager: FinetuneManager,
    accepted: tuple[str, ...],
    given: Path,
) -> dict[str, str]:
    """Return, with the reason, the accepted models that are no better than a given library's own values.

    They are compared on the held-out peptides: the gate has compared them with the pretrained models, which are no
    measure of a library that was measured. ``given`` is the library as the first pass saved it; charge states are not
    compared.
    """
    judged = [name for name in accepted if name != "charge"]
    if not judged:
        return {}
    library_values = LibraryValues(load_library(given), manager.charged_frag_types)
    data = TaskData(observations.precursor_df, observations.fragment_intensity_df, observations.fragment_mask_df)
    kept: dict[str, str] = {}
    for number, name in enumerate(judged):
        scores = manager.score_library_values(name, data, partial(library_values.of, name))
        headline = manager.results[name].headline
        if len(scores.peptides) == 0:
            logger.info(f"{name.upper()}: the library says nothing itself of the held-out peptides.")
            continue
        found = (
            f"{name.upper()}: {headline.name} {scores.metric_before:.4f} of the library itself, "
            f"{scores.metric_after:.4f} of the tuned model, {len(scores.peptides)} held-out peptides"
        )
        generator = settings.generator("given library", number)
        confidence = settings.plugin.gate_confidence
        if gate.better_than_given(scores, headline, confidence=confidence, generator=generator):
            logger.info(f"{found}: they are replaced")
        else:
            kept[name] = f"{found}: the model is not surely better: the library's own values stay in it"
            logger.info(kept[name])
    return kept


UNCHANGED = "the library stays as it is: only the charge model was accepted, and no charge states are filtered"


def rewrite_library(
    settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome, speclib: Path, digest: Path | None = None
) -> StepOutcome:
    """Write the tuned library from that of the first pass; write down and return the outcome with what came of it.

    A model whose predictions turn out unusable goes back to its pretrained weights. Where no accepted model changes the
    library, none is written, and one of an earlier call is removed. Of a library of which a part has been searched, all
    of ``digest`` is predicted, by the pretrained models where no other was accepted.
    """
    start = time.perf_counter()
    outcome = _predicted_again(settings, manager, replace(outcome, regeneration=None), speclib, digest)
    if outcome.regeneration is None:
        outcome.bundle.tuned_library.unlink(missing_ok=True)
    outcome = outcome.with_seconds("library prediction", time.perf_counter() - start)
    outcome.write_provenance()
    return outcome


def models_of_library(
    settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome, *, whole: bool
) -> TunedModels:
    """Return what predicts the library of the final pass: accepted models, and for a ``whole`` one the others, too."""
    predicting = dict.fromkeys([*outcome.changing, *(("rt", "ccs", "ms2") if whole else ())])
    return TunedModels(manager, list(predicting), settings.predicted_frag_types, outcome.charge_cutoff)


def _predicted_again(
    settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome, speclib: Path, digest: Path | None
) -> StepOutcome:
    if not outcome.changing and digest is None:
        # values of a given library that stay in it were told where that was decided
        is_said = not outcome.accepted or outcome.library_values_kept
        return outcome if is_said else outcome.with_warnings(UNCHANGED)
    try:
        models = models_of_library(settings, manager, outcome, whole=digest is not None)
        summary = regenerate(speclib, outcome.bundle.tuned_library, models, digest)
    except PredictionError as error:
        if error.model not in outcome.accepted:
            raise
        manager.restore_pretrained(error.model)
        energy = collision_energy(settings, manager, outcome.provenance.get("nce_curve"))
        hashes = save_models(manager, outcome.bundle)
        outcome = outcome.without(error.model, error.what).with_provenance(**energy, models=hashes)
        return _predicted_again(settings, manager, outcome, speclib, digest)
    return replace(outcome, regeneration=summary).with_warnings(*summary.stays)
