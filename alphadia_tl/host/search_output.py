"""What a search of alphaDIA left in its folder: tables, config, log."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.lib
import pyarrow.parquet as pq

from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import QuantificationError
from alphadia_tl.files import read_yaml
from alphadia_tl.host.contract import (
    CONFIG_FILE,
    LIBRARY_STEP,
    LOG_FILE,
    PEPTIDOFORM,
    PRECURSORS_STEM,
    PSM_FILE,
    QUANT_FOLDER,
    SLICE,
    TRANSFER_STEP,
    change_paths,
)

ADVICE = "Give the output folder of a finished alphaDIA search."
TOTAL = "total"
_TIME = re.compile(r"^(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?) [A-Z]+: (.*)$")
_STARTED = re.compile(r"Running step '(\w+)'")
_FINISHED = re.compile(r"Search step '(\w+)' finished")


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return what the plugin wrote down about a search; empty where it had no part in it."""
    places = [Bundle(place).provenance for place in (folder / TRANSFER_STEP, folder, folder / LIBRARY_STEP)]
    path = next((place for place in places if place.is_file()), None)
    return {} if path is None else read_mapping(path)


def first_pass_folders(folder: Path) -> list[Path]:
    """Return the output folder of a first pass, and those in which it searched further parts of the library."""
    parts = (read_provenance(folder).get("scout") or {}).get("searches", 1)
    return [folder, *(folder / f"{SLICE}{number}" for number in range(2, parts + 1))]


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file that a search left; a QuantificationError where there is none."""
    return read_yaml(path, error=QuantificationError, advice="Give the folder of a finished search.")


def read_frozen_config(folder: Path) -> dict[str, Any]:
    """Return the config that alphaDIA wrote into an output folder, each path as it is now that the folder is here."""
    config = read_mapping(folder / CONFIG_FILE)
    written = config.get("output_directory") or str(folder)
    return change_paths(config, lambda path: str(moved(Path(path), Path(written), folder)))


def moved(path: Path, written: Path, folder: Path) -> Path:
    """Return where something is that was written down when an output folder had another name, or another place.

    What is in the folder moved along with it; what is elsewhere stayed, or moved along where it is not there any more.
    """
    if path.is_absolute() != written.is_absolute():
        return path
    along = folder / os.path.relpath(path, written)
    stayed = path.is_absolute() and not path.is_relative_to(written) and path.exists()
    return path if stayed or not along.exists() else along


def stage_seconds(folder: Path) -> dict[str, float]:
    """Return the seconds of each stage, ``total`` last; empty where there is neither file.

    The plugin's own stages where it wrote them down, else alphaDIA's steps by the times in ``log.txt``; the total is
    always the log's.
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


#: alphaDIA's columns and the names used here.
COLUMNS = {
    **{name: name for name in ("sequence", "mods", "mod_sites", "charge", "proteins", "decoy", "proba")},
    "qval": "q",
}
TEXT = (*PEPTIDOFORM, "proteins")


def run_tables(folder: Path, *, own: bool = False) -> dict[str, Path]:
    """Return the tables of the runs that a search reports on, by run.

    Folders of runs that are not in its config (of an earlier call in the same output folder) are left out; without a
    config, all runs in ``quant`` count. Runs that the search took from elsewhere (``general.reuse_quant_from``) are
    read from there; with ``own``, a search that took any has none.
    """
    config = read_frozen_config(folder) if (folder / CONFIG_FILE).is_file() else {}
    taken = (config.get("general") or {}).get("reuse_quant_from") or []
    if taken and own:
        return {}
    elsewhere = config.get("quant_directory")
    folders = [Path(name) for name in (*taken, *([elsewhere] if elsewhere else []))]
    folders += [] if elsewhere else [folder / QUANT_FOLDER]
    runs = {Path(raw).stem for raw in config.get("raw_paths") or ()}
    found: dict[str, Path] = {}
    for path in (path for quant in folders for path in sorted(quant.glob(f"*/{PSM_FILE}"))):
        found.setdefault(path.parent.name, path)
    return {run: path for run, path in sorted(found.items()) if not runs or run in runs}


def read_tables(tables: dict[str, Path], columns: Sequence[str]) -> pd.DataFrame:
    """Read tables of runs, at least one, below each other, with a column ``run``."""
    parts = []
    for run, path in tables.items():
        try:
            part = pd.read_parquet(path, columns=list(columns))
        except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
            raise QuantificationError(f"{path} cannot be read: {error}.", ADVICE) from error
        parts.append(part.assign(run=run))
    return pd.concat(parts, ignore_index=True)


def read_run_rows(folder: Path) -> pd.DataFrame | None:
    """Read the precursors of all runs at the precursor FDR, before the protein FDR, decoys included.

    Column ``run`` and the values of `COLUMNS`; None where there are no tables. Raises QuantificationError if a table
    cannot be read or lacks a column.
    """
    tables = run_tables(folder)
    if not tables:
        return None
    rows = read_tables(tables, list(COLUMNS)).rename(columns=COLUMNS)
    return rows.fillna(dict.fromkeys(TEXT, "")).astype(dict.fromkeys(TEXT, "str"))


def targets_at(rows: pd.DataFrame, fdr: float, levels: Sequence[str] = ("q",)) -> pd.DataFrame:
    """Return the targets up to an FDR, without the column ``decoy``; raises QuantificationError without any q value."""
    targets = rows[rows["decoy"].eq(0)].drop(columns="decoy")
    for level in levels:
        if len(targets) and targets[level].isna().all():
            raise QuantificationError(
                f"The precursors have no q values ({level}).", "Are they those of a whole search?"
            )
        targets = targets[targets[level].le(fdr)]
    return targets.reset_index(drop=True)


def read_precursors(
    folder: Path, columns: Sequence[str], optional: Sequence[str] = (), text: Sequence[str] = ()
) -> pd.DataFrame | None:
    """Read columns of the precursor table of an output folder, parquet or tsv; None without a table.

    Optional ones that it lacks are left out; those of text are no numbers. Raises QuantificationError if it cannot be
    read, or lacks one of the others.
    """
    path = next((p for end in ("parquet", "tsv") if (p := folder / f"{PRECURSORS_STEM}.{end}").is_file()), None)
    if path is None:
        return None
    is_text = path.suffix == ".tsv"
    try:
        there = list(pd.read_csv(path, sep="\t", nrows=0).columns) if is_text else pq.read_schema(path).names
        if missing := [name for name in columns if name not in there]:
            raise QuantificationError(f"{path} has no column {missing[0]!r}.", ADVICE)
        names = [name for name in (*columns, *optional) if name in there]
        if not is_text:
            return pd.read_parquet(path, columns=names)
        return pd.read_csv(path, sep="\t", usecols=names, dtype=dict.fromkeys(text, "str"))[names]
    except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
        raise QuantificationError(f"{path} cannot be read: {error}.", ADVICE) from error


def count_identifications(*folders: Path) -> dict[str, Any] | None:
    """Count ``precursors`` (distinct peptidoform and charge) and ``proteins`` of searches; None without a table."""
    columns = ["precursor.mod_seq_charge_hash", "pg.name", "precursor.decoy"]
    tables = [table for folder in folders if (table := read_precursors(folder, columns)) is not None]
    if not tables:
        return None
    df = pd.concat(tables)
    df = df[df["precursor.decoy"] == 0]
    return {"precursors": int(df[columns[0]].nunique()), "proteins": int(df[columns[1]].nunique())}


def retention_times(folder: Path) -> pd.DataFrame | None:
    """Return ``run`` and observed retention time (``seconds``) of a search's precursors; None without a table."""
    names = {"raw.name": "run", "precursor.rt.observed": "seconds"}
    df = read_precursors(folder, list(names))
    return None if df is None else df.rename(columns=names)
