"""Where a library is given, its own values stay in it unless the tuned models are surely better than they are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models import gate
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.speclib.library_values import LibraryValues
from alphadia_tl.speclib.storage import load_library
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.tasks.base import TaskData

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LibraryComparison:
    """Models that leave the library's own values in it, and what a user should know of them."""

    values_kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def compare_with_library(
    settings: StepSettings,
    observations: TransferLibrary,
    manager: FinetuneManager,
    accepted: tuple[str, ...],
    given: Path,
) -> LibraryComparison:
    """Compare accepted models with a given library's own values on the held-out peptides.

    The gate has compared them with the pretrained models, which are no measure of a library that was measured.
    ``given`` is the library as the first pass saved it; charge states are not compared.
    """
    judged = [name for name in accepted if name != "charge"]
    if not judged:
        return LibraryComparison()
    own = LibraryValues(load_library(given), manager.charged_frag_types)
    data = TaskData(observations.precursor_df, observations.fragment_intensity_df, observations.fragment_mask_df)
    kept: dict[str, str] = {}
    for number, name in enumerate(judged):
        scores = manager.score_library_values(name, data, partial(own.of, name))
        headline = manager.results[name].headline
        if len(scores.peptides) == 0:
            logger.info(f"{name.upper()}: the library says nothing itself of the held-out peptides.")
            continue
        found = (
            f"{name.upper()}: {headline.name} {scores.metric_library:.4f} of the library itself, "
            f"{scores.metric_tuned:.4f} of the tuned model, {len(scores.peptides)} held-out peptides"
        )
        generator = settings.generator("given library", number)
        confidence = settings.plugin.gate_confidence
        if gate.better_than_given(scores, headline, confidence=confidence, generator=generator):
            logger.info(f"{found}: they are replaced")
        else:
            kept[name] = f"{found}: the model is not surely better: the library's own values stay in it"
            logger.info(kept[name])
    return LibraryComparison(tuple(kept), tuple(kept.values()))
