"""From a table of identified precursors to discoveries: precursors, peptides or protein groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import yaml

from alphadia_tl.errors import DataError
from alphadia_tl.validate.discoveries import Array, Discoveries
from alphadia_tl.validate.estimators import Design
from alphadia_tl.validate.fasta import PREFIX
from alphadia_tl.validate.pairing import precursor_keys, twin_precursor_keys

Level = Literal["precursor", "peptide", "protein"]
NEEDED = {
    "precursor": ("sequence", "mods", "mod_sites", "charge"),
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
        path = beside(fasta, "entrapment.yaml")
        try:
            facts = yaml.safe_load(path.read_text(encoding="utf-8"))
            given = {"prefix": facts["prefix"], "design": facts["design"], "k": facts["k"], "r": facts["r"]}
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise _unreadable(path, error) from error
        target_of: dict[str, str] = {}
        if given["design"] == "shuffled":
            twins = _table(beside(fasta, "twins.tsv"), ["twin_peptide", "target_peptide"])
            target_of = dict(zip(twins["twin_peptide"], twins["target_peptide"], strict=True))
        left_out = frozenset(_table(beside(fasta, "left_out.tsv"), ["entrapment_peptide"])["entrapment_peptide"])
        return cls(target_of=target_of, left_out=left_out, **given)

    def marks(self, proteins: pd.Series) -> Array:
        """Return True for protein groups (accessions joined by ";") in which all accessions have the prefix."""
        return np.array([all(p.startswith(self.prefix) for p in group.split(";")) for group in proteins], dtype=bool)


def beside(fasta: Path, name: str) -> Path:
    """Return the path of a file that belongs to an entrapment FASTA, such as ``out.twins.tsv`` of ``out.fasta``."""
    return fasta.with_name(f"{fasta.stem}.{name}")


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
        With ``twin_key`` in the shuffled design (for protein groups only with one twin per target). Entrapment peptides
        that must not be counted are gone.

    Raises
    ------
    DataError
        If a column is missing.
    """
    missing = [c for c in ("proteins", "score", "q", *NEEDED[level]) if c not in table.columns]
    if missing:
        raise DataError(f"The identifications have no column {', '.join(map(repr, missing))} (level {level}).")
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
    matched = entrapment.design == "shuffled" and (entrapment.k == 1 if level == "protein" else True)
    return Discoveries(
        is_entrapment=best["marked"].to_numpy(bool),
        score=best["score"].to_numpy(float),
        q=best["q"].to_numpy(float),
        key=best["key"].to_numpy(object),
        twin_key=np.where(best["marked"], best["twin"], "").astype(object) if matched else None,
    )


def _keys(table: pd.DataFrame, level: Level, entrapment: Entrapment) -> tuple[Array, Array]:
    if level == "precursor":
        return precursor_keys(table), twin_precursor_keys(table, entrapment.target_of)
    if level == "peptide":
        sequences = table["sequence"].to_numpy(object)
        return sequences, np.array([entrapment.target_of.get(s, "") for s in sequences], dtype=object)
    groups = [";".join(sorted(group.split(";"))) for group in table["proteins"]]
    twins = [";".join(sorted(p.removeprefix(entrapment.prefix) for p in group.split(";"))) for group in groups]
    return np.array(groups, dtype=object), np.array(twins, dtype=object)
