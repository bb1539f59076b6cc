"""Peptidoforms as padded arrays of residue codes, and noise that belongs to a peptidoform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from alphadia_tl.errors import DataError

__all__ = ["ALPHABET", "PAD", "Residues", "encode", "stable_noise", "string_hash"]

#: Residue letters in code order; ``m`` is oxidised methionine, ``c`` carbamidomethylated cysteine, ``k`` dimethylated
#: lysine.
ALPHABET = "ACDEFGHIKLMNPQRSTVWYcmk"
PAD = len(ALPHABET)
_CODES = np.full(256, 255, dtype=np.uint8)
_CODES[np.frombuffer(ALPHABET.encode(), dtype=np.uint8)] = np.arange(len(ALPHABET))
_MODIFIED = {
    "Carbamidomethyl@C": ALPHABET.index("c"),
    "Oxidation@M": ALPHABET.index("m"),
    "Dimethyl@K": ALPHABET.index("k"),
}
_ACETYLATED = {"Acetyl@Protein_N-term", "Acetyl@Any_N-term"}
_DIMETHYLATED = {"Dimethyl@Any_N-term"}


@dataclass(frozen=True)
class Residues:
    """Residue codes of peptidoforms.

    Attributes
    ----------
    codes : np.ndarray
        uint8, shape (n, longest peptide): index into :data:`ALPHABET`, :data:`PAD` behind the C-terminus.
    length : np.ndarray
        int64, shape (n,): number of residues.
    acetylated, dimethylated : np.ndarray
        bool, shape (n,): N-terminus is acetylated, or dimethylated.
    """

    codes: NDArray[Any]
    length: NDArray[Any]
    acetylated: NDArray[Any]
    dimethylated: NDArray[Any]

    @property
    def inside(self) -> NDArray[Any]:
        """Bool, shape of ``codes``: True where there is a residue."""
        return np.asarray(self.codes < PAD)

    def look_up(self, values: dict[str, float]) -> NDArray[Any]:
        """Replace each code by the value of its letter; 0 for letters that are not listed and for padding.

        A modified residue that is not listed gets the value of the unmodified one.
        """
        table = np.zeros(PAD + 1)
        for code, letter in enumerate(ALPHABET):
            table[code] = values.get(letter, values.get(letter.upper(), 0.0))
        return np.asarray(table[self.codes])


def encode(precursor_df: pd.DataFrame) -> Residues:
    """Encode the columns sequence, mods and mod_sites.

    Raises
    ------
    DataError
        For an empty table, an unknown residue, or a modification that the truth model does not know.
    """
    if len(precursor_df) == 0:
        raise DataError("The truth model got an empty precursor table.", "Give it at least one precursor.")
    sequences = precursor_df["sequence"].to_numpy(dtype=object)
    length = np.array([len(s) for s in sequences], dtype=np.int64)
    inside = np.arange(length.max()) < length[:, None]
    codes = np.full(inside.shape, PAD, dtype=np.uint8)
    codes[inside] = _CODES[np.frombuffer("".join(sequences).encode("latin-1"), dtype=np.uint8)]
    if codes.max() == 255:
        raise DataError("A peptide sequence holds a letter that is not an amino acid.", f"Known: {ALPHABET[:20]}.")
    acetylated, dimethylated = np.zeros((2, len(sequences)), dtype=bool)
    mods = precursor_df["mods"].to_numpy(dtype=object)
    sites = precursor_df["mod_sites"].to_numpy(dtype=object)
    for row in np.flatnonzero(mods != ""):
        for mod, site in zip(mods[row].split(";"), sites[row].split(";"), strict=True):
            if mod in _MODIFIED:
                codes[row, int(site) - 1] = _MODIFIED[mod]
            elif mod in _ACETYLATED:
                acetylated[row] = True
            elif mod in _DIMETHYLATED:
                dimethylated[row] = True
            else:
                raise DataError(f"The truth model does not know the modification '{mod}'.", f"Known: {_known()}.")
    return Residues(codes, length, acetylated, dimethylated)


def _known() -> str:
    return ", ".join(sorted([*_MODIFIED, *_ACETYLATED, *_DIMETHYLATED]))


def string_hash(precursor_df: pd.DataFrame, columns: list[str]) -> NDArray[Any]:
    """Return a uint64 hash of each row's text in `columns`: the same text gives the same hash in every process."""
    cells = (precursor_df[column].astype(str).tolist() for column in columns)
    text = np.array(["|".join(row) for row in zip(*cells, strict=True)], dtype=object)
    return np.asarray(pd.util.hash_array(text, categorize=False), dtype=np.uint64)


def stable_noise(keys: NDArray[Any], salt: int) -> NDArray[Any]:
    """Turn uint64 keys into standard normal values: equal key and salt, equal value.

    The mixing function is SplitMix64 (Steele, Lea and Flood, 2014, OOPSLA).
    """
    x = keys.astype(np.uint64) + np.uint64((0x9E3779B97F4A7C15 * (salt + 1)) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    uniform = ((x >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return np.asarray(ndtri(uniform))
