"""What a transfer-learning step decided, and how it is told: provenance file, report, log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from alphadia_tl import gate
from alphadia_tl.bundle import Bundle, write_yaml
from alphadia_tl.gate import Decision
from alphadia_tl.report import TrainingFacts, write_report
from alphadia_tl.speclib import RegenerationSummary

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
