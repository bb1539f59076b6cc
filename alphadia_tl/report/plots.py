"""Training curves, one figure per model."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from alphadia_tl.report.facts import TrainingFacts

# Okabe & Ito's palette, told apart with every kind of colour vision; dash and marker differ as well.
BLUE, VERMILION, GREY, GREEN = "#0072B2", "#D55E00", "#595959", "#009E73"
BUTTONS = [["toImage", "zoom2d", "pan2d", "resetScale2d"]]
AXIS = {"gridcolor": "#e3e3e3", "linecolor": GREY, "zeroline": False, "ticks": "outside"}


@dataclass(frozen=True)
class Curve:
    """One line of the figure: which rows of the history it shows, and how."""

    split: str
    metric: str
    name: str
    row: int
    style: dict[str, Any]


CURVES = (
    Curve("train", "train_loss", "training loss", 1, {"line": {"color": BLUE}, "marker": {"symbol": "circle"}}),
    Curve(
        "validation",
        "val_loss",
        "validation loss",
        1,
        {"line": {"color": VERMILION, "dash": "dash"}, "marker": {"symbol": "diamond"}},
    ),
    Curve("train", "lr", "learning rate", 2, {"line": {"color": GREEN, "shape": "hv"}, "mode": "lines"}),
)


def history_of(history: pd.DataFrame | None, model: str) -> pd.DataFrame:
    """Return the rows of one model that have something to plot."""
    if history is None or history.empty:
        return pd.DataFrame(columns=["epoch", "property", "data_split", "metric_name", "value"])
    return history[history["property"] == model]


def training_figure(history: pd.DataFrame | None, model: str, training: TrainingFacts) -> go.Figure | None:
    """Draw loss and learning rate per epoch, with the restored epoch marked.

    Parameters
    ----------
    history : pandas.DataFrame or None
        Long table of all models.
    model : str
        Value of the column ``property``.
    training : TrainingFacts
        May be empty; ``best_epoch`` and ``stop_reason`` are shown where known.

    Returns
    -------
    plotly.graph_objects.Figure or None
        None where the history has no loss of this model.
    """
    rows = history_of(history, model)
    if not rows["metric_name"].isin([c.metric for c in CURVES]).any():
        return None
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.06)
    for curve in CURVES:
        part = rows[(rows["data_split"] == curve.split) & (rows["metric_name"] == curve.metric)].sort_values("epoch")
        if len(part):
            trace = go.Scatter(
                x=part["epoch"].tolist(),
                y=part["value"].tolist(),
                name=curve.name,
                showlegend=curve.row == 1,
                hovertemplate="epoch %{x}: %{y:.4g}",
                **{"mode": "lines+markers", **curve.style},
            )
            figure.add_trace(trace, row=curve.row, col=1)
    _mark(figure, training)
    return _lay_out(figure)


def _mark(figure: go.Figure, training: TrainingFacts) -> None:
    best = training.get("best_epoch")
    if best is not None:
        words = f"epoch {best} restored" if best >= 0 else "start weights restored"
        figure.add_vline(x=best, line={"color": GREY, "dash": "dot", "width": 2})
        figure.add_annotation(
            x=best, y=1, xref="x", yref="paper", yanchor="bottom", text=html.escape(words), showarrow=False,
            font={"color": GREY},
        )  # fmt: skip


def _lay_out(figure: go.Figure) -> go.Figure:
    figure.update_xaxes(**AXIS)
    figure.update_yaxes(**AXIS)
    figure.update_yaxes(title_text="loss", row=1, col=1)
    figure.update_yaxes(title_text="learning rate", row=2, col=1, rangemode="tozero", nticks=4, exponentformat="e")
    figure.update_xaxes(title_text="epoch (-1: before training)", row=2, col=1)
    return figure.update_layout(
        template="none",
        height=420,
        margin={"l": 84, "r": 16, "t": 58, "b": 48},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1a1a1a"},
        legend={"x": 0.99, "y": 0.99, "xanchor": "right", "yanchor": "top", "bgcolor": "rgba(255,255,255,0.85)"},
        hovermode="x unified",
    )


def to_div(figure: go.Figure, identifier: str) -> str:
    """Return the figure as an HTML fragment that needs plotly.js on the page."""
    return str(
        figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=identifier,
            config={"responsive": True, "displaylogo": False, "modeBarButtons": BUTTONS},
        )
    )
