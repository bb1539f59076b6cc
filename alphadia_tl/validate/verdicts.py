"""What the figures of a comparison say, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alphadia_tl.validate.estimators import FdpEstimate, verdict
from alphadia_tl.validate.tables import SearchOutput

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
