"""A random proteome with the residue frequencies of natural proteins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSENT_PREFIX", "RESIDUE_FREQUENCIES", "Proteome", "random_proteome"]

#: Amino acid composition of UniProtKB/Swiss-Prot in percent (statistics of the release notes).
RESIDUE_FREQUENCIES: dict[str, float] = {
    "A": 8.25, "R": 5.53, "N": 4.06, "D": 5.46, "C": 1.38, "Q": 3.93, "E": 6.72, "G": 7.07, "H": 2.27, "I": 5.91,
    "L": 9.65, "K": 5.80, "M": 2.41, "F": 3.86, "P": 4.74, "S": 6.64, "T": 5.35, "W": 1.10, "Y": 2.92, "V": 6.86,
}  # fmt: skip

#: Protein accessions that start with this letter are in the FASTA but not in the sample (entrapment).
ABSENT_PREFIX = "E"
#: Median of the log-normal distribution of protein lengths, in residues.
MEDIAN_LENGTH = 260.0


@dataclass(frozen=True)
class Proteome:
    """Proteins of a FASTA file, and which of them the sample contains.

    Attributes
    ----------
    accessions : tuple[str, ...]
        UniProt-like accessions; entrapment proteins begin with :data:`ABSENT_PREFIX`.
    names : tuple[str, ...]
        Entry names, ``SIM00001`` or ``ENTRAP_00001``.
    sequences : tuple[str, ...]
        Amino acid sequences.
    present : np.ndarray
        Bool, True for proteins that are in the sample.
    """

    accessions: tuple[str, ...]
    names: tuple[str, ...]
    sequences: tuple[str, ...]
    present: NDArray[Any]

    def write_fasta(self, path: Path) -> None:
        """Write all proteins, present and absent, with UniProt-like headers."""
        lines = []
        for accession, name, sequence in zip(self.accessions, self.names, self.sequences, strict=True):
            lines.append(f">sp|{accession}|{name} Simulated protein OS=Simulated OX=0 GN={name} PE=1 SV=1")
            lines.extend(sequence[i : i + 60] for i in range(0, len(sequence), 60))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def random_proteome(
    n_proteins: int,
    generator: np.random.Generator,
    *,
    absent_fraction: float = 0.25,
) -> Proteome:
    """Draw proteins residue by residue from the natural frequencies.

    Parameters
    ----------
    n_proteins : int
        Number of proteins, absent ones included.
    generator : np.random.Generator
        Source of all randomness.
    absent_fraction : float, default 0.25
        Fraction of the proteins that are not in the sample.
    """
    residues = np.array(list(RESIDUE_FREQUENCIES))
    weights = np.array(list(RESIDUE_FREQUENCIES.values()))
    lengths = np.clip(generator.lognormal(np.log(MEDIAN_LENGTH), 0.5, n_proteins), 60, 1500).astype(int)
    text = "".join(generator.choice(residues, size=int(lengths.sum()), p=weights / weights.sum()))
    stops = np.cumsum(lengths)
    sequences = tuple("M" + text[a + 1 : b] for a, b in zip(stops - lengths, stops, strict=True))
    n_absent = round(absent_fraction * n_proteins)
    present = np.arange(n_proteins) < n_proteins - n_absent
    number = np.where(present, np.arange(n_proteins), np.arange(n_proteins) - (n_proteins - n_absent)) + 1
    return Proteome(
        accessions=tuple(f"{'P' if p else ABSENT_PREFIX}{n:05d}" for p, n in zip(present, number, strict=True)),
        names=tuple(f"{'SIM' if p else 'ENTRAP_'}{n:05d}" for p, n in zip(present, number, strict=True)),
        sequences=sequences,
        present=present,
    )
