"""What is counted: precursors, peptides, protein groups; from identifications to discoveries of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.entrapment.database import Entrapment
from alphadia_tl.entrapment.estimate import Array, Discoveries
from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.host.search_tables import SEPARATOR, peptidoform


@dataclass(frozen=True)
class Level:
    """What is counted, by columns of `SearchOutput.rows`; ``name`` is that in the comparison's table.

    ``key`` tells identifications apart, ``q`` is their q value, ``columns`` tell discoveries apart. ``quantified``
    tells quantities apart, which are in ``<quantified>_intensity``: peptides are counted as sequences, but alphaDIA
    quantifies peptidoforms.
    """

    name: str
    key: str
    q: str
    quantified: str
    columns: tuple[str, ...]


PRECURSORS = Level("precursor", "precursor", "q", "precursor", tuple(PRECURSOR))
PEPTIDES = Level("peptide", "sequence", "q", "peptidoform", ("sequence",))
PROTEIN_GROUPS = Level("protein group", "protein group", "pg_q", "protein group", ("proteins",))
LEVELS = (PRECURSORS, PEPTIDES, PROTEIN_GROUPS)


def moved_sites(sequence: str, twin: str, mod_sites: str) -> str:
    """Return the sites of a peptide's modifications in its twin, in the order of ``mod_sites``.

    The n-th occurrence of a residue in the sequence is the n-th one in the twin. That makes the peptidoforms of a
    peptide and those of its twin pairs, one to one, in both directions. Sites are as alphabase writes them: 1 for the
    first residue, 0 and -1 for the termini, joined by ";". Raises DataError if the twin has other residues or a site is
    outside the sequence.
    """
    if sorted(sequence) != sorted(twin):
        raise DataError(f"{twin} is no twin of {sequence}: its residues differ.")
    if not mod_sites:
        return ""
    places: dict[str, list[int]] = defaultdict(list)
    for site, residue in enumerate(twin, start=1):
        places[residue].append(site)
    moved = []
    for text in mod_sites.split(SEPARATOR):
        site = int(text)
        if not -1 <= site <= len(sequence):
            raise DataError(f"Modification site {site} is outside the peptide {sequence}.")
        if site > 0:
            residue = sequence[site - 1]
            site = places[residue][sequence[: site - 1].count(residue)]
        moved.append(str(site))
    return SEPARATOR.join(moved)


def precursor_keys(precursors: pd.DataFrame) -> NDArray[np.object_]:
    """Return peptidoform and charge of each row; columns ``sequence, mods, mod_sites, charge`` as alphabase's."""
    return np.array([f"{peptidoform(s, m, p)}/{z}" for s, m, p, z in _precursors(precursors)], dtype=object)


def twin_precursor_keys(precursors: pd.DataFrame, target_of: Mapping[str, str]) -> NDArray[np.object_]:
    """Return the key of the target precursor that each entrapment precursor was made from, "" for what is no twin."""
    keys = [""] * len(precursors)
    for i, (sequence, mods, sites, charge) in enumerate(_precursors(precursors)):
        if target := target_of.get(sequence):
            keys[i] = f"{peptidoform(target, mods, moved_sites(sequence, target, sites))}/{charge}"
    return np.array(keys, dtype=object)


def _precursors(table: pd.DataFrame) -> Iterator[tuple[str, str, str, int]]:
    sequence, mods, sites, charge = (table[name].tolist() for name in PRECURSOR)
    return zip(sequence, mods, sites, map(int, charge), strict=True)


def entrapment_rows(rows: pd.DataFrame, level: Level, entrapment: Entrapment) -> NDArray[np.bool_]:
    """Return which rows of a search belong to an entrapment identification of a level.

    A protein group is one if its name has entrapments only, or, as it may be named by genes, if all its precursors are.
    """
    marked = entrapment.marks(rows["proteins"])
    if level != PROTEIN_GROUPS:
        return marked
    of_group = pd.Series(marked, index=rows.index).groupby(rows[level.key]).transform("all").to_numpy(dtype=bool)
    return np.logical_or(entrapment.marks(rows[level.key]), of_group, dtype=bool)


def discoveries(rows: pd.DataFrame, level: Level, entrapment: Entrapment) -> Discoveries:
    """Return the identifications of a level in the rows of a search as discoveries, best first."""
    return as_discoveries(best_rows(rows, level, entrapment), level, entrapment)


def best_rows(rows: pd.DataFrame, level: Level, entrapment: Entrapment) -> pd.DataFrame:
    """Return the row of each discovery of a level in the rows of a search, as `best_rows_at` does."""
    table = rows.assign(score=-rows["proba"].astype(float), q=rows[level.q])
    if level == PROTEIN_GROUPS:
        marked = entrapment_rows(rows, level, entrapment)
        named = ~marked | entrapment.marks(rows[level.key])
        table = table.assign(proteins=rows[level.key].where(named, entrapment.prefix + rows[level.key]))
    return best_rows_at(table, level, entrapment)


def discoveries_at(table: pd.DataFrame, level: Level, entrapment: Entrapment) -> Discoveries:
    """Reduce identifications to discoveries, best first: the best row of each precursor, peptide or protein group.

    The table has ``proteins`` (accessions joined by ";"), ``score`` (higher is better), ``q`` (of this level), and for
    precursors ``sequence, mods, mod_sites, charge``, for peptides ``sequence``, which are stripped; no decoys. There is
    a ``twin_key`` in the shuffled design where the twins are known (for protein groups only with one twin per target).
    Entrapment peptides that must not be counted are gone. Raises DataError if a column is missing.
    """
    return as_discoveries(best_rows_at(table, level, entrapment), level, entrapment)


def best_rows_at(table: pd.DataFrame, level: Level, entrapment: Entrapment) -> pd.DataFrame:
    """Return the best row of each discovery, best first, with ``key``, ``twin`` (its target's) and ``entrapment``."""
    missing = [c for c in dict.fromkeys(("proteins", "score", "q", *level.columns)) if c not in table.columns]
    if missing:
        raise DataError(f"The identifications have no column {', '.join(map(repr, missing))} (level {level.name}).")
    texts = [c for c in ("proteins", "sequence", "mods", "mod_sites") if c in table.columns]
    # Many runs repeat each precursor: names are made of what is left.
    table = _best_rows(table.fillna(dict.fromkeys(texts, "")), level.columns)
    table = table.assign(entrapment=entrapment.marks(table["proteins"]))
    if "sequence" in table.columns:
        table = table[~(table["entrapment"] & table["sequence"].isin(entrapment.left_out))]
    key, twin = _keys(table, level, entrapment)
    best = _best_rows(table.assign(key=key, twin=twin).sort_values("key", kind="stable"), ("key",))
    best = best.assign(twin=best["twin"].where(best["entrapment"], ""))
    return best.sort_values(["q", "score"], ascending=[True, False], kind="stable")


def as_discoveries(best: pd.DataFrame, level: Level, entrapment: Entrapment) -> Discoveries:
    """Return the rows that `best_rows` found as discoveries."""
    twins_known = entrapment.k == 1 if level == PROTEIN_GROUPS else bool(entrapment.target_of)
    paired = entrapment.design == "shuffled" and twins_known
    peptide = None
    if level == PRECURSORS:
        peptide = best["sequence"].map(entrapment.target_of).fillna(best["sequence"]).to_numpy(object)
    return Discoveries(
        is_entrapment=best["entrapment"].to_numpy(bool),
        score=best["score"].to_numpy(float),
        q=best["q"].to_numpy(float),
        key=best["key"].to_numpy(object),
        twin_key=best["twin"].to_numpy(object) if paired else None,
        peptide=peptide,
    )


def _best_rows(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the row with the best score of each combination of columns, in their order, with its lowest q value."""
    group = table.groupby(list(columns), sort=False).ngroup().to_numpy()
    order = np.lexsort((-table["score"].to_numpy(float), group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    if not len(starts):
        return table
    lowest = np.minimum.reduceat(table["q"].to_numpy(float)[order], starts)
    best: pd.DataFrame = table.iloc[order[starts]]
    return best.assign(q=lowest)


def _keys(table: pd.DataFrame, level: Level, entrapment: Entrapment) -> tuple[Array, Array]:
    """Return the name of each row and that of the target it was made from."""
    if level == PRECURSORS:
        return precursor_keys(table), twin_precursor_keys(table, entrapment.target_of)
    if level == PEPTIDES:
        sequences = table["sequence"].to_numpy(object)
        return sequences, np.array([entrapment.target_of.get(s, "") for s in sequences], dtype=object)
    groups = [SEPARATOR.join(sorted(group.split(SEPARATOR))) for group in table["proteins"]]
    twins = [
        SEPARATOR.join(sorted(p.removeprefix(entrapment.prefix) for p in group.split(SEPARATOR))) for group in groups
    ]
    return np.array(groups, dtype=object), np.array(twins, dtype=object)
