"""What the figures of a comparison say, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alphadia_tl.validate.estimators import FdpEstimate, verdict
from alphadia_tl.validate.tables import SearchOutput

NO_ESTIMATE = "no error estimate: search with an entrapment FASTA (alphadia-tl entrapment)"


def versus(second: str, first: str) -> str:
    """Name the comparison of two searches."""
    return f"{second} vs {first}"


def error_verdicts(
    level: str, outputs: Sequence[SearchOutput], estimates: Sequence[FdpEstimate | None]
) -> Iterator[str]:
    """Say of each search whether its claimed FDR holds; nothing where there is no estimate."""
    for output, e in zip(outputs, estimates, strict=True):
        if e is not None:
            interval = f"{e.interval_low:.2%} to {min(e.interval_high, 1):.2%}"
            yield (
                f"{level}, {output.name}: estimated FDP {e.upper:.2%} ({interval}), "
                f"claimed {output.claimed_fdr:.2%}: {verdict(e, output.claimed_fdr)}"
            )


def count_verdicts(
    level: str, names: Sequence[str], numbers: Sequence[int], matched: Sequence[tuple[int, float]]
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
    matched : sequence of (int, float)
        Targets at the same estimated FDP, and that FDP; empty without entrapment.
    """
    for i in range(1, len(names)):
        if not matched:
            text = f"{_change(numbers[0], numbers[i])} at the claimed FDR ({NO_ESTIMATE})"
        else:
            text = f"{_change(matched[0][0], matched[i][0])} targets at the same estimated FDP of {matched[i][1]:.2%}"
        yield f"{level}, {versus(names[i], names[0])}: {text}"


def _change(before: int, after: int) -> str:
    share = f" ({after / before - 1:+.1%})" if before else ""
    return f"{after:,} against {before:,}{share}"
