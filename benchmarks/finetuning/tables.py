"""Tables of the benchmark, in Markdown, from the rows of the results file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pages import write_tables

from finetuning.cells import Cell, cell_of

HIGHER = {"ms2"}
NOT_RUN = "–"
#: Key of rows of alphaDIA's MS2 tuner that were measured while it was taught zeros for what was not measured.
ZEROS, MARK = "unmeasured_as_zeros", " †"
UNIT = {
    "rt": "median (95th percentile) of the absolute error after calibration, in thousandths of the gradient",
    "ccs": "median (95th percentile) of the relative error after calibration of the mobility, in per mille",
    "ms2": "median (5th percentile) spectral angle, in thousandths",
    "charge": "mean cross entropy, in thousandths",
}


def report(rows: list[dict[str, Any]], cells: Iterable[Cell], page: Path) -> None:
    """Print the tables, and write them into a page.

    Parameters
    ----------
    rows : list of dict
        Rows of the results file.
    cells : iterable of Cell
        What was to be run; what has no row is named.
    page : Path
        Page whose part between the markers is replaced.
    """
    wanted = set(cells)
    frame = pd.DataFrame([r for r in rows if cell_of(r) in wanted])
    if frame.empty:
        print("There are no results yet.")
        return
    frame["model"] = frame["domain"].str.split("/").str[0]
    frame[ZEROS] = frame[ZEROS].eq(True) if ZEROS in frame else False
    missing = sorted(wanted - {cell_of(r) for r in rows})
    text = "\n\n".join(
        part for part in (sizes_table(frame), never_worse(frame), noise_table(frame), sweep_table(frame)) if part
    )
    if missing:
        text += f"\n\n{_missing(missing)}"
    print(text)
    write_tables(page, "finetune_real", text)
    draw_learning_curves(_plain(frame), page.with_name("learning_curves.svg"))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[(frame["noise"] == 0) & (frame["max_lr"] == 0)]


def _spread(values: pd.Series) -> str:
    return f"{1000 * values.median():.1f}" + (
        f" [{1000 * values.min():.1f}, {1000 * values.max():.1f}]" if len(values) > 1 else ""
    )


def sizes_table(frame: pd.DataFrame) -> str:
    """Return one line per domain and size: pretrained, stock and ours, with the gate's decisions."""
    plain = _plain(frame)
    of_class = (plain["tuner"] == "stock_class").any()
    columns = ["rows", "seeds", "pretrained", "stock", "ours, shipped", "ours against stock", "tail: stock, ours",
               "tuned models used", "epochs: stock, ours", "seconds: stock, ours"]  # fmt: skip
    if of_class:
        columns.insert(4, "stock, defaults of the class")
    parts = []
    for model, of_model in plain.groupby("model", sort=False):
        head = (
            f"**{model.upper()}**: {UNIT[model]}; median of the seeds [lowest, highest].\n\n"
            f"| data | {' | '.join(columns)} |\n" + "|---|" + "---:|" * len(columns)
        )
        lines = [head]
        by_size = of_model.assign(order=of_model["size"].replace(0, 10**9)).sort_values(["domain", "order"])
        for (domain, size), cell in by_size.groupby(["domain", "size"], sort=False):
            stock, ours = (cell[cell["tuner"] == t] for t in ("stock", "ours"))
            if ours.empty:
                continue
            other = cell[cell["tuner"] == "stock_class"]["tuned"]
            lines.append(_size_line(domain, size, stock, ours, other if of_class else None))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _size_line(domain: str, size: int, stock: pd.DataFrame, ours: pd.DataFrame, other: pd.Series | None) -> str:
    """Return the line of one domain and size; a dash stands for a tuner that was not run."""
    change = ours["shipped"].median() / stock["tuned"].median() - 1
    cells = [
        domain.split("/")[1],
        str(size or "all"),
        str(len(ours)),
        f"{1000 * ours['pretrained'].iloc[0]:.1f}",
        _spread(stock["tuned"]) + MARK * bool(stock[ZEROS].any()) if len(stock) else NOT_RUN,
        *([] if other is None else [_spread(other) if len(other) else NOT_RUN]),
        _spread(ours["shipped"]),
        f"{100 * change:+.0f} %" if len(stock) else NOT_RUN,
        _both(1000 * stock["tuned_tail"], 1000 * ours["shipped_tail"]),
        f"{int(ours['accepted'].sum())} of {len(ours)}",
        _both(stock["epochs"], ours["epochs"]),
        _both(stock["seconds"], ours["seconds"]),
    ]
    return f"| {' | '.join(cells)} |"


def _both(stock: pd.Series, ours: pd.Series) -> str:
    return ", ".join(f"{values.median():.0f}" if len(values) else NOT_RUN for values in (stock, ours))


def learning_curves(frame: pd.DataFrame) -> pd.DataFrame:
    """Return which share of the gain with the most rows fewer rows bring; by data set and number of rows."""
    ours = frame[(frame["tuner"] == "ours") & (frame["size"] > 0)]
    mean = ours.groupby(["domain", "size"])[["pretrained", "tuned"]].mean()
    gain = (mean["tuned"] - mean["pretrained"]).reset_index().pivot_table(index="domain", columns="size", values=0)
    return gain.div(gain.ffill(axis=1).iloc[:, -1], axis=0)


def draw_learning_curves(frame: pd.DataFrame, path: Path) -> None:
    """Draw `learning_curves`, with the number of precursors that a first pass is to bring."""
    from matplotlib.figure import Figure

    from alphadia_tl.settings import SCOUTED

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for domain, shares in learning_curves(frame).iterrows():
        known = shares.dropna()
        axes.plot(known.index, known, marker="o", label=domain)
    axes.axvline(SCOUTED, color="grey", linestyle="--")
    axes.annotate("alphadia_tl.scout", (SCOUTED, 1.05), ha="center", color="grey")
    axes.set(xscale="log", xlabel="rows to tune on", ylabel="share of the gain with the most rows", ylim=(-0.05, 1.1))
    figure.legend(fontsize="small", frameon=False, loc="outside right upper")
    figure.savefig(path, metadata={"Date": None})


def never_worse(frame: pd.DataFrame) -> str:
    """Say how often a shipped model was worse than the pretrained one beyond the bootstrap noise."""
    plain = _plain(frame)
    lines = []
    for tuner, column in (("ours", "shipped"), ("stock", "tuned"), ("stock_class", "tuned")):
        rows = plain[plain["tuner"] == tuner]
        if rows.empty:
            continue
        higher = rows["model"].isin(HIGHER)
        worse = np.where(higher, rows[column] < rows["pretrained"], rows[column] > rows["pretrained"])
        beyond = rows["gain_high"] < 0
        lines.append(
            f"- {tuner}: {int(worse.sum())} of {len(rows)} models have a worse headline than the pretrained one, "
            f"{int(beyond.sum())} of them by more than the 95 % bootstrap interval of the held-out rows."
        )
    return "**Never worse than pretrained** (all sizes and seeds above)\n\n" + "\n".join(lines)


def noise_table(frame: pd.DataFrame) -> str:
    """Return the growth of the held-out error with 5 % wrong rows."""
    noisy = frame[(frame["noise"] > 0) & (frame["tuner"] == "ours")]
    clean = _plain(frame)
    clean = clean[clean["tuner"] == "ours"].set_index(["domain", "size", "seed"])
    lines = ["| data | rows | seed | clean | 5 % wrong | error grows by |", "|---|---:|---:|---:|---:|---:|"]
    for _, row in noisy.sort_values(["domain", "size", "seed"]).iterrows():
        key = (row["domain"], row["size"], row["seed"])
        if key not in clean.index:
            continue
        before, after = clean.loc[key, "tuned"], row["tuned"]
        errors = (1 - before, 1 - after) if row["model"] in HIGHER else (before, after)
        lines.append(
            f"| {row['domain']} | {row['size']} | {row['seed']} | {1000 * before:.1f} | {1000 * after:.1f} | "
            f"{100 * (errors[1] / errors[0] - 1):+.1f} % |"
        )
    if len(lines) == 2:
        return ""
    title = "**Wrong identifications**: a wrong RT, CCS or charge, or a shuffled spectrum, in 5 % of the training rows"
    return title + " (tuned model, before the gate; for MS2 the error is 1 - spectral angle)\n\n" + "\n".join(lines)


def sweep_table(frame: pd.DataFrame) -> str:
    """Return the held-out metric by highest learning rate."""
    sweep = frame[frame["max_lr"] > 0]
    if sweep.empty:
        return ""
    rates = sorted(sweep["max_lr"].unique())
    lines = [
        "| data | " + " | ".join(f"{r:g}" for r in rates) + " | within 10 % of the best |",
        "|---|" + "---:|" * (len(rates) + 1),
    ]
    for domain, rows in sweep.groupby("domain", sort=False):
        values = rows.groupby("max_lr")["tuned"].median().reindex(rates)
        error = 1 - values if domain.startswith(tuple(HIGHER)) else values
        good = [r for r in rates if error[r] <= 1.1 * error.min()]
        cells = " | ".join("" if np.isnan(v) else f"{1000 * v:.1f}" for v in values)
        span = "not all were run" if values.isna().any() else f"{min(good):g} to {max(good):g}"
        lines.append(f"| {domain} | {cells} | {span} |")
    title = "**Highest learning rate**: held-out headline (thousandths) of the tuned model, 1,000 rows, by `max_lr`"
    return title + "\n\n" + "\n".join(lines)


def _missing(missing: list[Cell]) -> str:
    sizes = pd.DataFrame([{"rows": c.size or "all", "tuner": c.tuner} for c in missing])
    counts = ", ".join(f"{n} with {rows} rows ({t})" for (rows, t), n in sizes.value_counts(sort=False).items())
    return f"Not run, for want of time on this machine: {len(missing)} cells ({counts})."
