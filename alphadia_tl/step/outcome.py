"""What a transfer-learning step decided, and how it is told: provenance file, report, log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import pandas as pd

from alphadia_tl.bundle import Bundle
from alphadia_tl.files import write_stats, write_table, write_yaml
from alphadia_tl.models.gate import Decision
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.provenance import describe_training, find_start_bundle, model_hashes
from alphadia_tl.report.facts import class_rows
from alphadia_tl.report.page import write_report
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.tasks.held_out import HeldOut, TuneResult, modification_table, not_learnt, training_counts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepOutcome:
    """What the step decided; its tables are in the bundle's files."""

    bundle: Bundle
    decisions: tuple[Decision, ...] = ()
    library: Mapping[str, Any] = field(default_factory=dict)  # counts of the transfer library
    runs: tuple[str, ...] = ()
    training: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    library_values_kept: tuple[str, ...] = ()  # accepted models not surely better than a given library's own values
    charge_cutoff: float | None = None  # charge states below this probability leave the library; None: none does
    rt_tolerance: float | None = None  # as search.target_rt_tolerance, in the final pass; None: left to alphaDIA
    regeneration: Mapping[str, Any] | None = None  # as `regenerate` tells; None: the library has not changed
    seconds: Mapping[str, float] = field(default_factory=dict)  # per stage
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> tuple[str, ...]:
        """Names of the models whose tuned weights are used."""
        return tuple(d.model for d in self.decisions if d.accepted)

    @property
    def changing(self) -> list[str]:
        """Names of the accepted models that change the library."""
        able = (m for m in self.accepted if m != "charge" or self.charge_cutoff is not None)
        return [m for m in able if m not in self.library_values_kept]

    def with_warnings(self, *lines: str) -> StepOutcome:
        """Return the outcome with more that a user should know."""
        return replace(self, warnings=(*self.warnings, *lines))

    def with_seconds(self, stage: str, seconds: float) -> StepOutcome:
        """Return the outcome with the time of another stage."""
        return replace(self, seconds={**self.seconds, stage: seconds})

    def with_provenance(self, **facts: Any) -> StepOutcome:
        """Return the outcome with more, or other, facts of where it came from."""
        return replace(self, provenance={**self.provenance, **facts})

    def without(self, model: str, problem: str) -> StepOutcome:
        """Return the outcome with the acceptance of a model taken back, and the reason."""
        reason = f"pretrained model kept: {problem}"
        return replace(
            self,
            decisions=tuple(
                replace(d, accepted=False, reason=reason) if d.model == model else d for d in self.decisions
            ),
            rt_tolerance=None if model == "rt" else self.rt_tolerance,  # chosen by the error of the tuned model
        ).with_warnings(f"{model.upper()}: {reason}")

    def to_mapping(self) -> dict[str, Any]:
        """Return what ``alphadia_tl.yaml`` holds."""
        return {
            **self.provenance,
            "runs": list(self.runs),
            "decisions": [asdict(d) for d in self.decisions],
            "training": dict(self.training),
            "transfer_library": dict(self.library),
            "library_values_kept": list(self.library_values_kept),
            "charge_cutoff": self.charge_cutoff,
            "rt_tolerance": self.rt_tolerance,
            "regeneration": self.regeneration,
            "warnings": list(self.warnings),
            "seconds": {k: round(v, 2) for k, v in self.seconds.items()},
        }

    @classmethod
    def from_mapping(cls, bundle: Bundle, mapping: Mapping[str, Any]) -> StepOutcome:
        """Return the outcome of an earlier call from what it wrote down."""
        rest = {"library" if name == "transfer_library" else name: value for name, value in mapping.items()}
        known = {f.name: rest.pop(f.name) for f in fields(cls) if f.name in rest}
        known["decisions"] = tuple(Decision(**decision) for decision in known["decisions"])
        return cls(bundle, **known, provenance=rest)

    def write_provenance(self) -> None:
        """Write ``alphadia_tl.yaml``."""
        write_yaml(self.bundle.provenance, self.to_mapping())


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note the time of a stage."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = time.perf_counter() - start


def finish(
    outcome: StepOutcome, *, first_pass: dict[str, Any] | None, second_pass: dict[str, Any] | None
) -> StepOutcome:
    """Write what is known only after the second pass: identifications, times and the report.

    ``first_pass`` and ``second_pass`` are the numbers of precursors and proteins that each found; None without a table.
    """
    identified = {"first_pass": first_pass, "second_pass": second_pass}
    outcome = outcome.with_provenance(identified=identified)
    outcome.write_provenance()
    write_report(outcome.bundle)
    for name, counts in identified.items():
        if counts:
            label = "match between runs" if counts.get("match_between_runs") else name.replace("_", " ")
            logger.info(f"{label:<20}: {counts['precursors']:,} precursors, {counts['proteins']:,} protein groups")
    if between := outcome.provenance.get("between_passes"):
        for name, number, by_decoys, by_entrapment in class_rows(between):
            wrong = f"wrong by decoys {by_decoys}, by entrapment {by_entrapment}"
            logger.info(f"{name:<20}: {number} precursors, {wrong}")
        for why in dict.fromkeys(between["unknown"].values()):
            logger.info(f"Cannot be said: {why}.")
    logger.info(f"Report of transfer learning: {outcome.bundle.report}")
    return outcome


def log_summary(outcome: StepOutcome) -> None:
    """Log the decisions, what a user should know, and the time of each stage."""
    logger.info("================ Transfer learning ================")
    for decision in outcome.decisions:
        logger.info(f"{decision.model.upper():<7}{decision.reason}")
    if not outcome.accepted:
        logger.warning("No tuned model was accepted: the pretrained models stay in use.")
    for warning in outcome.warnings:
        logger.warning(warning)
    for stage, seconds in outcome.seconds.items():
        logger.info(f"{stage:<20}: {seconds:.1f} s")
    logger.info("===================================================")


def starting_point(settings: StepSettings, manager: FinetuneManager) -> dict[str, Any]:
    """Return file and hash of the models started from and, where they are a bundle's, its history, latest first."""
    files = {name: {"file": w.source, "sha256": w.sha256} for name, w in manager.weights.items()}
    start = find_start_bundle(settings.model_path)
    return {"started_from": files, "history": start.history() if start else []}


def write_models(
    settings: StepSettings, precursor_df: pd.DataFrame, manager: FinetuneManager, bundle: Bundle
) -> tuple[dict[str, Any], list[str]]:
    """Write weights, held-out rows and what was learnt of each modification of the transfer library's precursors.

    Returns facts for the provenance file, and a warning for each modification that could not be learnt.
    """
    table = modification_table(manager.results, settings.searched_modifications)
    write_stats(bundle.modifications, table)
    write_held_out(manager.results, bundle)
    trained_on = describe_training(
        precursor_df,
        fragment_types=settings.charged_frag_types,
        modifications=training_counts(table),
        nce=float(manager.nce),
        instrument=manager.instrument if manager.auto_instrument else settings.instrument,
    )
    return {"trained_on": trained_on, "models": save_models(manager, bundle)}, not_learnt(table)


def write_held_out(results: Mapping[str, TuneResult], bundle: Bundle) -> None:
    """Write the held-out rows of all tuned models, and a few spectra; the tables are empty where nothing was tuned."""
    found = [result.held_out for result in results.values()] or [HeldOut()]
    write_table(bundle.held_out, pd.concat([h.rows for h in found], ignore_index=True))
    write_table(bundle.spectra, results["ms2"].held_out.spectra if "ms2" in results else HeldOut().spectra)


def save_models(manager: FinetuneManager, bundle: Bundle) -> dict[str, str]:
    """Write the models into the bundle and return their hashes."""
    manager.save_models(str(bundle.models))
    return model_hashes(bundle.models)


def collision_energy(
    settings: StepSettings, manager: FinetuneManager, curve: Mapping[float, float] | None = None
) -> dict[str, Any]:
    """Return the collision energy in use, and log where it is not the configured one.

    ``curve`` is that of an earlier search for the energy, which stays where this manager has not searched.
    """
    search = manager.nce_search
    if manager.nce != settings.nce:
        logger.info(f"The MS2 model was tuned with NCE {manager.nce:.1f}, and predicts with it.")
    elif search is not None and search.chosen != settings.nce:
        logger.info(f"The MS2 model keeps its pretrained weights, and NCE {settings.nce:.1f} with them.")
    found = {nce: round(angle, 5) for nce, angle in search.curve.items()} if search else None
    return {
        "nce": float(manager.nce),
        "instrument_used": manager.instrument,
        "library_prediction_nce": settings.nce,
        "nce_curve": found or curve,
    }
