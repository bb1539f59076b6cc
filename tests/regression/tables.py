"""Tables of the regression runs."""

from pathlib import Path
from typing import Any

import numpy as np

from regression.grid import ARMS

BEGIN, END = "<!-- regression: begin -->", "<!-- regression: end -->"
SUMMARY_BEGIN, SUMMARY_END = "<!-- regression summary: begin -->", "<!-- regression summary: end -->"
Row = dict[str, Any]


def gap_closed(off: Row, on: Row, oracle: Row) -> float:
    """Return which part of the true precursors that a perfect library adds a search has found; NaN for no gap."""
    gap = oracle["true"] - off["true"]
    return (on["true"] - off["true"]) / gap if gap > 0 else float("nan")


def noise_of_fdp(row: Row) -> float:
    """Return the standard error of a true FDP (binomial)."""
    return float(np.sqrt(row["fdp"] * (1 - row["fdp"]) / max(1, row["reported"])))


def true_at(row: Row, fdp: float) -> int:
    """Return the most true precursors at a true FDP of at most ``fdp``, over all thresholds of the list."""
    ahead = [*row["true_by_false"], row["true"]]
    return max((t for false, t in enumerate(ahead) if false <= fdp * (false + t)), default=0)


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.0f} %"


def _is_tuned(arm: str) -> bool:
    chosen = ARMS[arm]
    return arm != "off" and not (chosen.oracle or chosen.memorised or chosen.truth_of)


def main_table(rows: list[Row]) -> str:
    """Return the table with one line per experiment and search."""
    by_cell: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_cell.setdefault(row["cell"], {})[row["arm"]] = row
    lines = [
        "| experiment | search | at 1 % FDR | true | true FDP | gap closed | true at the one-pass FDP | "
        "true after the protein FDR | seconds |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for cell, arms in by_cell.items():
        done = {arm: row for arm, row in arms.items() if "true" in row}
        for arm in (a for a in ARMS if a in arms):
            row = arms[arm]
            if "true" not in row:
                what = f"exit code {row['code']}: {row.get('error', '')}"
                lines.append(f"| {cell} | {ARMS[arm].title} | {what} | | | | | | {row['seconds']:.0f} |")
                continue
            closed = gap_closed(done["off"], row, done["oracle"]) if {"off", "oracle"} <= done.keys() else float("nan")
            matched = f"{true_at(row, done['off']['fdp']):,}" if "off" in done else "–"
            part = _percent(closed) if _is_tuned(arm) else ""
            lines.append(
                f"| {cell} | {ARMS[arm].title} | {row['reported']:,} | {row['true']:,} | {row['fdp']:.2%} ± "
                f"{noise_of_fdp(row):.2%} | {part} | {matched} | {row['after_protein_fdr']['true']:,} | "
                f"{row['seconds']:.0f} |"
            )
    return "\n".join(lines)


def summary_table(rows: list[Row]) -> str:
    """Return one line per experiment: true precursors and true FDP (%) of the searches that users choose between."""
    lines = [
        "| experiment | one pass | with alphadia_tl | alphaDIA's transfer step | perfect library | gap closed |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for cell in dict.fromkeys(r["cell"] for r in rows):
        found = {r["arm"]: r for r in rows if r["cell"] == cell and "true" in r}
        if not {"off", "oracle"} <= found.keys():
            continue
        told = " | ".join(_true_and_fdp(found.get(arm)) for arm in ("off", "on", "stock", "oracle"))
        closed = gap_closed(found["off"], found["on"], found["oracle"]) if "on" in found else float("nan")
        lines.append(f"| {cell} | {told} | {_percent(closed)} |")
    return "\n".join(lines)


def _true_and_fdp(row: Row | None) -> str:
    return "–" if row is None else f"{row['true']:,} ({100 * row['fdp']:.1f})"


def own_hits_table(rows: list[Row]) -> str:
    """Return the change of the true FDP from one pass to two, over the experiments that differ in the seed only."""
    lines = [
        "| search | experiments | true FDP less that of one pass | true precursors against one pass |",
        "|---|---:|---:|---:|",
    ]
    off = {r["cell"]: r for r in rows if r["arm"] == "off" and "true" in r and r["cell"].startswith("all, seed")}
    for arm in (a for a in ARMS if a != "off"):
        pairs = [(off[r["cell"]], r) for r in rows if r["arm"] == arm and r["cell"] in off and "true" in r]
        if not pairs:
            continue
        change = np.array([r["fdp"] - o["fdp"] for o, r in pairs])
        more = np.array([r["true"] / o["true"] - 1 for o, r in pairs])
        error = f" ± {change.std(ddof=1) / np.sqrt(len(pairs)):.2%}" if len(pairs) > 1 else ""
        lines.append(f"| {ARMS[arm].title} | {len(pairs)} | {change.mean():+.2%}{error} | {more.mean():+.1%} |")
    return "\n".join(lines)


def estimates_table(rows: list[Row]) -> str:
    """Return what the combined estimate says of each search beside what is known."""
    lines = [
        "| experiment | search | true FDP | of it in the sample, elsewhere | estimated FDP | verdict on 1 % |",
        "|---|---|---:|---:|---:|---|",
    ]
    for row in (r for r in rows if "estimate" in r and r["arm"] in ARMS):
        told = row["estimate"]
        low, high = told["fdp_interval"]
        lines.append(
            f"| {row['cell']} | {ARMS[row['arm']].title} | {row['fdp']:.2%} | {row['misplaced'] / row['reported']:.2%} "
            f"| {told['fdp']:.2%} ({low:.2%} to {high:.2%}) | {told['verdict']} |"
        )
    return "\n".join(lines)


def write_page(path: Path, rows: list[Row]) -> None:
    """Replace what is between the markers of the page; a page that is not there yet is made."""
    old = path.read_text(encoding="utf-8") if path.is_file() else f"{SUMMARY_BEGIN}{SUMMARY_END}\n\n{BEGIN}{END}\n"
    text = _between(old, (SUMMARY_BEGIN, SUMMARY_END), summary_table(rows))
    parts = {
        "": main_table(rows),
        "### Tuning on one's own hits\n\n": own_hits_table(rows),
        "### What the estimators say\n\n": estimates_table(rows),
    }
    tables = "\n\n".join(f"{title}{table}" for title, table in parts.items())
    path.write_text(_between(text, (BEGIN, END), tables), encoding="utf-8")


def _between(text: str, markers: tuple[str, str], new: str) -> str:
    before, rest = text.split(markers[0])
    return f"{before}{markers[0]}\n\n{new}\n\n{markers[1]}{rest.split(markers[1])[1]}"
