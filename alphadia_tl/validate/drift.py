"""Drift alarm: signs, seen without entrapment, that a pass found more only because it accepts more wrong ones.

Precursors that only the later pass has (gained) are measured against those that both passes have (shared). What the
false discovery rate promises cannot be seen from the rate itself: where tuning has made decoys unlike wrong targets,
it stays at 1 % while wrong identifications grow. Retention times and charge states of gained precursors do not follow
that promise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from alphadia_tl.validate.drift_figures import COLUMNS, DriftFigures, measure
from alphadia_tl.validate.expected_times import library_times, with_expected_times
from alphadia_tl.validate.run_tables import read_tables, run_tables

__all__ = ["DriftFigures", "DriftLimits", "alarms", "measure", "measure_folders"]


@dataclass(frozen=True)
class DriftLimits:
    """Where the figures raise an alarm.

    That of the retention times was chosen between searches with tuned models and searches that are wrong on purpose
    (``docs/validation.md``); the others from what the figures mean, and neither kind has reached them.

    Attributes
    ----------
    min_precursors : int
        Fewer target precursors in either pass are too few to tell: no alarm at all. With 100, one per cent is one
        precursor.
    min_gained : int
        Fewer gained precursors are too few for their RT and charge. A share of 30 has a standard error below 0.1.
    min_decoys : int
        Fewer decoys in either pass are too few for scores. A pass at 1 % FDR has about one per hundred targets.
    max_growth : float
        Target precursors of the later pass per one of the earlier. Half as many again is more than a perfect library
        gained in simulated searches with unfitting base models; labels and rare modifications may well gain more.
    max_separation_loss : float
        Loss of the chance that a target scores better than a decoy, from pass to pass.
    max_tail_decoys_rise : float
        Rise of the decoys' share in the worst quarter by score. At 1 % FDR all decoys together are 4 % of that
        quarter.
    max_misplaced_growth : float
        Precursors outside the RT error that 95 % of the shared ones keep: gained less lost ones, per precursor of the
        later pass. Gained precursors score worse and err more: a little growth is no drift.
    min_charge_plausible : float
        Share of gained precursors whose length is usual (central 98 %) for their charge among the shared ones.
    """

    min_precursors: int = 100
    min_gained: int = 30
    min_decoys: int = 10
    max_growth: float = 1.5
    max_separation_loss: float = 0.1
    max_tail_decoys_rise: float = 0.05
    max_misplaced_growth: float = 0.02
    min_charge_plausible: float = 0.85

    def __post_init__(self) -> None:
        counts = (self.min_precursors, self.min_gained, self.min_decoys)
        shares = (
            self.max_separation_loss,
            self.max_tail_decoys_rise,
            self.max_misplaced_growth,
            self.min_charge_plausible,
        )
        if min(counts) < 1 or not all(0 <= s <= 1 for s in shares) or not self.max_growth >= 1:
            raise ValueError(f"impossible limits: {self}")


def alarms(figures: DriftFigures, limits: DriftLimits | None = None) -> list[str]:
    """Say in words, with the figures, what points to wrong identifications; empty where nothing does.

    Parameters
    ----------
    figures : DriftFigures
        See `measure`.
    limits : DriftLimits, optional
        Defaults where left out.
    """
    f, at = figures, limits or DriftLimits()
    if min(f.n_first, f.n_second) < at.min_precursors:
        return []
    found: list[str] = []
    if f.growth is not None and f.growth > at.max_growth:
        found.append(
            f"{f.n_second:,} precursors after {f.n_first:,} in the pass before: {f.growth:.2f} times as many "
            f"(limit {at.max_growth:g})"
        )
    if min(f.decoys_first, f.decoys_second) >= at.min_decoys:
        found += _score_alarms(f, at)
    if f.n_gained >= at.min_gained:
        found += _gained_alarms(f, at)
    return [f"Drift: {text}. Check with an entrapment search (alphadia-tl entrapment)." for text in found]


def _over(value: float | None, limit: float) -> bool:
    return value is not None and math.isfinite(value) and value > limit


def _score_alarms(f: DriftFigures, at: DriftLimits) -> list[str]:
    one, two = f.separation_first, f.separation_second
    found: list[str] = []
    if one is not None and two is not None and _over(one - two, at.max_separation_loss):
        found.append(
            f"targets score better than decoys in {two:.1%} of pairs, {one:.1%} in the pass before "
            f"(limit: {at.max_separation_loss:.0%} less{_standard_error(f.separation_error)})"
        )
    one, two = f.tail_decoys_first, f.tail_decoys_second
    if one is not None and two is not None and _over(two - one, at.max_tail_decoys_rise):
        found.append(
            f"decoys are {two:.1%} of the worst quarter by score, {one:.1%} in the pass before "
            f"(limit: {at.max_tail_decoys_rise:.0%} more)"
        )
    return found


def _standard_error(error: float | None) -> str:
    return "" if error is None else f"; standard error of the difference {error:.1%}"


def _gained_alarms(f: DriftFigures, at: DriftLimits) -> list[str]:
    found: list[str] = []
    growth = f.misplaced_growth
    if growth is not None and _over(growth, at.max_misplaced_growth):
        decoys = "" if f.rt_agreement_decoys is None else f"; of the decoys {f.rt_agreement_decoys:.1%} do"
        found.append(
            f"{f.rt_agreement_gained:.1%} of the {f.n_gained:,} gained precursors elute within {f.rt_tolerance:.1f} s "
            f"of the expected time, as 95% of the shared ones do{decoys}; less those that were lost, {growth:.1%} of "
            f"this pass are misplaced more (limit {at.max_misplaced_growth:.0%})"
        )
    if f.charge_plausible_gained is not None and f.charge_plausible_gained < at.min_charge_plausible:
        found.append(
            f"{f.charge_plausible_gained:.1%} of the {f.n_gained:,} gained precursors have a length that is usual for "
            f"their charge, as 98% of the shared ones do (limit {at.min_charge_plausible:.0%})"
        )
    return found


def measure_folders(first: Path, second: Path) -> DriftFigures | None:
    """Compare the passes that two output folders hold, over the runs that both have.

    Parameters
    ----------
    first, second : Path
        Folders with ``quant/<run>/psm.parquet``. Where the first has saved its library, that says when precursors are
        expected; else each pass's own does.

    Returns
    -------
    DriftFigures or None
        None where they have no run in common, as where the later pass reuses the quantification of the earlier.

    Raises
    ------
    QuantificationError
        If a table cannot be read.
    """
    tables = [run_tables(folder, own=True) for folder in (first, second)]
    runs = sorted(tables[0].keys() & tables[1].keys())
    if not runs:
        return None
    needed = [name for name in COLUMNS if name not in ("run", "rt_calibrated")]
    one, two = (read_tables({run: found[run] for run in runs}, needed, ["rt_calibrated"]) for found in tables)
    times = library_times(first, [*one["sequence"], *two["sequence"]])
    return measure(one, two) if times is None else measure(*with_expected_times(one, two, times))
