"""The transfer-learning step, read from top to bottom: library, split, tune, gate, regenerate, write."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alphadia_tl.bundle import Bundle, versions
from alphadia_tl.files import require_space, write_stats
from alphadia_tl.host.run_facts import RunFacts, read_run_facts
from alphadia_tl.library.collect import collect
from alphadia_tl.library.transfer_library import TransferLibrary, describe
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.provenance import find_origin
from alphadia_tl.models.weights import check_installed
from alphadia_tl.step.outcome import StepOutcome, log_summary, record_training, save_models, starting_point
from alphadia_tl.step.rewrite_library import regenerate_library
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.step.tune_models import observed_precursor_mz, tune_models

logger = logging.getLogger(__name__)

BYTES_FOR_MODELS = 200 * 1024**2


def start_manager(settings: StepSettings) -> FinetuneManager:
    """Load the models to start from; everything that can be wrong with weights is found here."""
    return FinetuneManager(
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


def preflight(settings: StepSettings, output_folder: Path) -> FinetuneManager:
    """Find what would break the step before the first search starts; return the models to start from.

    Raises
    ------
    WeightsError, OutputError
        If weights cannot be loaded or are not those of their bundle, or the output folder is not writable or nearly
        full.
    """
    torch.set_num_threads(settings.threads)
    if settings.model_path is None:
        check_installed()
    if origin := find_origin(settings.model_path):
        origin.check_files(output_folder)
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
    transfer_library: Path | None = None,
    speclib: Path | None = None,
    searched: Path | None = None,
) -> StepOutcome:
    """Tune the models on identified precursors and predict the library again.

    Parameters
    ----------
    settings : StepSettings
        All settings.
    output_folder : Path
        Where the bundle goes.
    quant_folders : sequence of Path
        One folder per run, as alphaDIA's first pass leaves them.
    transfer_library : Path, optional
        A saved transfer library, instead of ``quant_folders``.
    speclib : Path, optional
        Base library of the first pass; None writes no tuned library.
    searched : Path, optional
        That library, where another job writes the tuned one.

    Returns
    -------
    StepOutcome
        Decisions and paths.
    """
    torch.set_num_threads(settings.threads)
    outcome = StepOutcome(Bundle(output_folder))
    logger.info(f"Transfer learning with random state {settings.seed}, {settings.threads} threads")
    with outcome.timed("transfer library"):
        library = _library(settings, quant_folders, transfer_library, outcome)
    manager = start_manager(settings)
    manager.checkpoints = outcome.bundle.checkpoints
    outcome.provenance = _provenance(settings, manager)
    if manager.instrument_warning:
        outcome.warnings.append(manager.instrument_warning)
    observable_mz = observed_precursor_mz(settings, _facts(library, outcome.runs), outcome)
    with outcome.timed("tuning"):
        tune_models(settings, library, manager, outcome, observable_mz, searched=speclib or searched)
    with outcome.timed("writing models"):
        record_training(settings, library.precursor_df, manager, outcome)
        save_models(manager, outcome)
        write_stats(outcome.bundle.stats, outcome.history)
        outcome.write_provenance()
    shutil.rmtree(outcome.bundle.checkpoints, ignore_errors=True)
    if speclib is not None:
        with outcome.timed("library prediction"):
            regenerate_library(settings, manager, outcome, speclib)
        outcome.write_provenance()
    log_summary(outcome)
    return outcome


def _library(
    settings: StepSettings, folders: Sequence[Path], saved: Path | None, outcome: StepOutcome
) -> TransferLibrary:
    if saved is not None:
        library = TransferLibrary.load(saved)
    else:
        library = collect(
            folders,
            settings.library,
            settings.charged_frag_types,
            fdr=settings.fdr,
            max_precursors=settings.plugin.max_training_precursors,
            fail_fast=settings.fail_fast,
            fragment_mz=settings.fragment_mz,
            generator=np.random.default_rng([settings.seed, 1]),
        )
        facts = {name: known.to_mapping() for name, known in read_run_facts(folders).items() if known}
        library = replace(library, run_facts=facts)
        library.save(outcome.bundle.transfer_library)
    outcome.library = describe(library)
    outcome.runs = sorted(library.precursor_df["raw_name"].unique())
    for run, reason in library.left_out:
        outcome.warnings.append(f"run {run} was left out of transfer learning: {reason}")
    return library


def _facts(library: TransferLibrary, runs: Sequence[str]) -> dict[str, RunFacts | None]:
    known = {name: RunFacts.from_mapping(values) for name, values in library.run_facts.items()}
    return dict.fromkeys(runs) | known


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
