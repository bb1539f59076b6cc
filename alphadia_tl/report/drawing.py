"""What a figure shows; `plotly_figure` draws it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    """Values with a name in the legend.

    Parameters
    ----------
    kind : str
        "line" (with symbols), "steps", "points", "dots" (many small points) or "sticks" (from zero).
    name : str
        Shown in the legend once, however many panels have it.
    x, y : array-like
        (n,) coordinates; NaN leaves a gap.
    look : Look
        How it is drawn.
    low, high : array-like, optional
        (n,) ends of error bars.
    labels : sequence of str
        Texts at the points, empty for none; any text is taken literally.
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
    """One pair of axes.

    Parameters
    ----------
    series : sequence of Series
        What it shows.
    x_label, y_label, title : str
        Any text is taken literally.
    guides : sequence of Guide
        Lines of reference.
    ticks : mapping of float to str
        Names of the x axis' categories; empty for numbers.
    x_range, y_range : tuple of float, optional
        Limits of the axes.
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
    """A figure.

    Parameters
    ----------
    name : str
        Stem of the file that it is saved as; whatever is no lower case letter or digit becomes "_".
    title : str
        Heading.
    alt : str
        What it shows, for those who cannot see it, with the numbers that matter.
    panels : sequence of Panel
        In rows of ``columns``.
    columns : int
        Panels beside each other.
    panel_height : int
        In pixels.
    """

    name: str
    title: str
    alt: str
    panels: Sequence[Panel]
    columns: int = 1
    panel_height: int = 300

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", re.sub("[^a-z0-9]+", "_", self.name.lower()).strip("_"))
