"""Rounds before the final pass: search, tune, predict the library, and, if asked for, once more."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import DataError, QuantificationError
from alphadia_tl.outcome import StepOutcome, finish
from alphadia_tl.settings import EntrapmentSettings
from alphadia_tl.validate.drift import alarms, measure_folders
from alphadia_tl.validate.passes import count_before_protein_fdr, estimate_pass
from alphadia_tl.validate.search_files import read_mapping

logger = logging.getLogger(__name__)

BEFORE_PROTEIN_FDR = "precursors_before_protein_fdr"
FEWER = 0.95  # of the precursors: about what searches with other random states differ by, and some

Search = Callable[[Path, Mapping[str, Any]], list[Path]]
"""Takes the output folder and config to merge in; returns the quantification folders of the runs."""
Tune = Callable[[Path, list[Path], Path], StepOutcome]
"""Takes the bundle's folder, the quantification folders and the library to predict again."""


def library_config(library: Path) -> dict[str, Any]:
    """Return the config that makes a pass search a finished library."""
    return {
        "library_prediction": {"enabled": False, "peptdeep_model_path": None},
        "library_path": str(library),
        "library_multiplexing": {"enabled": False},
    }


def round_folder(folder: Path, number: int, rounds: int) -> Path:
    """Return the folder of a round: the last one's is the transfer folder itself, as if it were the only one."""
    return folder if number == rounds else folder / f"round_{number}"


def run_rounds(rounds: int, folder: Path, search: Search, tune: Tune) -> list[StepOutcome]:
    """Search and tune, once or several times.

    Every round tunes the *pretrained* weights, not those of the round before, and its gate compares with the
    pretrained models. Tuned weights as a start would carry what they took from wrong identifications into every later
    round, where peptides that fit such an error are found more easily and confirm it; so that a round has only its own
    identifications to answer for. These are still chosen with the tuned library's help, the held-out ones too, which
    flatters tuning in later rounds: what a round is worth is told by identifications at a known FDP, not by its gate.

    Every round predicts the library of the *first* pass again, the only one with all its precursors: a charge state
    that one round's charge model dropped can come back, and models that are not accepted leave what the first pass
    searched with.

    A round that leaves the library as it was is the last one: a further one would search and tune the same again.

    Parameters
    ----------
    rounds : int
        Rounds at most, at least 1.
    folder : Path
        Transfer folder; holds the last round's bundle, and ``round_1``, ... those of earlier ones.
    search : callable
        Runs a pass that quantifies all fragments and saves the library that it searched.
    tune : callable
        Runs the transfer-learning step.

    Returns
    -------
    list of StepOutcome
        One per round that was run.
    """
    _take_back(folder, rounds)
    outcomes: list[StepOutcome] = []
    changes: Mapping[str, Any] = {}
    base = round_folder(folder, 1, rounds) / host.SPECLIB_FILE
    for number in range(1, rounds + 1):
        where = round_folder(folder, number, rounds)
        if rounds > 1:
            library = changes.get("library_path", "of the config")
            _announce(f"Transfer learning, round {number} of {rounds}: search with the library {library}")
        start = time.perf_counter()
        quant = search(where, changes)
        seconds = time.perf_counter() - start
        _announce("Transfer learning" + (f", round {number} of {rounds}: pretrained models are tuned" * (rounds > 1)))
        outcome = tune(where, quant, base)
        outcome.seconds = {"first pass" if number == 1 else f"pass {number}": seconds, **outcome.seconds}
        outcomes.append(outcome)
        if rounds > 1:
            outcome.provenance["round"] = {"number": number, "of": rounds, "base_library": str(base)}
            outcome.write_provenance()
        if outcome.regeneration is None:
            if number < rounds:
                logger.info(f"Round {number} left the library as it was: no further round is done.")
                _make_last(outcome, folder)
            break
        # always a new search: the folder may hold another library's quantification from an earlier call
        changes = host.deep_merge(library_config(outcome.bundle.tuned_library), {"general": {"reuse_quant": False}})
    return outcomes


def finish_rounds(outcomes: list[StepOutcome], final_folder: Path) -> None:
    """Write the report of each round: what the pass before it and the pass after it found."""
    folders = [*(o.bundle.folder for o in outcomes), final_folder]
    counts: list[dict[str, Any] | None] = [host.count_identifications(f) for f in folders]
    for number, outcome in enumerate(outcomes):
        if len(outcomes) > 1:
            logger.info(f"Round {number + 1} of {len(outcomes)}, passes before and after it:")
        _look_before_protein_fdr(outcome, folders[number : number + 2], counts[number : number + 2])
        _watch_drift(outcome, folders[number], folders[number + 1])
        _estimate_errors(outcome, folders[number : number + 2], counts[number : number + 2])
        finish(outcome, first_pass=counts[number], second_pass=counts[number + 1])


def _look_before_protein_fdr(outcome: StepOutcome, folders: list[Path], counts: list[dict[str, Any] | None]) -> None:
    """Add to the counts of each pass what it found before the protein FDR; warn where the later one reports fewer."""
    fdr = outcome.provenance.get("fdr")
    first, second = counts
    if fdr is None or first is None or second is None:
        return
    try:
        before = [count_before_protein_fdr(folder, claimed_fdr=fdr) for folder in folders]
    except QuantificationError as error:  # the search is done and stays
        outcome.warnings.append(f"Precursors before the protein FDR were not counted: {error}")
        logger.warning(outcome.warnings[-1])
        return
    for count, number in zip((first, second), before, strict=True):
        if number is not None:
            count[BEFORE_PROTEIN_FDR] = number
    if second["precursors"] < FEWER * first["precursors"]:
        found = f"{second['precursors']:,} precursors, the one before {first['precursors']:,}"
        taken = "" if None in before else f"before the protein FDR they are {before[1]:,} and {before[0]:,}. "
        outcome.warnings.append(
            f"The pass after tuning reports {found}; {taken}Tables of the pass before: {folders[0]}"
        )
        logger.warning(outcome.warnings[-1])


def _estimate_errors(outcome: StepOutcome, folders: list[Path], counts: list[dict[str, Any] | None]) -> None:
    """Add to the counts of each pass what entrapment says of their error."""
    settings = EntrapmentSettings.from_mapping((outcome.provenance.get("alphadia_tl") or {}).get("entrapment"))
    if settings.prefix is None:
        logger.info("No error estimate: the config names no entrapment (alphadia_tl.entrapment.prefix).")
        return
    for folder, count in zip(folders, counts, strict=True):
        if count is None:
            continue
        try:
            count |= estimate_pass(folder, settings, claimed_fdr=outcome.provenance["fdr"])
        except (QuantificationError, DataError) as error:  # the search is done and stays
            outcome.warnings.append(f"No error estimate for {folder}: {error}")
            logger.warning(outcome.warnings[-1])


def _watch_drift(outcome: StepOutcome, before: Path, after: Path) -> None:
    """Note signs that the pass after the round found more wrong identifications (`validate.drift`).

    The search is done: a table that cannot be read is told in a warning and costs no results.
    """
    try:
        figures = measure_folders(before, after)
    except (QuantificationError, ValueError, KeyError) as error:
        found = [f"Drift between the passes was not measured: {error}"]
    else:
        if figures is None:
            return
        found = alarms(figures)
        outcome.provenance["drift"] = {"figures": figures.to_mapping(), "alarms": found}
    for text in found:
        logger.warning(text)
    outcome.warnings.extend(found)


def _announce(text: str) -> None:
    logger.log(host.PROGRESS_LEVEL, f"=================== {text} ===================")


def _take_back(folder: Path, rounds: int) -> None:
    """Undo `_make_last` of an earlier call, so that the round's stages are found where they were done."""
    record = Bundle(folder).provenance
    try:
        number = (read_mapping(record).get("round") or {}).get("number", rounds) if record.is_file() else rounds
    except QuantificationError as error:
        logger.warning(f"All rounds are done again: {error}")
        return
    if not 1 <= number < rounds:
        return
    where = round_folder(folder, number, rounds)
    files = (p for p in folder.rglob("*") if p.is_file())
    for path in sorted(p for p in files if not p.relative_to(folder).parts[0].startswith("round_")):
        target = where / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _make_last(outcome: StepOutcome, folder: Path) -> None:
    """Move the files of a round into the transfer folder, over those of an earlier call."""
    source = outcome.bundle.folder
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    shutil.rmtree(source)
    outcome.bundle = Bundle(folder)
