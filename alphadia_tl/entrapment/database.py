"""The entrapment in a search's database: how it is marked, and what ``alphadia-tl entrapment`` wrote of it."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alphadia_tl.entrapment.estimate import Array, Design, Discoveries, FdpEstimate, estimate_fdp
from alphadia_tl.errors import DataError, QuantificationError, SettingsError
from alphadia_tl.files import read_yaml
from alphadia_tl.host.fasta import DigestSettings, Protein
from alphadia_tl.settings import EntrapmentSettings

logger = logging.getLogger(__name__)

#: Accessions of entrapment proteins begin with this.
PREFIX = "ENTRAPMENT_"
#: Ends of the names of the files beside an entrapment FASTA.
FACTS, TWINS, LEFT_OUT = "entrapment.yaml", "twins.tsv", "left_out.tsv"
MAKE_AGAIN = "Make it again with 'alphadia-tl entrapment'."


@dataclass(frozen=True)
class Entrapment:
    """How entrapment is marked, and which peptides belong together.

    Accessions of entrapment proteins begin with ``prefix``. ``target_of`` is the target peptide of each twin peptide,
    empty in the foreign ``design``; peptides ``left_out`` must not be counted. ``k`` are the twins per target: with
    one, an entrapment protein is the twin of the protein without the prefix. ``r`` are the entrapment peptides per
    target peptide of the digest.
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

        Raises DataError or QuantificationError if the facts, or a table, are missing or cannot be read.
        """
        facts = read_facts(fasta)
        target_of = read_twins(beside(fasta, TWINS))[0] if facts["design"] == "shuffled" else {}
        return cls(facts["prefix"], target_of, read_left_out(None, [fasta]), facts["design"], facts["k"], facts["r"])

    def marks(self, proteins: pd.Series) -> Array:
        """Return True for protein groups (accessions joined by ";") in which all accessions have the prefix."""
        groups, names = pd.factorize(proteins)
        marked = [all(p.startswith(self.prefix) for p in name.split(";")) for name in names]
        return np.array(marked, dtype=bool)[groups]

    def estimate(self, found: Discoveries | Sequence[Discoveries]) -> FdpEstimate:
        """Estimate the errors of a list, or of those of several runs."""
        return estimate_fdp(found, r=self.r, design=self.design, k=self.k)


def require_unmarked(proteins: Iterable[str], prefix: str) -> None:
    """Make sure that no target could be taken for an entrapment.

    Raises DataError if the prefix is unusable or an accession begins with it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", prefix):
        raise DataError(f"The prefix {prefix!r} must be letters, digits, '_', '.' or '-'.")
    marked = [accession for accession in proteins if accession.startswith(prefix)]
    if marked:
        raise DataError(
            f"{len(marked)} accessions of the targets begin with {prefix!r} already, such as {marked[0]!r}.",
            "Give the FASTA without entrapment proteins, or another --prefix.",
        )


def entrapment_protein(target: Protein, sequence: str, prefix: str, *, copy: int = 1, what: str) -> Protein:
    """Return the entrapment record made from a protein, described in a UniProt-style header.

    The prefix stands before accession, entry name and gene, so that none of them joins a target's group; copies from
    the second on get their number as a suffix.
    """
    suffix = f"_{copy}" if copy > 1 else ""
    accession, name = f"{prefix}{target.accession}{suffix}", f"{prefix}{target.name}{suffix}"
    # alphabase reads the accession between two bars, or takes the first word whole where there are fewer (lcl|NP_1).
    first = accession if "|" in accession else f"sp|{accession}|{name}"
    # alphabase reads the gene up to the next space: something must follow it.
    header = f"{first} {what} OS=Entrapment OX=0 GN={name} PE=4 SV=1"
    return Protein(accession, name, header, sequence)


def beside(fasta: Path, name: str) -> Path:
    """Return the path of a file that belongs to an entrapment FASTA, such as ``out.twins.tsv`` of ``out.fasta``."""
    return fasta.with_name(f"{fasta.stem}.{name}")


def read_facts(fasta: Path) -> dict[str, Any]:
    """Read what ``alphadia-tl entrapment`` noted of a FASTA file: prefix, design, k, r, and the digest.

    Raises DataError if the file is missing, cannot be read or is another one.
    """
    path = beside(fasta, FACTS)
    facts = read_yaml(path, error=DataError, advice=MAKE_AGAIN)
    try:
        kinds = {"prefix": str, "design": str, "k": int, "r": float}
        return facts | {name: kind(facts[name]) for name, kind in kinds.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}.", MAKE_AGAIN) from error


def read_twins(path: Path) -> tuple[dict[str, str], int]:
    """Read which target peptide each entrapment peptide was made from, and the highest number of twins per target.

    The table ``*.twins.tsv`` has the columns ``twin_peptide`` and ``target_peptide``. Raises QuantificationError if it
    cannot be read or lacks one.
    """
    table = _read_table(path, ["twin_peptide", "target_peptide"])
    target_of = dict(zip(table["twin_peptide"], table["target_peptide"], strict=True))
    return target_of, max(Counter(target_of.values()).values(), default=1)


def read_left_out(twins: Path | None, fastas: Iterable[Path] = ()) -> frozenset[str]:
    """Read which entrapment peptides must not be counted: equal or nearly so to a target, or in both species.

    They are listed beside FASTA files of the search and beside its table of twins, as far as there are such lists.
    Raises QuantificationError if a list is there and cannot be read.
    """
    files = {beside(fasta, LEFT_OUT) for fasta in fastas}
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


def _made_fasta(fastas: Iterable[str | Path]) -> Path | None:
    """Return the first FASTA file that ``alphadia-tl entrapment`` wrote."""
    return next((f for f in map(Path, fastas) if beside(f, FACTS).is_file()), None)


def with_files(settings: EntrapmentSettings, fastas: Iterable[str | Path]) -> EntrapmentSettings:
    """Complete settings by what was written beside a FASTA file of the search.

    What the user wrote goes first; with another prefix than the file's nothing is taken from it. Raises DataError if a
    file that is there cannot be read.
    """
    fasta = _made_fasta(fastas)
    if fasta is None:
        return settings
    facts, default = read_facts(fasta), EntrapmentSettings()
    if settings.prefix not in (None, facts["prefix"]):
        return settings
    shuffled = facts["design"] == "shuffled"
    return dataclasses.replace(
        settings,
        prefix=facts["prefix"],
        design=facts["design"],
        ratio=facts["r"] if settings.ratio == default.ratio else settings.ratio,
        twins=str(beside(fasta, TWINS)) if shuffled and settings.twins is None else settings.twins,
    )


def settings_of_search(settings: EntrapmentSettings, config: Mapping[str, Any]) -> EntrapmentSettings:
    """Return the settings that count for a search with this config, and log what was taken from a file.

    Raises DataError if a file that is there cannot be read.
    """
    found = with_files(settings, config.get("fasta_paths") or ())
    if found != settings:
        logger.info(
            f"Entrapment as alphadia-tl entrapment wrote it: accessions {found.prefix}..., {found.design}, "
            f"r {found.ratio:.4f}."
        )
    if note := digest_note(config):
        logger.warning(note)
    return found


def entrapment_of(settings: EntrapmentSettings, fastas: Iterable[str | Path]) -> Entrapment | None:
    """Read the tables that settings name, and those beside FASTA files; None without a prefix.

    Without a table of twins there are no pairs: it has the design "foreign" then. Raises QuantificationError if a table
    cannot be read.
    """
    if settings.prefix is None:
        return None
    twins = Path(settings.twins) if settings.twins else None
    target_of, k = read_twins(twins) if twins else ({}, 1)
    return Entrapment(
        settings.prefix,
        target_of,
        left_out=read_left_out(twins, map(Path, fastas)),
        design="shuffled" if target_of and settings.design == "shuffled" else "foreign",
        k=k,
        r=settings.ratio,
    )


def digest_note(config: Mapping[str, Any]) -> str:
    """Tell where a search digests otherwise than its entrapment was made for; empty where it does not.

    Peptides of another digest have no twin, and r is not theirs.
    """
    fasta = _made_fasta(config.get("fasta_paths") or ())
    made = read_facts(fasta).get("digest") if fasta else None
    if not made or not (config.get("library_prediction") or {}).get("enabled", True):
        return ""
    try:
        searched = dataclasses.asdict(DigestSettings.from_config(config))
    except (SettingsError, DataError):  # the search itself tells
        return ""
    differ = [f"{name} {made[name]} for {value}" for name, value in searched.items() if made.get(name, value) != value]
    if not differ:
        return ""
    return (
        f"The entrapment of {fasta} was made for another digest ({', '.join(differ)}): estimates are wrong for the "
        "peptides that have no twin. Make it again with the --config of the search."
    )
