"""The same search with the plugin off and on, as real commands, each in its own folder."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from alphadia_tl import host
from alphadia_tl.bundle import versions
from alphadia_tl.errors import SettingsError
from alphadia_tl.files import write_whole, write_yaml
from alphadia_tl.settings import PluginSettings

OFF, ON, STOCK = "off", "on", "stock"
RECORD = "searches.yaml"
SEED = 1  # where the config leaves alphaDIA unseeded
SWITCHES = (PluginSettings.section, "transfer_step_enabled", "quant_directory", "output_directory")
QUANT_FLAGS = ("--quant-dir", "--quant-directory")


def arm_configs(config: Mapping[str, Any], *, stock: bool = False) -> dict[str, dict[str, Any]]:
    """Return the config of each arm: the same, the seed included, but for the switches of transfer learning.

    Parameters
    ----------
    config : mapping
        The user's config, with or without the section ``alphadia_tl``.
    stock : bool, default False
        Also make the arm with alphaDIA's own transfer step.

    Raises
    ------
    SettingsError
        If a section is wrong, or the arms would write to one quantification folder.
    """
    for name in ("general", PluginSettings.section):
        if not isinstance(config.get(name) or {}, Mapping):
            raise SettingsError(f"Config section '{name}' must be a mapping of keys to values.")
    if config.get("quant_directory"):
        raise SettingsError("Config key 'quant_directory': all searches would write to it.", "Leave it out to compare.")
    plain = copy.deepcopy({k: v for k, v in config.items() if k not in (PluginSettings.section, "output_directory")})
    if (plain.get("general") or {}).get("random_state", -1) in (None, -1):
        plain = host.deep_merge(plain, {"general": {"random_state": SEED}})
    section = {**(config.get(PluginSettings.section) or {}), "enabled": True}
    PluginSettings.from_mapping(section)
    off = host.deep_merge(plain, {"general": {"transfer_step_enabled": False}})
    arms = {OFF: off, ON: off | {PluginSettings.section: section}}
    if stock:
        arms[STOCK] = host.deep_merge(plain, {"general": {"transfer_step_enabled": True}})
    return arms


def check_flags(flags: Sequence[str]) -> None:
    """Refuse flags that would make the arms differ in more, or less, than the switch.

    Raises
    ------
    SettingsError
        For a quantification folder, or a ``--config-dict`` that sets a switch or is no JSON mapping.
    """
    if any(flag.split("=")[0] in QUANT_FLAGS for flag in flags):
        raise SettingsError("Flag '--quant-dir': all searches would write to that folder.", "Leave it out to compare.")
    for number, flag in enumerate(flags):
        name, _, text = flag.partition("=")
        if name != "--config-dict":
            continue
        text = text or next(iter(flags[number + 1 :]), "")
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingsError(f"Flag '--config-dict' is no JSON: {error}.") from error
        keys = {*given, *(given.get("general") or {})} if isinstance(given, dict) else set()
        for key in keys & set(SWITCHES):
            raise SettingsError(f"Flag '--config-dict' sets '{key}', which this command sets.", "Use --config for it.")


def run_arms(
    configs: Mapping[str, Mapping[str, Any]], flags: Sequence[str], output: Path, write: Callable[[str], object]
) -> int:
    """Run one search after the other, each into a folder of its name.

    A search that is recorded as finished with the same config, flags and versions is not run again; any other folder of
    that name is moved aside, so that nothing computed is lost.

    Parameters
    ----------
    configs : mapping
        Config of each arm; see `arm_configs`.
    flags : sequence of str
        Further flags of alphaDIA, the same for all.
    output : Path
        Gets ``<arm>/``, ``<arm>.config.yaml``, ``<arm>.log`` and ``searches.yaml``.
    write : callable
        Takes the text for the user, the searches' own output included.

    Returns
    -------
    int
        0, or the exit code of the first search that failed; later ones are not run then.
    """
    check_flags(flags)
    output.mkdir(parents=True, exist_ok=True)
    for name, config in configs.items():
        record = _read_record(output)
        asked = {"config": copy.deepcopy(dict(config)), "flags": list(flags), "versions": versions()}
        before = record.get(name) or {}
        if before.get("code") == 0 and {k: before.get(k) for k in asked} == asked and (output / name).is_dir():
            write(f"[{name}] finished before with the same config: its results are used.\n")
            continue
        record = {other: entry for other, entry in record.items() if other != name}
        write_yaml(output / RECORD, record)  # first: a folder that is half written must not pass for the finished one
        _move_aside(output / name)
        log = output / f"{name}.log"
        code, seconds = _run(_command(name, config, flags, output), log, name, write)
        write_yaml(output / RECORD, record | {name: {**asked, "code": code, "seconds": round(seconds, 2)}})
        if code != 0:
            write(f"The search '{name}' failed with exit code {code}. Its log: {log}\n")
            return code
    return 0


def wall_seconds(output: Path) -> dict[str, float]:
    """Return the recorded wall time of each search."""
    return {name: float(entry["seconds"]) for name, entry in _read_record(output).items()}


def _read_record(output: Path) -> dict[str, Any]:
    path = output / RECORD
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no YAML: {error}.", "Remove it: all searches are run again.") from error
    return dict(content or {})


def _command(name: str, config: Mapping[str, Any], flags: Sequence[str], output: Path) -> list[str]:
    path = output / f"{name}.config.yaml"
    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return [sys.executable, "-m", "alphadia_tl.cli", "--config", str(path), "-o", str(output / name), *flags]


def _run(command: Sequence[str], log: Path, name: str, write: Callable[[str], object]) -> tuple[int, float]:
    """Run a command, its output going to a log and to the user; return its exit code and wall time."""
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                kept.write(line)
                kept.flush()
                write(f"[{name}] {line}")
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
    return (code if code >= 0 else 128 - code), time.perf_counter() - started


def _move_aside(folder: Path) -> None:
    if not folder.exists():
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}.before_{number}")).exists():
        number += 1
    folder.rename(aside)
