"""The figures of the report: what each shows of the tables of a tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.report.drawing import (
    AFTER,
    BEFORE,
    BLUE,
    GREY,
    NEUTRAL,
    VERMILION,
    Drawing,
    Guide,
    Look,
    Panel,
    Series,
)
from alphadia_tl.report.facts import model_name, number

FloatArray = NDArray[np.floating[Any]]
MAX_POINTS = 2000  # points drawn of each scatter: more would make the page large and hide each other
MIN_ROWS = 5
MAX_NAMED = 8  # most modifications in one panel, the most frequent ones
FEW = 6  # up to so many numbers on an axis are each named
N_BINS = 10
SIDES = (("before", BEFORE), ("after", AFTER))
QUANTITY = {"rt": "normalised RT", "ccs": "CCS [Å²]"}
ERRORS = {"rt": "Predicted − observed RT", "ccs": "Relative error of CCS [%]", "ms2": "Spectral angle similarity"}
CALIBRATED = {"rt": ", calibrated"}
Groups = Callable[[pd.DataFrame], pd.Series]


def sampled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return at most `MAX_POINTS` rows, the same ones each time."""
    if len(rows) <= MAX_POINTS:
        return rows
    return rows.iloc[np.sort(np.random.default_rng(0).choice(len(rows), MAX_POINTS, replace=False))]


def observed_drawing(rows: pd.DataFrame, model: str) -> Drawing:
    """Draw observed against predicted values of RT or CCS before and after tuning."""
    points = sampled(rows)
    values = rows[["observed", "before", "after"]].to_numpy(dtype=float)
    low, high = (float(end(values[np.isfinite(values)])) for end in (np.min, np.max))
    span = (low - 0.03 * (high - low), high + 0.03 * (high - low))
    panels = [
        Panel(
            [Series("dots", side, points["observed"], points[side], look)],
            f"observed {QUANTITY[model]}",
            f"predicted {QUANTITY[model]}{CALIBRATED.get(model, '')}",
            title=f"{side}: median error {number(float((rows[side] - rows['observed']).abs().median()))}",
            guides=[Guide("diagonal")],
            x_range=span,
            y_range=span,
        )
        for side, look in SIDES
    ]
    shown = f"{len(points):,} of {len(rows):,}" if len(points) < len(rows) else f"{len(rows):,}"
    alt = f"Observed against predicted {QUANTITY[model]} of held-out peptides ({shown} rows), " + ", ".join(
        f"{p.title}" for p in panels
    )
    return Drawing(f"observed_{model}", "Observed against predicted", f"{alt}.", panels, columns=2, panel_height=360)


def errors_of(rows: pd.DataFrame, model: str, side: str) -> pd.Series:
    """Return what is shown by group: signed error of RT, relative error of CCS in percent, spectral angle of MS2."""
    if model == "ms2":
        return rows[f"score_{side}"]
    difference: pd.Series = rows[side].sub(rows["observed"])
    return difference.div(rows["observed"]).mul(100) if model == "ccs" else difference


def _observed_bins(rows: pd.DataFrame) -> pd.Series:
    """Return the middle of each row's bin: ten equal ones over what was observed."""
    values = rows["observed"].to_numpy(dtype=float)
    low, width = values.min(), np.ptp(values) / N_BINS or 1.0
    middle = low + width * (np.floor((values - low) / width).clip(0, N_BINS - 1) + 0.5)
    return pd.Series(middle, index=rows.index)


def _modifications(rows: pd.DataFrame) -> pd.Series:
    return rows["mods"].fillna("").str.split(";").explode().replace("", "none")


GROUPS: tuple[tuple[str, Groups], ...] = (
    ("observed", _observed_bins),
    ("charge", lambda rows: rows["charge"]),
    ("length", lambda rows: rows["sequence"].str.len()),
    ("modification", _modifications),
)


def errors_drawing(rows: pd.DataFrame, model: str) -> Drawing | None:
    """Draw median and quartiles of the errors by observed value, charge, length and modification."""
    errors = pd.DataFrame({side: errors_of(rows, model, side) for side, _ in SIDES})
    panels = []
    for name, groups in GROUPS:
        if name == "observed" and model not in QUANTITY:
            continue
        label = f"observed {QUANTITY[model]}" if name == "observed" else name
        panel = _by_group(errors, groups(rows), label, ERRORS[model])
        if panel is not None:
            panels.append(panel)
    if not panels:
        return None
    medians = ", ".join(f"{number(float(errors[side].median()))} {side}" for side, _ in SIDES)
    by = ", ".join(p.x_label for p in panels)
    alt = f"{ERRORS[model]} of held-out peptides, median and quartiles, by {by}; median of all {medians}."
    return Drawing(f"errors_{model}", "Errors by group", alt, panels, columns=2, panel_height=260)


def _by_group(errors: pd.DataFrame, groups: pd.Series, label: str, y_label: str) -> Panel | None:
    table = errors.loc[groups.index].assign(group=groups.to_numpy()).dropna()
    counts = table["group"].value_counts()
    named = table["group"].dtype == object
    kept = counts[counts >= MIN_ROWS].index[: MAX_NAMED if named else None]
    if len(kept) == 0:
        return None
    groups_shown = sorted(kept)
    x = np.arange(len(kept), dtype=float) if named else np.array(groups_shown, dtype=float)
    spacing = float(np.diff(x).min()) if len(x) > 1 else 1.0
    series = []
    for (side, look), shift in zip(SIDES, (-0.14, 0.14), strict=True):
        grouped = table.groupby("group")[side]
        low, middle, high = (grouped.quantile(q).loc[groups_shown] for q in (0.25, 0.5, 0.75))
        series.append(Series("points", side, x + shift * spacing, middle, look, low=low, high=high))
    ticks = {}
    if named or len(kept) <= FEW:
        ticks = {float(at): str(g) if named else f"{g:.3g}" for at, g in zip(x, groups_shown, strict=True)}
    zero = [Guide("horizontal", 0.0)] if table[["before", "after"]].min().min() < 0 else []
    return Panel(series, label, y_label, guides=zero, ticks=ticks)


def similarity_drawing(rows: pd.DataFrame, model: str) -> Drawing:
    """Draw how the spectral angles of held-out spectra are distributed, and their gains."""
    edges = np.linspace(0, 1, 41)
    angles = [
        _histogram(rows[f"score_{side}"], edges, f"{side}: median {rows[f'score_{side}'].median():.3f}", look)
        for side, look in SIDES
    ]
    gain = rows["score_after"] - rows["score_before"]
    gains = _histogram(gain, np.linspace(-1, 1, 41), "gain", NEUTRAL)
    better = float((gain > 0).mean())
    panels = [
        Panel(angles, "spectral angle similarity", "percent of spectra", x_range=(0, 1)),
        Panel(
            [gains],
            "gain of a spectrum (after − before)",
            "percent of spectra",
            title=f"{better:.0%} of spectra are better",
            guides=[Guide("vertical", 0.0)],
            x_range=(-1, 1),
        ),
    ]
    alt = (
        f"Distribution of the spectral angle of {len(rows):,} held-out spectra, "
        f"{', '.join(s.name for s in angles)}; {better:.0%} of spectra are better after tuning."
    )
    return Drawing(f"similarity_{model}", "Similarity of spectra", alt, panels, columns=2)


def _histogram(values: pd.Series, edges: FloatArray, name: str, look: Look) -> Series:
    counts, _ = np.histogram(values.dropna().clip(edges[0], edges[-1]), edges)
    return Series("steps", name, edges, 100 * np.append(counts, 0) / max(1, counts.sum()), look)


def reliability_drawing(rows: pd.DataFrame, model: str) -> Drawing:
    """Draw how often charge states of a predicted probability were observed."""
    curves, errors = [], []
    for side, look in SIDES:
        states = pd.DataFrame({"p": rows[side], "observed": rows["observed"]}, dtype=float).dropna()
        groups = states.groupby((states["p"] * N_BINS).astype(int).clip(0, N_BINS - 1))
        table = groups.mean()[groups.size() >= MIN_ROWS]
        sizes = np.asarray(groups.size().loc[table.index], dtype=np.float64)
        low, high = wilson(table["observed"].to_numpy(dtype=float), sizes)
        curves.append(Series("line", side, table["p"], table["observed"], look, low=low, high=high))
        gaps = (table["p"] - table["observed"]).abs().to_numpy(dtype=float)
        errors.append(f"{np.average(gaps, weights=sizes):.3f} {side}" if sizes.size else f"– {side}")
    edges = np.linspace(0, 1, 2 * N_BINS + 1)
    spread = [_histogram(rows[side], edges, side, look) for side, look in SIDES]
    unit = (-0.02, 1.02)
    panels = [
        Panel(
            curves, "predicted probability", "fraction observed", guides=[Guide("diagonal")], x_range=unit, y_range=unit
        ),
        Panel(spread, "predicted probability", "percent of charge states", x_range=(0, 1)),
    ]
    alt = (
        f"Reliability of predicted charge states: fraction observed by predicted probability, {len(rows):,} states of "
        f"held-out peptidoforms; mean distance from the diagonal {', '.join(errors)}."
    )
    return Drawing(f"reliability_{model}", "Calibration of charge states", alt, panels, columns=2)


def wilson(fraction: FloatArray, n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the 95 % score interval of fractions of n trials each (Wilson 1927)."""
    z = 1.96
    middle = (fraction + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(fraction * (1 - fraction) / n + z**2 / (4 * n**2))
    return np.minimum(middle - half, fraction), np.maximum(middle + half, fraction)


# name, metric, look
LOSSES = (("training loss", "train_loss", AFTER), ("validation loss", "val_loss", BEFORE))
EPOCH = "epoch (-1: before training)"


def training_drawing(history: pd.DataFrame | None, model: str, training: Mapping[str, Any]) -> Drawing | None:
    """Draw loss and learning rate per epoch, with the restored epoch marked; None without a loss of this model.

    ``history`` is the long table of all models, ``model`` a value of its column ``property``.
    """
    if history is None or history.empty:
        return None
    rows = history[history["property"] == model].sort_values("epoch", kind="stable")
    losses = [_curve(rows, *loss) for loss in LOSSES]
    shown = [s for s in losses if s is not None]
    if not shown:
        return None
    best = training.get("best_epoch")
    text = "" if best is None else (f"epoch {best} restored" if best >= 0 else "start weights restored")
    guides = [] if best is None else [Guide("vertical", best, text)]
    span = (float(rows["epoch"].min()) - 0.5, float(rows["epoch"].max()) + 0.5)
    panels = [Panel(shown, EPOCH, "loss", guides=guides, x_range=span)]
    rate = _curve(rows, "learning rate", "lr", NEUTRAL)
    if rate is not None and np.size(rate.x) > 1:
        steps = Series("steps", rate.name, rate.x, rate.y, NEUTRAL)
        panels.append(Panel([steps], EPOCH, "learning rate", x_range=span))
    validation = rows.loc[rows["metric_name"] == "val_loss", "value"]
    fell = (
        f", validation loss {validation.iloc[0]:.4g} to {validation.min():.4g} at its lowest" if len(validation) else ""
    )
    stop = f"; stopped: {training['stop_reason']}" if training.get("stop_reason") else ""
    alt = f"Loss and learning rate per epoch, {model_name(model)}{fell}; {text or 'no epoch marked'}{stop}."
    return Drawing(f"training_{model}", "Loss and learning rate per epoch", alt, panels, columns=len(panels))


def _curve(rows: pd.DataFrame, name: str, metric: str, look: Look) -> Series | None:
    part = rows[rows["metric_name"] == metric]
    return Series("line", name, part["epoch"].tolist(), part["value"].tolist(), look) if len(part) else None


def nce_drawing(nce: Mapping[str, Any]) -> Drawing | None:
    """Draw the median spectral angle of the pretrained model by collision energy; None without a search."""
    curve: Mapping[float, float] = nce.get("curve") or {}
    if not curve:
        return None
    energies = sorted(curve)
    used, configured = nce.get("used"), nce.get("configured")
    guides = [Guide("vertical", used, f"used: {used:g}")] if used is not None else []
    if configured is not None and configured != used:
        guides.append(Guide("vertical", configured, f"configured: {configured:g}"))
    series = Series("line", "pretrained model", energies, [curve[e] for e in energies], AFTER)
    best = max(curve, key=lambda energy: curve[energy])
    alt = (
        f"Median spectral angle of the pretrained MS2 model on training peptides by collision energy; highest "
        f"{curve[best]:.4f} at NCE {best:g}; {', '.join(g.text for g in guides)}."
    )
    panel = Panel([series], "normalised collision energy (NCE)", "median spectral angle", guides=guides)
    return Drawing("nce", "Collision energy", alt, [panel], panel_height=260)


KINDS = {"typical": "Typical spectra", "best gained": "Spectra that gained most", "worst": "Spectra predicted worst"}
LOOKS = (("b, a, c", "abc", Look(BLUE)), ("y, x, z", "xyz", Look(VERMILION)))
OTHER = ("other fragments", Look(GREY))
LABELLED = 6
MIN_SHOWN = 0.005


def mirror_drawings(spectra: pd.DataFrame | None) -> list[Drawing]:
    """Draw the spectra of each kind, one per row, before beside after.

    Their columns are those of ``tasks.held_out.SPECTRUM_COLUMNS``.
    """
    if spectra is None:
        return []
    drawings = []
    for kind, title in KINDS.items():
        rows = spectra[spectra["kind"] == kind]
        panels, names = [], []
        for _, fragments in rows.groupby("spectrum", sort=True):
            head = fragments.iloc[0]
            mods = f" ({head['mods']})" if head["mods"] else ""
            scores = f"{head['score_before']:.2f} before, {head['score_after']:.2f} after"
            names.append(f"{_precursor(head)}{mods}, spectral angle {scores}")
            panels += [_panel(fragments, side) for side in ("before", "after")]
        if panels:
            alt = (
                f"Mirror plots, observed above and predicted below, before (left) and after tuning (right): "
                f"{'; '.join(names)}."
            )
            drawings.append(
                Drawing(f"spectra_{kind.replace(' ', '_')}", title, alt, panels, columns=2, panel_height=230)
            )
    return drawings


def _precursor(head: pd.Series) -> str:
    charge = "" if pd.isna(head["charge"]) else f" {int(head['charge'])}+"
    return f"{head['sequence']}{charge}"


def _panel(fragments: pd.DataFrame, side: str) -> Panel:
    head = fragments.iloc[0]
    labelled = set(fragments.nlargest(LABELLED, "observed")["ion"])
    series_of = fragments["ion"].str[0]
    groups = [(name, series_of.isin(list(letters)), look) for name, letters, look in LOOKS]
    rest = ~(groups[0][1] | groups[1][1])
    series = []
    for name, chosen, look in [*groups, (OTHER[0], rest, OTHER[1])]:
        part = fragments[chosen]
        above, below = part[part["observed"] > MIN_SHOWN], part[part[side] > MIN_SHOWN]
        if len(above) + len(below):
            labels = [ion if ion in labelled else "" for ion in above["ion"]] + [""] * len(below)
            x, y = pd.concat([above["mz"], below["mz"]]), pd.concat([above["observed"], -below[side]])
            series.append(Series("sticks", name, x, y, look, labels=labels))
    span = fragments["mz"].max() - fragments["mz"].min()
    return Panel(
        series,
        "m/z",
        "predicted | observed",
        title=f"{_precursor(head)}, {side}: {head[f'score_{side}']:.2f}",
        x_range=(float(fragments["mz"].min() - 0.05 * span - 1), float(fragments["mz"].max() + 0.05 * span + 1)),
        y_range=(-1.1, 1.25),
    )
