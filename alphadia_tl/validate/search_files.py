"""What a search left beside its tables: its config, what the plugin wrote down, how long its stages took."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from alphadia_tl.errors import QuantificationError

CONFIG_FILE = "frozen_config.yaml"
LOG_FILE = "log.txt"
PROVENANCE_FILES = ("transfer/alphadia_tl.yaml", "alphadia_tl.yaml")
TOTAL = "total"
_TIME = re.compile(r"^(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?) [A-Z]+: (.*)$")
_STARTED = re.compile(r"Running step '(\w+)'")
_FINISHED = re.compile(r"Search step '(\w+)' finished")


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return what the plugin wrote down about a search; empty where it had no part in it.

    Raises
    ------
    QuantificationError
        If the file is there and is no YAML mapping.
    """
    path = next((folder / name for name in PROVENANCE_FILES if (folder / name).is_file()), None)
    return {} if path is None else read_mapping(path)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file that a search left.

    Raises
    ------
    QuantificationError
        If the file cannot be read or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise QuantificationError(
            f"{path} cannot be read: {error}.", "Give the folder of a finished search."
        ) from error
    if not isinstance(content, dict):
        raise QuantificationError(f"{path} is no mapping of keys to values.", "Give the folder of a finished search.")
    return content


def stage_seconds(folder: Path) -> dict[str, float]:
    """Return the seconds of each stage.

    The plugin's own stages where it wrote them down, else alphaDIA's steps by the times in ``log.txt``; the total is
    always the log's.

    Parameters
    ----------
    folder : Path
        Output folder of a search.

    Returns
    -------
    dict
        Stage to seconds, ``total`` last; empty where there is neither file.
    """
    steps = log_seconds(folder / LOG_FILE)
    total = {TOTAL: steps.pop(TOTAL)} if TOTAL in steps else {}
    own = read_provenance(folder).get("seconds")
    return (dict(own) if isinstance(own, dict) and own else steps) | total


def log_seconds(path: Path) -> dict[str, float]:
    """Return the seconds of each step, and in all, by the elapsed times at the start of each line of a log."""
    if not path.is_file():
        return {}
    started: dict[str, float] = {}
    found: dict[str, float] = {}
    now = 0.0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        matched = _TIME.match(line)
        if not matched:
            continue
        days, hours, minutes, seconds, text = matched.groups()
        now = ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + float(seconds)
        if begin := _STARTED.search(text):
            started[begin[1]] = now
        elif (end := _FINISHED.search(text)) and end[1] in started:
            found[f"{end[1]} step"] = now - started[end[1]]
    return found | ({TOTAL: now} if now else {})
