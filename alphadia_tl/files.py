"""Files: written whole or not at all, YAML read safely, free space."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from alphadia_tl.errors import OutputError, SettingsError, TransferLearningError

GIB = 1024**3
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, flush it to disk, and rename it.

    Parameters
    ----------
    path : Path
        Final name.
    write : callable
        Writes to the path that it is given.

    Raises
    ------
    OutputError
        If the file cannot be written; a file of that name that was there before is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as handle:  # Windows flushes only what may be written
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise OutputError(
            f"{path} could not be written: {error.strerror or error}.",
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

    Parameters
    ----------
    path : Path
        File in UTF-8, with or without a byte order mark.
    error : type
        Class of the error, from what the file is: a config, a record of results.
    advice : str, optional
        What the user can do where the content is damaged; a config is to be corrected, and that is said in each case.
    empty : bool, default False
        Whether an empty file stands for an empty mapping.

    Raises
    ------
    TransferLearningError
        Of the class ``error``, if the file is missing, is no text in UTF-8, no YAML, or no mapping.
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
        if mark and "\t" in (text.splitlines() or [""])[min(mark.line, text.count("\n"))][: mark.column + 1]:
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
    """Make sure that a folder can be written and has space, before hours of work.

    Raises
    ------
    OutputError
        If the folder cannot be written or has less free space than needed.
    """
    write_whole(folder / ".alphadia_tl.probe", lambda part: part.write_bytes(b"probe"))
    (folder / ".alphadia_tl.probe").unlink()
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise OutputError(
            f"{folder} has {free / GIB:.1f} GiB free, but about {needed_bytes / GIB:.1f} GiB will be needed.",
            "Free some space or choose another output folder.",
        )
