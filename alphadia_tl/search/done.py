"""The stages of a search that can be taken up again, and what the results of each depend on."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import filelock
import pyarrow.lib
import pyarrow.parquet as pq
import yaml

from alphadia_tl import host
from alphadia_tl.bundle import CHECKPOINTS, Bundle, versions
from alphadia_tl.errors import OutputError
from alphadia_tl.files import write_yaml
from alphadia_tl.step.outcome import StepOutcome, log_summary
from alphadia_tl.step.step_settings import StepSettings

logger = logging.getLogger(__name__)

FILE_NAME = "alphadia_tl.manifest.yaml"
LOCK_NAME = ".alphadia_tl.lock"
State = Literal["new", "begun", "finished"]


def hash_of(value: Any) -> str:
    """Return a hash of plain nested values; of anything else its text counts."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def stamp(path: Path) -> list[int] | None:
    """Return size (bytes) and time of change (ns) of a file, or of the files of a folder; None where it is absent."""
    try:
        if not path.is_dir():
            status = path.stat()
            return [status.st_size, status.st_mtime_ns]
        found = [p.stat() for p in path.rglob("*") if p.is_file()]
    except OSError:
        return None
    return [sum(s.st_size for s in found), max((s.st_mtime_ns for s in found), default=0)]


def stamps(paths: Iterable[Path]) -> str:
    """Return a hash of the names, sizes and times of change of files."""
    return hash_of([[str(path), stamp(path)] for path in paths])


class Manifest:
    """What was made in a folder, stage by stage, and from what.

    Parameters
    ----------
    folder : Path
        Output folder of the stages; files are named relative to it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._stages: dict[str, dict[str, Any]] = {}
        try:
            self._stages = dict(yaml.safe_load(self.path.read_text(encoding="utf-8"))["stages"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            logger.warning(f"{self.path} cannot be read ({error}): its stages are done again.")

    def state(self, stage: str, inputs: Mapping[str, str]) -> State:
        """Return how far a stage has come with these inputs, and log what is reused or why it is not.

        Parameters
        ----------
        stage : str
            Name of the stage.
        inputs : mapping of str to str
            Hash of each thing that its results depend on, by the name that a user is told.
        """
        entry = self._stages.get(stage)
        if entry is None:
            return "new"
        if changed := [n for n in {**entry["inputs"], **inputs} if entry["inputs"].get(n) != inputs.get(n)]:
            logger.info(f"Done again, the {stage}: changed since the last call: {', '.join(sorted(changed))}.")
            return "new"
        if not entry["finished"]:
            logger.info(f"Continued, the {stage}: it was interrupted; config, inputs and versions are unchanged.")
            return "begun"
        folder = self.path.parent
        if lost := [name for name, was in entry["files"].items() if stamp(folder / name) != was]:
            logger.info(f"Done again, the {stage}: {folder / lost[0]} is missing or was changed.")
            return "begun"
        logger.info(f"Reused, the {stage}: config, inputs and versions are unchanged (--force does it again).")
        return "finished"

    def begin(self, stage: str, inputs: Mapping[str, str], older: Iterable[Path] = ()) -> None:
        """Note that a stage has begun with these inputs.

        Parameters
        ----------
        stage : str
            Name of the stage.
        inputs : mapping of str to str
            As in `state`.
        older : iterable of Path
            Files that lie there already and are of something else; see `remove_older`.
        """
        found = {self.name(path): stamp(path) for path in older}
        self._write(stage, {"inputs": dict(inputs), "finished": False, "older": found})

    def remove_older(self, stage: str) -> None:
        """Remove files that were there before a stage was begun and that it has not written again.

        They were made with other settings, or by another search, and would pass for results of the stage.
        """
        for name, was in self._stages[stage].get("older", {}).items():
            path = self.path.parent / name
            if was is not None and stamp(path) == was:
                logger.info(f"Not used, {path}: it is older than the {stage} that was interrupted.")
                path.unlink()

    def finish(self, stage: str, inputs: Mapping[str, str], files: Iterable[Path], facts: Mapping[str, Any]) -> None:
        """Note that a stage is finished.

        Parameters
        ----------
        stage : str
            Name of the stage.
        inputs : mapping of str to str
            As in `state`.
        files : iterable of Path
            What it wrote, and later stages do not write again.
        facts : mapping
            Plain values that `facts` gives back.
        """
        written = {self.name(path): stamp(path) for path in files}
        self._write(stage, {"inputs": dict(inputs), "finished": True, "files": written, "facts": dict(facts)})

    def facts(self, stage: str) -> dict[str, Any]:
        """Return what was noted about a finished stage."""
        return dict(self._stages[stage]["facts"])

    def _write(self, stage: str, entry: dict[str, Any]) -> None:
        self._stages[stage] = entry
        write_yaml(self.path, {"stages": self._stages})

    def name(self, path: Path) -> str:
        """Return a path as it is noted: relative to the folder, which may be moved, where it is in it."""
        try:
            return str(path.relative_to(self.path.parent))
        except ValueError:  # such as runs in a --quant-dir
            return str(path.resolve())


def forget(folder: Path) -> None:
    """Take nothing in an output folder as done, in none of its stages (``--force``)."""
    for path in folder.rglob(FILE_NAME):
        path.unlink()
    for path in folder.rglob(CHECKPOINTS):
        shutil.rmtree(path)


def remove_damaged_runs(quant: Path) -> list[Path]:
    """Remove the tables of runs whose search was killed while it wrote them.

    Parameters
    ----------
    quant : Path
        Folder with one folder per run.

    Returns
    -------
    list of Path
        Folders of the runs that must be searched again.
    """
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


@contextmanager
def the_only_search(folder: Path) -> Iterator[None]:
    """Keep other searches out of an output folder until this one ends, however it ends.

    Half-written files that a killed search has left there are removed.

    Raises
    ------
    OutputError
        If another process holds the folder, or it cannot be written.
    """
    lock = filelock.FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise OutputError(
            f"Another search is running in {folder}.", "Wait until it has ended, or choose another output folder."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}.", "Check its permissions."
        ) from error
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


def _search_inputs(config: Mapping[str, Any], raw_paths: Sequence[str], others: Mapping[str, Any]) -> dict[str, str]:
    config = {key: value for key, value in config.items() if key not in _NO_INPUTS}
    config["general"] = {k: v for k, v in (config.get("general") or {}).items() if k != "reuse_quant"}
    library = [config["library_path"]] if config.get("library_path") else []
    return {
        "config": hash_of(config),
        "raw files": stamps(map(Path, raw_paths)),
        "library or FASTA files": stamps(map(Path, [*library, *(config.get("fasta_paths") or ())])),
        "versions": hash_of(versions()),
        **{name: hash_of(value) for name, value in others.items()},
    }


def first_pass(
    step: Any,
    folder: Path,
    weights: Mapping[str, Any],
    search: Callable[[], tuple[Errors, list[Path]]],
    *,
    repeatable: bool = True,
) -> tuple[Errors, list[Path]]:
    """Search, or take the results of an earlier call where nothing that they depend on has changed.

    Parameters
    ----------
    step : alphadia.search_step.SearchStep
        The pass; runs that an interrupted call has searched completely are not searched again.
    folder : Path
        Its output folder.
    weights : mapping
        Where the weights came from that predict the library.
    search : callable
        Runs the step.
    repeatable : bool, default True
        Whether its library comes out the same in each call. alphaDIA's own prediction gives it in another order, with
        other precursor indices, which results of an earlier call would not fit.

    Returns
    -------
    errors : list of (step name, raw file name)
        Raw files that failed.
    folders : list of Path
        Quantification folders of the runs that were searched.
    """
    manifest = Manifest(folder)
    inputs = _search_inputs(host.config_of(step), step.raw_path_list, {"weights": weights})
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


def tuning(
    settings: StepSettings,
    folder: Path,
    quant_folders: Sequence[Path],
    speclib: Path,
    weights: Mapping[str, Any],
    tune: Callable[[], StepOutcome],
) -> StepOutcome:
    """Tune the models and predict the library, or take the bundle of an earlier call where its inputs are unchanged."""
    manifest = Manifest(folder)
    inputs = {
        "settings": hash_of(asdict(settings)),
        "quantification": stamps(p for f in quant_folders for p in sorted(f.glob("*.parquet"))),
        "library of the first pass": stamps([speclib]),
        "versions": hash_of(versions()),
        "weights": hash_of(weights),
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

    Parameters
    ----------
    folder : Path
        Output folder of the search.
    config : mapping
        What the pass is given: the user's config, the command line's, and ``extra``.
    extra : mapping
        What is set for this pass.
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
