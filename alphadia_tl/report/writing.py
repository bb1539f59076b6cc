"""Write the report: one page for people, one file for programs; the table of all figures is here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from alphadia_tl.bundle import Bundle, write_text
from alphadia_tl.report.drawing import Drawing
from alphadia_tl.report.facts import Facts
from alphadia_tl.report.held_out_figures import (
    errors_drawing,
    observed_drawing,
    reliability_drawing,
    similarity_drawing,
)
from alphadia_tl.report.page import render_report
from alphadia_tl.report.sources import read_facts
from alphadia_tl.report.spectrum_figures import mirror_drawings
from alphadia_tl.report.summary import to_json
from alphadia_tl.report.training_figures import nce_drawing, training_drawing

OF_ROWS: tuple[Callable[[pd.DataFrame, str], Drawing | None], ...] = (
    observed_drawing,
    similarity_drawing,
    reliability_drawing,
    errors_drawing,
)


def drawings_of(facts: Facts, model: str) -> list[Drawing]:
    """Return the figures of a model for which there is data."""
    found = [training_drawing(facts.get("history"), model, facts.get("training", {}).get(model, {}))]
    held_out = facts.get("held_out")
    if held_out is not None:
        rows = held_out[held_out["model"] == model].replace([np.inf, -np.inf], np.nan)
        found += [draw(rows, model) for draw in OF_ROWS if len(rows)]
    if model == "ms2":
        found += mirror_drawings(facts.get("spectra"))
        found.append(nce_drawing(facts.get("nce", {})))
    return [drawing for drawing in found if drawing is not None]


def all_drawings(facts: Facts) -> dict[str, list[Drawing]]:
    """Return the figures of all models that something was decided about."""
    names = [decision.get("model", "") for decision in facts.get("decisions", ())]
    return {name: drawings_of(facts, name) for name in names}


def write_report(bundle: Bundle) -> None:
    """Write ``report.html`` and ``report.json`` from a bundle's other files.

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
    page, summary = render_report(facts, all_drawings(facts)), to_json(facts)
    write_text(bundle.report, page)
    write_text(bundle.report_json, summary)
