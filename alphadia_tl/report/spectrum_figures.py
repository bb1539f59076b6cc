"""Mirror plots of single held-out spectra: observed above, predicted below."""

from __future__ import annotations

import pandas as pd

from alphadia_tl.report.drawing import BLUE, GREY, VERMILION, Drawing, Look, Panel, Series

KINDS = {
    "typical": "Typical spectra",
    "best gained": "Spectra that gained most",
    "worst": "Spectra predicted worst",
}
LOOKS = (("b, a, c", "abc", Look(BLUE)), ("y, x, z", "xyz", Look(VERMILION)))
OTHER = ("other fragments", Look(GREY))
LABELLED = 6
MIN_SHOWN = 0.005


def mirror_drawings(spectra: pd.DataFrame | None) -> list[Drawing]:
    """Draw the spectra of each kind, one per row, before beside after.

    Parameters
    ----------
    spectra : pandas.DataFrame or None
        Columns as in ``tasks.held_out.SPECTRUM_COLUMNS``.
    """
    if spectra is None:
        return []
    drawings = []
    for kind, title in KINDS.items():
        rows = spectra[spectra["kind"] == kind]
        panels, names = [], []
        for _, fragments in rows.groupby("spectrum", sort=True):
            names.append(_name(fragments))
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


def _name(fragments: pd.DataFrame) -> str:
    head = fragments.iloc[0]
    charge = "" if pd.isna(head["charge"]) else f" {int(head['charge'])}+"
    mods = f" ({head['mods']})" if head["mods"] else ""
    return (
        f"{head['sequence']}{charge}{mods}, spectral angle {head['score_before']:.2f} before, "
        f"{head['score_after']:.2f} after"
    )


def _panel(fragments: pd.DataFrame, side: str) -> Panel:
    head = fragments.iloc[0]
    charge = "" if pd.isna(head["charge"]) else f" {int(head['charge'])}+"
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
        title=f"{head['sequence']}{charge}, {side}: {head[f'score_{side}']:.2f}",
        x_range=(float(fragments["mz"].min() - 0.05 * span - 1), float(fragments["mz"].max() + 0.05 * span + 1)),
        y_range=(-1.1, 1.25),
    )
