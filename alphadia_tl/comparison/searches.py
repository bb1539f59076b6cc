"""The same search with transfer learning off and on, as real commands, each in its own folder."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.bundle import versions
from alphadia_tl.files import Manifest, hash_of, stamps, write_yaml
from alphadia_tl.settings import PluginSettings

OFF, ON, STOCK = "off", "on", "stock"
RECORD = "searches.yaml"
SEED = 1  # where the config leaves alphaDIA unseeded


def search_configs(config: Mapping[str, Any], *, stock: bool = False) -> dict[str, dict[str, Any]]:
    """Return the config of each search: the same, the seed included, but for the switches of transfer learning.

    The search "stock", with alphaDIA's own transfer step, is made where it is wanted.
    """
    plain = copy.deepcopy({k: v for k, v in config.items() if k not in (PluginSettings.section, "output_directory")})
    if (plain.get("general") or {}).get("random_state", -1) in (None, -1):
        plain = host.deep_merge(plain, {"general": {"random_state": SEED}})
    section = {**(config.get(PluginSettings.section) or {}), "enabled": True}
    off = host.deep_merge(plain, {"general": {"transfer_step_enabled": False}})
    configs = {OFF: off, ON: off | {PluginSettings.section: section}}
    if stock:
        configs[STOCK] = host.deep_merge(plain, {"general": {"transfer_step_enabled": True}})
    return configs


def run_searches(configs: Mapping[str, Mapping[str, Any]], output: Path, write: Callable[[str], object]) -> int:
    """Run one search after the other, each into a folder of its name.

    A search that is recorded as finished with the same config, files and versions is not run again; any other folder of
    that name is moved aside, so that nothing computed is lost. The output folder gets ``<search>/``,
    ``<search>.config.yaml``, ``<search>.log`` and ``searches.yaml``; `write` takes the text for the user, the searches'
    own output included. Returns 0, or the exit code of the first search that failed; later ones are not run then.
    """
    output.mkdir(parents=True, exist_ok=True)
    done = Manifest(output, RECORD)
    for name, config in configs.items():
        library = [config["library_path"]] if config.get("library_path") else []
        files = [*(config.get("raw_paths") or ()), *(config.get("fasta_paths") or ()), *library]
        inputs = {"config": hash_of(config), "files": stamps(map(Path, files)), "versions": hash_of(versions())}
        folder, config_file, log = (output / f"{name}{end}" for end in ("", ".config.yaml", ".log"))
        if done.is_finished(name, inputs) and folder.is_dir():
            write(f"[{name}] finished before with the same config: its results are used.\n")
            continue
        done.begin(name, inputs)  # first: a folder that is half written must not pass for the finished one
        _move_aside(folder)
        write_yaml(config_file, config)
        started = time.perf_counter()
        command = [sys.executable, "-m", "alphadia_tl.cli", "--config", str(config_file), "-o", str(folder)]
        code = _run(command, log, name, write)
        if code != 0:
            write(f"The search '{name}' failed with exit code {code}. Its log: {log}\n")
            return code
        done.finish(name, inputs, [], {"seconds": round(time.perf_counter() - started, 2)})
    return 0


def wall_seconds(output: Path, names: Iterable[str]) -> dict[str, float]:
    """Return the wall time of each search that `run_searches` has finished."""
    done = Manifest(output, RECORD)
    return {name: float(done.facts(name)["seconds"]) for name in names}


def _run(command: Sequence[str], log: Path, name: str, write: Callable[[str], object]) -> int:
    """Run a command, its output going to a log and to the user; return its exit code."""
    with (
        log.open("w", encoding="utf-8") as log_file,
        subprocess.Popen(
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                log_file.write(line)
                log_file.flush()
                write(f"[{name}] {line}")
            code = process.wait()
        except BaseException:
            process.terminate()
            raise
    return code if code >= 0 else 128 - code


def _move_aside(folder: Path) -> None:
    if not folder.exists():
        return
    number = 1
    while (aside := folder.with_name(f"{folder.name}.before_{number}")).exists():
        number += 1
    folder.rename(aside)
