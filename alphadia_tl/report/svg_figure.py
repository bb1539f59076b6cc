"""Draw a figure for papers: SVG with text as text, with matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alphadia_tl.bundle import write_text
from alphadia_tl.report.drawing import GREY, Drawing, Panel, Series

INCHES_PER_PIXEL = 1 / 100
WIDTH = 7.2
SYMBOLS = {"circle": "o", "diamond": "D", "square": "s"}
DASHES = {"solid": "-", "dash": "--", "dot": ":"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "alphadia_tl",  # the same figure gives the same file
    "text.parse_math": False,  # a "$" in a name is a "$"
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8,
}


def to_svg(drawing: Drawing) -> str:
    """Return the figure as SVG."""
    with mpl.rc_context(STYLE):
        height = drawing.rows * drawing.panel_height * INCHES_PER_PIXEL * 0.9 + 0.4
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(drawing.rows, drawing.columns, squeeze=False).ravel()
        named: dict[str, Any] = {}
        for ax, panel in zip(axes, drawing.panels, strict=False):
            _draw_panel(ax, panel, named)
        for ax in axes[len(drawing.panels) :]:
            ax.set_axis_off()
        if len(named) > 1:
            figure.legend(named.values(), named.keys(), loc="outside upper left", ncols=4, frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Title": drawing.title, "Description": drawing.alt})
    return text.getvalue()


def _draw_panel(ax: Axes, panel: Panel, named: dict[str, Any]) -> None:
    for series in panel.series:
        named.setdefault(series.name, _draw_series(ax, series))
    for guide in panel.guides:
        line: dict[str, Any] = {"color": GREY, "linestyle": ":", "linewidth": 1}
        if guide.kind == "vertical":
            ax.axvline(guide.at, **line)
            ax.annotate(guide.text, (guide.at, 1), xycoords=("data", "axes fraction"), color=GREY, va="bottom")
        elif guide.kind == "horizontal":
            ax.axhline(guide.at, **line)
        else:
            ax.plot([0, 1], [0, 1], transform=ax.transAxes, **line)
    ax.set_xlabel(panel.x_label)
    ax.set_ylabel(panel.y_label)
    ax.set_title(panel.title, pad=14 if any(g.text for g in panel.guides) else None)
    if panel.ticks:
        slant: dict[str, Any] = {"rotation": 30, "ha": "right"} if panel.long_ticks else {}
        ax.set_xticks(list(panel.ticks), list(panel.ticks.values()), **slant)
    if panel.x_range:
        ax.set_xlim(*panel.x_range)
    if panel.y_range:
        ax.set_ylim(*panel.y_range)


def _draw_series(ax: Axes, series: Series) -> Any:
    x, y, look = np.asarray(series.x), np.asarray(series.y), series.look
    if series.kind == "sticks":
        drawn: Any = ax.vlines(x, 0, y, colors=look.colour, linewidth=1)
        for at, value, label in zip(x, y, series.labels, strict=False):
            ax.annotate(label, (at, value), ha="center", va="bottom" if value >= 0 else "top", fontsize=6)
        return drawn
    if series.kind == "steps":
        return ax.step(x, y, where="post", color=look.colour, linestyle=DASHES[look.dash])[0]
    if series.kind == "dots":
        return ax.scatter(x, y, s=4, color=look.colour, alpha=0.45, marker=SYMBOLS[look.symbol], linewidths=0)
    style = DASHES[look.dash] if series.kind == "line" else "none"
    marker: dict[str, Any] = {"marker": SYMBOLS[look.symbol], "markersize": 4, "color": look.colour, "linestyle": style}
    if series.low is not None and series.high is not None:
        return ax.errorbar(x, y, yerr=np.stack([y - series.low, series.high - y]), capsize=2, **marker)
    return ax.plot(x, y, **marker)[0]


def write_figures(folder: Path, drawings: Sequence[Drawing]) -> None:
    """Write one SVG per figure, and remove those of an earlier report.

    Parameters
    ----------
    folder : Path
        Holds nothing else.
    drawings : sequence of Drawing
        Files are named after them.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    wanted = {f"{d.name}.svg" for d in drawings}
    for drawing in drawings:
        write_text(folder / f"{drawing.name}.svg", to_svg(drawing))
    for old in folder.glob("*.svg"):
        if old.name not in wanted:
            old.unlink()
