"""Identifications of a search as discoveries: which are entrapments, and of which target they are the twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import QuantificationError, SettingsError
from alphadia_tl.validate.discoveries import Discoveries
from alphadia_tl.validate.estimators import Design

#: Levels and the column of their q value.
LEVELS = {"precursor": "q", "peptide": "q", "protein group": "pg_q"}
ALL_RUNS = "all"


@dataclass(frozen=True)
class Entrapment:
    """How entrapment sequences are marked in the searched FASTA, and how many there are.

    Attributes
    ----------
    prefix : str
        Start of the accession of an entrapment protein.
    ratio : float
        Size of the entrapment part of the database divided by the size of the target part.
    design : {"shuffled", "foreign"}
        Shuffled entrapments are twins of targets.
    twins : mapping of str to str
        Sequence of an entrapment peptide to that of the target it was made from; empty where they are not known.
    """

    prefix: str
    ratio: float = 1.0
    design: Design = "shuffled"
    twins: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.prefix:
            raise SettingsError("The entrapment prefix is empty.", "Every protein would be an entrapment.")
        if not (np.isfinite(self.ratio) and self.ratio > 0):
            raise SettingsError(f"The entrapment ratio must be above 0, not {self.ratio}.")
        if self.design not in ("shuffled", "foreign"):
            raise SettingsError(f"The entrapment design must be 'shuffled' or 'foreign', not {self.design!r}.")


def is_entrapment(proteins: pd.Series[Any], prefix: str) -> NDArray[np.bool_]:
    """Return where nothing but entrapment proteins explains a row.

    Parameters
    ----------
    proteins : pandas.Series of str
        Accessions, separated by semicolons; an accession may be the middle part of ``sp|P12345|NAME``.
    prefix : str
        See `Entrapment`.
    """

    def only_marked(text: str) -> bool:
        names = [name for name in text.split(";") if name]
        return bool(names) and all(any(part.startswith(prefix) for part in name.split("|")) for name in names)

    known = {text: only_marked(text) for text in proteins.unique()}
    return proteins.map(known).to_numpy(dtype=bool)


def entrapment_rows(rows: pd.DataFrame, level: str, prefix: str) -> NDArray[np.bool_]:
    """Return which rows of a search belong to an entrapment identification of a level.

    A protein group is one if its name has entrapments only, or, as it may be named by genes, if all its precursors are.
    """
    marked = is_entrapment(rows["proteins"], prefix)
    if level != "protein group":
        return marked
    of_group = pd.Series(marked, index=rows.index).groupby(rows[level]).transform("all").to_numpy(dtype=bool)
    by_name = is_entrapment(rows[level], prefix)
    return by_name | of_group


def best_rows(rows: pd.DataFrame, level: str) -> pd.DataFrame:
    """Return the best row of each identification of a level, best first.

    Parameters
    ----------
    rows : pandas.DataFrame
        See `tables.SearchOutput.rows`.
    level : str
        Key of `LEVELS`; also the name of the column that tells its identifications apart.
    """
    return rows.sort_values([LEVELS[level], "proba"], kind="stable").drop_duplicates(level)


def discoveries(rows: pd.DataFrame, level: str, entrapment: Entrapment) -> Discoveries:
    """Return the identifications of a level as discoveries, best first.

    Twins are known to precursors and peptides. There, peptidoforms that differ only in the places of their
    modifications are one discovery: a shuffled twin has the same modifications in other places.
    """
    best = best_rows(rows.assign(marked=entrapment_rows(rows, level, entrapment.prefix)), level)
    twin_key = None
    key = best[level].astype(str)
    if entrapment.twins and level != "protein group":
        rest = _rest(best, level)
        key = best["sequence"] + rest
        first = ~key.duplicated().to_numpy()
        best, key, rest = best[first], key[first], rest[first]
        twin_key = (best["sequence"].map(entrapment.twins) + rest).fillna("").to_numpy(dtype=object)
    return Discoveries(
        is_entrapment=best["marked"].to_numpy(dtype=bool),
        score=-best["proba"].to_numpy(dtype=float),
        q=best[LEVELS[level]].to_numpy(dtype=float),
        key=key.to_numpy(dtype=object),
        twin_key=twin_key,
    )


def _rest(best: pd.DataFrame, level: str) -> pd.Series[Any]:
    mods = best["mods"].map({m: ";".join(sorted(m.split(";"))) for m in best["mods"].unique()})
    charge = "" if level == "peptide" else "|" + best["charge"].astype(str)
    return "|" + mods + charge


def read_twins(path: Path) -> dict[str, str]:
    """Read which target peptide each entrapment peptide was made from.

    Parameters
    ----------
    path : Path
        Tab-separated table with the columns ``entrapment`` and ``target`` (sequences).

    Raises
    ------
    QuantificationError
        If it cannot be read or lacks a column.
    """
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise QuantificationError(f"The table of twins {path} cannot be read: {error}.") from error
    missing = [name for name in ("entrapment", "target") if name not in table]
    if missing:
        raise QuantificationError(
            f"The table of twins {path} has no column {missing[0]!r}.",
            "Give the one that alphadia-tl entrapment wrote.",
        )
    return dict(zip(table["entrapment"], table["target"], strict=True))
