"""What stands between the passes: the library of the next one, and what both found."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.entrapment.searches import count_before_protein_fdr, count_kept_and_gained, estimate_pass
from alphadia_tl.errors import DataError, QuantificationError
from alphadia_tl.settings import EntrapmentSettings
from alphadia_tl.step.outcome import StepOutcome, finish

logger = logging.getLogger(__name__)


def spread(raw_paths: Sequence[str], number: int | None) -> list[str]:
    """Choose raw files that are spread evenly over all of them, the first and the last among them.

    Raw files are mostly in the order in which they were acquired; a column ages and an instrument drifts over a batch,
    and models for all of it must see all of it.

    Parameters
    ----------
    raw_paths : sequence of str
        All raw files, in their order.
    number : int or None
        How many to choose; None for all.

    Returns
    -------
    list of str
        In their order.
    """
    if number is None or number >= len(raw_paths):
        return list(raw_paths)
    if number == 1:
        chosen = [len(raw_paths) // 2]
    else:
        chosen = [round(i * (len(raw_paths) - 1) / (number - 1)) for i in range(number)]
    logger.info(
        f"The first pass searches {number} of {len(raw_paths)} raw files, spread evenly over them "
        "(alphadia_tl.tuning_runs); the models are tuned on these."
    )
    return [raw_paths[i] for i in chosen]


def sample_note(searched: int, runs: int) -> str:
    """Say that the first pass has not searched all runs; empty if it has."""
    if searched >= runs:
        return ""
    return f"The first pass searched {searched} of {runs} runs: its numbers are of these."


BEFORE_PROTEIN_FDR = "precursors_before_protein_fdr"
FEWER = 0.95  # of the precursors: about what searches with other random states differ by, and some


def library_config(library: Path) -> dict[str, Any]:
    """Return the config that makes a pass search a finished library."""
    return {
        "library_prediction": {"enabled": False, "peptdeep_model_path": None},
        "library_path": str(library),
        "library_multiplexing": {"enabled": False},
    }


def finish_search(outcome: StepOutcome, final_folder: Path) -> StepOutcome:
    """Write what is known only after the final pass: what both passes found, and the report."""
    folders = [outcome.bundle.folder, final_folder]
    counts = [host.count_identifications(folder) for folder in folders]
    outcome = _look_before_protein_fdr(outcome, folders, counts)
    outcome = _count_changes(outcome, folders)
    outcome = _estimate_errors(outcome, folders, counts)
    return finish(outcome, first_pass=counts[0], second_pass=counts[1])


def _look_before_protein_fdr(
    outcome: StepOutcome, folders: list[Path], counts: list[dict[str, Any] | None]
) -> StepOutcome:
    """Add to the counts of each pass what it found before the protein FDR; warn where the later one reports fewer."""
    fdr = outcome.provenance.get("fdr")
    first, second = counts
    if fdr is None or first is None or second is None:
        return outcome
    try:
        before = [count_before_protein_fdr(folder, claimed_fdr=fdr) for folder in folders]
    except QuantificationError as error:  # the search is done and stays
        return _warned(outcome, f"Precursors before the protein FDR were not counted: {error}")
    for count, number in zip((first, second), before, strict=True):
        if number is not None:
            count[BEFORE_PROTEIN_FDR] = number
    if second["precursors"] < FEWER * first["precursors"]:
        found = f"{second['precursors']:,} precursors, the one before {first['precursors']:,}"
        taken = "" if None in before else f"before the protein FDR they are {before[1]:,} and {before[0]:,}. "
        return _warned(
            outcome, f"The pass after tuning reports {found}; {taken}Tables of the pass before: {folders[0]}"
        )
    return outcome


def _warned(outcome: StepOutcome, line: str) -> StepOutcome:
    logger.warning(line)
    return outcome.with_warnings(line)


def _estimate_errors(outcome: StepOutcome, folders: list[Path], counts: list[dict[str, Any] | None]) -> StepOutcome:
    """Add to the counts of each pass what entrapment says of their error."""
    settings = EntrapmentSettings.from_mapping((outcome.provenance.get("alphadia_tl") or {}).get("entrapment"))
    if settings.prefix is None:
        logger.info("No error estimate: the config names no entrapment (alphadia_tl.entrapment.prefix).")
        return outcome
    for folder, count in zip(folders, counts, strict=True):
        if count is None:
            continue
        try:
            count |= estimate_pass(folder, settings, claimed_fdr=outcome.provenance["fdr"])
        except (QuantificationError, DataError) as error:  # the search is done and stays
            outcome = _warned(outcome, f"No error estimate for {folder}: {error}")
    return outcome


def _count_changes(outcome: StepOutcome, folders: list[Path]) -> StepOutcome:
    """Note how many precursors both passes have, and each alone; a damaged table costs no results."""
    try:
        changes = count_kept_and_gained(*folders)
    except QuantificationError as error:
        return _warned(outcome, f"Precursors that were gained and lost were not counted: {error}")
    return outcome.with_provenance(between_passes=changes)


def announce(text: str) -> None:
    """Log the beginning of a stage as alphaDIA does."""
    logger.log(host.PROGRESS_LEVEL, f"=================== {text} ===================")
