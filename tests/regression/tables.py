"""Tables of the regression runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from regression.grid import ARMS, CELLS

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
#: Kinds of errors, see `simulate.truth.Score`; of the first two, the plugin must not have more than one pass.
CLASSES = ("unrelated", "relative", "misplaced")


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


def _by_cell(rows: list[Row]) -> dict[str, dict[str, dict[int, Row]]]:
    cells: dict[str, dict[str, dict[int, Row]]] = {}
    for row in (r for r in rows if r["arm"] in ARMS):
        cells.setdefault(row["cell"], {}).setdefault(row["arm"], {})[row["state"]] = row
    order = {c.name: i for i, c in enumerate(CELLS)}
    return dict(sorted(cells.items(), key=lambda item: order.get(item[0], len(order))))


def shares(row: Row) -> dict[str, float]:
    """Return the share of each class of errors among the reported precursors."""
    return {name: row[name] / max(1, row["reported"]) for name in CLASSES}


def main_table(rows: list[Row]) -> str:
    """Return one line per experiment and kind of search: the mean over random states of what is true and what wrong."""
    lines = [
        "| experiment | search | true | unrelated/relative/misplaced, % | estimated FDP, % |",
        "|---|---|---:|---:|---:|",
    ]
    for cell, arms in _by_cell(rows).items():
        name = cell
        for arm in (a for a in ARMS if a in arms):
            done = [r for r in arms[arm].values() if "true" in r]
            if done:
                true = _count(float(np.mean([r["true"] for r in done])))
                wrong = "/".join(f"{100 * np.mean([shares(r)[c] for r in done]):.1f}" for c in CLASSES)
                told = [true, wrong, _estimate(done)]
            else:
                told = ["failed", NOTHING, NOTHING]
            lines.append(f"| {' | '.join([name, ARMS[arm].title, *told])} |")
            name = ""
    return "\n".join(lines)


def _estimate(rows: list[Row]) -> str:
    """Return the mean estimate over states; the interval is the widest, for one of a mean is not known."""
    told = [r["estimate"] for r in rows if r["estimate"]["fdp"] is not None]
    if not told:
        return NOTHING
    low = min(t["fdp_interval"][0] for t in told)
    high = max(t["fdp_interval"][1] for t in told)
    return f"{100 * np.mean([t['fdp'] for t in told]):.1f} ({100 * low:.1f}–{100 * high:.1f})"


def search_table(rows: list[Row]) -> str:
    """Return one line per search."""
    lines = [
        f"| experiment | search | state | reported | true | {' | '.join(CLASSES)} | entrapment | true FDP | verdict | "
        "seconds | made by |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---|",
    ]
    for row in (r for arms in _by_cell(rows).values() for a in ARMS for r in arms.get(a, {}).values()):
        told = [row.get("error", ""), *[""] * 6]
        if "true" in row:
            told = [*(_count(row[k]) for k in ("reported", "true", *CLASSES, "entrapment")), f"{row['fdp']:.2%}"]
        told += [row.get("estimate", {}).get("verdict", NOTHING), _count(row["seconds"])]
        made = f"{row['revision']}, {row['cpu']}"
        lines.append(f"| {' | '.join([row['cell'], ARMS[row['arm']].title, str(row['state']), *told, made])} |")
    return "\n".join(lines)


def worse_than_one_pass(rows: list[Row], arm: str = "on") -> list[str]:
    """Return the cells and classes of errors of which an arm has a larger share than one pass, beyond noise.

    Noise is twice the standard error of the difference of two shares, as if a search had been made once: random states
    of one run share its errors. A difference that is not more than one precursor is none.
    """
    found = []
    for cell, arms in _by_cell(rows).items():
        pair = [[r for r in arms.get(a, {}).values() if "true" in r] for a in ("off", arm)]
        if not all(pair):
            continue
        for name in CLASSES[:2]:
            p, q = (float(np.mean([shares(r)[name] for r in side])) for side in pair)
            n, m = (float(np.mean([r["reported"] for r in side])) for side in pair)
            if q - p > max(2 * np.sqrt(p * (1 - p) / n + q * (1 - q) / m), 1 / m):
                found.append(f"{cell}: {name} {q:.2%} instead of {p:.2%}")
    return found


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
        angle = next((r.get("base_spectral_angle", np.nan) for s in arms.values() for r in s.values()), np.nan)
        cells = [cell, _told([angle], lambda v: f"{v:.2f}"), *added, _told(closed, lambda v: f"{100 * v:.0f} %")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page(path: Path, rows: list[Row]) -> None:
    """Write what the searches of all random states say."""
    worse = worse_than_one_pass(rows) or ["no cell"]
    text = f"""# Validation: all searches

Written from `{path.with_suffix(".jsonl").name}`; the first command runs the searches, for many hours:

    make regression
    python tests/regression/runner.py --table

What is counted: `docs/validation.md`. What is rendered and searched: `tests/regression/grid.py`, `measured.py`.

One run of 20 minutes for each experiment, windows of 25 Th (narrow: 4 Th), one thread for each search. A FASTA file
holds 2,000 peptides, joined to proteins; a quarter of the proteins is not in the sample. 1 to 3 % of a methionine are
oxidised. Peaks of co-eluting peptides that the analyser cannot tell apart are one peak; there is noise between them.

- *measured*, *measured, phospho*: spectra and times of a library of DIA runs of RPE1 cells.
- *wide windows*, *narrow windows*: what Prosit and Chronologer predict for other peptides than the base models saw,
  moved by 0.3 of the difference between two rendered instruments.
- *no shift*: the same, not moved. *another predictor*: the same, not moved, with base models of measured data.
- *diaPASEF of TimSim*: a run with ion mobility, rendered by TimSim with its own predictors and noise of real frames; 10
  minutes, 2,000 peptides and as many that are absent; Python engine. Base models of measured data.
- *run of Synthedia*: 20 minutes, rendered by Synthedia from spectra and times of RPE1 cells, then made harder: an ion
  is counted for two million units of intensity, and there are 300 peaks of noise in a spectrum. 4,428 peptides and
  three times as many that are absent. Base models of measured data.

Elsewhere the base models are PeptDeep's networks, trained on `teacher/prosit_ecoli` (`tests/regression/base.py`): a
median spectral angle of 0.92 to their teacher on held-out peptides. "Base spectral angle" is that to what is rendered.

Wrong on purpose: the library of "tuned, window", in which all that a pass at 50 % FDR took for identifications is
predicted as it was seen. Entrapment is treated as every target is; no search knew which it is.

Where the plugin's list has a larger unrelated or relative share than one pass, beyond noise: {"; ".join(worse)}.

{added_table(rows)}

{main_table(rows)}

{search_table(rows)}
"""
    path.write_text(text, encoding="utf-8")


def write_table(page: Path, rows: list[Row]) -> None:
    """Replace the table between the markers of a page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{main_table(rows)}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
