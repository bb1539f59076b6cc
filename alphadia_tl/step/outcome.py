"""What a transfer-learning step decided, and how it is told: provenance file, report, log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from alphadia_tl.bundle import Bundle
from alphadia_tl.files import write_stats, write_table, write_yaml
from alphadia_tl.models import gate
from alphadia_tl.models.gate import Decision
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.provenance import describe_training, find_origin, model_hashes
from alphadia_tl.report.facts import TrainingFacts
from alphadia_tl.report.page import write_report
from alphadia_tl.speclib.regenerate import RegenerationSummary
from alphadia_tl.step.step_settings import StepSettings
from alphadia_tl.tasks.held_out import HeldOut, TuneResult
from alphadia_tl.tasks.modifications import modification_table, not_learnt, training_counts

logger = logging.getLogger(__name__)


@dataclass
class StepOutcome:
    """What the step decided and wrote.

    Attributes
    ----------
    bundle : Bundle
        Paths of the files.
    decisions : list of Decision
        One per model.
    history : pandas.DataFrame
        Long table ``epoch, property, data_split, metric_name, value``.
    library : dict
        Counts of the transfer library.
    runs : list of str
        Names of the runs it was made from.
    training : dict
        How the training of each tuned model went.
    library_values_kept : list of str
        Accepted models that leave a given library's own values in it, as they are not surely better.
    charge_cutoff : float or None
        Probability under which charge states leave the library; None keeps them all.
    rt_tolerance : float or None
        RT tolerance of the final pass, as in ``search.target_rt_tolerance``; None leaves it to alphaDIA.
    rt_bins : pandas.DataFrame or None
        Counts and errors along the gradient; None where the RT model was not tuned.
    regeneration : RegenerationSummary or None
        None where nothing that changes the library was accepted, so that none was written.
    modifications : pandas.DataFrame
        What was learnt about each modification.
    seconds : dict
        Time per stage.
    warnings : list of str
        What a user should know.
    provenance : dict
        Settings, seeds, versions, weight hashes.
    """

    bundle: Bundle
    decisions: list[Decision] = field(default_factory=list)
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    library: dict[str, Any] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    training: dict[str, TrainingFacts] = field(default_factory=dict)
    library_values_kept: list[str] = field(default_factory=list)
    charge_cutoff: float | None = None
    rt_tolerance: float | None = None
    rt_bins: pd.DataFrame | None = None
    regeneration: RegenerationSummary | None = None
    modifications: pd.DataFrame = field(default_factory=pd.DataFrame)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> tuple[str, ...]:
        """Names of the models whose tuned weights are used."""
        return tuple(d.model for d in self.decisions if d.accepted)

    @property
    def changing(self) -> list[str]:
        """Names of the accepted models that change the library."""
        able = (m for m in self.accepted if m != "charge" or self.charge_cutoff is not None)
        return [m for m in able if m not in self.library_values_kept]

    def reject(self, model: str, problem: str) -> None:
        """Take back the acceptance of a model and say why."""
        reason = f"pretrained model kept: {problem}"
        self.decisions = [replace(d, accepted=False, reason=reason) if d.model == model else d for d in self.decisions]
        self.warnings.append(f"{model.upper()}: {reason}")
        if model == "rt":  # it was chosen by the error of the tuned model
            self.rt_tolerance = None

    def to_mapping(self) -> dict[str, Any]:
        """Return what ``alphadia_tl.yaml`` holds."""
        return {
            **self.provenance,
            "runs": self.runs,
            "decisions": [d.to_mapping() for d in self.decisions],
            "training": self.training,
            "transfer_library": self.library,
            "library_values_kept": self.library_values_kept,
            "charge_cutoff": self.charge_cutoff,
            "rt_tolerance": self.rt_tolerance,
            "regeneration": self.regeneration.to_mapping() if self.regeneration else None,
            "warnings": self.warnings,
            "seconds": {k: round(v, 2) for k, v in self.seconds.items()},
        }

    @classmethod
    def from_mapping(cls, bundle: Bundle, mapping: Mapping[str, Any]) -> StepOutcome:
        """Return the outcome of an earlier call from what it wrote down; its tables stay in the bundle's files."""
        rest = dict(mapping)
        decisions = [Decision.from_mapping(d) for d in rest.pop("decisions")]
        regeneration = rest.pop("regeneration")
        return cls(
            bundle,
            decisions,
            library=rest.pop("transfer_library"),
            runs=rest.pop("runs"),
            training=rest.pop("training"),
            library_values_kept=rest.pop("library_values_kept", []),
            charge_cutoff=rest.pop("charge_cutoff", None),
            rt_tolerance=rest.pop("rt_tolerance", None),
            regeneration=RegenerationSummary.from_mapping(regeneration) if regeneration else None,
            seconds=rest.pop("seconds"),
            warnings=rest.pop("warnings"),
            provenance=rest,
        )

    def write_provenance(self) -> None:
        """Write ``alphadia_tl.yaml``."""
        write_yaml(self.bundle.provenance, self.to_mapping())

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Record the time of a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def finish(outcome: StepOutcome, *, first_pass: dict[str, Any] | None, second_pass: dict[str, Any] | None) -> None:
    """Write what is known only after the second pass: identifications, times and the report.

    Parameters
    ----------
    outcome : StepOutcome
        Outcome of the step.
    first_pass, second_pass : dict or None
        Numbers of precursors and proteins that each pass found; None where there is no table.
    """
    identified = {"first_pass": first_pass, "second_pass": second_pass}
    outcome.provenance["identified"] = identified
    outcome.write_provenance()
    write_report(outcome.bundle)
    for name, counts in identified.items():
        if counts:
            label = name.replace("_", " ")
            logger.info(f"{label:<20}: {counts['precursors']:,} precursors, {counts['proteins']:,} protein groups")
    logger.info(f"Report of transfer learning: {outcome.bundle.report}")


def log_summary(outcome: StepOutcome) -> None:
    """Log the decisions, what a user should know, and the time of each stage."""
    logger.info("================ Transfer learning ================")
    for line in gate.decision_lines(outcome.decisions):
        logger.info(line)
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
    origin = find_origin(settings.model_path)
    return {"started_from": files, "history": origin.history() if origin else []}


def record_training(
    settings: StepSettings, precursor_df: pd.DataFrame, manager: FinetuneManager, outcome: StepOutcome
) -> None:
    """Record what the tuned models were trained on; name the modifications that they could not learn.

    Parameters
    ----------
    settings : StepSettings
        All settings.
    precursor_df : pandas.DataFrame
        Of the transfer library.
    manager : FinetuneManager
        After tuning.
    outcome : StepOutcome
        Gets the table, the warnings and the key ``trained_on`` of the provenance. The held-out rows with their
        predictions are written into its bundle.
    """
    table = modification_table(manager.results, settings.searched_modifications)
    outcome.modifications = table
    outcome.warnings += not_learnt(table)
    outcome.provenance["trained_on"] = describe_training(
        precursor_df,
        fragment_types=settings.charged_frag_types,
        modifications=training_counts(table),
        nce=float(manager.nce),
        instrument=settings.instrument,
    )
    write_stats(outcome.bundle.modifications, table)
    write_held_out(manager.results, outcome.bundle)


def write_held_out(results: Mapping[str, TuneResult], bundle: Bundle) -> None:
    """Write the held-out rows of all tuned models, and a few spectra; the tables are empty where nothing was tuned."""
    found = [result.held_out for result in results.values()] or [HeldOut()]
    write_table(bundle.held_out, pd.concat([h.rows for h in found], ignore_index=True))
    write_table(bundle.spectra, results["ms2"].held_out.spectra if "ms2" in results else HeldOut().spectra)


def save_models(manager: FinetuneManager, outcome: StepOutcome) -> None:
    """Write the models into the bundle, and their hashes into the provenance."""
    manager.save_models(str(outcome.bundle.models))
    outcome.provenance["models"] = model_hashes(outcome.bundle.models)


def note_nce(settings: StepSettings, manager: FinetuneManager, outcome: StepOutcome) -> None:
    """Write the collision energy in use into the provenance, and log where it is not the configured one."""
    search = manager.nce_search
    outcome.provenance["nce"] = float(manager.nce)
    outcome.provenance["library_prediction_nce"] = settings.nce
    curve = {nce: round(angle, 5) for nce, angle in search.curve.items()} if search else None
    outcome.provenance["nce_curve"] = curve or outcome.provenance.get("nce_curve")
    if manager.nce != settings.nce:
        logger.info(f"The MS2 model was tuned with NCE {manager.nce:.1f}, and predicts with it.")
    elif search is not None and search.chosen != settings.nce:
        logger.info(f"The MS2 model keeps its pretrained weights, and NCE {settings.nce:.1f} with them.")
