"""The stages of a search that can be taken up again, and what the results of each depend on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import filelock
import pyarrow.lib
import pyarrow.parquet as pq

from alphadia_tl import host
from alphadia_tl.bundle import CHECKPOINTS, Bundle, versions
from alphadia_tl.errors import OutputError
from alphadia_tl.files import MANIFEST, Manifest, hash_of, stamps
from alphadia_tl.step.outcome import StepOutcome, log_summary
from alphadia_tl.step.step_settings import StepSettings

logger = logging.getLogger(__name__)

LOCK_NAME = ".alphadia_tl.lock"


def forget(folder: Path) -> None:
    """Take nothing in an output folder as done, in none of its stages (``--force``)."""
    for path in folder.rglob(MANIFEST):
        path.unlink()
    for path in folder.rglob(CHECKPOINTS):
        shutil.rmtree(path)


def remove_damaged_runs(quant: Path) -> list[Path]:
    """Remove the tables of runs whose search was killed while it wrote them; return the folders to search again."""
    damaged = []
    for folder in sorted(p for p in quant.glob("*") if p.is_dir()):
        tables = sorted(folder.glob("*.parquet"))
        try:
            for table in tables:
                pq.read_metadata(table)
        except (OSError, pyarrow.lib.ArrowException):
            logger.info(f"Searched again, {folder.name}: its results were not completely written.")
            for table in tables:
                table.unlink()
            damaged.append(folder)
    return damaged


def take_lock(folder: Path) -> filelock.FileLock | None:
    """Return the lock of an output folder, taken; None where another process holds it."""
    lock = filelock.FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return None
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}.", "Give another folder as --output."
        ) from error
    return lock


def taken(folder: Path) -> OutputError:
    """Return the error for an output folder in which another search is running."""
    return OutputError(
        f"Another search is running in {folder}.", "Wait until it has ended, or choose another output folder."
    )


@contextmanager
def the_only_search(folder: Path) -> Iterator[None]:
    """Keep other searches out of an output folder until this one ends, however it ends.

    Half-written files that a killed search has left there are removed. Raises OutputError if another process holds the
    folder, or it cannot be written.
    """
    lock = take_lock(folder)
    if lock is None:
        raise taken(folder)
    try:
        for path in folder.rglob(".*.part"):
            path.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


FIRST_PASS, TUNING, SECOND_PASS = "first pass", "tuning", "second pass"
Errors = list[tuple[str, str]]
# What a search is told about where to write, and what only the tuning between the searches reads.
_NO_INPUTS = ("output_directory", "quant_directory", "transfer_learning")
# Files are known by what is in them, wherever they are.
_FILES = ("library_path", "fasta_paths", "directory")


def _search_inputs(config: Mapping[str, Any], raw_paths: Sequence[str], others: Mapping[str, Any]) -> dict[str, str]:
    library = [config["library_path"]] if config.get("library_path") else []
    fastas = config.get("fasta_paths") or ()
    config = {key: value for key, value in config.items() if key not in (*_NO_INPUTS, *_FILES)}
    config["raw_paths"] = [Path(path).name for path in config.get("raw_paths") or ()]
    prediction = config.get("library_prediction") or {}
    config["library_prediction"] = {k: v for k, v in prediction.items() if k != "peptdeep_model_path"}
    config["general"] = {k: v for k, v in (config.get("general") or {}).items() if k != "reuse_quant"}
    return {
        "config": hash_of(config),
        "raw files": stamps(map(Path, raw_paths)),
        "library or FASTA files": stamps(map(Path, [*library, *fastas])),
        "versions": hash_of(versions()),
        **{name: hash_of(value) for name, value in others.items()},
    }


def _hashes(weights: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {name: source["sha256"] for name, source in weights.items()}


def first_pass(
    step: Any,
    folder: Path,
    weights: Mapping[str, Mapping[str, str]],
    search: Callable[[], tuple[Errors, list[Path]]],
    *,
    repeatable: bool = True,
    part: Mapping[str, float] | None = None,
) -> tuple[Errors, list[Path]]:
    """Search, or take the results of an earlier call where nothing that they depend on has changed.

    ``step`` is alphaDIA's search step, which ``search`` runs; runs that an interrupted call has searched completely are
    not searched again. ``weights`` tells where the weights came from that predict the library. Set ``repeatable`` False
    where the library does not come out the same in each call: alphaDIA's own prediction gives it in another order, with
    other precursor indices, which results of an earlier call would not fit. ``part`` is what the search takes of the
    library. Returns (step name, raw file name) of the raw files that failed, and the quantification folders of the runs
    searched.
    """
    manifest = Manifest(folder)
    others = {"weights": _hashes(weights)} | ({} if part is None else {"part of the library": part})
    inputs = _search_inputs(host.config_of(step), step.raw_path_list, others)
    state = manifest.state(FIRST_PASS, inputs)
    if state == "finished":
        return [], [folder / name for name in manifest.facts(FIRST_PASS)["runs"]]
    if state == "begun" and not repeatable:
        logger.info("All runs are searched again: alphaDIA predicts the library, in another order each time.")
        state = "new"
    if state == "begun":
        manifest.remove_older(FIRST_PASS)
        remove_damaged_runs(host.quant_folder(step))
        host.reuse_quantification(step)
    manifest.begin(FIRST_PASS, inputs, _tables(host.quant_folder(step)) if state == "new" else ())
    with host.missing_runs_are_searched() if state == "begun" else nullcontext():
        errors, folders = search()
    if not errors:  # else the next call tries the failed files once more
        files = [*(p for f in folders for p in f.glob("*.parquet")), folder / host.SPECLIB_FILE]
        there = [p for p in files if p.is_file()]
        manifest.finish(FIRST_PASS, inputs, there, {"runs": [manifest.name(f) for f in folders]})
    return errors, folders


def digest(step: Any, folder: Path) -> int:
    """Digest the FASTA files of a step into a folder, unless that was done; return how many precursors there are."""
    manifest, files = Manifest(folder), [folder / name for name in host.DIGEST_FILES]
    config = host.config_of(step)
    prediction = {k: v for k, v in config["library_prediction"].items() if k != "peptdeep_model_path"}
    inputs = {
        "digest": hash_of(prediction),
        "FASTA files": stamps(map(Path, config["fasta_paths"])),
        "versions": hash_of(versions()),
    }

    def make() -> dict[str, Any]:
        for file in files:
            file.unlink(missing_ok=True)
        host.digest(step, folder)
        return {}

    manifest.once("digest of the FASTA files", inputs, files, make)
    return int(pq.read_metadata(files[0]).num_rows)


def tuning(
    settings: StepSettings,
    folder: Path,
    quant_folders: Sequence[Path],
    speclib: Path,
    weights: Mapping[str, Mapping[str, str]],
    tune: Callable[[], StepOutcome],
) -> StepOutcome:
    """Tune the models and predict the library, or take the bundle of an earlier call where its inputs are unchanged."""
    manifest = Manifest(folder)
    inputs = {
        "settings": hash_of(asdict(replace(settings, model_path=None))),
        "quantification": stamps(p for f in quant_folders for p in sorted(f.glob("*.parquet"))),
        "library of the first pass": stamps([speclib]),
        "versions": hash_of(versions()),
        "weights": hash_of(_hashes(weights)),
    }
    if manifest.state(TUNING, inputs) == "finished":
        outcome = StepOutcome.from_mapping(Bundle(folder), manifest.facts(TUNING))
        log_summary(outcome)
        return outcome
    manifest.begin(TUNING, inputs)
    outcome = tune()
    manifest.finish(TUNING, inputs, outcome.bundle.results(), outcome.to_mapping())
    return outcome


def second_pass_config(folder: Path, config: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config by which runs that an interrupted second pass has searched are not searched again.

    ``config`` is all that the pass is given: the user's config, the command line's, and ``extra``, set for this pass.
    """
    manifest = Manifest(folder)
    inputs = _search_inputs(config, config.get("raw_paths") or (), {})
    state = manifest.state(SECOND_PASS, inputs)
    quant = folder / host.QUANT_FOLDER
    if state != "new":
        manifest.remove_older(SECOND_PASS)
    manifest.begin(SECOND_PASS, inputs, _tables(quant) if state == "new" else ())
    if (extra.get("general") or {}).get("reuse_quant_from"):
        return {}
    if state == "new":  # whatever the user wants reused is of another library
        return {"general": {"reuse_quant": False, "reuse_quant_from": []}}
    remove_damaged_runs(quant)
    return {"general": {"reuse_quant": True, "reuse_quant_from": []}}


def _tables(quant: Path) -> list[Path]:
    return sorted(quant.glob("*/*.parquet"))
