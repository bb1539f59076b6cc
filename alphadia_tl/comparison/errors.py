"""The errors of searches that stand beside each other: whose entrapment, what it says, and of which lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alphadia_tl.entrapment.database import UNKNOWN, Entrapment, why_unknown
from alphadia_tl.entrapment.estimate import Discoveries, FdpEstimate, combined, verdict
from alphadia_tl.entrapment.levels import PRECURSORS, PROTEIN_GROUPS, Level, discoveries
from alphadia_tl.entrapment.searches import compare_found
from alphadia_tl.host.contract import TRANSFER_STEP
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
    """Say whether the FDR holds where it is claimed: for each run; for protein groups, for all runs together."""
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
    level: Level, outputs: Sequence[SearchOutput], numbers: Sequence[int], matched: Sequence[tuple[int, float] | None]
) -> Iterator[str]:
    """Say how many more each search found than the first: of what it identified or, with entrapment, matched."""
    for i in range(1, len(outputs)):
        one, two = matched[0], matched[i]
        if not have_run_in_common(outputs[0], outputs[i]):
            text = f"which found more {UNKNOWN}: they have no run in common"
        elif one is None or two is None:
            text = f"{_change(numbers[0], numbers[i])} at the claimed FDR ({NO_ESTIMATE})"
        else:
            where = f"at the same estimated FDP of {two[1]:.2%}" if two[1] else "before the first entrapment"
            text = f"{_change(one[0], two[0])} targets {where}"
        yield f"{level.name}, {versus(outputs[i].name, outputs[0].name)}: {text}"


def have_run_in_common(first: SearchOutput, second: SearchOutput) -> bool:
    """Return whether two searches can be compared; one that found nothing can."""
    return not (first.runs and second.runs) or bool(set(first.runs) & set(second.runs))


def _change(before: int, after: int) -> str:
    share = f" ({after / before - 1:+.1%})" if before else ""
    return f"{after:,} against {before:,}{share}"


def entrapments_of(
    outputs: Sequence[SearchOutput], entrapment: Entrapment | Mapping[str, Entrapment] | None
) -> tuple[list[Entrapment | None], list[str]]:
    """Return the entrapment of each search, from that of all or of each by its name, and notes on those without one."""
    if entrapment is None:
        return [None] * len(outputs), []
    known = [entrapment if isinstance(entrapment, Entrapment) else entrapment.get(o.name) for o in outputs]
    if not any(known):
        return known, []
    pairs = list(zip(outputs, known, strict=True))
    why = {o.name: why_unknown(e, o.judged, o.settings) if e else "no entrapment is known" for o, e in pairs}
    searched = {_database(o) for o in outputs if not why[o.name]}
    marked = [None if why[o.name] and _database(o) not in searched else e for o, e in pairs]
    without = [o.name for o, e in zip(outputs, marked, strict=True) if e is None]
    notes = [f"{name}: the error {UNKNOWN}: {why[name]}." for name in without]
    if len({(e.prefix, e.design, e.k, e.r, len(e.target_of)) for e in marked if e}) > 1:
        notes.append("The searches differ in their entrapment: each is estimated with its own.")
    return marked, notes


def _database(output: SearchOutput) -> tuple[str, ...]:
    """Return the files that were searched; the library of a final pass is made of the first one's FASTA."""
    fastas = output.settings.get("fasta_paths") or ()
    return tuple(sorted(str(Path(f).resolve()) for f in fastas or [str(output.settings.get("library_path"))]))


def judged_rows(outputs: Sequence[SearchOutput], level: Level) -> list[pd.DataFrame]:
    """Return the identifications judged: of all searches before the protein FDR, which hides errors, or of none."""
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
    limit = min((e.estimate.combined for e in errors if e and e.estimate), default=None)
    if limit is None:
        return [None] * len(errors)
    kept = [None if e is None else (e, matched_prefix(e.found, e.entrapment.r, limit)) for e in errors]
    return [None if k is None else (int((~k[0].found.is_entrapment[: k[1]]).sum()), limit) for k in kept]


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


def between_searches(outputs: Sequence[SearchOutput], marked: Sequence[Entrapment | None]) -> dict[str, dict[str, Any]]:
    """Return what each search kept, gained and lost of the first (`compare_found`), by the name of their comparison."""
    judged = zip(judged_rows(outputs, PRECURSORS), outputs, strict=True)
    tables = [pd.concat([rows.assign(decoy=0), o.run_decoys]) for rows, o in judged]
    told = {}
    for output, table, e in zip(outputs[1:], tables[1:], marked[1:], strict=True):
        if have_run_in_common(outputs[0], output):
            runs = set(outputs[0].runs) & set(output.runs) or {*outputs[0].runs, *output.runs}
            before, after = (rows[rows["run"].isin(runs)] for rows in (tables[0], table))
            unknown = _why_no_decoys(outputs[0], output)
            told[versus(output.name, outputs[0].name)] = compare_found(before, after, (marked[0], e), unknown)
    return told


def class_rows_of(arm: str, between: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the lines of the comparison's table about what was kept, gained and lost."""
    for name, errors in between["errors"].items():
        for metric, value in {"precursors": between[name], **errors}.items():
            ends = ("_low", "_high") if isinstance(value, list) else ("",)
            for end, number in zip(ends, value if isinstance(value, list) else [value], strict=True):
                yield (PRECURSORS.name, ALL_RUNS, arm, f"{name}: {metric}{end}", float(number))


def _why_no_decoys(first: SearchOutput, second: SearchOutput) -> dict[str, str]:
    if gone := [o.name for o in (first, second) if o.run_decoys is None]:
        return {"decoys": f"the tables of the runs are gone in {', '.join(gone)}"}
    kinds = sorted({_decoys_of(o) for o in (first, second)})
    return {"decoys": f"they may be made in two ways ({', '.join(kinds)})"} if len(kinds) > 1 else {}


def _decoys_of(output: SearchOutput) -> str:
    """Return where the decoys of a search come from: a library that it was given may bring its own."""
    library, loading = output.settings.get("library_path"), output.settings.get("library_loading") or {}
    if library and not loading.get("drop_decoys") and not Path(library).is_relative_to(output.folder / TRANSFER_STEP):
        return str(library)
    return f"fdr.decoy_type: {(output.settings.get('fdr') or {}).get('decoy_type')}"


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
    judged = zip(outputs, marked, judged_rows(outputs, PRECURSORS), strict=True)
    if few := [o.name for o, e, rows in judged if e and e.marks(rows["proteins"]).sum() < FEW_ENTRAPMENTS]:
        yield f"Fewer than {FEW_ENTRAPMENTS} entrapments in {', '.join(few)}: the estimates are rough."
