"""From a table of identified precursors to discoveries: precursors, peptides or protein groups."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from alphadia_tl.entrapment.digest import PREFIX
from alphadia_tl.entrapment.estimate import Array, Design, Discoveries
from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PRECURSOR

SEPARATOR = ";"


def moved_sites(sequence: str, twin: str, mod_sites: str) -> str:
    """Return the sites of a peptide's modifications in its twin.

    The n-th occurrence of a residue in the sequence is the n-th one in the twin. That makes the peptidoforms of a
    peptide and those of its twin pairs, one to one, in both directions.

    Parameters
    ----------
    sequence, twin : str
        Two orders of the same residues.
    mod_sites : str
        Sites as alphabase writes them: 1 for the first residue, 0 and -1 for the termini, joined by ";".

    Returns
    -------
    str
        Sites in the twin, in the order of ``mod_sites``.

    Raises
    ------
    DataError
        If the twin has other residues or a site is outside the sequence.
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


def peptidoform(sequence: str, mods: str, mod_sites: str) -> str:
    """Return a name that does not depend on the order in which modifications are listed."""
    if not mods:
        return sequence
    names, sites = mods.split(SEPARATOR), mod_sites.split(SEPARATOR)
    if len(names) != len(sites):
        raise DataError(f"{sequence} has {len(names)} modifications but {len(sites)} sites.")
    ordered = sorted(zip((int(site) for site in sites), names, strict=True))
    return sequence + "|" + SEPARATOR.join(f"{site}:{name}" for site, name in ordered)


def precursor_keys(precursors: pd.DataFrame) -> NDArray[np.object_]:
    """Return peptidoform and charge of each row.

    Parameters
    ----------
    precursors : pandas.DataFrame
        Columns ``sequence``, ``mods``, ``mod_sites``, ``charge`` as alphabase has them.
    """
    columns = (precursors[name].tolist() for name in PRECURSOR)
    keys = [f"{peptidoform(s, m, p)}/{int(z)}" for s, m, p, z in zip(*columns, strict=True)]
    return np.array(keys, dtype=object)


def twin_precursor_keys(precursors: pd.DataFrame, target_of: dict[str, str]) -> NDArray[np.object_]:
    """Return the key of the target precursor that each entrapment precursor was made from.

    Parameters
    ----------
    precursors : pandas.DataFrame
        Columns as for :func:`precursor_keys`.
    target_of : dict of str to str
        Target peptide of each twin peptide (the table of ``alphadia-tl entrapment``).

    Returns
    -------
    ndarray of object
        "" for sequences that are no twin.
    """
    columns = (precursors[name].tolist() for name in PRECURSOR)
    keys = []
    for sequence, mods, sites, charge in zip(*columns, strict=True):
        target = target_of.get(sequence)
        if target is None:
            keys.append("")
        else:
            keys.append(f"{peptidoform(target, mods, moved_sites(sequence, target, sites))}/{int(charge)}")
    return np.array(keys, dtype=object)


#: Ends of the names of the files beside an entrapment FASTA.
FACTS, TWINS, LEFT_OUT = "entrapment.yaml", "twins.tsv", "left_out.tsv"
Level = Literal["precursor", "peptide", "protein"]
NEEDED = {
    "precursor": tuple(PRECURSOR),
    "peptide": ("sequence",),
    "protein": (),
}


@dataclass(frozen=True)
class Entrapment:
    """How entrapment is marked, and which peptides belong together.

    Attributes
    ----------
    prefix : str
        Accessions of entrapment proteins begin with it.
    target_of : dict of str to str
        Target peptide of each twin peptide; empty in the foreign design.
    left_out : frozenset of str
        Entrapment peptides that must not be counted.
    design : {"shuffled", "foreign"}
        How the entrapment proteins were made.
    k : int
        Twins per target. With one, an entrapment protein is the twin of the protein without the prefix.
    r : float
        Entrapment peptides per target peptide of the digest.
    """

    prefix: str = PREFIX
    target_of: dict[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    design: Design = "shuffled"
    k: int = 1
    r: float = 1.0

    def __post_init__(self) -> None:
        if not self.prefix or self.design not in ("shuffled", "foreign") or self.k < 1 or not self.r > 0:
            raise DataError(
                f"No such entrapment: prefix {self.prefix!r}, design {self.design!r}, k {self.k}, r {self.r}."
            )

    @classmethod
    def read(cls, fasta: Path) -> Entrapment:
        """Read what ``alphadia-tl entrapment`` wrote beside a FASTA file.

        Raises
        ------
        DataError
            If a file is missing, cannot be read or is another one.
        """
        facts = read_facts(fasta)
        given = {name: facts[name] for name in ("prefix", "design", "k", "r")}
        target_of: dict[str, str] = {}
        if given["design"] == "shuffled":
            twins = _table(beside(fasta, TWINS), ["twin_peptide", "target_peptide"])
            target_of = dict(zip(twins["twin_peptide"], twins["target_peptide"], strict=True))
        left_out = frozenset(_table(beside(fasta, LEFT_OUT), ["entrapment_peptide"])["entrapment_peptide"])
        return cls(target_of=target_of, left_out=left_out, **given)

    def marks(self, proteins: pd.Series) -> Array:
        """Return True for protein groups (accessions joined by ";") in which all accessions have the prefix."""
        groups, names = pd.factorize(proteins)
        marked = [all(p.startswith(self.prefix) for p in name.split(";")) for name in names]
        return np.array(marked, dtype=bool)[groups]


def beside(fasta: Path, name: str) -> Path:
    """Return the path of a file that belongs to an entrapment FASTA, such as ``out.twins.tsv`` of ``out.fasta``."""
    return fasta.with_name(f"{fasta.stem}.{name}")


def read_facts(fasta: Path) -> dict[str, Any]:
    """Read what ``alphadia-tl entrapment`` noted of a FASTA file: prefix, design, k, r, and the digest.

    Raises
    ------
    DataError
        If the file is missing, cannot be read or is another one.
    """
    path = beside(fasta, FACTS)
    try:
        facts = dict(yaml.safe_load(path.read_text(encoding="utf-8")))
        return facts | {"prefix": str(facts["prefix"]), "design": str(facts["design"]), "k": int(facts["k"]),
                        "r": float(facts["r"])}  # fmt: skip
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error) from error


def _table(path: Path, names: list[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", usecols=names, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read: {error}.", "Make it again with 'alphadia-tl entrapment'.")


def discoveries_at(table: pd.DataFrame, level: Level, entrapment: Entrapment) -> Discoveries:
    """Reduce identifications to discoveries: the best row of each precursor, peptide or protein group.

    Parameters
    ----------
    table : pandas.DataFrame
        ``proteins`` (accessions joined by ";"), ``score`` (higher is better), ``q`` (of this level), and for precursors
        ``sequence, mods, mod_sites, charge``, for peptides ``sequence``. Decoys are removed already.
    level : {"precursor", "peptide", "protein"}
        What is counted. Peptides are stripped sequences.
    entrapment : Entrapment
        How entrapment is marked.

    Returns
    -------
    Discoveries
        With ``twin_key`` in the shuffled design where the twins are known (for protein groups only with one twin per
        target). Entrapment peptides that must not be counted are gone.

    Raises
    ------
    DataError
        If a column is missing.
    """
    missing = [c for c in ("proteins", "score", "q", *NEEDED[level]) if c not in table.columns]
    if missing:
        raise DataError(f"The identifications have no column {', '.join(map(repr, missing))} (level {level}).")
    texts = [c for c in ("proteins", "sequence", "mods", "mod_sites") if c in table.columns]
    table = _best_rows(table.fillna(dict.fromkeys(texts, "")), NEEDED[level] or ("proteins",))
    marked = entrapment.marks(table["proteins"])
    if "sequence" in table.columns:
        kept = ~(marked & table["sequence"].isin(entrapment.left_out).to_numpy())
        table, marked = table[kept], marked[kept]
    key, twin = _keys(table, level, entrapment)
    best = pd.DataFrame({"key": key, "twin": twin, "marked": marked, "score": table["score"].to_numpy()})
    best["q"] = table["q"].to_numpy()
    best = best.sort_values(["key", "score"], ascending=[True, False], kind="stable")
    best["q"] = best.groupby("key")["q"].transform("min")
    best = best.drop_duplicates("key")
    paired = entrapment.k == 1 if level == "protein" else bool(entrapment.target_of)
    matched = entrapment.design == "shuffled" and paired
    return Discoveries(
        is_entrapment=best["marked"].to_numpy(bool),
        score=best["score"].to_numpy(float),
        q=best["q"].to_numpy(float),
        key=best["key"].to_numpy(object),
        twin_key=np.where(best["marked"], best["twin"], "").astype(object) if matched else None,
    )


def _best_rows(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the row with the best score of each combination, with its lowest q value.

    Many runs repeat each precursor: names are made of what is left.
    """
    code = np.zeros(len(table), dtype=np.int64)
    for name in columns:
        of_column, values = pd.factorize(table[name])
        code = pd.factorize(code * (len(values) + 1) + of_column)[0]
    order = np.lexsort((-table["score"].to_numpy(float), code))
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    if not len(starts):
        return table
    lowest = np.minimum.reduceat(table["q"].to_numpy(float)[order], starts)
    best: pd.DataFrame = table.iloc[order[starts]]
    return best.assign(q=lowest)


def _keys(table: pd.DataFrame, level: Level, entrapment: Entrapment) -> tuple[Array, Array]:
    if level == "precursor":
        return precursor_keys(table), twin_precursor_keys(table, entrapment.target_of)
    if level == "peptide":
        sequences = table["sequence"].to_numpy(object)
        return sequences, np.array([entrapment.target_of.get(s, "") for s in sequences], dtype=object)
    groups = [";".join(sorted(group.split(";"))) for group in table["proteins"]]
    twins = [";".join(sorted(p.removeprefix(entrapment.prefix) for p in group.split(";"))) for group in groups]
    return np.array(groups, dtype=object), np.array(twins, dtype=object)
