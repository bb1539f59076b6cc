"""Finished searches beside each other: what each found, how much of it is wrong, where they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from alphadia_tl.errors import SettingsError
from alphadia_tl.validate.agreement import quantity_agreement, rt_agreement, shared_table, variation
from alphadia_tl.validate.discoveries import Discoveries
from alphadia_tl.validate.estimators import FdpEstimate, combined, estimate_fdp
from alphadia_tl.validate.levels import Entrapment
from alphadia_tl.validate.marked import ALL_RUNS, LEVELS, Level, best_rows, discoveries, entrapment_rows
from alphadia_tl.validate.settings_differ import settings_differences
from alphadia_tl.validate.tables import SearchOutput
from alphadia_tl.validate.verdicts import count_verdicts, error_verdicts, versus

COLUMNS = ("level", "run", "arm", "metric", "value")
SEARCH_LEVEL = "search"
FEW_ENTRAPMENTS = 10
BEFORE = (
    "Targets, entrapments and errors of precursors and peptides are those before the protein FDR; what is identified, "
    "gained and lost is counted after it. The protein FDR hides errors: entrapment proteins go, misplaced precursors "
    "of true proteins stay."
)
AFTER = (
    "The errors of precursors and peptides are estimated after the protein FDR and are too low for that: the tables of "
    "the runs are gone in {names}."
)
Row = tuple[str, str, str, str, float]


@dataclass(frozen=True)
class Comparison:
    """Searches beside each other.

    Attributes
    ----------
    arms : tuple of str
        Names of the searches; the others are compared with the first.
    claimed_fdr : tuple of float
        One per search.
    table : pandas.DataFrame
        Long: ``level, run, arm, metric, value``. Run "all" counts each identification once. Arm "B vs A" holds what two
        searches have to do with each other; level "search" holds seconds.
    verdicts : tuple of str
        What the figures say.
    notes : tuple of str
        What to know before believing them.
    measured : bool
        Whether errors were estimated with entrapment.
    """

    arms: tuple[str, ...]
    claimed_fdr: tuple[float, ...]
    table: pd.DataFrame
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]
    measured: bool

    def __post_init__(self) -> None:
        if list(self.table.columns) != list(COLUMNS):
            raise ValueError(f"a comparison has the columns {COLUMNS}, not {tuple(self.table.columns)}")

    def value(self, level: str, arm: str, metric: str, run: str = ALL_RUNS) -> float | None:
        """Return one value, None where it was not measured."""
        t = self.table
        found = t.loc[(t.level == level) & (t.run == run) & (t.arm == arm) & (t.metric == metric), "value"]
        return None if found.empty or pd.isna(found.iloc[0]) else float(found.iloc[0])


def compare(
    outputs: Sequence[SearchOutput], entrapment: Entrapment | None = None, *, notes: Sequence[str] = ()
) -> Comparison:
    """Compare finished searches with the first of them.

    Parameters
    ----------
    outputs : sequence of SearchOutput
        At least two, of different names.
    entrapment : Entrapment, optional
        Without it nothing is said about errors.
    notes : sequence of str
        What is known already and should be told.

    Raises
    ------
    SettingsError
        If there are fewer than two searches or two of one name.
    """
    names = [o.name for o in outputs]
    if len(names) < 2 or len(set(names)) < len(names):
        raise SettingsError(f"A comparison needs at least two searches of different names, not {names}.")
    said = list(_notes(outputs, entrapment))
    if entrapment is not None and _nobody_has(outputs, entrapment):
        said.append(f"No protein starts with {entrapment.prefix!r} in any search: no error is estimated.")
        entrapment = None
    rows: list[Row] = []
    verdicts: list[str] = []
    for level in LEVELS:
        judged = _judged(outputs, level)
        for run in [ALL_RUNS, *sorted({run for o in outputs for run in o.runs})]:
            found = [_of_run(o.rows, run) for o in outputs]
            for name, identified in zip(names, found, strict=True):
                rows.append((level.name, run, name, "identified", float(len(best_rows(identified, level)))))
            estimates, matched = _errors(rows, level, run, names, [_of_run(r, run) for r in judged], entrapment)
            if run == ALL_RUNS:
                verdicts += error_verdicts(level.name, outputs, estimates)
                verdicts += count_verdicts(level.name, names, [len(best_rows(f, level)) for f in found], matched)
        rows += _pairs(level, outputs, entrapment)
        rows += _variations(level, outputs, entrapment)
    rows += [(SEARCH_LEVEL, ALL_RUNS, o.name, f"seconds: {k}", float(v)) for o in outputs for k, v in o.seconds.items()]
    return Comparison(
        arms=tuple(names),
        claimed_fdr=tuple(o.claimed_fdr for o in outputs),
        table=pd.DataFrame(rows, columns=list(COLUMNS)),
        verdicts=tuple(verdicts),
        notes=(*notes, *said),
        measured=entrapment is not None,
    )


def _of_run(rows: pd.DataFrame, run: str) -> pd.DataFrame:
    return rows if run == ALL_RUNS else rows[rows["run"] == run]


def _judged(outputs: Sequence[SearchOutput], level: Level) -> list[pd.DataFrame]:
    """Return the identifications in which entrapments are counted: of all searches before the protein FDR, or of none.

    The protein FDR takes away entrapment proteins, which have no true precursor to hold them, and leaves wrong
    precursors of true proteins: what is left has fewer entrapments than its error.
    """
    before = [o.run_rows for o in outputs if o.run_rows is not None]
    if level.name == "protein group" or len(before) < len(outputs):
        return [o.rows for o in outputs]
    return before


def _errors(
    rows: list[Row],
    level: Level,
    run: str,
    names: Sequence[str],
    judged: Sequence[pd.DataFrame],
    entrapment: Entrapment | None,
) -> tuple[list[FdpEstimate | None], list[tuple[int, float]]]:
    """Note the errors of each search, and the targets where the errors of all are the smallest of them."""
    if entrapment is None:
        return [None] * len(names), []
    lists = [discoveries(found, level, entrapment) for found in judged]
    estimates = [_estimate(found, entrapment) if len(found) else None for found in lists]
    for name, estimate in zip(names, estimates, strict=True):
        rows += [
            (level.name, run, name, metric if metric.startswith("n_") else f"fdp_{metric}", float(value))
            for metric, value in (asdict(estimate) if estimate else {}).items()
            if value is not None
        ]
    whole = [combined(e.n_target, e.n_entrapment, entrapment.r) for e in estimates if e]
    limit = min(whole, default=0.0)
    numbers = [int((~d.is_entrapment[: matched_prefix(d, entrapment.r, limit)]).sum()) for d in lists]
    for name, number in zip(names, numbers, strict=True):
        rows.append((level.name, run, name, "targets_at_matched_fdp", float(number)))
        rows.append((level.name, run, name, "matched_fdp", limit))
    return estimates, [(number, limit) for number in numbers]


def _estimate(found: Discoveries, entrapment: Entrapment) -> FdpEstimate:
    return estimate_fdp(
        found, r=entrapment.r, design=entrapment.design, k=entrapment.k, generator=np.random.default_rng(0)
    )


def matched_prefix(found: Discoveries, ratio: float, limit: float) -> int:
    """Return how many of the best discoveries have a combined estimate of at most a limit.

    Parameters
    ----------
    found : Discoveries
        Best first.
    ratio : float
        Entrapment database size divided by target database size.
    limit : float
        Combined estimate that is allowed.
    """
    n_entrapment = np.concatenate([[0], np.cumsum(found.is_entrapment)])
    for n in range(len(found), 0, -1):
        if combined(n - int(n_entrapment[n]), int(n_entrapment[n]), ratio) <= limit:
            return n
    return 0


def _targets(rows: pd.DataFrame, level: Level, entrapment: Entrapment | None) -> pd.DataFrame:
    if entrapment is None:
        return rows
    return rows[~entrapment_rows(rows, level, entrapment)]


def _pairs(level: Level, outputs: Sequence[SearchOutput], entrapment: Entrapment | None) -> Iterator[Row]:
    base, *others = outputs
    for other in others:
        for run in [ALL_RUNS, *sorted(set(base.runs) & set(other.runs))]:
            one, two = (_targets(_of_run(o.rows, run), level, entrapment) for o in (base, other))
            first, second = set(one[level.key]), set(two[level.key])
            shared = shared_table(one, two, level.quantified)
            counts = {"shared": first & second, "gained": second - first, "lost": first - second}
            values = {name: float(len(found)) for name, found in counts.items()}
            values |= rt_agreement(shared) if level.name == "precursor" else {}
            values |= quantity_agreement(shared)
            for metric, value in values.items():
                yield (level.name, run, versus(other.name, base.name), metric, value)


def _variations(level: Level, outputs: Sequence[SearchOutput], entrapment: Entrapment | None) -> Iterator[Row]:
    spread = [variation(_targets(o.rows, level, entrapment), level.quantified) for o in outputs]
    common = set.intersection(*(set(s.index) for s in spread))
    for output, one in zip(outputs, spread, strict=True):
        if len(one):
            yield (level.name, ALL_RUNS, output.name, "cv_median", float(one.median()))
            yield (level.name, ALL_RUNS, output.name, "cv_identifications", float(len(one)))
        if common:
            of_common = one[one.index.isin(common)]
            yield (level.name, ALL_RUNS, output.name, "cv_median_of_common", float(of_common.median()))


def _notes(outputs: Sequence[SearchOutput], entrapment: Entrapment | None) -> Iterator[str]:
    base, *others = outputs
    for other in others:
        if base.runs != other.runs:
            runs = ", ".join(sorted(set(base.runs) ^ set(other.runs)))
            yield f"{versus(other.name, base.name)}: the runs differ ({runs})."
        differ = settings_differences(base.settings, other.settings)
        if differ:
            yield f"{versus(other.name, base.name)}: other settings differ too: {'; '.join(differ)}."
    if entrapment is None:
        return
    without = [o.name for o in outputs if o.run_rows is None]
    yield BEFORE if not without else AFTER.format(names=", ".join(without))
    judged = zip(outputs, _judged(outputs, LEVELS[0]), strict=True)
    numbers = {o.name: int(entrapment_rows(rows, LEVELS[0], entrapment).sum()) for o, rows in judged}
    if few := [name for name, number in numbers.items() if number < FEW_ENTRAPMENTS]:
        yield f"Fewer than {FEW_ENTRAPMENTS} entrapments in {', '.join(few)}: the estimates are rough."


def _nobody_has(outputs: Sequence[SearchOutput], entrapment: Entrapment) -> bool:
    """Tell whether the prefix may be a wrong one: nothing has it, and no table of twins or of peptides left out."""
    if entrapment.target_of or entrapment.left_out:
        return False
    return not any(entrapment_rows(rows, LEVELS[0], entrapment).any() for rows in _judged(outputs, LEVELS[0]))
