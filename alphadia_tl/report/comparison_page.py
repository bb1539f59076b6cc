"""A comparison of searches, as plain text and as one HTML page that opens offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alphadia_tl.comparison.compare import SEARCH_LEVEL, Comparison
from alphadia_tl.comparison.errors import ALL_RUNS, NO_ESTIMATE, versus
from alphadia_tl.entrapment.levels import LEVELS
from alphadia_tl.files import write_stats, write_text
from alphadia_tl.report.facts import DASH, class_rows, count, duration, number, percent
from alphadia_tl.report.page import templates

SECONDS = "seconds: "
MAX_RUNS_SHOWN = 12


@dataclass(frozen=True)
class TextTable:
    """A table of text: the first ``n_names`` columns and that of the index ``text`` stand left, the numbers right."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_names: int
    text: int | None = None

    def stands_left(self, column: int) -> bool:
        """Return whether a column stands left."""
        return column < self.n_names or column == self.text


def comparison_tables(comparison: Comparison) -> list[TextTable]:
    """Return the tables of a comparison; those without anything to show are left out."""
    parts = (_identified, _pairs, _classes, _variation, _times)
    tables = [part(comparison) for part in parts]
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
            for arm, fdr in zip(c.searches, c.claimed_fdr, strict=True):
                cells = (level, run, arm, percent(fdr), count(c.value(level, arm, "identified", run)))
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
    interval = DASH if low is None or high is None else f"{percent(low)} to {percent(min(high, 1))}"
    return (
        count(get("n_target")),
        count(get("n_entrapment")),
        percent(get("fdp_combined") if upper is None else upper),
        interval,
        count(get("targets_at_matched_fdp")),
        percent(get("matched_fdp")),
    )


# Name in the table, words, how it is shown.
Metrics = tuple[tuple[str, str, Callable[[Any], str]], ...]
PAIR_METRICS: Metrics = (
    ("shared", "shared", count), ("gained", "gained", count), ("lost", "lost", count),
    ("rt_median_abs_difference", "RT difference (s)", number), ("rt_correlation", "RT r", number),
    ("quantity_log2_correlation", "quantity r (log2)", number), ("quantity_median_ratio", "median ratio", number),
    ("quantity_log2_mad", "MAD (log2)", number),
)  # fmt: skip
VARIATION_METRICS: Metrics = (
    ("cv_identifications", "in all runs", count), ("cv_median", "median CV", percent),
    ("cv_median_of_common", "median CV of what all searches have", percent),
)  # fmt: skip


def _by_metric(c: Comparison, title: str, arms: Sequence[str], metrics: Metrics) -> TextTable:
    rows = []
    for level in (known.name for known in LEVELS):
        for arm in arms:
            values = [c.value(level, arm, metric) for metric, _, _ in metrics]
            if any(v is not None for v in values):
                rows.append((level, arm, *(show(v) for (_, _, show), v in zip(metrics, values, strict=True))))
    return TextTable(title, ("level", "search", *(name for _, name, _ in metrics)), tuple(rows), 2)


def _pairs(c: Comparison) -> TextTable:
    arms = [versus(other, c.searches[0]) for other in c.searches[1:]]
    what = "Gained and lost, and agreement on what both have in the same run"
    return _by_metric(c, f"{what} (targets)" if c.measured else what, arms, PAIR_METRICS)


def _classes(c: Comparison) -> TextTable:
    head = ("search", "class", "precursors", "wrong, by decoys", "wrong, by entrapment")
    rows = tuple((arm, *told) for arm, between in c.between.items() for told in class_rows(between))
    return TextTable("Errors of kept, gained and lost, run by run, before the protein FDR", head, rows, 2)


def _variation(c: Comparison) -> TextTable:
    return _by_metric(c, "Variation of quantities between runs, taken for replicates", c.searches, VARIATION_METRICS)


def _times(c: Comparison) -> TextTable:
    metrics = c.table.loc[c.table["level"] == SEARCH_LEVEL, "metric"].unique()
    stages = [str(m).removeprefix(SECONDS) for m in metrics]
    stages = sorted(stages, key=lambda s: s in ("total", "wall"))
    rows = [
        (stage, *(duration(c.value(SEARCH_LEVEL, arm, f"{SECONDS}{stage}")) for arm in c.searches)) for stage in stages
    ]
    return TextTable("Time per stage", ("stage", *c.searches), tuple(rows), 1)


# The page may not load anything from anywhere, and has no script.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_text(comparison: Comparison) -> str:
    """Return the comparison as aligned plain text."""
    parts = ["\n".join(aligned(table)) for table in comparison_tables(comparison)]
    parts += [_list(title, lines) for title, lines in (("Verdicts", comparison.verdicts), ("Notes", comparison.notes))]
    return "\n\n".join(part for part in parts if part) + "\n"


def aligned(table: TextTable) -> list[str]:
    """Return the lines of a table as plain text, its title first."""
    columns = list(zip(table.head, *table.rows, strict=True))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: tuple[str, ...]) -> str:
        padded = [
            cell.ljust(width) if table.stands_left(i) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return [table.title, line(table.head), line(tuple("-" * w for w in widths)), *map(line, table.rows)]


def _list(title: str, lines: tuple[str, ...]) -> str:
    return "\n".join([title, *(f"  {text}" for text in lines)]) if lines else ""


def render_comparison(comparison: Comparison) -> str:
    """Return the page as HTML text; every text of the comparison is escaped."""
    page = templates().get_template("comparison.html")
    return page.render(
        policy=POLICY,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        arms=comparison.searches,
        verdicts=comparison.verdicts,
        notes=comparison.notes,
        tables=comparison_tables(comparison),
        no_estimate=None if comparison.measured else NO_ESTIMATE,
    )


def write_comparison(folder: Path, comparison: Comparison) -> tuple[Path, Path]:
    """Write ``comparison.tsv`` and ``comparison.html``, each whole or not at all; return both paths."""
    table, page = folder / "comparison.tsv", folder / "comparison.html"
    text = render_comparison(comparison)
    write_stats(table, comparison.table)
    write_text(page, text)
    return table, page
