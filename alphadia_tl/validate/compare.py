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
    rows: list[Row] = []
    verdicts: list[str] = []
    for level in LEVELS:
        for run in [ALL_RUNS, *sorted({run for o in outputs for run in o.runs})]:
            found = [_of_run(o, run) for o in outputs]
            estimates = [_count(rows, level, run, *pair, entrapment) for pair in zip(names, found, strict=True)]
            matched = _match(rows, level, run, names, found, entrapment)
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
        notes=(*notes, *_notes(outputs, entrapment)),
        measured=entrapment is not None,
    )


def _of_run(output: SearchOutput, run: str) -> pd.DataFrame:
    return output.rows if run == ALL_RUNS else output.rows[output.rows["run"] == run]


def _count(
    rows: list[Row], level: Level, run: str, name: str, found: pd.DataFrame, entrapment: Entrapment | None
) -> FdpEstimate | None:
    rows.append((level.name, run, name, "identified", float(len(best_rows(found, level)))))
    if entrapment is None or found.empty:
        return None
    estimate = estimate_fdp(
        discoveries(found, level, entrapment),
        r=entrapment.r,
        design=entrapment.design,
        k=entrapment.k,
        generator=np.random.default_rng(0),
    )
    rows += [
        (level.name, run, name, metric if metric.startswith("n_") else f"fdp_{metric}", float(value))
        for metric, value in asdict(estimate).items()
        if value is not None
    ]
    return estimate


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


def _match(
    rows: list[Row], level: Level, run: str, names: Sequence[str], found: Sequence[pd.DataFrame], e: Entrapment | None
) -> list[tuple[int, float]]:
    """Note the targets of each search where the combined estimates of all are the smallest of them."""
    if e is None:
        return []
    lists = [discoveries(f, level, e) for f in found]
    whole = [combined(int((~d.is_entrapment).sum()), int(d.is_entrapment.sum()), e.r) for d in lists if len(d)]
    limit = min(whole, default=0.0)
    numbers = [int((~d.is_entrapment[: matched_prefix(d, e.r, limit)]).sum()) for d in lists]
    for name, number in zip(names, numbers, strict=True):
        rows.append((level.name, run, name, "targets_at_matched_fdp", float(number)))
        rows.append((level.name, run, name, "matched_fdp", limit))
    return [(number, limit) for number in numbers]


def _targets(rows: pd.DataFrame, level: Level, entrapment: Entrapment | None) -> pd.DataFrame:
    if entrapment is None:
        return rows
    return rows[~entrapment_rows(rows, level, entrapment)]


def _pairs(level: Level, outputs: Sequence[SearchOutput], entrapment: Entrapment | None) -> Iterator[Row]:
    base, *others = outputs
    for other in others:
        for run in [ALL_RUNS, *sorted(set(base.runs) & set(other.runs))]:
            one, two = (_targets(_of_run(o, run), level, entrapment) for o in (base, other))
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
    numbers = {o.name: int(entrapment_rows(o.rows, LEVELS[0], entrapment).sum()) for o in outputs}
    if not any(numbers.values()):
        yield f"No protein starts with {entrapment.prefix!r} in any search: was the FASTA one with entrapment?"
    elif few := [name for name, number in numbers.items() if number < FEW_ENTRAPMENTS]:
        yield f"Fewer than {FEW_ENTRAPMENTS} entrapments in {', '.join(few)}: the estimates are rough."
