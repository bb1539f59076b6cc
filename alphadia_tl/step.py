"""The transfer-learning step, read from top to bottom: library, split, tune, gate, regenerate, write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from alphadia_tl import gate
from alphadia_tl.bundle import Bundle, require_space, versions, write_stats
from alphadia_tl.conditions import better_than_chance, note_nce, observed_precursor_mz, without_own_conditions
from alphadia_tl.errors import BaselineError, PredictionError
from alphadia_tl.finetune import FinetuneManager
from alphadia_tl.library import TransferLibrary, collect, describe
from alphadia_tl.origin import find_origin
from alphadia_tl.outcome import StepOutcome, log_summary
from alphadia_tl.records import record_training, save_models, starting_point
from alphadia_tl.report import TrainingFacts
from alphadia_tl.rt_bins import by_retention_time
from alphadia_tl.run_facts import RunFacts, read_run_facts
from alphadia_tl.speclib import choose_charge_cutoff, kept_fraction, regenerate
from alphadia_tl.start_models import check_installed
from alphadia_tl.step_settings import StepSettings
from alphadia_tl.tasks import TuneResult

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
        cross_fit=settings.plugin.cross_fit,
    )


def preflight(settings: StepSettings, output_folder: Path) -> FinetuneManager:
    """Find what would break the step before the first search starts; return the models to start from.

    Raises
    ------
    WeightsError, OutputError
        If weights cannot be loaded or are not those of their bundle, or the output folder is not writable or nearly
        full.
    """
    if settings.model_path is None or settings.predicts_first_library:
        check_installed()
    if origin := find_origin(settings.model_path):
        origin.check_files(output_folder)
    manager = start_manager(settings)
    require_space(output_folder, BYTES_FOR_MODELS)
    return manager


def run_step(
    settings: StepSettings,
    output_folder: Path,
    *,
    quant_folders: Sequence[Path] = (),
    transfer_library: Path | None = None,
    speclib: Path | None = None,
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
    outcome.provenance = _provenance(settings, manager)
    if manager.instrument_warning:
        outcome.warnings.append(manager.instrument_warning)
    observable_mz = observed_precursor_mz(settings, _facts(library, outcome.runs), outcome)
    with outcome.timed("tuning"):
        _tune(settings, library, manager, outcome, observable_mz)
    with outcome.timed("writing models"):
        record_training(settings, library.precursor_df, manager, outcome)
        save_models(manager, outcome)
        write_stats(outcome.bundle.stats, outcome.history)
        outcome.write_provenance()
    if speclib is not None:
        with outcome.timed("library prediction"):
            _regenerate(settings, manager, outcome, speclib)
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
            without_proteins=settings.plugin.entrapment.kept_out,
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


def _tune(
    settings: StepSettings,
    library: TransferLibrary,
    manager: FinetuneManager,
    outcome: StepOutcome,
    observable_mz: Sequence[tuple[float, float]],
) -> None:
    df = without_own_conditions(library.precursor_df, outcome, nce=settings.nce, instrument=settings.instrument)
    tuners: dict[str, Callable[[], pd.DataFrame]] = {
        "rt": lambda: manager.finetune_rt(df),
        "charge": lambda: manager.finetune_charge(
            psm_df=df, precursor_mz=observable_mz, precursor_charge=settings.precursor_charge
        ),
        "ms2": lambda: manager.finetune_ms2(
            psm_df=df,
            matched_intensity_df=library.fragment_intensity_df,
            fragment_mask_df=library.fragment_mask_df,
            nce=settings.plugin.nce,
            better=better_than_chance(settings),
        ),
        "ccs": lambda: manager.finetune_ccs(df),
    }
    histories = []
    for number, (name, tune) in enumerate(tuners.items()):
        reason = reason_to_skip(name, settings, df, known_weights=manager.weights)
        if reason is None:
            try:
                with outcome.timed(f"tuning {name}"):
                    histories.append(tune())
            except BaselineError as error:
                reason = str(error)
                outcome.warnings.append(f"{name.upper()} was not tuned: {reason}")
        if reason is None:
            outcome.training[name] = _training_facts(manager.results[name])
            generator = np.random.default_rng([settings.seed, 2, number])
            decision = gate.decide(
                manager.results[name], confidence=settings.plugin.gate_confidence, generator=generator
            )
            if not decision.accepted:
                manager.restore_pretrained(name)
        else:
            decision = gate.skipped(name, f"pretrained model kept: {reason}")
        logger.info(f"{name.upper()}: {decision.reason}")
        outcome.decisions.append(decision)
    note_nce(settings, manager, outcome)
    _look_along_the_gradient(settings, manager, outcome)
    if histories:
        outcome.history = pd.concat(histories, ignore_index=True)
    else:
        outcome.history = pd.DataFrame(columns=["epoch", "property", "data_split", "metric_name", "value"])


def _look_along_the_gradient(settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome) -> None:
    if "rt" not in manager.results:
        outcome.bundle.rt_bins.unlink(missing_ok=True)  # of an earlier call
        return
    generator = np.random.default_rng([settings.seed, 4])
    bins = by_retention_time(
        manager.results["rt"], accepted="rt" in outcome.accepted, fdr=settings.fdr, generator=generator
    )
    outcome.rt_bins = bins.table
    outcome.warnings += bins.warnings
    write_stats(outcome.bundle.rt_bins, bins.table)


def _regenerate(settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome, speclib: Path) -> None:
    """Write the tuned library; a model whose predictions turn out unusable goes back to its pretrained weights."""
    while outcome.accepted:
        cutoff = _charge_cutoff(settings, manager, outcome)
        try:
            outcome.regeneration = regenerate(
                speclib,
                outcome.bundle.tuned_library,
                predictor=manager,
                accepted=[m for m in outcome.accepted if m != "charge" or cutoff is not None],
                charged_frag_types=settings.predicted_frag_types,
                charge_cutoff=cutoff,
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


def _training_facts(result: TuneResult) -> TrainingFacts:
    return {
        "stop_reason": str(result.stop_reason),
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "seconds": result.seconds,
        "n_rows": result.n_rows,
    }


def reason_to_skip(name: str, settings: StepSettings, df: pd.DataFrame, known_weights: Collection[str]) -> str | None:
    """Return why a model is not tuned on these observations, None if it is.

    Parameters
    ----------
    name : str
        Name of the model.
    settings : StepSettings
        All settings.
    df : pandas.DataFrame
        ``precursor_df`` of the transfer library.
    known_weights : collection of str
        Models that have weights to start from.
    """
    if name not in settings.plugin.models:
        return "not among alphadia_tl.models"
    if name == "ccs" and "ccs" not in df.columns:
        return "the data has no ion mobility"
    if name not in known_weights:
        return "there are no pretrained weights to start from"
    rows = df[df["use_for_ms2"]] if name == "ms2" else df
    peptides = int(rows["sequence"].nunique() * settings.training.train_fraction)
    needed = settings.plugin.min_training_peptides
    if peptides < needed:
        return f"{peptides} peptides to train on, {needed} needed (alphadia_tl.min_training_peptides)"
    return None


def _charge_cutoff(settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome) -> float | None:
    """Return the probability under which charge states leave the library, None to keep them all."""
    recall = settings.plugin.charge_filter_recall
    if "charge" not in outcome.accepted or recall >= 1:
        return None
    observed = manager.results["charge"].held_out_observed()
    validation, test = observed["validation"], observed["test"]
    cutoff = choose_charge_cutoff(validation, recall)
    kept = kept_fraction(test, cutoff)
    if kept < recall:
        message = (
            f"charge states are not filtered: a cutoff of {cutoff:.4f} would keep {kept:.2%} of the held-out "
            f"observed ones, {recall:.1%} wanted"
        )
        outcome.warnings.append(message)
        logger.info(message)
        return None
    logger.info(f"charge states below probability {cutoff:.4f} leave the library: {kept:.2%} of held-out ones kept")
    return cutoff


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
        "alphadia_tl": settings.plugin.to_mapping(),
        "transfer_learning": settings.training.to_mapping(),
        "transfer_library_settings": settings.library.to_mapping(),
    }
