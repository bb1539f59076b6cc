"""Write the report: one page for people, one file for programs, figures for papers."""

from __future__ import annotations

from alphadia_tl.bundle import Bundle, write_text
from alphadia_tl.report.drawing import Drawing
from alphadia_tl.report.facts import Facts
from alphadia_tl.report.figures import drawings_of
from alphadia_tl.report.page import render_report
from alphadia_tl.report.sources import read_facts
from alphadia_tl.report.summary import to_json
from alphadia_tl.report.svg_figure import write_figures


def all_drawings(facts: Facts) -> dict[str, list[Drawing]]:
    """Return the figures of all models that something was decided about."""
    names = [decision.get("model", "") for decision in facts.get("decisions", ())]
    return {name: drawings_of(facts, name) for name in names}


def write_report(bundle: Bundle) -> None:
    """Write ``report.html``, ``report.json`` and ``figures/*.svg`` from a bundle's other files.

    Parameters
    ----------
    bundle : Bundle
        Has at least its provenance file.

    Raises
    ------
    ResultsError
        If a file of the bundle cannot be read.
    OutputError
        If a file of the report cannot be written.
    """
    facts = read_facts(bundle)
    drawings = all_drawings(facts)
    page, summary = render_report(facts, drawings), to_json(facts)
    write_text(bundle.report, page)
    write_text(bundle.report_json, summary)
    write_figures(bundle.figures, [d for found in drawings.values() for d in found])
