"""Timing calls, and the rows and table that come of it."""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REPEATS = 3
Row = dict[str, Any]


def timed(call: Callable[[], Any], repeats: int = REPEATS) -> tuple[Any, list[float]]:
    """Return the last result and the seconds of each call."""
    seconds, result = [], None
    for _ in range(repeats):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return result, seconds


def row(stage: str, size: int, ours: Sequence[float], stock: Sequence[float] = (), note: str = "") -> Row:
    """Return one line of the table; without ``stock`` alphaDIA's was not run."""
    line: Row = {"stage": stage, "size": size, "ours": statistics.median(ours), "note": note}
    if not stock:
        return line
    ratios = [s / o for o, s in zip(ours, stock, strict=True)]
    return line | {
        "stock": statistics.median(stock),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown: those beside alphaDIA's, then those beside a floor."""
    floors = [r for r in rows if "floor" in r]
    beside = [r for r in rows if "floor" not in r]
    tables = ([_beside_stock(beside)] if beside else []) + ([_beside_floor(floors)] if floors else [])
    return "\n\n".join(tables)


def _beside_floor(rows: list[Row]) -> str:
    lines = ["| stage | rows | ours (s) | floor (s) | ours / floor | |", "|---|---:|---:|---:|---:|---|"]
    for r in rows:
        lines.append(
            f"| {r['stage']} | {r['size']:,} | {r['ours']:.2f} | {r['floor']:.2f} | {r['times']:.1f} | {r['note']} |"
        )
    return "\n".join(lines)


def _beside_stock(rows: list[Row]) -> str:
    lines = [
        "| stage | size | ours (s) | alphaDIA (s) | ratio (lowest to highest) | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        stock, spread = "not run", ""
        if "stock" in r:
            stock = f"{r['stock']:.2f}"
            spread = f"{r['ratio']:.1f} ({r['lowest']:.1f} to {r['highest']:.1f})"
        lines.append(f"| {r['stage']} | {r['size']:,} | {r['ours']:.2f} | {stock} | {spread} | {r['note']} |")
    return "\n".join(lines)


def machine() -> str:
    """Describe the machine."""
    return f"{os.cpu_count()} cores, {_cpu()}, Python {platform.python_version()}"


def _cpu() -> str:
    facts = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", facts.read_text(encoding="utf-8")) if facts.is_file() else []
    return names[0] if names else platform.machine()
