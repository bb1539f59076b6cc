"""Tables of the regression runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from regression.grid import ARMS

BEGIN, END = "<!-- validation: begin -->", "<!-- validation: end -->"
Row = dict[str, Any]
#: Arms whose difference in true precursors says what something adds.
ADDED = {
    "tuning adds": ("off", "on_wide"),
    "the window adds": ("off", "off_near"),
    "both add": ("off", "on"),
    "tuning adds with the window": ("off_near", "on"),
}
NOTHING = "–"


def noise_of_fdp(row: Row) -> float:
    """Return the standard error of a true FDP (binomial)."""
    return float(np.sqrt(row["fdp"] * (1 - row["fdp"]) / max(1, row["reported"])))


def gap_closed(off: Row, on: Row, oracle: Row) -> float:
    """Return which part of the true precursors that a perfect library adds a search has found; NaN for no gap."""
    gap = oracle["true"] - off["true"]
    return (on["true"] - off["true"]) / gap if gap > 0 else float("nan")


def _told(values: list[float], form: Callable[[float], str]) -> str:
    """Return the mean over random states, and the least and the greatest value where there are several."""
    known = [v for v in values if not np.isnan(v)]
    if not known:
        return NOTHING
    spread = f" ({form(min(known))} to {form(max(known))})" if len(known) > 1 else ""
    return form(float(np.mean(known))) + spread


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _more(value: float) -> str:
    return f"{value:+,.0f}"


def _share(value: float) -> str:
    return f"{value:.2%}"


def _by_cell(rows: list[Row]) -> dict[str, dict[str, dict[int, Row]]]:
    cells: dict[str, dict[str, dict[int, Row]]] = {}
    for row in (r for r in rows if r["arm"] in ARMS):
        cells.setdefault(row["cell"], {}).setdefault(row["arm"], {})[row["state"]] = row
    return cells


def main_table(rows: list[Row]) -> str:
    """Return one line per experiment and search: what is true, the classes of errors, and the estimate, over states."""
    lines = [
        "| experiment | search | states | true | unrelated | relative | misplaced | misplaced share | true FDP | "
        "estimated FDP (interval) |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for cell, arms in _by_cell(rows).items():
        for arm in (a for a in ARMS if a in arms):
            done = [r for r in arms[arm].values() if "true" in r]
            for row in (r for r in arms[arm].values() if "true" not in r):
                what = f"exit code {row['code']}: {row.get('error', '')}"
                lines.append(f"| {cell} | {ARMS[arm].title} | state {row['state']} | {what} | | | | | | |")
            if not done:
                continue
            counts = [_told([r[k] for r in done], _count) for k in ("true", "unrelated", "relative", "misplaced")]
            shares = [r["misplaced"] / max(1, r["reported"]) for r in done]
            fdp = _told([r["fdp"] for r in done], _share)
            cells = [cell, ARMS[arm].title, str(len(done)), *counts, _told(shares, _share), fdp, _estimate(done)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _estimate(rows: list[Row]) -> str:
    """Return the estimate of each state; an interval is of one search, and is not averaged."""
    parts = []
    for told in (r["estimate"] for r in rows if r["estimate"]["fdp"] is not None):
        low, high = told["fdp_interval"]
        parts.append(f"{told['fdp']:.2%} ({low:.2%} to {high:.2%})")
    return "; ".join(parts) or NOTHING


def added_table(rows: list[Row]) -> str:
    """Return one line per experiment: what tuning and the window add, each compared within a random state."""
    titles = ["base spectral angle", *ADDED, "gap closed, both with the window"]
    lines = [f"| experiment | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]
    for cell, arms in _by_cell(rows).items():
        done = {arm: {s: r for s, r in states.items() if "true" in r} for arm, states in arms.items()}

        def common(*names: str, done: dict[str, dict[int, Row]] = done) -> list[list[Row]]:
            """Return the rows of these arms, state by state, for the states in which all were run."""
            found = [done.get(n, {}) for n in names]
            return [[f[s] for f in found] for s in sorted(set.intersection(*map(set, found)))]

        added = [_told([b["true"] - a["true"] for a, b in common(*pair)], _more) for pair in ADDED.values()]
        closed = [gap_closed(*three) for three in common("off_near", "on", "oracle_near")]
        angle = next((r["base_spectral_angle"] for s in arms.values() for r in s.values()), float("nan"))
        cells = [cell, _told([angle], lambda v: f"{v:.2f}"), *added, _told(closed, lambda v: f"{100 * v:.0f} %")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page(path: Path, rows: list[Row]) -> None:
    """Replace what is between the markers of the page; a page that is not there yet is made."""
    old = path.read_text(encoding="utf-8") if path.is_file() else f"{BEGIN}{END}\n"
    before, rest = old.split(BEGIN)
    tables = f"### What adds\n\n{added_table(rows)}\n\n### All searches\n\n{main_table(rows)}"
    path.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
