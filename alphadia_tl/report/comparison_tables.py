"""A comparison of searches as tables of text, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from alphadia_tl.report import words
from alphadia_tl.validate.compare import SEARCH_LEVEL, Comparison
from alphadia_tl.validate.marked import ALL_RUNS, LEVELS
from alphadia_tl.validate.verdicts import NO_ESTIMATE, versus

SECONDS = "seconds: "
MAX_RUNS_SHOWN = 12


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text already.

    Attributes
    ----------
    title : str
        What it shows.
    head : tuple of str
        Names of the columns.
    rows : tuple of tuple of str
        Cells.
    n_names : int
        The first columns are names and stand left; the others are numbers and stand right, but for the column
        ``text``.
    text : int or None
        Index of a column of text after the names.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_names: int
    text: int | None = None

    def __post_init__(self) -> None:
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"table '{self.title}': rows and head differ in length")

    def stands_left(self, column: int) -> bool:
        """Return whether a column stands left."""
        return column < self.n_names or column == self.text


def comparison_tables(comparison: Comparison) -> list[TextTable]:
    """Return the tables of a comparison; those without anything to show are left out."""
    tables = [
        _identified(comparison),
        _pairs(comparison),
        _variation(comparison),
        _times(comparison),
    ]
    return [table for table in tables if table.rows]


def _runs(comparison: Comparison) -> list[str]:
    """Return the runs to show: one run is not told from all of them, very many are left to ``comparison.tsv``."""
    runs = sorted({str(run) for run in comparison.table["run"]} - {ALL_RUNS})
    return [ALL_RUNS, *(runs if 1 < len(runs) <= MAX_RUNS_SHOWN else [])]


def _identified(c: Comparison) -> TextTable:
    head = ("level", "run", "search", "claimed FDR", "identified")
    more = ("targets", "entrapments", "estimated FDP", "interval", "targets at matched FDP", "matched FDP")
    rows = []
    for level in (known.name for known in LEVELS):
        for run in _runs(c):
            for arm, fdr in zip(c.arms, c.claimed_fdr, strict=True):
                cells = (level, run, arm, words.percent(fdr), words.count(c.value(level, arm, "identified", run)))
                rows.append(cells + (_errors(c, level, arm, run) if c.measured else (NO_ESTIMATE,)))
    return TextTable(
        "Identified at the claimed FDR",
        head + (more if c.measured else ("error",)),
        tuple(rows),
        3,
        None if c.measured else len(head),
    )


def _errors(c: Comparison, level: str, arm: str, run: str) -> tuple[str, ...]:
    def get(metric: str) -> float | None:
        return c.value(level, arm, metric, run)

    upper = get("fdp_paired")
    low, high = get("fdp_interval_low"), get("fdp_interval_high")
    interval = words.DASH if low is None or high is None else f"{words.percent(low)} to {words.percent(min(high, 1))}"
    return (
        words.count(get("n_target")),
        words.count(get("n_entrapment")),
        words.percent(get("fdp_combined") if upper is None else upper),
        interval,
        words.count(get("targets_at_matched_fdp")),
        words.percent(get("matched_fdp")),
    )


PAIR_METRICS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("shared", "shared", words.count),
    ("gained", "gained", words.count),
    ("lost", "lost", words.count),
    ("rt_median_abs_difference", "RT difference (s)", words.number),
    ("rt_correlation", "RT r", words.number),
    ("quantity_log2_correlation", "quantity r (log2)", words.number),
    ("quantity_median_ratio", "median ratio", words.number),
    ("quantity_log2_mad", "MAD (log2)", words.number),
)
VARIATION_METRICS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("cv_identifications", "in all runs", words.count),
    ("cv_median", "median CV", words.percent),
    ("cv_median_of_common", "median CV of what all searches have", words.percent),
)


def _by_metric(
    c: Comparison, title: str, arms: Sequence[str], metrics: Sequence[tuple[str, str, Callable[[Any], str]]]
) -> TextTable:
    rows = []
    for level in (known.name for known in LEVELS):
        for arm in arms:
            values = [c.value(level, arm, metric) for metric, _, _ in metrics]
            if any(v is not None for v in values):
                rows.append((level, arm, *(show(v) for (_, _, show), v in zip(metrics, values, strict=True))))
    return TextTable(title, ("level", "search", *(name for _, name, _ in metrics)), tuple(rows), 2)


def _pairs(c: Comparison) -> TextTable:
    arms = [versus(other, c.arms[0]) for other in c.arms[1:]]
    what = "Gained and lost, and agreement on what both have in the same run"
    return _by_metric(c, f"{what} (targets)" if c.measured else what, arms, PAIR_METRICS)


def _variation(c: Comparison) -> TextTable:
    return _by_metric(c, "Variation of quantities between runs, taken for replicates", c.arms, VARIATION_METRICS)


def _times(c: Comparison) -> TextTable:
    metrics = c.table.loc[c.table["level"] == SEARCH_LEVEL, "metric"].unique()
    stages = [str(m).removeprefix(SECONDS) for m in metrics]
    stages = sorted(stages, key=lambda s: s in ("total", "wall"))
    rows = [
        (stage, *(words.duration(c.value(SEARCH_LEVEL, arm, f"{SECONDS}{stage}")) for arm in c.arms))
        for stage in stages
    ]
    return TextTable("Time per stage", ("stage", *c.arms), tuple(rows), 1)
