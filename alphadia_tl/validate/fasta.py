"""FASTA files of targets and entrapment proteins, as alphaDIA reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alphabase.protein.fasta import read_fasta_file

from alphadia_tl.bundle import write_whole
from alphadia_tl.errors import DataError

#: Accessions of entrapment proteins begin with this.
PREFIX = "ENTRAPMENT_"
LINE_LENGTH = 60


@dataclass(frozen=True)
class Protein:
    """One FASTA record.

    Attributes
    ----------
    accession, name : str
        ``P02769`` and ``ALBU_BOVIN`` of ``sp|P02769|ALBU_BOVIN``; of other headers both are the first word.
    header : str
        The whole header line without ">".
    sequence : str
        Amino acids.
    """

    accession: str
    name: str
    header: str
    sequence: str

    @property
    def text(self) -> str:
        """The record as FASTA text."""
        lines = [self.sequence[i : i + LINE_LENGTH] for i in range(0, len(self.sequence), LINE_LENGTH)]
        return "\n".join([f">{self.header}", *lines]) + "\n"


def read_proteins(path: Path) -> dict[str, Protein]:
    """Read a FASTA file.

    Parameters
    ----------
    path : Path
        FASTA file.

    Returns
    -------
    dict of str to Protein
        By accession, in the order of the file.

    Raises
    ------
    DataError
        If the file cannot be read, is empty, or has an accession or a protein without sequence twice.
    """
    proteins: dict[str, Protein] = {}
    try:
        for record in read_fasta_file(str(path)):
            accession = record["protein_id"]
            if accession in proteins:
                raise DataError(f"{path} has the accession {accession!r} twice.", "Remove one of the two.")
            if not record["sequence"]:
                raise DataError(f"{path}: protein {accession!r} has no sequence.", "Remove it.")
            proteins[accession] = Protein(accession, record["gene_org"], record["description"], record["sequence"])
    except (OSError, ValueError) as error:
        raise DataError(f"The FASTA file {path} cannot be read: {error}") from error
    if not proteins:
        raise DataError(f"{path} has no protein.", "Is it a FASTA file?")
    return proteins


def require_unmarked(proteins: Mapping[str, Protein], prefix: str, path: Path) -> None:
    """Make sure that no target could be taken for an entrapment.

    Raises
    ------
    DataError
        If the prefix is unusable or an accession begins with it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", prefix):
        raise DataError(f"The prefix {prefix!r} must be letters, digits, '_', '.' or '-'.")
    marked = [accession for accession in proteins if accession.startswith(prefix)]
    if marked:
        raise DataError(
            f"{path}: {len(marked)} accessions begin with {prefix!r} already, such as {marked[0]!r}.",
            "Give the FASTA without entrapment proteins, or another --prefix.",
        )


def entrapment_protein(origin: Protein, sequence: str, prefix: str, *, copy: int = 1, what: str) -> Protein:
    """Return the entrapment record of a protein, with a UniProt-style header.

    Parameters
    ----------
    origin : Protein
        The protein that it was made from.
    sequence : str
        Sequence of the entrapment protein.
    prefix : str
        Put before accession, entry name and gene, so that none of them joins a target's group.
    copy : int, default 1
        Copies from the second on get their number as a suffix.
    what : str
        Description.
    """
    suffix = f"_{copy}" if copy > 1 else ""
    accession, name = f"{prefix}{origin.accession}{suffix}", f"{prefix}{origin.name}{suffix}"
    # alphabase reads the accession between two bars, or takes the first word whole where there are fewer (lcl|NP_1).
    first = accession if "|" in accession else f"sp|{accession}|{name}"
    # alphabase reads the gene up to the next space: something must follow it.
    header = f"{first} {what} OS=Entrapment OX=0 GN={name} PE=4 SV=1"
    return Protein(accession, name, header, sequence)


def write_proteins(path: Path, proteins: Iterable[Protein]) -> None:
    """Write a FASTA file, whole or not at all."""
    text = "".join(protein.text for protein in proteins)
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
