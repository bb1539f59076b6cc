"""The transfer-learning step, read from top to bottom: library, split, tune, gate, regenerate, write."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from alphadia_tl.bundle import Bundle, versions
from alphadia_tl.errors import PredictionError
from alphadia_tl.files import require_space, write_stats
from alphadia_tl.host.run_facts import read_run_facts
from alphadia_tl.library.collect import collect
from alphadia_tl.library.transfer_library import TransferLibrary, describe
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.provenance import find_start_bundle
from alphadia_tl.models.weights import check_installed
from alphadia_tl.speclib.regenerate import TunedModels, regenerate
from alphadia_tl.step.outcome import (
    StepOutcome,
    collision_energy,
    log_summary,
    save_models,
    starting_point,
    timed,
    write_models,
)
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.step.tune_models import read_acquisition, tune_models

logger = logging.getLogger(__name__)

BYTES_FOR_MODELS = 200 * 1024**2


def start_manager(settings: StepSettings) -> FinetuneManager:
    """Load the models to start from; everything that can be wrong with weights is found here.

    The installed models stand in for those that a folder or zip does not have, but for CCS.
    """
    manager = FinetuneManager(
        device=settings.device,
        settings=settings.training,
        models=settings.model_path,
        model_type=settings.model_type,
        nce=settings.nce,
        instrument=settings.instrument,
        charged_frag_types=settings.charged_frag_types,
        seed=settings.seed,
        precision=settings.plugin.precision,
    )
    if needed := {"rt", "ms2", "charge"} - manager.weights.keys():
        check_installed()
        manager.take_installed(needed, settings.model_type)
    return manager


def preflight(settings: StepSettings, output_folder: Path) -> FinetuneManager:
    """Find what would break the step before the first search starts; return the models to start from."""
    torch.set_num_threads(settings.threads)
    if settings.model_path is None:
        check_installed()
    if start := find_start_bundle(settings.model_path):
        start.check_files(output_folder)
    manager = start_manager(settings)
    if settings.predicts_first_library and first_predictor(manager) is None:
        check_installed()
    require_space(output_folder, BYTES_FOR_MODELS)
    return manager


def first_predictor(manager: FinetuneManager) -> FinetuneManager | None:
    """Return what predicts the first library; None leaves it to alphaDIA, where there are no CCS weights to start from.

    alphaDIA's prediction loads the installed models first, and so has a CCS model in any case.
    """
    return manager if "ccs" in manager.weights else None


def run_step(
    settings: StepSettings,
    output_folder: Path,
    *,
    quant_folders: Sequence[Path] = (),
    transfer_library: Path | TransferLibrary | None = None,
    speclib: Path | None = None,
    searched: Path | None = None,
    digest: Path | None = None,
) -> StepOutcome:
    """Tune the models on identified precursors and predict the library again.

    It learns from ``quant_folders``, one per run as alphaDIA's first pass leaves them, or from a ``transfer_library``,
    saved or just made. ``speclib`` is the base library of the first pass; None writes no tuned library. ``searched``
    is that library where another job writes the tuned one. ``digest`` is the whole library where a part was searched.
    """
    torch.set_num_threads(settings.threads)
    bundle, seconds = Bundle(output_folder), dict[str, float]()
    logger.info(f"Transfer learning with random state {settings.seed}, {settings.threads} threads")
    with timed(seconds, "transfer library"):
        library = _library(settings, quant_folders, transfer_library, bundle)
    runs = tuple(sorted(library.precursor_df["raw_name"].unique()))
    manager = start_manager(settings)
    manager.checkpoints = bundle.checkpoints
    started = _provenance(settings, manager)
    observable_mz, differences, acquired = read_acquisition(settings, library, runs)
    with timed(seconds, "tuning"):
        tuning = tune_models(settings, library, manager, observable_mz, searched=speclib or searched)
        seconds |= tuning.seconds
    with timed(seconds, "writing models"):
        write_stats(bundle.stats, tuning.history)
        if tuning.rt_bins is None:
            bundle.rt_bins.unlink(missing_ok=True)  # of an earlier call
        else:
            write_stats(bundle.rt_bins, tuning.rt_bins)
        written, not_learnt = write_models(settings, library.precursor_df, manager, bundle)
    instrument_warning = (manager.instrument_warning,) if manager.instrument_warning else ()
    outcome = StepOutcome(
        bundle,
        decisions=tuning.decisions,
        library=describe(library),
        runs=runs,
        training=tuning.training,
        library_values_kept=tuning.library_values_kept,
        charge_cutoff=tuning.charge_cutoff,
        rt_tolerance=tuning.rt_tolerance,
        seconds=seconds,
        warnings=(
            *(f"run {run} was left out of transfer learning: {reason}" for run, reason in library.left_out),
            *library.notes,
            *manager.stand_ins,
            *instrument_warning,
            *differences,
            *tuning.warnings,
            *not_learnt,
        ),
        provenance={**started, **acquired, **tuning.collision_energy, **written},
    )
    outcome.write_provenance()
    shutil.rmtree(bundle.checkpoints, ignore_errors=True)
    if speclib is not None:
        outcome = rewrite_library(settings, manager, outcome, speclib, digest)
    log_summary(outcome)
    return outcome


def _library(
    settings: StepSettings, folders: Sequence[Path], known: Path | TransferLibrary | None, bundle: Bundle
) -> TransferLibrary:
    if isinstance(known, TransferLibrary):
        known.save(bundle.transfer_library)
        return known
    if known is not None:
        return TransferLibrary.load(known)
    wanted = settings.wanted
    library = collect(
        folders, settings.library, wanted, fail_fast=settings.fail_fast, generator=settings.generator("selection")
    )
    facts = {name: known.to_mapping() for name, known in read_run_facts(folders).items() if known}
    library = replace(library, run_facts=facts)
    library.save(bundle.transfer_library)
    return library


def _provenance(settings: StepSettings, manager: FinetuneManager) -> dict[str, Any]:
    return {
        "versions": versions(),
        "random_state": settings.seed,
        **starting_point(settings, manager),
        "device": str(manager.rt_model.device),
        "precision": manager.precision,
        "nce": settings.nce,
        "instrument": settings.instrument,
        "instrument_used": manager.instrument,
        "fdr": settings.fdr,
        "alphadia_tl": settings.plugin.to_mapping(),
        "transfer_learning": settings.training.to_mapping(),
        "transfer_library_settings": settings.library.to_mapping(),
    }


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
    return replace(outcome, regeneration=summary).with_warnings(*summary["stays"])
