"""Digestion as alphaDIA does it, and which residues an enzyme can tell apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from alphabase.protein.fasta import Digest, protease_dict, read_fasta_file

from alphadia_tl.errors import DataError, SettingsError
from alphadia_tl.files import write_text

#: Accessions of entrapment proteins begin with this.
PREFIX = "ENTRAPMENT_"
LINE_LENGTH = 60


@dataclass(frozen=True)
class Protein:
    """One FASTA record; ``header`` is the whole header line without ">".

    ``accession`` and ``name`` are ``P02769`` and ``ALBU_BOVIN`` of ``sp|P02769|ALBU_BOVIN``; of other headers both are
    the first word.
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
    """Read the proteins of a FASTA file by accession, in the order of the file.

    Raises DataError if the file cannot be read, is empty, or has an accession twice or a protein without sequence.
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

    Raises DataError if the prefix is unusable or an accession begins with it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", prefix):
        raise DataError(f"The prefix {prefix!r} must be letters, digits, '_', '.' or '-'.")
    marked = [accession for accession in proteins if accession.startswith(prefix)]
    if marked:
        raise DataError(
            f"{path}: {len(marked)} accessions begin with {prefix!r} already, such as {marked[0]!r}.",
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


def write_proteins(path: Path, proteins: Iterable[Protein]) -> None:
    """Write a FASTA file, whole or not at all."""
    write_text(path, "".join(protein.text for protein in proteins))


RESIDUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: alphaDIA drops peptides with one of these.
NOT_SEARCHED = frozenset("BJXZ")
NON_SPECIFIC = ("non-specific", "()")


@dataclass(frozen=True)
class DigestSettings:
    """How proteins are cut; names and defaults are those of alphaDIA's ``library_prediction``.

    ``enzyme`` is a name in alphabase's table of proteases, or a regular expression that matches the residue cut after;
    alphaDIA itself takes names only. Raises SettingsError if it is neither, or a number is impossible.
    """

    enzyme: str = "trypsin"
    missed_cleavages: int = 1
    min_length: int = 7
    max_length: int = 35

    def __post_init__(self) -> None:
        numbers = (self.missed_cleavages, self.min_length, self.max_length)
        if not isinstance(self.enzyme, str) or not all(isinstance(number, int) for number in numbers):
            raise SettingsError(f"A digest is an enzyme's name and whole numbers, not {self.enzyme!r}, {numbers}.")
        _ = self.pattern
        if self.missed_cleavages < 0 or not 2 <= self.min_length <= self.max_length:
            raise SettingsError(
                f"Digestion with {self.missed_cleavages} missed cleavages to peptides of {self.min_length} to "
                f"{self.max_length} residues is not possible."
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **changes: Any) -> DigestSettings:
        """Read ``library_prediction`` of an alphaDIA config; changes that are not None go first."""
        section = config.get("library_prediction") or {}
        lengths = section.get("precursor_len") or (None, None)
        if not isinstance(lengths, Sequence) or len(lengths) != 2:
            raise SettingsError(f"Config key 'library_prediction.precursor_len' must be two lengths, not {lengths!r}.")
        shortest, longest = lengths
        values = {"enzyme": section.get("enzyme"), "missed_cleavages": section.get("missed_cleavages")}
        values |= {"min_length": shortest, "max_length": longest}
        values |= {name: value for name, value in changes.items() if value is not None}
        return cls(**{name: value for name, value in values.items() if value is not None})

    @property
    def pattern(self) -> str:
        """Regular expression of the enzyme."""
        name = self.enzyme.lower()
        if name in protease_dict:
            return str(protease_dict[name])
        # Sequences are upper case: lower-case words can only be meant as a name.
        if not self.enzyme or re.search(r"[a-z]", re.sub(r"\\.|\(\?P<\w+>", "", self.enzyme)):
            raise SettingsError(f"Unknown enzyme {self.enzyme!r}.", f"Known are: {', '.join(sorted(protease_dict))}.")
        try:
            re.compile(self.enzyme)
        except re.error as error:
            raise SettingsError(f"The enzyme {self.enzyme!r} is no regular expression: {error}.") from error
        return self.enzyme

    @property
    def is_specific(self) -> bool:
        """False where the enzyme cuts everywhere."""
        return self.pattern not in NON_SPECIFIC

    @cached_property
    def _digest(self) -> Any:
        return Digest(self.pattern, self.missed_cleavages, self.min_length, self.max_length)

    def cuts(self, sequence: str) -> list[int]:
        """Return the positions between which the pieces without missed cleavage lie, both ends included."""
        return [int(position) for position in self._digest.get_cut_positions(sequence)]

    def spans(self, sequence: str) -> Iterator[tuple[int, int]]:
        """Yield start and stop of the peptides that alphaDIA searches, those with a lost first methionine included."""
        cuts = self.cuts(sequence)
        for i, start in enumerate(cuts):
            for stop in cuts[i + 1 : i + 2 + self.missed_cleavages]:
                fits = self.min_length <= stop - start <= self.max_length
                if fits and NOT_SEARCHED.isdisjoint(sequence[start:stop]):
                    yield start, stop
                    if start == 0 and sequence[0] == "M" and stop > self.min_length:
                        yield 1, stop

    @cached_property
    def classes(self) -> dict[str, int]:
        """Residues that the enzyme cannot tell apart share a number; 0 is the largest class.

        Each set of residues in the pattern ([KR], [^P], a single letter) parts the alphabet. As long as residues change
        places within their class only, the pattern matches at the same positions.
        """
        unescaped = re.sub(r"\\.", "", self.pattern)
        sets = re.findall(r"\[[^\]]+\]", unescaped)
        sets += re.findall(r"[A-Z]", re.sub(r"\[[^\]]+\]", "", unescaped))
        signatures = {aa: tuple(bool(re.fullmatch(s, aa)) for s in sets) for aa in RESIDUES}
        members = list(signatures.values())
        ranked = sorted(set(members), key=lambda s: (-members.count(s), s))
        return {aa: ranked.index(signature) for aa, signature in signatures.items()}


def searched_peptides(proteins: Mapping[str, str], settings: DigestSettings) -> dict[str, list[tuple[str, int, int]]]:
    """Return the peptides that alphaDIA searches of proteins by name; of each protein, start and stop where it is."""
    places: dict[str, list[tuple[str, int, int]]] = {}
    for name, sequence in proteins.items():
        for start, stop in settings.spans(sequence):
            places.setdefault(sequence[start:stop], []).append((name, start, stop))
    return places


def i_as_l(peptide: str) -> str:
    """Return the sequence with isoleucine written as leucine, which has the same mass."""
    return peptide.replace("I", "L")
