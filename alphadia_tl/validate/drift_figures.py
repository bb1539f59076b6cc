"""What two passes over the same runs look like beside each other, without entrapment."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from alphadia_tl.validate.expected_times import EXPECTED

KEY = ("run", "sequence", "mods", "mod_sites", "charge")
#: Columns of ``psm.parquet`` that `measure` reads.
COLUMNS = ("run", "sequence", "mods", "mod_sites", "charge", "decoy", "proba", "rt_observed", "rt_calibrated")
TOLERATED_SHARE = 0.95  # of the shared precursors lie within the RT error that gained ones are held against
LENGTH_SHARE = 0.98  # of the shared precursors of a charge have a length that counts as plausible
MIN_PER_CHARGE = 20  # shared precursors of a charge, or nothing is said about its plausible lengths
TAIL = 0.25  # share of a pass, worst scores first


@dataclass(frozen=True)
class DriftFigures:
    """What two passes look like beside each other; None where there is nothing to measure.

    Attributes
    ----------
    n_first, n_second : int
        Target precursors, counted per run.
    n_shared, n_gained, n_lost : int
        In both passes, in the second only, in the first only.
    decoys_first, decoys_second : int
        Decoys in each pass's table.
    growth : float or None
        ``n_second / n_first``.
    separation_first, separation_second : float or None
        Chance that a target scores better than a decoy (area under the ROC curve, Mann-Whitney U / (n m)).
    separation_error : float or None
        Standard error of their difference; a pass at 1 % FDR has few decoys.
    tail_decoys_first, tail_decoys_second : float or None
        Decoys' share of the worst quarter by score.
    rt_tolerance : float or None
        Seconds; 95 % of the shared precursors have an RT within it of the expected one, in the second pass.
    rt_agreement_gained, rt_agreement_decoys : float or None
        Shares within ``rt_tolerance``. That of the decoys is what wrong identifications with good scores reach; None
        where the library of the pass before says what is expected, as decoys are not in it.
    rt_agreement_lost : float or None
        The same of the lost precursors, in the first pass, by what its shared ones keep.
    charge_plausible_gained : float or None
        Share of gained precursors with a length that is usual for their charge among the shared ones.
    """

    n_first: int
    n_second: int
    n_shared: int
    n_gained: int
    n_lost: int
    decoys_first: int
    decoys_second: int
    growth: float | None
    separation_first: float | None
    separation_second: float | None
    separation_error: float | None
    tail_decoys_first: float | None
    tail_decoys_second: float | None
    rt_tolerance: float | None
    rt_agreement_gained: float | None
    rt_agreement_decoys: float | None
    rt_agreement_lost: float | None
    charge_plausible_gained: float | None

    def __post_init__(self) -> None:
        if self.n_shared + self.n_gained != self.n_second or self.n_shared + self.n_lost != self.n_first:
            raise ValueError(f"counts that do not add up: {self}")

    @property
    def misplaced_growth(self) -> float | None:
        """Precursors that elute elsewhere than expected: gained less lost ones, per precursor of the second pass.

        Passes exchange wrong identifications at the edge of the FDR, without having more of them: what is gained is
        held against what is lost.
        """
        if self.rt_agreement_gained is None or not self.n_second:
            return None
        lost = 0.0 if self.rt_agreement_lost is None else self.n_lost * (1 - self.rt_agreement_lost)
        return (self.n_gained * (1 - self.rt_agreement_gained) - lost) / self.n_second

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values, rounded to four digits, for YAML."""
        values = dataclasses.asdict(self)
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in values.items()}


def measure(first: pd.DataFrame, second: pd.DataFrame) -> DriftFigures:
    """Compare two passes over the same runs.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Targets and decoys up to the FDR, as in ``psm.parquet``, runs below each other: columns `COLUMNS`; ``decoy`` is
        0 or 1, ``proba`` is lower for better ones, retention times are in seconds. Expected is ``rt_expected`` where
        both have it (`expected_times`), else ``rt_calibrated``, by the pass's own library; without either nothing is
        said about retention times.
    """
    column = EXPECTED if EXPECTED in first and EXPECTED in second else "rt_calibrated"
    one, two = _targets(first), _targets(second)
    shared = two.index.isin(one.index)
    (first_chance, first_error), (second_chance, second_error) = separation(first), separation(second)
    kept = one.index.isin(two.index)
    return DriftFigures(
        n_first=len(one),
        n_second=len(two),
        n_shared=int(shared.sum()),
        n_gained=int((~shared).sum()),
        n_lost=len(one) - int(shared.sum()),
        decoys_first=_n_decoys(first),
        decoys_second=_n_decoys(second),
        growth=len(two) / len(one) if len(one) else None,
        separation_first=first_chance,
        separation_second=second_chance,
        separation_error=None if first_error is None or second_error is None else math.hypot(first_error, second_error),
        tail_decoys_first=tail_decoys(first),
        tail_decoys_second=tail_decoys(second),
        **_rt_agreement(two[shared], two[~shared], second, column),
        rt_agreement_lost=_rt_agreement(one[kept], one[~kept], first, column)["rt_agreement_gained"],
        charge_plausible_gained=_charge_plausible(two[shared], two[~shared]),
    )


def _targets(psm: pd.DataFrame) -> pd.DataFrame:
    targets = psm[psm["decoy"] == 0].sort_values("proba").drop_duplicates(list(KEY))
    # one type whatever pass wrote it: charges are int8 in one and uint8 in the other
    keys = pd.MultiIndex.from_frame(targets[list(KEY)].astype({"charge": "int64"}))
    return targets.set_index(keys.set_names([None] * len(KEY)))


def _n_decoys(psm: pd.DataFrame) -> int:
    return int((psm["decoy"] != 0).sum())


def separation(psm: pd.DataFrame) -> tuple[float | None, float | None]:
    """Return the chance that a target scores better than a decoy, ties counting half, and its standard error.

    Parameters
    ----------
    psm : pandas.DataFrame
        Columns ``decoy`` and ``proba`` (lower is better).

    Returns
    -------
    chance, error : float or None
        None without a target or a decoy, the error also with one of either. The error is that of DeLong, DeLong &
        Clarke-Pearson 1988, Biometrics 44, 837.
    """
    decoy = psm["decoy"].to_numpy() != 0
    n, m = int((~decoy).sum()), int(decoy.sum())
    if n == 0 or m == 0:
        return None, None
    proba = psm["proba"].to_numpy()
    ranks = rankdata(proba)
    of_decoys = (ranks[decoy] - rankdata(proba[decoy])) / n  # targets that are better than each
    of_targets = (ranks[~decoy] - rankdata(proba[~decoy])) / m  # decoys that are better than each
    chance = float(of_decoys.mean())
    if n == 1 or m == 1:
        return chance, None
    return chance, float(np.sqrt(of_decoys.var(ddof=1) / m + of_targets.var(ddof=1) / n))


def tail_decoys(psm: pd.DataFrame) -> float | None:
    """Return the decoys' share of the worst quarter by score, at least one row."""
    if len(psm) == 0:
        return None
    worst = psm.nlargest(max(1, round(TAIL * len(psm))), "proba")
    return float((worst["decoy"] != 0).mean())


def _share(values: npt.NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None


def _rt_agreement(
    shared: pd.DataFrame, gained: pd.DataFrame, psm: pd.DataFrame, column: str
) -> dict[str, float | None]:
    names = ("rt_tolerance", "rt_agreement_gained", "rt_agreement_decoys")
    if column not in psm or len(shared) == 0:
        return dict.fromkeys(names)

    def error(rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        found = (rows["rt_observed"] - rows[column]).abs().astype(float)
        return found[np.isfinite(found)].to_numpy()

    known = error(shared)
    if len(known) == 0:
        return dict.fromkeys(names)
    tolerance = float(np.quantile(known, TOLERATED_SHARE))
    decoys = error(psm[psm["decoy"] != 0])
    return dict(zip(names, (tolerance, _share(error(gained) <= tolerance), _share(decoys <= tolerance)), strict=True))


def _charge_plausible(shared: pd.DataFrame, gained: pd.DataFrame) -> float | None:
    plausible: list[npt.NDArray[np.bool_]] = []
    margin = (1 - LENGTH_SHARE) / 2
    for charge, rows in gained.groupby("charge"):
        known = shared.loc[shared["charge"] == charge, "sequence"].str.len().to_numpy()
        if len(known) >= MIN_PER_CHARGE:
            low, high = np.quantile(known, [margin, 1 - margin])
            plausible.append(rows["sequence"].str.len().between(low, high).to_numpy())
    return _share(np.concatenate(plausible)) if plausible else None
