"""The table of all figures: which there are for each model, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from alphadia_tl.report.drawing import Drawing
from alphadia_tl.report.facts import Facts
from alphadia_tl.report.held_out_figures import (
    errors_drawing,
    observed_drawing,
    reliability_drawing,
    similarity_drawing,
)
from alphadia_tl.report.spectrum_figures import mirror_drawings
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
