"""Tune each model and decide whether the tuned one is used."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl.errors import BaselineError
from alphadia_tl.host.run_facts import RunFacts, nce_warnings, observable_mz
from alphadia_tl.library.selection import lockbox_rows
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models import gate
from alphadia_tl.models.gate import Decision
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.speclib.regenerate import choose_charge_cutoff, kept_fraction
from alphadia_tl.speclib.storage import LibraryValues, library_precursors, load_library
from alphadia_tl.step.outcome import collision_energy
from alphadia_tl.step.rt_diagnosis import by_retention_time, choose_rt_tolerance
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.scalar import has_ccs
from alphadia_tl.training.side_by_side import run_side_by_side
from alphadia_tl.training.state import HISTORY_COLUMNS

logger = logging.getLogger(__name__)


def read_acquisition(
    settings: StepSettings, library: TransferLibrary, runs: Sequence[str]
) -> tuple[Sequence[tuple[float, float]], tuple[str, ...], Mapping[str, Any]]:
    """Look up what the raw files say of the runs of a transfer library; log it.

    Returns the precursor m/z ranges (Th) that were isolated, warnings where the raw files say otherwise than the
    config, and for the provenance instrument, collision energy and precursor m/z of runs whose raw files say so.
    """
    known = {name: RunFacts.from_mapping(values) for name, values in library.run_facts.items()}
    facts: dict[str, RunFacts | None] = dict.fromkeys(runs) | known
    for line in (f.line for f in known.values()):
        if line:
            logger.info(line)
    wanted, nce, key = settings.plugin.nce, settings.nce, "library_prediction.nce"
    if isinstance(wanted, int | float):
        nce, key = float(wanted), "alphadia_tl.nce"
    keys = ("instrument", "nce", "precursor_mz")
    instruments = sorted({f.instrument for f in known.values() if f.instrument})
    several = f"the runs are of several instruments ({', '.join(instruments)}): the MS2 model learns them as one"
    return (
        observable_mz(settings.precursor_mz, {run: facts[run] for run in runs}),
        (*nce_warnings(facts, nce, key), *([several] if len(instruments) > 1 else [])),
        {"run_facts": {f.run: {k: f.to_mapping()[k] for k in keys} for f in known.values()}} if known else {},
    )


def without_observed_energy(
    precursor_df: pd.DataFrame, **configured: float | str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Leave out the observations' own collision energy and instrument, which prediction would not know; say so."""
    warnings = []
    for column, value in configured.items():
        if column not in precursor_df.columns:
            continue
        other = sorted({str(v) for v in precursor_df[column].unique() if v != value})
        if other:
            warnings.append(
                f"the transfer library's own {column} ({', '.join(other[:5])}) is not used: the MS2 model is tuned and "
                f"predicts with one value"
            )
        precursor_df = precursor_df.drop(columns=column)
    return precursor_df, tuple(warnings)


def without_lockbox(settings: StepSettings, precursor_df: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the observations that are tuned on, and those of the peptides that score what is shipped; say it."""
    locked = lockbox_rows(precursor_df["sequence"].to_numpy(dtype=object), settings.generator("lockbox"))
    total, kept = (df["sequence"].nunique() for df in (precursor_df, precursor_df[locked]))
    of_all = f"{kept} of {total} peptides are kept out of tuning and of all that it chooses, to score what is shipped"
    logger.info("Lockbox: %s", of_all if kept else f"{total} are {gate.TOO_FEW}: all are tuned on")
    return precursor_df[~locked], precursor_df[locked]


#: Without dropout, so that it draws nothing from torch's global random state; it takes as long as the others together.
BESIDE = "ms2"
TRAINING_FACTS = ("best_epoch", "epochs", "seconds", "n_rows")


@dataclass(frozen=True)
class Tuning:
    """What came of tuning; fields that `StepOutcome` has too mean the same.

    ``history`` is a long table ``epoch, property, data_split, metric_name, value``. ``collision_energy`` is the one in
    use, for the provenance. ``rt_bins`` has counts and errors along the gradient; None where the RT model was not
    tuned. ``seconds`` are per model.
    """

    decisions: tuple[Decision, ...]
    history: pd.DataFrame
    training: Mapping[str, Mapping[str, Any]]
    library_values_kept: tuple[str, ...]
    charge_cutoff: float | None
    rt_tolerance: float | None
    collision_energy: Mapping[str, Any]
    rt_bins: pd.DataFrame | None
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]


def tune_models(
    settings: StepSettings,
    library: TransferLibrary,
    manager: FinetuneManager,
    observable_mz: Sequence[tuple[float, float]],
    searched: Path | None = None,
) -> Tuning:
    """Tune the models, on a CPU MS2 beside the others, and decide which are used; the others are put back.

    ``manager`` holds the pretrained models; ``observable_mz`` are the precursor m/z ranges (Th) that were isolated.
    ``searched`` is the library of the pass: a given one, or one without the charge states that the pretrained model
    rules out, does not have all that the config asks for. Peptides of a lockbox are kept from all of it but the last
    look at what it left.
    """
    df, warnings = without_observed_energy(library.precursor_df, nce=settings.nce, instrument=settings.instrument)
    peptides = df["sequence"]

    def searched_df() -> pd.DataFrame | None:
        return None if settings.charges_are_complete or searched is None else library_precursors(searched, peptides)

    df, unseen = without_lockbox(settings, df)
    library = replace(library, precursor_df=df)
    tuners = _tuners(settings, library, manager, observable_mz, searched_df)
    reasons = {name: reason_to_skip(name, settings, df, known_weights=manager.weights) for name in tuners}
    jobs = {name: partial(_tune, tune) for name, tune in tuners.items() if reasons[name] is None}
    beside = {name: jobs.pop(name) for name in (BESIDE,) if name in jobs and manager.on_cpu}
    tuned = run_side_by_side(jobs, beside)
    decisions, histories, seconds = [], [], {}
    for number, (name, reason) in enumerate(reasons.items()):
        if name in tuned:
            found, seconds[f"tuning {name}"] = tuned[name]
            if isinstance(found, BaselineError):
                reason = str(found)
                warnings = (*warnings, f"{name.upper()} was not tuned: {reason}")
            else:
                histories.append(found)
        decisions.append(_decide(settings, manager, name, number, reason, unseen))
    accepted = tuple(d.model for d in decisions if d.accepted)
    confidence, generator = settings.plugin.gate_confidence, settings.generator("runs")
    for name in accepted:
        worse = gate.runs_made_worse(manager.results[name], confidence=confidence, generator=generator)
        warnings = (*warnings, *worse.values())
    training = {
        name: {"stop_reason": str(result.stop_reason), **{fact: getattr(result, fact) for fact in TRAINING_FACTS}}
        for name in reasons
        if (result := manager.results.get(name)) is not None
    }
    kept: dict[str, str] = {}
    if settings.library_is_given and searched is not None:
        kept = compare_with_library(settings, library, manager, accepted, searched)
    energy = collision_energy(settings, manager)
    charge_cutoff, charge_warnings = _charge_cutoff(settings, manager, accepted)
    rt, rt_is_tuned = manager.results.get("rt"), "rt" in accepted
    rt_bins: pd.DataFrame | None = None
    rt_warnings: tuple[str, ...] = ()
    if rt is not None:
        generator = settings.generator("gradient")
        rt_bins, rt_warnings = by_retention_time(rt, accepted=rt_is_tuned, fdr=settings.fdr, generator=generator)
    return Tuning(
        decisions=tuple(decisions),
        history=pd.concat(histories, ignore_index=True) if histories else pd.DataFrame(columns=list(HISTORY_COLUMNS)),
        training=training,
        library_values_kept=tuple(kept),
        charge_cutoff=charge_cutoff,
        rt_tolerance=choose_rt_tolerance(
            settings.plugin.rt_tolerance, rt, accepted=rt_is_tuned, predicted=not settings.library_is_given
        ),
        collision_energy=energy,
        rt_bins=rt_bins,
        seconds=seconds,
        warnings=(*warnings, *kept.values(), *charge_warnings, *rt_warnings),
    )


def _tuners(
    settings: StepSettings,
    library: TransferLibrary,
    manager: FinetuneManager,
    observable_mz: Sequence[tuple[float, float]],
    searched_df: Callable[[], pd.DataFrame | None],
) -> dict[str, Callable[[], pd.DataFrame]]:
    """Return what tunes each model and returns its history."""
    df = library.precursor_df
    return {
        "rt": lambda: manager.finetune_rt(df),
        "charge": lambda: manager.finetune_charge(
            psm_df=df,
            precursor_mz=observable_mz,
            precursor_charge=settings.precursor_charge,
            searched_df=searched_df(),
        ),
        "ms2": lambda: manager.finetune_ms2(
            psm_df=df,
            matched_intensity_df=library.fragment_intensity_df,
            fragment_mask_df=library.fragment_mask_df,
            nce=settings.plugin.nce,
            better=gate.better_energy(settings.plugin.gate_confidence, settings.generator("collision energy")),
        ),
        "ccs": lambda: manager.finetune_ccs(df),
    }


def _tune(tune: Callable[[], pd.DataFrame]) -> tuple[pd.DataFrame | BaselineError, float]:
    """Return the history of a model that was tuned, or why it was not, and the seconds that it took."""
    start = time.perf_counter()
    found: pd.DataFrame | BaselineError
    try:
        found = tune()
    except BaselineError as error:
        found = error
    return found, time.perf_counter() - start


def _decide(
    settings: StepSettings,
    manager: FinetuneManager,
    name: str,
    number: int,
    reason: str | None,
    unseen: pd.DataFrame,
) -> Decision:
    """Decide whether a tuned model is used; ``reason`` says why it was not tuned, ``unseen`` is the lockbox."""
    if reason is not None:
        decision = Decision(name, False, f"pretrained model kept: {reason}")
    else:
        decision = gate.decide(
            manager.results[name],
            confidence=settings.plugin.gate_confidence,
            generator=settings.generator("gate", number),
            unseen=manager.score_unseen(name, unseen),
        )
        if not decision.accepted:
            manager.restore_pretrained(name)
    logger.info(f"{name.upper()}: {decision.reason}")
    return decision


def _charge_cutoff(
    settings: StepSettings, manager: FinetuneManager, accepted: tuple[str, ...]
) -> tuple[float | None, tuple[str, ...]]:
    """Return the probability under which charge states leave the library, None to keep them all, and warnings."""
    recall = settings.plugin.charge_filter_recall
    if "charge" not in accepted or recall >= 1:
        return None, ()
    if settings.library_is_given:
        logger.info("The charge states of a given library all stay: somebody chose them.")
        return None, ()
    observed = manager.results["charge"].observed
    cutoff = choose_charge_cutoff(observed["validation"], recall)
    kept = kept_fraction(observed["test"], cutoff)
    if kept < recall:
        message = (
            f"charge states are not filtered: a cutoff of {cutoff:.4f} would keep {kept:.2%} of the held-out "
            f"observed ones, {recall:.1%} wanted"
        )
        logger.info(message)
        return None, (message,)
    logger.info(f"charge states below probability {cutoff:.4f} leave the library: {kept:.2%} of held-out ones kept")
    return cutoff, ()


def reason_to_skip(name: str, settings: StepSettings, df: pd.DataFrame, known_weights: Collection[str]) -> str | None:
    """Return why a model is not tuned on these observations, None if it is.

    ``df`` is the ``precursor_df`` of the transfer library; ``known_weights`` are the models that have weights to start
    from.
    """
    if name not in settings.plugin.models:
        return "not among alphadia_tl.models"
    if name == "rt" and len(df) and df["rt_norm"].isna().all():
        return "the observations have no retention times"
    if name == "ms2" and len(df) and not df["use_for_ms2"].any():
        return "no observation has enough fragments to learn from"
    if name == "charge" and len(df) and len(set(df["charge"])) == 1:
        return f"all observations have charge {df['charge'].iloc[0]}"
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
