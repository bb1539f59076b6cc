"""Figures of how a model was trained: loss and learning rate per epoch, and the collision energy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from alphadia_tl.report import words
from alphadia_tl.report.drawing import AFTER, BEFORE, NEUTRAL, Drawing, Guide, Look, Panel, Series
from alphadia_tl.report.facts import NceFacts, TrainingFacts

# name, data split, metric, look
LOSSES = (
    ("training loss", "train", "train_loss", AFTER),
    ("validation loss", "validation", "val_loss", BEFORE),
)
RATE = ("train", "lr")
EPOCH = "epoch (-1: before training)"


def training_drawing(history: pd.DataFrame | None, model: str, training: TrainingFacts) -> Drawing | None:
    """Draw loss and learning rate per epoch, with the restored epoch marked.

    Parameters
    ----------
    history : pandas.DataFrame or None
        Long table of all models.
    model : str
        Value of the column ``property``.
    training : TrainingFacts
        Names the restored epoch and the reason of the stop.

    Returns
    -------
    Drawing or None
        None where the history has no loss of this model.
    """
    if history is None or history.empty:
        return None
    rows = history[history["property"] == model].sort_values("epoch", kind="stable")
    losses = [_curve(rows, name, split, metric, look) for name, split, metric, look in LOSSES]
    shown = [s for s in losses if s is not None]
    if not shown:
        return None
    best = training.get("best_epoch")
    text = "" if best is None else (f"epoch {best} restored" if best >= 0 else "start weights restored")
    guides = [] if best is None else [Guide("vertical", best, text)]
    span = (float(rows["epoch"].min()) - 0.5, float(rows["epoch"].max()) + 0.5)
    panels = [Panel(shown, EPOCH, "loss", guides=guides, x_range=span)]
    rate = _curve(rows, "learning rate", *RATE, NEUTRAL)
    if rate is not None and np.size(rate.x) > 1:
        steps = Series("steps", rate.name, rate.x, rate.y, NEUTRAL)
        panels.append(Panel([steps], EPOCH, "learning rate", x_range=span))
    validation = rows.loc[rows["metric_name"] == "val_loss", "value"]
    fell = (
        f", validation loss {validation.iloc[0]:.4g} to {validation.min():.4g} at its lowest" if len(validation) else ""
    )
    stop = f"; stopped: {training['stop_reason']}" if training.get("stop_reason") else ""
    alt = f"Loss and learning rate per epoch, {words.model(model)}{fell}; {text or 'no epoch marked'}{stop}."
    return Drawing(f"training_{model}", "Loss and learning rate per epoch", alt, panels, columns=len(panels))


def _curve(rows: pd.DataFrame, name: str, split: str, metric: str, look: Look) -> Series | None:
    part = rows[(rows["data_split"] == split) & (rows["metric_name"] == metric)]
    return Series("line", name, part["epoch"].tolist(), part["value"].tolist(), look) if len(part) else None


def nce_drawing(nce: NceFacts) -> Drawing | None:
    """Draw the median spectral angle of the pretrained model by collision energy; None without a search."""
    curve: Mapping[float, float] = nce.get("curve") or {}
    if not curve:
        return None
    energies = sorted(curve)
    used, configured = nce.get("used"), nce.get("configured")
    guides = [Guide("vertical", used, f"used: {used:g}")] if used is not None else []
    if configured is not None and configured != used:
        guides.append(Guide("vertical", configured, f"configured: {configured:g}"))
    series = Series("line", "pretrained model", energies, [curve[e] for e in energies], AFTER)
    best = max(curve, key=lambda energy: curve[energy])
    alt = (
        f"Median spectral angle of the pretrained MS2 model on training peptides by collision energy; highest "
        f"{curve[best]:.4f} at NCE {best:g}; {', '.join(g.text for g in guides)}."
    )
    panel = Panel([series], "normalised collision energy (NCE)", "median spectral angle", guides=guides)
    return Drawing("nce", "Collision energy", alt, [panel], panel_height=260)
