"""Identifications of a search at each level, and which of them are entrapments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import QuantificationError
from alphadia_tl.validate import levels
from alphadia_tl.validate.discoveries import Discoveries
from alphadia_tl.validate.estimators import FdpEstimate, estimate_fdp
from alphadia_tl.validate.levels import LEFT_OUT, Entrapment

ALL_RUNS = "all"


@dataclass(frozen=True)
class Level:
    """What is counted.

    Attributes
    ----------
    name : str
        As in the comparison's table.
    key : str
        Column of `tables.SearchOutput.rows` that tells identifications apart.
    q : str
        Column of their q value.
    quantified : str
        Column that tells quantities apart; the quantity is in ``<quantified>_intensity``. Peptides are counted as
        sequences, but alphaDIA quantifies peptidoforms.
    """

    name: str
    key: str
    q: str
    quantified: str


LEVELS = (
    Level("precursor", "precursor", "q", "precursor"),
    Level("peptide", "sequence", "q", "peptidoform"),
    Level("protein group", "protein group", "pg_q", "protein group"),
)
_NAMES: dict[str, levels.Level] = {"precursor": "precursor", "peptide": "peptide", "protein group": "protein"}


def best_rows(rows: pd.DataFrame, level: Level) -> pd.DataFrame:
    """Return the best row of each identification of a level, best first."""
    return rows.sort_values([level.q, "proba"], kind="stable").drop_duplicates(level.key)


def entrapment_rows(rows: pd.DataFrame, level: Level, entrapment: Entrapment) -> NDArray[np.bool_]:
    """Return which rows of a search belong to an entrapment identification of a level.

    A protein group is one if its name has entrapments only, or, as it may be named by genes, if all its precursors are.
    """
    marked = entrapment.marks(rows["proteins"])
    if level.name != "protein group":
        return marked
    of_group = pd.Series(marked, index=rows.index).groupby(rows[level.key]).transform("all").to_numpy(dtype=bool)
    return np.logical_or(entrapment.marks(rows[level.key]), of_group, dtype=bool)


def discoveries(rows: pd.DataFrame, level: Level, entrapment: Entrapment) -> Discoveries:
    """Return the identifications of a level as discoveries, best first."""
    table = rows.assign(score=-rows["proba"].astype(float), q=rows[level.q])
    if level.name == "protein group":
        marked = entrapment_rows(rows, level, entrapment)
        named = ~marked | entrapment.marks(rows[level.key])
        table = table.assign(proteins=rows[level.key].where(named, entrapment.prefix + rows[level.key]))
    found = levels.discoveries_at(table, _NAMES[level.name], entrapment)
    order = np.lexsort((-found.score, found.q))
    twins = None if found.twin_key is None else found.twin_key[order]
    return Discoveries(found.is_entrapment[order], found.score[order], found.q[order], found.key[order], twins)


def estimate(found: Discoveries | Sequence[Discoveries], entrapment: Entrapment) -> FdpEstimate:
    """Estimate the errors of a list, or of those of several runs; the bootstrap has seed 0."""
    return estimate_fdp(
        found, r=entrapment.r, design=entrapment.design, k=entrapment.k, generator=np.random.default_rng(0)
    )


def read_twins(path: Path) -> tuple[dict[str, str], int]:
    """Read which target peptide each entrapment peptide was made from.

    Parameters
    ----------
    path : Path
        Table ``*.twins.tsv`` of ``alphadia-tl entrapment``: columns ``twin_peptide`` and ``target_peptide``.

    Returns
    -------
    target_of : dict of str to str
        Target peptide of each twin.
    k : int
        Twins per target, at most.

    Raises
    ------
    QuantificationError
        If it cannot be read or lacks a column.
    """
    table = _read_table(path, ["twin_peptide", "target_peptide"])
    target_of = dict(zip(table["twin_peptide"], table["target_peptide"], strict=True))
    return target_of, max(Counter(target_of.values()).values(), default=1)


def read_left_out(twins: Path | None, fastas: Iterable[Path] = ()) -> frozenset[str]:
    """Read which entrapment peptides must not be counted: equal or nearly so to a target, or in both species.

    Parameters
    ----------
    twins : Path or None
        ``out.twins.tsv`` of ``alphadia-tl entrapment``, which wrote ``out.left_out.tsv`` beside it.
    fastas : iterable of Path
        FASTA files of the search; what was written beside them counts as well.

    Returns
    -------
    frozenset of str
        Empty where there is no such table.

    Raises
    ------
    QuantificationError
        If a table is there and cannot be read.
    """
    files = {levels.beside(fasta, LEFT_OUT) for fasta in fastas}
    if twins is not None:
        files.add(twins.with_name(f"{twins.name.removesuffix('.tsv').removesuffix('.twins')}.{LEFT_OUT}"))
    column = "entrapment_peptide"
    return frozenset(p for file in files if file.is_file() for p in _read_table(file, [column])[column])


def _read_table(path: Path, names: list[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", usecols=names, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise QuantificationError(
            f"The table {path} cannot be read: {error}.", "Give the one that alphadia-tl entrapment wrote."
        ) from error
