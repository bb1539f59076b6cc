"""Figures of the benchmark as SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {"pretrained": "#6c757d", "stock": "#d55e00", "ours": "#0072b2"}
LABELS = {
    "rt": "median RT error after calibration\n(fraction of the gradient)",
    "ccs": "median relative CCS error",
    "ms2": "median spectral angle",
    "charge": "mean cross entropy",
}


def _style() -> None:
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "0"})


def draw_learning_curves(frame: pd.DataFrame, folder: Path) -> None:
    """Draw the held-out headline against the number of rows, one figure per model."""
    _style()
    folder.mkdir(parents=True, exist_ok=True)
    plain = frame[(frame["noise"] == 0) & (frame["max_lr"] == 0)].copy()
    plain["size"] = plain["size"].where(plain["size"] > 0, plain["n_rows"])
    for model, rows in plain.groupby("model"):
        domains = rows["domain"].unique()
        figure, axes = plt.subplots(1, len(domains), figsize=(2.6 * len(domains) + 0.6, 2.7), squeeze=False)
        for axis, domain in zip(axes[0], domains, strict=True):
            part = rows[rows["domain"] == domain]
            axis.axhline(part["pretrained"].iloc[0], color=COLOURS["pretrained"], linestyle=":", label="pretrained")
            for tuner, column, marker in (("stock", "tuned", "s"), ("ours", "shipped", "o")):
                found = part[part["tuner"] == tuner].groupby("size")[column].agg(["median", "min", "max"])
                if found.empty:
                    continue
                axis.plot(found.index, found["median"], marker=marker, color=COLOURS[tuner], label=tuner)
                axis.fill_between(found.index, found["min"], found["max"], color=COLOURS[tuner], alpha=0.2, linewidth=0)
            axis.set_xscale("log")
            axis.set_xticks(sorted(part["size"].unique()), minor=False)
            axis.xaxis.set_major_formatter("{x:,.0f}")
            axis.minorticks_off()
            axis.set_title(domain.split("/")[1], fontsize=8)
            axis.set_xlabel("rows given to the tuner")
        axes[0][0].set_ylabel(LABELS[model])
        axes[0][0].legend(frameon=False, fontsize=8)
        _save(figure, folder / f"finetune_{model}.svg")


def draw_sweep(frame: pd.DataFrame, folder: Path) -> None:
    """Draw the held-out headline against the highest learning rate."""
    _style()
    sweep = frame[frame["max_lr"] > 0]
    if sweep.empty:
        return
    domains = sweep["domain"].unique()
    figure, axes = plt.subplots(1, len(domains), figsize=(2.6 * len(domains), 2.5), squeeze=False)
    for axis, domain in zip(axes[0], domains, strict=True):
        rows = sweep[sweep["domain"] == domain]
        values = rows.groupby("max_lr")["tuned"].median()
        axis.plot(values.index, values, marker="o", color=COLOURS["ours"])
        axis.axhline(rows["pretrained"].iloc[0], color=COLOURS["pretrained"], linestyle=":", label="pretrained")
        axis.set_xscale("log")
        axis.set_xlabel("max_lr")
        axis.set_ylabel(LABELS[domain.split("/")[0]])
        axis.set_title(domain, fontsize=8)
    axes[0][0].legend(frameon=False, fontsize=8)
    _save(figure, folder / "finetune_max_lr.svg")


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
