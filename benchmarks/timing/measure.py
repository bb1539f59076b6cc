"""Timing calls, and the rows and table that come of it."""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REPEATS = 3
Row = dict[str, Any]
# What products of matrices are fast with; names of CPUs do not tell.
INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "avx512f": "AVX-512", "avx2": "AVX2"}


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
    """Return the rows as Markdown, for each machine and revision those beside alphaDIA's and those beside a floor."""
    parts = []
    for place in dict.fromkeys((r.get("machine"), r.get("revision")) for r in rows):
        here = [r for r in rows if (r.get("machine"), r.get("revision")) == place]
        if place[0]:
            parts.append(f"**{place[0]}, revision {place[1]}**")
        floors = [r for r in here if "floor" in r]
        beside = [r for r in here if "floor" not in r]
        parts += ([_beside_stock(beside)] if beside else []) + ([_beside_floor(floors)] if floors else [])
    return "\n\n".join(parts)


def key(row: Row) -> tuple[object, ...]:
    """Return what a new row replaces: the same stage on the same machine, of any version."""
    return row["stage"], "floor" in row, row["machine"]


def here() -> dict[str, str]:
    """Return what tells a row from one of another machine or version."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {"machine": machine(), "revision": revision or "unknown"}


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
    text = facts.read_text(encoding="utf-8") if facts.is_file() else ""
    names, flags = re.findall(r"model name\s*: (.*)", text), set(text.split())
    best = next((f" ({name})" for flag, name in INSTRUCTIONS.items() if flag in flags), "")
    return f"{names[0] if names else platform.machine()}{best}"
