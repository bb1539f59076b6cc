"""Files: written whole or not at all, YAML read safely, free space, and the record of what was made from what."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from alphadia_tl.errors import OutputError, SettingsError, TransferLearningError

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

MANIFEST = "alphadia_tl.manifest.yaml"
GIB = 1024**3
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


HDF = b"\x89HDF\r\n\x1a\n"


def is_hdf(path: Path) -> bool:
    """Say whether a file is an HDF file, as alphabase's libraries are."""
    with path.open("rb") as file:
        return file.read(len(HDF)) == HDF


def absolute_path(text: str | Path) -> Path:
    """Return the absolute path that a user means, ``~`` being the home folder; links and ``..`` stay."""
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # "~name" of nobody's home is a file's name
        path = path.expanduser()
    return path.absolute()


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, flush it to disk, and rename it.

    ``write`` writes to the path that it is given. Raises OutputError if the file cannot be written; a file of that name
    that was there before is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as handle:  # Windows flushes only what may be written
            os.fsync(handle.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # h5py tells of a full disk in several ways
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path} could not be written: {getattr(error, 'strerror', None) or error}.",
            "Check permissions and free space of the output folder, then run again.",
        ) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write plain values as YAML."""
    write_text(path, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))


def write_stats(path: Path, history: pd.DataFrame) -> None:
    """Write a table, such as the metrics per epoch, as tab-separated text, as alphaDIA does."""
    write_whole(path, lambda part: history.to_csv(part, sep="\t", index=False))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet."""
    write_whole(path, lambda part: table.to_parquet(part, index=False))


def read_yaml(
    path: Path, *, error: type[TransferLearningError] = SettingsError, advice: str = "", empty: bool = False
) -> dict[str, Any]:
    """Read a YAML file that holds a mapping of keys to values.

    It is in UTF-8, with or without a byte order mark; ``empty`` lets an empty file stand for an empty mapping. Raises
    the class ``error`` if the file is missing, is no text in UTF-8, no YAML, or no mapping. ``advice`` is what the user
    can do where the content is damaged; a config is to be corrected, and that is said in each case.
    """
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror or problem}.", advice) from problem
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        kind = "UTF-16" if content.startswith(_UTF16) else "no UTF-8"
        line = content[: problem.start].count(b"\n") + 1
        raise error(f"{path} is {kind} text (line {line}).", advice or "Save it as UTF-8.") from problem
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        reason = getattr(problem, "problem", None) or "it is no YAML"
        lines = text.splitlines()
        if mark and mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]:
            reason, advice = "a tab", advice or "Indent with blanks: YAML allows no tabs there."
        raise error(f"{path}{where} is no valid YAML: {reason}.", advice or "Correct the line.") from problem
    if values is None and empty:
        return {}
    if not isinstance(values, dict):
        found = "empty" if values is None else f"a {type(values).__name__}"
        raise error(
            f"{path} is {found}, and no mapping of keys to values.", advice or "Write 'key: value' on each line."
        )
    return values


def require_space(folder: Path, needed_bytes: int) -> None:
    """Make sure that a folder can be written and has space, before hours of work."""
    probe = folder / ".alphadia_tl.probe"
    try:
        write_whole(probe, lambda part: part.write_bytes(b"probe"))
    except OutputError as error:
        raise OutputError(error.what.replace(str(probe), str(folder), 1), error.advice) from error.__cause__
    probe.unlink()
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise OutputError(
            f"{folder} has {free / GIB:.1f} GiB free, but about {needed_bytes / GIB:.1f} GiB will be needed.",
            "Free some space or choose another output folder.",
        )


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
    """Return a hash of names, sizes and times of change of files, whose folders may be moved."""
    return hash_of([[path.name, stamp(path)] for path in paths])


class Manifest:
    """What was made in a folder, stage by stage, and from what; files are named relative to the folder."""

    def __init__(self, folder: Path, name: str = MANIFEST) -> None:
        self.path = folder / name
        self._stages: dict[str, dict[str, Any]] = {}
        try:
            self._stages = dict(yaml.safe_load(self.path.read_text(encoding="utf-8"))["stages"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            logger.warning(f"{self.path} cannot be read ({error}): its stages are done again.")

    def state(self, stage: str, inputs: Mapping[str, str]) -> State:
        """Return how far a stage has come with these inputs, and log what is reused or why it is not.

        ``inputs`` has the hash of each thing that its results depend on, by the name that a user is told.
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
        if lost := self._changed_files(entry):
            logger.info(f"Done again, the {stage}: {lost[0]} is missing or was changed.")
            return "begun"
        logger.info(f"Reused, the {stage}: config, inputs and versions are unchanged (--force does it again).")
        return "finished"

    def is_finished(self, stage: str, inputs: Mapping[str, str]) -> bool:
        """Return whether a stage is finished with these inputs and its files are as they were; nothing is logged."""
        entry = self._stages.get(stage)
        if entry is None or not entry["finished"] or entry["inputs"] != dict(inputs):
            return False
        return not self._changed_files(entry)

    def begin(self, stage: str, inputs: Mapping[str, str], older: Iterable[Path] = ()) -> None:
        """Note that a stage has begun; ``older`` files lie there already and are of something else (`remove_older`)."""
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

        ``files`` are what it wrote and later stages do not write again; ``facts`` are plain values that `facts` gives
        back.
        """
        written = {self.name(path): stamp(path) for path in files}
        self._write(stage, {"inputs": dict(inputs), "finished": True, "files": written, "facts": dict(facts)})

    def once(
        self, stage: str, inputs: Mapping[str, str], files: Iterable[Path], make: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Call ``make``, which gives the facts, unless it has finished with these inputs and its files are there."""
        if self.is_finished(stage, inputs) and all(path.is_file() for path in files):
            logger.info(f"Reused, the {stage}.")
            return
        self.begin(stage, inputs)
        self.finish(stage, inputs, [], make())

    def facts(self, stage: str) -> dict[str, Any]:
        """Return what was noted about a finished stage."""
        return dict(self._stages[stage]["facts"])

    def _changed_files(self, entry: Mapping[str, Any]) -> list[Path]:
        paths = {self.path.parent / name: was for name, was in entry["files"].items()}
        return [path for path, was in paths.items() if stamp(path) != was]

    def _write(self, stage: str, entry: dict[str, Any]) -> None:
        self._stages[stage] = entry
        write_yaml(self.path, {"stages": self._stages})

    def name(self, path: Path) -> str:
        """Return a path as it is noted: relative to the folder, which may be moved, where it is in it."""
        try:
            return str(path.relative_to(self.path.parent))
        except ValueError:  # such as runs in a --quant-dir
            return str(path.resolve())
