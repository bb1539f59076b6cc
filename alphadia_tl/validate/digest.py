"""Digestion as alphaDIA does it, and which residues an enzyme can tell apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from alphabase.protein.fasta import Digest, protease_dict

from alphadia_tl.errors import SettingsError

RESIDUES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: alphaDIA drops peptides with one of these.
NOT_SEARCHED = frozenset("BJXZ")
NON_SPECIFIC = ("non-specific", "()")


@dataclass(frozen=True)
class DigestSettings:
    """How proteins are cut; names and defaults are those of alphaDIA's ``library_prediction``.

    Attributes
    ----------
    enzyme : str
        A name in alphabase's table of proteases, or a regular expression that matches the residue cut after.
        alphaDIA itself takes names only.
    missed_cleavages, min_length, max_length : int
        As in ``missed_cleavages`` and ``precursor_len``.

    Raises
    ------
    SettingsError
        If the enzyme is neither a known name nor a regular expression, or a number is impossible.
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
    def from_config(cls, config: Mapping[str, Any], **given: Any) -> DigestSettings:
        """Read ``library_prediction`` of an alphaDIA config; values that are given and not None go first."""
        section = config.get("library_prediction") or {}
        lengths = section.get("precursor_len") or (None, None)
        if not isinstance(lengths, Sequence) or len(lengths) != 2:
            raise SettingsError(f"Config key 'library_prediction.precursor_len' must be two lengths, not {lengths!r}.")
        shortest, longest = lengths
        values = {"enzyme": section.get("enzyme"), "missed_cleavages": section.get("missed_cleavages")}
        values |= {"min_length": shortest, "max_length": longest}
        values |= {name: value for name, value in given.items() if value is not None}
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

    def peptides(self, sequence: str) -> list[str]:
        """Return the peptides of a protein as alphabase digests it, a lost first methionine included."""
        return [str(peptide) for peptide in self._digest.cleave_sequence(sequence)[0]]

    def spans(self, sequence: str) -> Iterator[tuple[int, int]]:
        """Yield start and stop of each peptide of :meth:`peptides`."""
        cuts = self.cuts(sequence)
        for i, start in enumerate(cuts):
            for stop in cuts[i + 1 : i + 2 + self.missed_cleavages]:
                if self.min_length <= stop - start <= self.max_length:
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


def is_searched(peptide: str) -> bool:
    """Return False for peptides with residues that alphaDIA leaves out."""
    return NOT_SEARCHED.isdisjoint(peptide)


def i_as_l(peptide: str) -> str:
    """Return the sequence with isoleucine written as leucine, which has the same mass."""
    return peptide.replace("I", "L")
