"""The errors of searches that stand beside each other: whose entrapment, what it says, and of which lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from alphadia_tl.entrapment.estimate import Discoveries, FdpEstimate, combined, verdict
from alphadia_tl.entrapment.levels import Entrapment
from alphadia_tl.entrapment.searches import ALL_RUNS, LEVELS, Level, discoveries, entrapment_rows, estimate
from alphadia_tl.host.search_tables import SearchOutput

NO_ESTIMATE = "no error estimate: search with an entrapment FASTA (alphadia-tl entrapment)"


def versus(second: str, first: str) -> str:
    """Name the comparison of two searches."""
    return f"{second} vs {first}"


def error_verdict(level: str, output: SearchOutput, e: FdpEstimate, union: FdpEstimate | None = None) -> str:
    """Say whether the claimed FDR of a search holds.

    Parameters
    ----------
    level : str
        What is counted.
    output : SearchOutput
        The search.
    e : FdpEstimate
        Of the list for which the FDR is claimed.
    union : FdpEstimate, optional
        Where that is each run's: of the list of all runs together.
    """
    interval = f"{e.interval_low:.2%} to {min(e.interval_high, 1):.2%}"
    of_runs = "" if union is None else " in each run"
    together = "" if union is None else f" (all runs together: {union.upper:.2%})"
    return (
        f"{level}, {output.name}: estimated FDP{of_runs} {e.upper:.2%} ({interval}), "
        f"claimed {output.claimed_fdr:.2%}: {verdict(e, output.claimed_fdr)}{together}"
    )


def count_verdicts(
    level: str, names: Sequence[str], numbers: Sequence[int], matched: Sequence[tuple[int, float] | None]
) -> Iterator[str]:
    """Say how many more or fewer each search found than the first.

    Parameters
    ----------
    level : str
        What is counted.
    names : sequence of str
        Searches.
    numbers : sequence of int
        Identifications at the claimed FDR.
    matched : sequence of (int, float) or None
        Targets at the same estimated FDP, and that FDP; None for a search without entrapment.
    """
    for i in range(1, len(names)):
        one, two = matched[0], matched[i]
        if one is None or two is None:
            text = f"{_change(numbers[0], numbers[i])} at the claimed FDR ({NO_ESTIMATE})"
        else:
            text = f"{_change(one[0], two[0])} targets at the same estimated FDP of {two[1]:.2%}"
        yield f"{level}, {versus(names[i], names[0])}: {text}"


def _change(before: int, after: int) -> str:
    share = f" ({after / before - 1:+.1%})" if before else ""
    return f"{after:,} against {before:,}{share}"


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


def entrapments_of(
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
    pairs = list(zip(known, judged_rows(outputs, LEVELS[0]), strict=True))
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


def judged_rows(outputs: Sequence[SearchOutput], level: Level) -> list[pd.DataFrame]:
    """Return the identifications in which entrapments are counted: of all searches before the protein FDR, or of none.

    The protein FDR takes away entrapment proteins, which have no true precursor to hold them, and leaves wrong
    precursors of true proteins: what is left has fewer entrapments than its error.
    """
    before = [o.run_rows for o in outputs if o.run_rows is not None]
    if level.name == "protein group" or len(before) < len(outputs):
        return [o.rows for o in outputs]
    return before


def discovery_lists(
    run: str, judged: Sequence[Mapping[str, pd.DataFrame]], level: Level, marked: Sequence[Entrapment | None]
) -> list[Discoveries | None]:
    """Return the discoveries of each search in a run, None where it has no entrapment."""
    return [
        None if e is None else discoveries(of_run.get(run, of_run[ALL_RUNS].iloc[:0]), level, e)
        for of_run, e in zip(judged, marked, strict=True)
    ]


def estimate_of(found: Discoveries | None, entrapment: Entrapment | None) -> FdpEstimate | None:
    """Estimate the errors of a list; None without entrapment, or for an empty list."""
    return None if found is None or entrapment is None or not len(found) else estimate(found, entrapment)


def matched_targets(
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


def error_rows(
    level: Level,
    run: str,
    names: Sequence[str],
    errors: Sequence[FdpEstimate | None],
    matched: Sequence[tuple[int, float] | None],
) -> Iterator[Row]:
    """Yield the lines of the comparison's table about errors."""
    for name, e, match in zip(names, errors, matched, strict=True):
        for metric, value in (asdict(e) if e else {}).items():
            if value is not None:
                yield (level.name, run, name, metric if metric.startswith("n_") else f"fdp_{metric}", float(value))
        if match is not None:
            yield (level.name, run, name, "targets_at_matched_fdp", float(match[0]))
            yield (level.name, run, name, "matched_fdp", match[1])


def said_of_errors(
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
        for o, e, rows in zip(outputs, marked, judged_rows(outputs, LEVELS[0]), strict=True)
        if e is not None and int(entrapment_rows(rows, LEVELS[0], e).sum()) < FEW_ENTRAPMENTS
    ]
    if few:
        yield f"Fewer than {FEW_ENTRAPMENTS} entrapments in {', '.join(few)}: the estimates are rough."
