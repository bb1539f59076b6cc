"""Tune each model and decide whether the tuned one is used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import BaselineError
from alphadia_tl.files import write_stats
from alphadia_tl.host.run_facts import RunFacts, nce_warnings, observable_mz
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models import gate
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.report.facts import TrainingFacts
from alphadia_tl.speclib.charge import choose_charge_cutoff, kept_fraction
from alphadia_tl.speclib.storage import library_precursors
from alphadia_tl.step.outcome import StepOutcome, note_nce
from alphadia_tl.step.rewrite_library import keep_better_values
from alphadia_tl.step.rt_diagnosis import by_retention_time, choose_rt_tolerance
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.tasks.energy import Better
from alphadia_tl.tasks.held_out import TuneResult
from alphadia_tl.tasks.ms2 import Ms2Task
from alphadia_tl.tasks.scalar import has_ccs
from alphadia_tl.training.side_by_side import run_side_by_side

logger = logging.getLogger(__name__)


def observed_precursor_mz(
    settings: StepSettings, facts: Mapping[str, RunFacts | None], outcome: StepOutcome
) -> list[tuple[float, float]]:
    """Return the precursor m/z ranges that could have been observed; log what the raw files say and warn of surprises.

    Parameters
    ----------
    settings : StepSettings
        All settings.
    facts : mapping of str to RunFacts or None
        What is known of each run of the transfer library.
    outcome : StepOutcome
        Gets the facts and the warnings.
    """
    known = [f for f in facts.values() if f is not None]
    for line in (f.line for f in known):
        if line:
            logger.info(line)
    wanted = settings.plugin.nce
    nce, key = (
        (float(wanted), "alphadia_tl.nce")
        if isinstance(wanted, int | float)
        else (settings.nce, "library_prediction.nce")
    )
    outcome.warnings += nce_warnings(facts, nce, key)
    if known:
        keys = ("instrument", "nce", "precursor_mz")
        outcome.provenance["run_facts"] = {f.run: {k: f.to_mapping()[k] for k in keys} for f in known}
    return observable_mz(settings.precursor_mz, {run: f for run, f in facts.items() if run in outcome.runs})


def without_own_conditions(precursor_df: pd.DataFrame, outcome: StepOutcome, **configured: float | str) -> pd.DataFrame:
    """Leave out the observations' own collision energy and instrument, which prediction would not know; say so."""
    for column, value in configured.items():
        if column not in precursor_df.columns:
            continue
        other = sorted({str(v) for v in precursor_df[column].unique() if v != value})
        if other:
            outcome.warnings.append(
                f"the transfer library's own {column} ({', '.join(other[:5])}) is not used: the MS2 model is tuned and "
                f"predicts with one value"
            )
        precursor_df = precursor_df.drop(columns=column)
    return precursor_df


def better_than_chance(settings: StepSettings) -> Better:
    """Return the test that another collision energy has to pass: the gate's, for the best of several comparisons."""
    generator = np.random.default_rng([settings.seed, 3])

    def better(before: NDArray[Any], after: NDArray[Any], groups: NDArray[Any], comparisons: int) -> bool:
        low, _ = gate.improvement_interval(
            before,
            after,
            groups,
            higher_is_better=True,
            trimmed=Ms2Task.headline.trimmed,
            confidence=1 - (1 - settings.plugin.gate_confidence) / comparisons,
            generator=generator,
        )
        return low > 0

    return better


#: Without dropout, so that it draws nothing from torch's global random state; it takes as long as the others together.
BESIDE = "ms2"


def tune_models(
    settings: StepSettings,
    library: TransferLibrary,
    manager: FinetuneManager,
    outcome: StepOutcome,
    observable_mz: Sequence[tuple[float, float]],
    searched: Path | None = None,
) -> None:
    """Tune the models, on a CPU MS2 beside the others; decisions, history and warnings go into the outcome.

    Parameters
    ----------
    settings : StepSettings
        All settings.
    library : TransferLibrary
        What is learnt from.
    manager : FinetuneManager
        Holds the pretrained models; those that are not accepted are put back.
    outcome : StepOutcome
        Gets a decision per model.
    observable_mz : sequence of two floats each
        Precursor m/z ranges (Th) that were isolated.
    searched : Path, optional
        Library of the pass: a given one, or one without the charge states that the pretrained model rules out, does not
        have all that the config asks for.
    """
    df = without_own_conditions(library.precursor_df, outcome, nce=settings.nce, instrument=settings.instrument)
    library_file = None if settings.charges_are_complete else searched
    tuners: dict[str, Callable[[], pd.DataFrame]] = {
        "rt": lambda: manager.finetune_rt(df),
        "charge": lambda: manager.finetune_charge(
            psm_df=df,
            precursor_mz=observable_mz,
            precursor_charge=settings.precursor_charge,
            searched_df=None if library_file is None else library_precursors(library_file, df["sequence"]),
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
    reasons = {name: reason_to_skip(name, settings, df, known_weights=manager.weights) for name in tuners}
    jobs = {name: partial(_tune, name, tuners[name], outcome) for name in tuners if reasons[name] is None}
    beside = {name: jobs.pop(name) for name in (BESIDE,) if name in jobs and manager.on_cpu}
    tuned = run_side_by_side(jobs, beside)
    for number, (name, reason) in enumerate(reasons.items()):
        if name in tuned:
            history, reason = tuned[name]
            histories += [] if history is None else [history]
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
    if settings.library_is_given and searched is not None:
        keep_better_values(settings, library, manager, outcome, searched)
    note_nce(settings, manager, outcome)
    outcome.charge_cutoff = _charge_cutoff(settings, manager, outcome)
    _look_along_the_gradient(settings, manager, outcome)
    outcome.rt_tolerance = choose_rt_tolerance(
        settings.plugin.rt_tolerance,
        manager.results.get("rt"),
        accepted="rt" in outcome.accepted,
        predicted=not settings.library_is_given,
    )
    if histories:
        outcome.history = pd.concat(histories, ignore_index=True)
    else:
        outcome.history = pd.DataFrame(columns=["epoch", "property", "data_split", "metric_name", "value"])


def _tune(name: str, tune: Callable[[], pd.DataFrame], outcome: StepOutcome) -> tuple[pd.DataFrame | None, str | None]:
    """Return the history of a model that was tuned, or the reason why it was not."""
    try:
        with outcome.timed(f"tuning {name}"):
            return tune(), None
    except BaselineError as error:
        outcome.warnings.append(f"{name.upper()} was not tuned: {error}")
        return None, str(error)


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
    rows = df[df["use_for_ms2"]] if name == "ms2" else df[has_ccs(df)] if name == "ccs" else df
    peptides = int(rows["sequence"].nunique() * settings.training.train_fraction)
    needed = settings.plugin.min_training_peptides
    if peptides < needed:
        return f"{peptides} peptides to train on, {needed} needed (alphadia_tl.min_training_peptides)"
    return None
