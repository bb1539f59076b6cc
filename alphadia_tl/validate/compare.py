"""Finished searches beside each other: what each found, how much of it is wrong, where they agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from alphadia_tl.errors import SettingsError
from alphadia_tl.validate.agreement import quantity_agreement, rt_agreement, shared_table, variation
from alphadia_tl.validate.discoveries import Discoveries
from alphadia_tl.validate.estimators import FdpEstimate, combined
from alphadia_tl.validate.levels import Entrapment
from alphadia_tl.validate.marked import ALL_RUNS, LEVELS, Level, best_rows, discoveries, entrapment_rows, estimate
from alphadia_tl.validate.settings_differ import settings_differences
from alphadia_tl.validate.tables import SearchOutput
from alphadia_tl.validate.verdicts import count_verdicts, error_verdict, versus

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
SEVERAL_RUNS = (
    "alphaDIA claims the FDR of precursors for each run. The list of all runs together collects the errors of each and "
    "has a higher FDP, the more runs the higher; verdicts on precursors and peptides are about each run's list."
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
    outputs: Sequence[SearchOutput],
    entrapment: Entrapment | Mapping[str, Entrapment] | None = None,
    *,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compare finished searches with the first of them.

    Parameters
    ----------
    outputs : sequence of SearchOutput
        At least two, of different names.
    entrapment : Entrapment, or mapping of str to Entrapment, optional
        That of all searches, or of each by its name. Nothing is said about the errors of a search without it.
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
    said = list(_notes(outputs))
    marked, unknown = _entrapments(outputs, entrapment)
    said += [*unknown, *_notes_on_errors(outputs, marked)]
    rows: list[Row] = []
    verdicts: list[str] = []
    runs = sorted({run for o in outputs for run in o.runs})
    by_run = [_by_run(o.rows) for o in outputs]
    for level in LEVELS:
        judged = [_by_run(part) for part in _judged(outputs, level)]
        lists = {run: _lists(run, judged, level, marked) for run in [*runs, ALL_RUNS]}
        for run in [ALL_RUNS, *runs]:
            numbers = [len(best_rows(of_run[run], level)) if run in of_run else 0 for of_run in by_run]
            rows += [(level.name, run, n, "identified", float(found)) for n, found in zip(names, numbers, strict=True)]
            errors = [_estimate(found, e) for found, e in zip(lists[run], marked, strict=True)]
            matched = _matched(lists[run], errors, marked)
            rows += _error_rows(level, run, names, errors, matched)
            if run == ALL_RUNS:
                verdicts += _said_of_errors(
                    level, outputs, errors, [[lists[r][i] for r in runs] for i in range(len(names))], marked
                )
                verdicts += count_verdicts(level.name, names, numbers, matched)
        rows += _pairs(level, outputs, by_run, marked)
        rows += _variations(level, outputs, marked)
    rows += [(SEARCH_LEVEL, ALL_RUNS, o.name, f"seconds: {k}", float(v)) for o in outputs for k, v in o.seconds.items()]
    return Comparison(
        arms=tuple(names),
        claimed_fdr=tuple(o.claimed_fdr for o in outputs),
        table=pd.DataFrame(rows, columns=list(COLUMNS)),
        verdicts=tuple(verdicts),
        notes=(*notes, *said),
        measured=any(e is not None for e in marked),
    )


def _by_run(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split rows by run, once: a search of many runs has millions."""
    return {ALL_RUNS: rows} | {str(run): part for run, part in rows.groupby("run", sort=True)}


def _entrapments(
    outputs: Sequence[SearchOutput], given: Entrapment | Mapping[str, Entrapment] | None
) -> tuple[list[Entrapment | None], list[str]]:
    """Return the entrapment of each search, and what to tell of those that have none.

    A prefix may be a wrong one: it counts where a table of twins or of peptides left out says that there is entrapment,
    or where an identification of any search has it.
    """
    if given is None:
        return [None] * len(outputs), []
    of = {o.name: given for o in outputs} if isinstance(given, Entrapment) else given
    known = [of.get(o.name) for o in outputs]
    pairs = list(zip(known, _judged(outputs, LEVELS[0]), strict=True))
    if not any(e and (e.target_of or e.left_out or has_entrapment(rows, e)) for e, rows in pairs):
        prefixes = ", ".join(sorted({repr(e.prefix) for e in known if e}))
        told = [f"No protein starts with {prefixes} in any search: no error is estimated."] if prefixes else []
        return [None] * len(outputs), told
    without = ", ".join(o.name for o, e in zip(outputs, known, strict=True) if e is None)
    told = [f"No entrapment in the database of {without}: no error is estimated there."] if without else []
    if len({(e.prefix, e.design, e.k, e.r, len(e.target_of)) for e in known if e}) > 1:
        told.append("The searches differ in their entrapment: each is estimated with its own.")
    return known, told


def has_entrapment(rows: pd.DataFrame, entrapment: Entrapment) -> bool:
    """Tell whether any precursor belongs to entrapment proteins only."""
    return bool(entrapment_rows(rows, LEVELS[0], entrapment).any())


def _judged(outputs: Sequence[SearchOutput], level: Level) -> list[pd.DataFrame]:
    """Return the identifications in which entrapments are counted: of all searches before the protein FDR, or of none.

    The protein FDR takes away entrapment proteins, which have no true precursor to hold them, and leaves wrong
    precursors of true proteins: what is left has fewer entrapments than its error.
    """
    before = [o.run_rows for o in outputs if o.run_rows is not None]
    if level.name == "protein group" or len(before) < len(outputs):
        return [o.rows for o in outputs]
    return before


def _lists(
    run: str, judged: Sequence[Mapping[str, pd.DataFrame]], level: Level, marked: Sequence[Entrapment | None]
) -> list[Discoveries | None]:
    """Return the discoveries of each search in a run, None where it has no entrapment."""
    return [
        None if e is None else discoveries(of_run.get(run, of_run[ALL_RUNS].iloc[:0]), level, e)
        for of_run, e in zip(judged, marked, strict=True)
    ]


def _estimate(found: Discoveries | None, entrapment: Entrapment | None) -> FdpEstimate | None:
    return None if found is None or entrapment is None or not len(found) else estimate(found, entrapment)


def _matched(
    lists: Sequence[Discoveries | None], errors: Sequence[FdpEstimate | None], marked: Sequence[Entrapment | None]
) -> list[tuple[int, float] | None]:
    """Return the targets of each search where the combined estimate of all is the smallest of them, and that one."""
    limit = min((e.combined for e in errors if e), default=0.0)
    return [
        None
        if found is None or e is None
        else (int((~found.is_entrapment[: matched_prefix(found, e.r, limit)]).sum()), limit)
        for found, e in zip(lists, marked, strict=True)
    ]


def _error_rows(
    level: Level,
    run: str,
    names: Sequence[str],
    errors: Sequence[FdpEstimate | None],
    matched: Sequence[tuple[int, float] | None],
) -> Iterator[Row]:
    for name, e, match in zip(names, errors, matched, strict=True):
        for metric, value in (asdict(e) if e else {}).items():
            if value is not None:
                yield (level.name, run, name, metric if metric.startswith("n_") else f"fdp_{metric}", float(value))
        if match is not None:
            yield (level.name, run, name, "targets_at_matched_fdp", float(match[0]))
            yield (level.name, run, name, "matched_fdp", match[1])


def _said_of_errors(
    level: Level,
    outputs: Sequence[SearchOutput],
    errors: Sequence[FdpEstimate | None],
    of_runs: Sequence[Sequence[Discoveries | None]],
    marked: Sequence[Entrapment | None],
) -> Iterator[str]:
    """Judge the claimed FDR where it is claimed: for each run; for protein groups, for all runs together."""
    for output, union, lists, e in zip(outputs, errors, of_runs, marked, strict=True):
        runs = [found for found in lists if found is not None and len(found)]
        if union is None or e is None:
            continue
        several = len(runs) > 1 and level.name != "protein group"
        yield error_verdict(level.name, output, estimate(runs, e) if several else union, union if several else None)


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


def _pairs(
    level: Level,
    outputs: Sequence[SearchOutput],
    by_run: Sequence[Mapping[str, pd.DataFrame]],
    marked: Sequence[Entrapment | None],
) -> Iterator[Row]:
    base = outputs[0]
    for other, of_run, e in zip(outputs[1:], by_run[1:], marked[1:], strict=True):
        for run in [ALL_RUNS, *sorted(set(base.runs) & set(other.runs))]:
            one, two = _targets(by_run[0][run], level, marked[0]), _targets(of_run[run], level, e)
            first, second = set(one[level.key]), set(two[level.key])
            shared = shared_table(one, two, level.quantified)
            counts = {"shared": first & second, "gained": second - first, "lost": first - second}
            values = {name: float(len(found)) for name, found in counts.items()}
            values |= rt_agreement(shared) if level.name == "precursor" else {}
            values |= quantity_agreement(shared)
            for metric, value in values.items():
                yield (level.name, run, versus(other.name, base.name), metric, value)


def _variations(level: Level, outputs: Sequence[SearchOutput], marked: Sequence[Entrapment | None]) -> Iterator[Row]:
    spread = [variation(_targets(o.rows, level, e), level.quantified) for o, e in zip(outputs, marked, strict=True)]
    common = set.intersection(*(set(s.index) for s in spread))
    for output, one in zip(outputs, spread, strict=True):
        if len(one):
            yield (level.name, ALL_RUNS, output.name, "cv_median", float(one.median()))
            yield (level.name, ALL_RUNS, output.name, "cv_identifications", float(len(one)))
        if common:
            of_common = one[one.index.isin(common)]
            yield (level.name, ALL_RUNS, output.name, "cv_median_of_common", float(of_common.median()))


def _notes(outputs: Sequence[SearchOutput]) -> Iterator[str]:
    base, *others = outputs
    for other in others:
        if base.runs != other.runs:
            runs = ", ".join(sorted(set(base.runs) ^ set(other.runs)))
            yield f"{versus(other.name, base.name)}: the runs differ ({runs})."
        differ = settings_differences(base.settings, other.settings)
        if differ:
            yield f"{versus(other.name, base.name)}: other settings differ too: {'; '.join(differ)}."


def _notes_on_errors(outputs: Sequence[SearchOutput], marked: Sequence[Entrapment | None]) -> Iterator[str]:
    if not any(marked):
        return
    without = [o.name for o in outputs if o.run_rows is None]
    yield BEFORE if not without else AFTER.format(names=", ".join(without))
    if any(len(o.runs) > 1 for o in outputs):
        yield SEVERAL_RUNS
    few = [
        o.name
        for o, e, rows in zip(outputs, marked, _judged(outputs, LEVELS[0]), strict=True)
        if e is not None and int(entrapment_rows(rows, LEVELS[0], e).sum()) < FEW_ENTRAPMENTS
    ]
    if few:
        yield f"Fewer than {FEW_ENTRAPMENTS} entrapments in {', '.join(few)}: the estimates are rough."
