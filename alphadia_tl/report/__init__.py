"""One self-contained HTML page about a transfer-learning run."""

from alphadia_tl.report.facts import DecisionFacts, Facts, ModificationFacts, PassFacts, TrainingFacts
from alphadia_tl.report.page import render_report, write_report

__all__ = ["DecisionFacts", "Facts", "ModificationFacts", "PassFacts", "TrainingFacts", "render_report", "write_report"]
