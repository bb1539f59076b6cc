"""Rows of the table: a job's size, what it took, what was expected."""

from __future__ import annotations

from typing import TypedDict

from alphadia_tl.workflow.costs import Cost


class Row(TypedDict):
    """A measured job."""

    part: str
    job: str
    size: str
    seconds: float | None
    mb: float | None
    expected_seconds: float | None
    expected_mb: float | None


def row(part: str, job: str, size: str, seconds: float | None, mb: float | None, expected: Cost | None) -> Row:
    """Return a row; ``expected`` is for one job."""
    return Row(
        part=part,
        job=job,
        size=size,
        seconds=seconds,
        mb=mb,
        expected_seconds=None if expected is None else round(expected.seconds, 1),
        expected_mb=None if expected is None else round(expected.mb),
    )


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| job | of | seconds | expected | peak memory (MB) | expected |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        numbers = (r["seconds"], r["expected_seconds"], r["mb"], r["expected_mb"])
        lines.append(f"| {r['job']} | {r['size']} | {' | '.join(map(_number, numbers))} |")
    return "\n".join(lines)
