"""The errors of searches that stand beside each other: whose entrapment, what it says, and of which lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from alphadia_tl.entrapment.database import Entrapment
from alphadia_tl.entrapment.estimate import Discoveries, FdpEstimate, combined, verdict
from alphadia_tl.entrapment.levels import PRECURSORS, PROTEIN_GROUPS, Level, discoveries, entrapment_rows
from alphadia_tl.host.search_tables import SearchOutput

ALL_RUNS = "all"
NO_ESTIMATE = "no error estimate: search with an entrapment FASTA (alphadia-tl entrapment)"
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
class ListErrors:
    """A list of discoveries and the estimate of its errors by the search's entrapment; none for an empty list."""

    found: Discoveries
    entrapment: Entrapment
    estimate: FdpEstimate | None


def versus(second: str, first: str) -> str:
    """Name the comparison of two searches."""
    return f"{second} vs {first}"


def error_verdicts(
    level: Level, outputs: Sequence[SearchOutput], errors: Mapping[str, Sequence[ListErrors | None]]
) -> Iterator[str]:
    """Say whether the FDR holds where it is claimed: for each run; for protein groups, for all runs together.

    The errors are those of each run, and of all together, one per search.
    """
    for i, output in enumerate(outputs):
        union = errors[ALL_RUNS][i]
        if union is None or union.estimate is None:
            continue
        estimate, of_runs, together = union.estimate, "", ""
        of_each_run = [found for run, of_run in errors.items() if run != ALL_RUNS and (found := of_run[i])]
        lists = [e.found for e in of_each_run if len(e.found)]
        if len(lists) > 1 and level != PROTEIN_GROUPS:
            of_runs, together = " in each run", f" (all runs together: {estimate.upper:.2%})"
            estimate = union.entrapment.estimate(lists)
        yield (
            f"{level.name}, {output.name}: estimated FDP{of_runs} {estimate.upper:.2%} "
            f"({estimate.interval_low:.2%} to {min(estimate.interval_high, 1):.2%}), "
            f"claimed {output.claimed_fdr:.2%}: {verdict(estimate, output.claimed_fdr)}{together}"
        )


def count_verdicts(
    level: Level, names: Sequence[str], numbers: Sequence[int], matched: Sequence[tuple[int, float] | None]
) -> Iterator[str]:
    """Say how many more or fewer each search found than the first: of what it identified or, with entrapment, matched.

    See `matched_targets`.
    """
    for i in range(1, len(names)):
        one, two = matched[0], matched[i]
        if one is None or two is None:
            text = f"{_change(numbers[0], numbers[i])} at the claimed FDR ({NO_ESTIMATE})"
        else:
            text = f"{_change(one[0], two[0])} targets at the same estimated FDP of {two[1]:.2%}"
        yield f"{level.name}, {versus(names[i], names[0])}: {text}"


def _change(before: int, after: int) -> str:
    share = f" ({after / before - 1:+.1%})" if before else ""
    return f"{after:,} against {before:,}{share}"


def entrapments_of(
    outputs: Sequence[SearchOutput], entrapment: Entrapment | Mapping[str, Entrapment] | None
) -> tuple[list[Entrapment | None], list[str]]:
    """Return the entrapment of each search, from that of all or of each by its name, and notes on those without one.

    A prefix may be a wrong one: it counts where a table of twins or of peptides left out says that there is entrapment,
    or where an identification of any search has it.
    """
    if entrapment is None:
        return [None] * len(outputs), []
    known = [entrapment if isinstance(entrapment, Entrapment) else entrapment.get(o.name) for o in outputs]
    pairs = list(zip(known, judged_rows(outputs, PRECURSORS), strict=True))
    if not any(e and (e.target_of or e.left_out or has_entrapment(rows, e)) for e, rows in pairs):
        prefixes = ", ".join(sorted({repr(e.prefix) for e in known if e}))
        notes = [f"No protein starts with {prefixes} in any search: no error is estimated."] if prefixes else []
        return [None] * len(outputs), notes
    without = ", ".join(o.name for o, e in zip(outputs, known, strict=True) if e is None)
    notes = [f"No entrapment in the database of {without}: no error is estimated there."] if without else []
    if len({(e.prefix, e.design, e.k, e.r, len(e.target_of)) for e in known if e}) > 1:
        notes.append("The searches differ in their entrapment: each is estimated with its own.")
    return known, notes


def has_entrapment(rows: pd.DataFrame, entrapment: Entrapment) -> bool:
    """Tell whether any precursor belongs to entrapment proteins only."""
    return bool(entrapment_rows(rows, PRECURSORS, entrapment).any())


def judged_rows(outputs: Sequence[SearchOutput], level: Level) -> list[pd.DataFrame]:
    """Return the identifications in which entrapments are counted: of all searches before the protein FDR, or of none.

    The protein FDR takes away entrapment proteins, which have no true precursor to hold them, and leaves wrong
    precursors of true proteins: what is left has fewer entrapments than its error.
    """
    before = [o.run_rows for o in outputs if o.run_rows is not None]
    if level == PROTEIN_GROUPS or len(before) < len(outputs):
        return [o.rows for o in outputs]
    return before


def errors_in(
    run: str, judged: Sequence[Mapping[str, pd.DataFrame]], level: Level, marked: Sequence[Entrapment | None]
) -> list[ListErrors | None]:
    """Return the discoveries of each search in a run and their errors, None where it has no entrapment."""
    errors: list[ListErrors | None] = []
    for by_run, entrapment in zip(judged, marked, strict=True):
        if entrapment is None:
            errors.append(None)
            continue
        found = discoveries(by_run.get(run, by_run[ALL_RUNS].iloc[:0]), level, entrapment)
        errors.append(ListErrors(found, entrapment, entrapment.estimate(found) if len(found) else None))
    return errors


def matched_targets(errors: Sequence[ListErrors | None]) -> list[tuple[int, float] | None]:
    """Return the targets of each search where the combined estimate of all is the smallest of them, and that one."""
    limit = min((e.estimate.combined for e in errors if e and e.estimate), default=0.0)
    return [
        None
        if e is None
        else (int((~e.found.is_entrapment[: matched_prefix(e.found, e.entrapment.r, limit)]).sum()), limit)
        for e in errors
    ]


def error_rows(
    level: Level,
    run: str,
    names: Sequence[str],
    errors: Sequence[ListErrors | None],
    matched: Sequence[tuple[int, float] | None],
) -> Iterator[Row]:
    """Yield the lines of the comparison's table about errors."""
    for name, e, match in zip(names, errors, matched, strict=True):
        for metric, value in (asdict(e.estimate) if e and e.estimate else {}).items():
            if value is not None:
                yield (level.name, run, name, metric if metric.startswith("n_") else f"fdp_{metric}", float(value))
        if match is not None:
            yield (level.name, run, name, "targets_at_matched_fdp", float(match[0]))
            yield (level.name, run, name, "matched_fdp", match[1])


def matched_prefix(found: Discoveries, ratio: float, limit: float) -> int:
    """Return how many of the best discoveries, best first, have a combined estimate of at most a limit."""
    n_entrapment = np.concatenate([[0], np.cumsum(found.is_entrapment)])
    for n in range(len(found), 0, -1):
        if combined(n - int(n_entrapment[n]), int(n_entrapment[n]), ratio) <= limit:
            return n
    return 0


def notes_on_errors(outputs: Sequence[SearchOutput], marked: Sequence[Entrapment | None]) -> Iterator[str]:
    """Yield what to know before believing the estimates."""
    if not any(marked):
        return
    without = [o.name for o in outputs if o.run_rows is None]
    yield BEFORE if not without else AFTER.format(names=", ".join(without))
    if any(len(o.runs) > 1 for o in outputs):
        yield SEVERAL_RUNS
    few = [
        o.name
        for o, e, rows in zip(outputs, marked, judged_rows(outputs, PRECURSORS), strict=True)
        if e is not None and int(entrapment_rows(rows, PRECURSORS, e).sum()) < FEW_ENTRAPMENTS
    ]
    if few:
        yield f"Fewer than {FEW_ENTRAPMENTS} entrapments in {', '.join(few)}: the estimates are rough."
