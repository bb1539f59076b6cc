"""FASTA files as alphaDIA reads them, and the peptides that it searches of them: the one definition of both."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from alphabase.protein.fasta import Digest, protease_dict, read_fasta_file

from alphadia_tl.errors import DataError, SettingsError

LINE_LENGTH = 60
#: First bytes of files that alphaDIA cannot read, whatever follows.
_WRAPPED = {
    b"\x1f\x8b": "packed (gzip)", b"PK\x03\x04": "packed (zip)", b"BZh": "packed (bzip2)", b"\xfd7zXZ": "packed (xz)",
    b"\xef\xbb\xbf": "text with a byte order mark", b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text",
}  # fmt: skip
_DECOY = re.compile(r"#|(rev|reversed?|decoy|xxx)_", re.IGNORECASE)


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


def read_fasta(path: Path) -> list[Protein]:
    """Read the records of a FASTA file, with alphaDIA's own reader.

    Raises DataError, which says why, where alphaDIA could not read the file or would find no protein in it, and for a
    record without a name.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(1000)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.", "Give a FASTA file.") from error
    for mark, kind in _WRAPPED.items():
        if begin.startswith(mark):
            advice = "Unpack it" if kind.startswith("packed") else "Save it as UTF-8, without a byte order mark"
            raise DataError(f"The FASTA file {path} is {kind}.", f"{advice}: alphaDIA reads nothing else.")
    if not begin.strip():
        raise DataError(f"{path} is empty: it has no protein.", "Is it a FASTA file?")
    if not begin.startswith(b">"):
        line = begin.splitlines()[0][:40].decode(errors="replace")
        advice = "Is it a FASTA file? alphaDIA reads no blank lines or comments before the first '>'."
        raise DataError(f"{path} does not begin with a header line ('>...') but with {line!r}.", advice)
    try:
        records = list(read_fasta_file(str(path)))
    except (OSError, ValueError) as error:
        advice = "Save it as UTF-8, sequences in plain letters."
        raise DataError(f"The FASTA file {path} cannot be read: {error}.", advice) from error
    proteins = [Protein(r["protein_id"], r["gene_org"], r["description"], r["sequence"]) for r in records]
    if not any(protein.sequence for protein in proteins):
        raise DataError(f"{path} has no protein with a sequence.", "Is it a FASTA file?")
    if unnamed := [protein for protein in proteins if protein.sequence and not protein.accession]:
        raise DataError(f"{path}: {len(unnamed)} proteins have no name after '>', such as {unnamed[0].text[:40]!r}.")
    return proteins


def read_proteins(paths: Iterable[Path]) -> dict[str, Protein]:
    """Read the proteins of FASTA files by accession, in the order of the files; the same protein twice is one.

    Raises DataError if a file cannot be read, or an accession has no sequence or two, of which alphaDIA may search the
    last only, or a ";", which joins accessions in alphaDIA's tables, or is that of another tool's decoy.
    """
    proteins: dict[str, Protein] = {}
    for path in paths:
        found = read_fasta(path)
        if decoys := decoys_of_other_tools(found):
            advice = "Remove them: alphaDIA makes its own and would search these as proteins."
            raise DataError(f"{path} has {len(decoys)} decoys, such as {decoys[0]!r}.", advice)
        for protein in found:
            name, known = protein.accession, proteins.get(protein.accession)
            if ";" in name:
                raise DataError(f"{path}: the accession {name!r} has a ';', which joins accessions.", "Rename it.")
            if not protein.sequence:
                raise DataError(f"{path}: protein {name!r} has no sequence.", "Remove it.")
            if known and known.sequence != protein.sequence:
                raise DataError(f"{path}: the accession {name!r} is there twice, with two sequences.", "Rename one.")
            proteins.setdefault(name, protein)
    return proteins


def decoys_of_other_tools(proteins: Iterable[Protein]) -> list[str]:
    """Return the first word of the headers that mark decoys, such as ``rev_sp|P02769|ALBU_BOVIN`` or ``##P02769``."""
    words = ((protein.accession, protein.header.split(maxsplit=1)[0]) for protein in proteins if protein.accession)
    return [word for accession, word in words if _DECOY.match(word) or _DECOY.match(accession)]


RESIDUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: alphaDIA drops peptides with another letter: with B, J, X, Z by name, with stops, gaps and lower case by their mass.
SEARCHED = frozenset(RESIDUES) - set("BJXZ")
#: Lower case with a mass in alphabase: peptides of these and upper case stay, and peptdeep cannot predict them.
_UNPREDICTED = SEARCHED | set("sty")
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
            what = f"{self.missed_cleavages} missed cleavages to peptides of {self.min_length} to {self.max_length}"
            raise SettingsError(f"Digestion with {what} residues is not possible.")
        if self.pattern in NON_SPECIFIC and self.missed_cleavages < self.max_length - 1:
            what = f"A digest without cleavage sites that has {self.missed_cleavages} missed cleavages"
            advice = f"Set missed_cleavages: {self.max_length - 1}, and precursor_len as short as it may be."
            raise SettingsError(f"{what} has no peptides of {self.max_length} residues.", advice)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **changes: Any) -> DigestSettings:
        """Read ``library_prediction`` of an alphaDIA config; changes that are not None go first."""
        section = config.get("library_prediction") or {}
        lengths = section.get("precursor_len") or (None, None)
        if not isinstance(lengths, Sequence) or len(lengths) != 2:
            raise SettingsError(
                f"Config key 'library_prediction.precursor_len' must be two lengths, not {lengths!r}.", "Write [7, 35]."
            )
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
            raise SettingsError(
                f"The enzyme {self.enzyme!r} is no regular expression: {error}.", "Write trypsin."
            ) from error
        return self.enzyme

    @cached_property
    def _digest(self) -> Any:
        return Digest(self.pattern, self.missed_cleavages, self.min_length, self.max_length)

    def cuts(self, sequence: str) -> list[int]:
        """Return the positions between which the pieces without missed cleavage lie, both ends included."""
        return [int(position) for position in self._digest.get_cut_positions(sequence)]

    def spans(self, sequence: str, letters: frozenset[str] = SEARCHED) -> Iterator[tuple[int, int]]:
        """Yield start and stop of the peptides that alphaDIA searches, those with a lost first methionine included."""
        cuts = self.cuts(sequence)
        for i, start in enumerate(cuts):
            for stop in cuts[i + 1 : i + 2 + self.missed_cleavages]:
                fits = self.min_length <= stop - start <= self.max_length
                if fits and letters.issuperset(sequence[start:stop]):
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


def require_predictable(proteins: Iterable[Protein], settings: DigestSettings) -> None:
    """Make sure that no peptide in lower case ends the search: a DataError otherwise."""
    for protein in proteins:
        sequence = protein.sequence
        for start, stop in settings.spans(sequence, _UNPREDICTED) if re.search("[sty]", sequence) else ():
            if not (peptide := sequence[start:stop]).isupper():
                raise DataError(
                    f"Protein {protein.accession!r} has the peptide {peptide}: alphaDIA cannot predict lower case.",
                    "Write the sequences in upper case.",
                )


def note_on_letters(proteins: Iterable[Protein]) -> str:
    """Tell which letters of sequences alphaDIA does not search, and how often they are there; empty without any."""
    letters = "".join(protein.sequence for protein in proteins if not SEARCHED.issuperset(protein.sequence))
    odd = Counter("lower case" if aa.islower() else repr(aa) for aa in letters if aa not in SEARCHED)
    told = ", ".join(f"{kind} {count:,}" for kind, count in sorted(odd.items()))
    return f"Peptides with these residues are not searched: {told}." if told else ""


def i_as_l(peptide: str) -> str:
    """Return the sequence with isoleucine written as leucine, which has the same mass."""
    return peptide.replace("I", "L")
