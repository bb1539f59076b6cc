"""What a search found in each run, before its protein FDR took some of it away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.lib
import pyarrow.parquet as pq

from alphadia_tl.errors import QuantificationError
from alphadia_tl.validate.search_files import CONFIG_FILE, read_mapping

__all__ = ["COLUMNS", "PSM_FILE", "read_run_rows", "read_tables", "run_tables", "targets_at"]

PSM_FILE = "psm.parquet"
QUANT_FOLDER = "quant"
#: alphaDIA's columns and the names used here.
COLUMNS = {
    "sequence": "sequence",
    "mods": "mods",
    "mod_sites": "mod_sites",
    "charge": "charge",
    "proteins": "proteins",
    "decoy": "decoy",
    "qval": "q",
    "proba": "proba",
}
TEXT = ("sequence", "mods", "mod_sites", "proteins")


def run_tables(folder: Path, *, own: bool = False) -> dict[str, Path]:
    """Return the tables of the runs that a search reports on, by run: its own, or those that it took from elsewhere.

    Folders of runs that are not in its config (of an earlier call in the same output folder) are left out. A run that
    the search took from elsewhere (``general.reuse_quant_from``) is read from there, all others from its own folder.

    Parameters
    ----------
    folder : Path
        Output folder. Without a config in it, all runs in ``quant`` count.
    own : bool, default False
        Not those that it took from another folder.
    """
    file = folder / CONFIG_FILE
    config = read_mapping(file) if file.is_file() else {}
    taken = (config.get("general") or {}).get("reuse_quant_from") or []
    if taken and own:
        return {}
    written = Path(config.get("output_directory") or folder)
    elsewhere = config.get("quant_directory")
    folders = [_moved(Path(name), written, folder) for name in (*taken, *([elsewhere] if elsewhere else []))]
    folders += [] if elsewhere else [folder / QUANT_FOLDER]
    runs = {Path(raw).stem for raw in config.get("raw_paths") or ()}
    found: dict[str, Path] = {}
    for path in (path for quant in folders for path in sorted(quant.glob(f"*/{PSM_FILE}"))):
        found.setdefault(path.parent.name, path)
    return {run: path for run, path in sorted(found.items()) if not runs or run in runs}


def _moved(path: Path, written: Path, folder: Path) -> Path:
    """Return where a folder is now that an output folder wrote down before it was moved, as far as it moved along."""
    if written.resolve() == folder.resolve():
        return path
    along = folder / os.path.relpath(path, written)
    return along if along.is_dir() else path


def read_tables(tables: dict[str, Path], columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Read tables of runs below each other, with a column ``run``.

    Parameters
    ----------
    tables : dict of str to Path
        At least one; see `run_tables`.
    columns, optional : sequence of str
        Columns that must, and that may be there.

    Raises
    ------
    QuantificationError
        If a table cannot be read or lacks a column.
    """
    parts = []
    for run, path in tables.items():
        try:
            there = set(pq.read_schema(path).names)
            part = pd.read_parquet(path, columns=[*columns, *(c for c in optional if c in there)])
        except (OSError, ValueError, pyarrow.lib.ArrowException) as error:
            raise QuantificationError(
                f"{path} cannot be read: {error}.", "Give the output folder of a finished alphaDIA search."
            ) from error
        parts.append(part.assign(run=run))
    return pd.concat(parts, ignore_index=True)


def read_run_rows(folder: Path) -> pd.DataFrame | None:
    """Read the precursors of all runs at the precursor FDR, before the protein FDR, decoys included.

    Parameters
    ----------
    folder : Path
        Output folder of a search; see `run_tables`.

    Returns
    -------
    pandas.DataFrame or None
        Column ``run`` and the values of `COLUMNS`; None where there are no tables.

    Raises
    ------
    QuantificationError
        If a table cannot be read or lacks a column.
    """
    tables = run_tables(folder)
    if not tables:
        return None
    rows = read_tables(tables, list(COLUMNS)).rename(columns=COLUMNS)
    return rows.fillna(dict.fromkeys(TEXT, "")).astype(dict.fromkeys(TEXT, "str"))


def targets_at(rows: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Return the targets up to an FDR, without the column ``decoy``."""
    kept = rows["decoy"].eq(0) & rows["q"].le(fdr)
    return rows[kept].drop(columns="decoy").reset_index(drop=True)
