"""What a figure shows; `plotly_figure` draws it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

FloatArray = NDArray[np.floating[Any]]
# Okabe & Ito's palette, told apart with every kind of colour vision; dash and symbol differ as well.
BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#595959"


@dataclass(frozen=True)
class Look:
    """Colour, dash ("solid", "dash", "dot") and symbol ("circle", "diamond", "square") of a series."""

    colour: str = BLUE
    dash: str = "solid"
    symbol: str = "circle"


BEFORE = Look(VERMILION, "dash", "diamond")
AFTER = Look(BLUE)
NEUTRAL = Look(GREEN, "solid", "square")


@dataclass(frozen=True)
class Series:
    """Values with a name in the legend, which is shown once, however many panels have it.

    ``kind`` is "line" (with symbols), "steps", "points", "dots" (many small points) or "sticks" (from zero). ``x`` and
    ``y`` have shape (n,), NaN leaving a gap, and so have ``low`` and ``high``, the ends of error bars. ``labels`` are
    texts at the points, empty for none; any text is taken literally.
    """

    kind: Literal["line", "steps", "points", "dots", "sticks"]
    name: str
    x: ArrayLike
    y: ArrayLike
    look: Look = AFTER
    low: ArrayLike | None = None
    high: ArrayLike | None = None
    labels: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("x", "y", "low", "high"):
            if (values := getattr(self, name)) is not None:
                object.__setattr__(self, name, np.asarray(values, dtype=np.float32))
        sizes = {np.size(v) for v in (self.x, self.y, self.low, self.high) if v is not None}
        if len(sizes) > 1 or (self.labels and len(self.labels) not in sizes):
            raise ValueError(f"the series {self.name!r} has values of different lengths")


@dataclass(frozen=True)
class Guide:
    """A dotted line across a panel, vertical or horizontal at a value, or the diagonal, with a text."""

    kind: Literal["vertical", "horizontal", "diagonal"]
    at: float = 0.0
    text: str = ""


@dataclass(frozen=True)
class Panel:
    """One pair of axes; any text is taken literally.

    ``guides`` are lines of reference; ``ticks`` name the x axis' categories, empty for numbers.
    """

    series: Sequence[Series]
    x_label: str
    y_label: str
    title: str = ""
    guides: Sequence[Guide] = ()
    ticks: dict[float, str] = field(default_factory=dict)
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Drawing:
    """A figure; its panels stand in rows of ``columns``, each ``panel_height`` pixels high.

    ``name`` is the stem of the file that it is saved as; whatever is no lower case letter or digit becomes "_". ``alt``
    says what it shows, for those who cannot see it, with the numbers that matter.
    """

    name: str
    title: str
    alt: str
    panels: Sequence[Panel]
    columns: int = 1
    panel_height: int = 300

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", re.sub("[^a-z0-9]+", "_", self.name.lower()).strip("_"))


BUTTONS = [["toImage", "zoom2d", "pan2d", "resetScale2d"]]
SAVE = "Save as SVG"
LETTERS_PER_AXIS = 36
AXIS = {"gridcolor": "#e3e3e3", "linecolor": GREY, "zeroline": False, "ticks": "outside", "automargin": True,
        "exponentformat": "e"}  # fmt: skip
GUIDE = {"color": GREY, "dash": "dot", "width": 1.5}
MODES = {"line": "lines+markers", "steps": "lines", "points": "markers", "dots": "markers", "sticks": "lines"}
ABOVE, BETWEEN, BELOW = 64, 88, 60


def plotly_figure(drawing: Drawing) -> go.Figure:
    """Return plotly's figure of a drawing; texts of the data are shown literally, not as markup."""
    columns = drawing.columns
    rows = -(-len(drawing.panels) // columns)
    inner = rows * drawing.panel_height + (rows - 1) * BETWEEN
    figure = make_subplots(
        rows=rows,
        cols=columns,
        subplot_titles=[html.escape(p.title) for p in drawing.panels],
        vertical_spacing=BETWEEN / inner if rows > 1 else 0,
        horizontal_spacing=0.14 if columns > 1 else 0,
    )
    named: set[str] = set()
    for number, panel in enumerate(drawing.panels):
        at = {"row": number // columns + 1, "col": number % columns + 1}
        for series in panel.series:
            figure.add_trace(_trace(series, show=series.name not in named), **at)
            if any(series.labels):
                figure.add_trace(_labels(series), **at)
            named.add(series.name)
        for guide in panel.guides:
            _add_guide(figure, guide, at)
        _set_axes(figure, panel, at)
    figure.update_annotations(font_size=13)
    return figure.update_layout(
        template="none",
        height=inner + ABOVE + BELOW,
        margin={"l": 70, "r": 16, "t": ABOVE, "b": BELOW},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1a1a1a"},
        showlegend=len(named) > 1,
        legend={"orientation": "h", "x": 0, "y": 1 + 30 / inner, "yanchor": "bottom", "itemsizing": "constant"},
        hovermode="closest",
    )


def _trace(series: Series, *, show: bool) -> go.Scatter:
    look = series.look
    x, y = np.asarray(series.x), np.asarray(series.y)
    extra: dict[str, Any] = {}
    if series.kind == "sticks":
        gaps = np.full(x.size, np.nan, dtype=np.float32)
        x, y = np.stack([x, x, gaps], axis=1).ravel(), np.stack([0 * y, y, gaps], axis=1).ravel()
    if series.low is not None and series.high is not None:
        up, down = np.asarray(series.high) - y, y - np.asarray(series.low)
        extra["error_y"] = {"type": "data", "array": up, "arrayminus": down, "thickness": 1.5, "width": 3}
    dots = series.kind == "dots"
    return go.Scatter(
        x=x,
        y=y,
        name=html.escape(series.name),
        legendgroup=html.escape(series.name),
        showlegend=show,
        mode=MODES[series.kind],
        line={"color": look.colour, "dash": look.dash, "shape": "hv" if series.kind == "steps" else "linear"},
        marker={"color": look.colour, "symbol": look.symbol, "size": 4 if dots else 7, "opacity": 0.45 if dots else 1},
        hovertemplate="%{x:.4g}, %{y:.4g}",
        **extra,
    )


def _labels(series: Series) -> go.Scatter:
    """Return the texts as a trace of their own: plotly loses those of a line with gaps when it lays out again."""
    shown = np.flatnonzero([bool(label) for label in series.labels])
    y = np.asarray(series.y)[shown]
    return go.Scatter(
        x=np.asarray(series.x)[shown],
        y=y,
        text=[html.escape(series.labels[i]) for i in shown],
        textposition=["top center" if value >= 0 else "bottom center" for value in y],
        textfont={"size": 10},
        mode="text",
        showlegend=False,
        hoverinfo="skip",
    )


def _add_guide(figure: go.Figure, guide: Guide, at: dict[str, int]) -> None:
    text = {"text": html.escape(guide.text), "font": {"color": GREY}, "xanchor": "auto", "yanchor": "bottom"}
    above = {"annotation": text} if guide.text else {}
    if guide.kind == "diagonal":
        domains = {"xref": "x domain", "yref": "y domain"}
        figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line=GUIDE, layer="below", **domains, **at)
    elif guide.kind == "vertical":
        figure.add_vline(x=guide.at, line=GUIDE, **above, **at)
    else:
        figure.add_hline(y=guide.at, line=GUIDE, layer="below", **above, **at)


def _set_axes(figure: go.Figure, panel: Panel, at: dict[str, int]) -> None:
    ticks: dict[str, Any] = {}
    if panel.ticks:
        texts = [html.escape(text) for text in panel.ticks.values()]
        long = max(map(len, panel.ticks.values())) * len(panel.ticks) > LETTERS_PER_AXIS
        ticks = {
            "tickmode": "array",
            "tickvals": list(panel.ticks),
            "ticktext": texts,
            "tickangle": -45 if long else 0,
            "ticklabeloverflow": "allow",
        }
    figure.update_xaxes(title_text=html.escape(panel.x_label), range=panel.x_range, **AXIS, **ticks, **at)
    figure.update_yaxes(title_text=html.escape(panel.y_label), range=panel.y_range, **AXIS, **at)


def to_div(drawing: Drawing) -> str:
    """Return the figure, with a button that saves it as SVG, as an HTML fragment that needs plotly.js on the page."""
    config = {
        "responsive": True,
        "displaylogo": False,
        "displayModeBar": True,
        "modeBarButtons": BUTTONS,
        "toImageButtonOptions": {"format": "svg", "filename": drawing.name, "width": None, "height": None},
        "locales": {"en": {"dictionary": {"Download plot": SAVE}}},  # the button's own name
    }
    return str(
        plotly_figure(drawing).to_html(
            full_html=False, include_plotlyjs=False, div_id=f"figure-{drawing.name}", config=config
        )
    )
