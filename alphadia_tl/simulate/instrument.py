"""The truth: how an instrument retains, fragments and charges a peptide.

The forms are those of the literature (a hydrophobicity sum with terminal, length and neighbour corrections for
retention: Krokhin et al. 2004, Mol Cell Proteomics 3, 908; the mobile proton model with proline and acidic effects for
fragmentation: Wysocki et al. 2000, J Mass Spectrom 35, 1399; Huang et al. 2005, Anal Chem 77, 5800); the numbers are
made up. Two instruments with other numbers are learnable from one another, but neither predicts the other well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from alphadia_tl.errors import DataError
from alphadia_tl.files import read_yaml
from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR

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

    `codes` is uint8, shape (n, longest peptide): index into :data:`ALPHABET`, :data:`PAD` behind the C-terminus. The
    others have one entry per peptidoform: number of residues, whether the N-terminus is acetylated or dimethylated.
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
    """Encode the columns sequence, mods and mod_sites."""
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
                known = ", ".join(sorted([*_MODIFIED, *_ACETYLATED, *_DIMETHYLATED]))
                raise DataError(f"The truth model does not know the modification '{mod}'.", f"Known: {known}.")
    return Residues(codes, length, acetylated, dimethylated)


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


BASICITY = {"K": 0.9, "R": 1.0, "H": 0.55}


@dataclass(frozen=True)
class Instrument:
    """What an instrument does to a peptide; the same peptide always gets the same answer.

    Its numbers are those of ``instrument.yaml``. Retention is a hydrophobicity sum, bent by a gradient; fragmentation
    has the propensity of each bond, the share of b and y, and that of doubly charged fragments; charging is an ordered
    logit on basicity and length.
    """

    name: str
    retention: Mapping[str, Any]
    fragmentation: Mapping[str, Any]
    charging: Mapping[str, Any]

    def retention_time(self, precursor_df: pd.DataFrame) -> NDArray[Any]:
        """Return the retention time of peptidoforms as a fraction of the gradient, shape (n,), in [0, 1]."""
        r = self.retention
        peptides = encode(precursor_df)
        from_n = np.arange(peptides.codes.shape[1])
        from_c = peptides.length[:, None] - 1 - from_n
        basic = peptides.look_up(dict.fromkeys("KRH", 1.0))
        neighbours = np.zeros_like(basic)
        neighbours[:, 1:] += basic[:, :-1]
        neighbours[:, :-1] += basic[:, 1:]
        greasy = peptides.look_up(dict.fromkeys("LIFWVM", 1.0))
        total = (
            peptides.look_up(r["residues"])
            + peptides.look_up(r["n_terminal"]) * np.exp(-from_n / r["terminal_reach"])
            + peptides.look_up(r["c_terminal"]) * np.exp(-np.maximum(from_c, 0) / r["terminal_reach"])
            + r["basic_neighbour"] * neighbours * greasy
        ).sum(axis=1)
        total += r["acetyl"] * peptides.acetylated + r["dimethyl"] * peptides.dimethylated
        total *= 1.0 - r["length_penalty"] * np.log(peptides.length / 12.0)
        total = np.where(total > r["saturation"], r["saturation"] + 0.5 * (total - r["saturation"]), total)
        time = expit((total - r["midpoint"]) / r["spread"]) ** r["bend"]
        time += r["noise"] * stable_noise(string_hash(precursor_df, PEPTIDOFORM), salt=_salt(self.name, 1))
        return np.asarray(np.clip(time, 0.0, 1.0))

    def charge_probabilities(self, precursor_df: pd.DataFrame, charges: NDArray[Any]) -> NDArray[Any]:
        """Return the fraction of the ions of each peptidoform that carry each of `charges`, shape (n, n_charges)."""
        c = self.charging
        peptides = encode(precursor_df)
        basicity = peptides.look_up(BASICITY).sum(axis=1)
        acidity = peptides.look_up({"D": 1.0, "E": 1.0}).sum(axis=1)
        mean = c["offset"] + c["basic"] * basicity + c["length"] * peptides.length + c["acidic"] * acidity
        z = np.asarray(charges, dtype=float)[None, :]
        above = expit((z + 0.5 - mean[:, None]) / c["width"])
        below = np.where(z > 1, expit((z - 0.5 - mean[:, None]) / c["width"]), 0.0)
        return np.asarray(above - below)

    def fragment_intensities(self, precursor_df: pd.DataFrame, charged_frag_types: list[str]) -> NDArray[Any]:
        """Return max-normalised fragment intensities of precursors.

        They are float32, shape (sum(nAA - 1), n_types), in the row order of the table, bonds from the N-terminus.
        Fragment types are named as in alphabase; others than b_z1, b_z2, y_z1, y_z2 are never formed.
        """
        peptides = encode(precursor_df)
        charge = precursor_df["charge"].to_numpy(dtype=float)
        bonds = peptides.inside[:, 1:]
        shares = self._shares(peptides, charge)
        keys = string_hash(precursor_df, PRECURSOR)[:, None] + np.arange(bonds.shape[1], dtype=np.uint64)
        out = np.zeros((*bonds.shape, len(charged_frag_types)), dtype=np.float32)
        for column, name in enumerate(charged_frag_types):
            if name in shares:
                noise = stable_noise(keys, salt=_salt(self.name, 2 + sorted(shares).index(name)))
                out[:, :, column] = shares[name] * np.exp(self.fragmentation["noise"] * noise) * bonds
        out /= np.maximum(out.max(axis=(1, 2), keepdims=True), 1e-12)
        out[out < 0.005] = 0.0
        return np.asarray(out[bonds])

    def _shares(self, peptides: Residues, charge: NDArray[Any]) -> dict[str, NDArray[Any]]:
        f = self.fragmentation
        basic = np.cumsum(peptides.look_up(BASICITY), axis=1)
        b_basic, y_basic = basic[:, :-1], basic[:, -1:] - basic[:, :-1]
        b_length = np.arange(1, peptides.codes.shape[1])[None, :]
        y_length = peptides.length[:, None] - b_length
        where = b_length / peptides.length[:, None]
        mobile = expit(2.0 * (charge - basic[:, -1] - 0.4))[:, None]
        acid = peptides.look_up({"D": 1.0, "E": 0.45})[:, :-1]
        bond = peptides.look_up(f["before_cut"])[:, :-1] + peptides.look_up(f["after_cut"])[:, 1:]
        logit = (0.3 + 0.7 * mobile) * bond + (1.0 - mobile) * f["immobile_acid"] * acid
        propensity = np.exp(f["sharpness"] * logit - f["curvature"] * (where - f["centre"]) ** 2)
        y_share = expit(f["y_bias"] + f["y_basic"] * np.tanh(y_basic - b_basic) + f["y_position"] * (0.5 - where))
        charge_term = f["double_offset"] + f["double_charge"] * (charge[:, None] - 3.0)
        allowed = (charge >= 2)[:, None]
        out = {}
        for letter, share, decay, length, base in (
            ("b", 1.0 - y_share, f["b_decay"], b_length, b_basic),
            ("y", y_share, f["y_decay"], y_length, y_basic),
        ):
            intensity = propensity * share * np.exp(-decay * np.maximum(length, 0) / 10.0)
            intensity = intensity * np.where(length == 1, 0.05 if letter == "b" else 0.4, 1.0)
            double = allowed * expit(
                charge_term + f["double_basic"] * (base - 1.0) + f["double_length"] * (length - 9.0) / 4.0
            )
            out[f"{letter}_z1"] = intensity * (1.0 - double)
            out[f"{letter}_z2"] = intensity * double
        return out


def _salt(name: str, number: int) -> int:
    return sum(name.encode()) * 16 + number


_NUMBERS = read_yaml(Path(__file__).with_suffix(".yaml"))
#: The instrument that the base models are trained on, and the user's instrument.
REFERENCE, LAB = (Instrument(name, **_NUMBERS[name]) for name in ("reference", "lab"))
