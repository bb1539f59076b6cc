"""A comparison of searches, as plain text and as one HTML page that opens offline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from alphadia_tl.bundle import write_whole
from alphadia_tl.report.comparison_tables import TextTable, comparison_tables
from alphadia_tl.report.page import templates
from alphadia_tl.validate.compare import Comparison
from alphadia_tl.validate.verdicts import NO_ESTIMATE

# The page may not load anything from anywhere, and has no script.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_text(comparison: Comparison) -> str:
    """Return the comparison as aligned plain text."""
    parts = ["\n".join(_aligned(table)) for table in comparison_tables(comparison)]
    parts += [_list(title, lines) for title, lines in (("Verdicts", comparison.verdicts), ("Notes", comparison.notes))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _aligned(table: TextTable) -> list[str]:
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
    return (
        templates()
        .get_template("comparison.html")
        .render(
            policy=POLICY,
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            arms=comparison.arms,
            verdicts=comparison.verdicts,
            notes=comparison.notes,
            tables=comparison_tables(comparison),
            no_estimate=None if comparison.measured else NO_ESTIMATE,
        )
    )


def write_comparison(folder: Path, comparison: Comparison) -> tuple[Path, Path]:
    """Write ``comparison.tsv`` and ``comparison.html``, each whole or not at all.

    Returns
    -------
    table, page : Path
        The files.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    table, page = folder / "comparison.tsv", folder / "comparison.html"
    text = render_comparison(comparison)
    write_whole(table, lambda part: comparison.table.to_csv(part, sep="\t", index=False))
    write_whole(page, lambda part: part.write_text(text, encoding="utf-8"))
    return table, page
