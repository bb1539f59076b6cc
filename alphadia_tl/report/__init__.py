"""The report about a transfer-learning run: a self-contained HTML page with interactive figures, and JSON."""

from alphadia_tl.report.facts import DecisionFacts, Facts, ModificationFacts, PassFacts, TrainingFacts
from alphadia_tl.report.page import render_report
from alphadia_tl.report.sources import find_bundle, read_facts
from alphadia_tl.report.writing import all_drawings, write_report

__all__ = [
    "DecisionFacts",
    "Facts",
    "ModificationFacts",
    "PassFacts",
    "TrainingFacts",
    "all_drawings",
    "find_bundle",
    "read_facts",
    "render_report",
    "write_report",
]
