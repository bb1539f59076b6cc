"""Numbers of the truth models: residue tables and the parameters of retention, fragmentation and charging."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["AFTER_CUT", "BEFORE_CUT", "HYDROPHOBICITY", "Charging", "Fragmentation", "Retention", "shifted"]

HYDROPHOBICITY = {
    "W": 11.0, "F": 10.5, "L": 9.6, "I": 8.4, "M": 5.8, "V": 5.0, "Y": 4.0, "A": 0.8, "T": 0.4, "P": 0.2, "E": 0.0,
    "D": -0.5, "c": -0.8, "C": 1.5, "S": -0.8, "Q": -0.9, "G": -0.9, "N": -1.2, "R": -1.3, "H": -1.3, "K": -1.9,
    "m": 2.2, "k": 0.2,
}  # fmt: skip
BEFORE_CUT = {
    "D": 0.9, "E": 0.5, "P": -1.6, "G": -0.6, "S": -0.3, "T": -0.2, "N": 0.1, "K": 0.1, "H": 0.5, "V": 0.6, "I": 0.7,
    "L": 0.5, "F": 0.3, "Y": 0.3, "W": 0.3, "A": 0.1, "M": 0.2, "m": 0.1,
}  # fmt: skip
AFTER_CUT = {
    "P": 1.9, "G": 0.6, "S": 0.4, "T": 0.2, "A": 0.2, "D": -0.1, "E": -0.2, "K": -0.4, "R": -0.6, "H": -0.3, "I": -0.3,
    "V": -0.3, "W": -0.4, "Y": 0.1, "F": 0.1, "N": 0.2,
}  # fmt: skip


def shifted(base: dict[str, float], changes: dict[str, float], factor: float = 1.0) -> dict[str, float]:
    return {k: factor * base.get(k, 0.0) + changes.get(k, 0.0) for k in base | changes}


@dataclass(frozen=True)
class Retention:
    """Retention: a hydrophobicity sum, bent by a gradient. All numbers in units of the hydrophobicity scale."""

    residues: dict[str, float] = field(default_factory=lambda: dict(HYDROPHOBICITY))
    n_terminal: dict[str, float] = field(default_factory=lambda: {"K": -1.6, "R": -1.4, "H": -1.2, "L": -0.8})
    c_terminal: dict[str, float] = field(default_factory=lambda: {"K": -0.6, "R": 0.3, "L": 0.6, "F": 0.8})
    terminal_reach: float = 1.2
    basic_neighbour: float = -0.9
    length_penalty: float = 0.24
    saturation: float = 38.0
    acetyl: float = 6.0
    dimethyl: float = 2.5
    midpoint: float = 33.0
    spread: float = 9.5
    bend: float = 1.0
    noise: float = 0.004


@dataclass(frozen=True)
class Fragmentation:
    """Fragmentation: propensity of each bond, share of b and y, share of doubly charged fragments."""

    before_cut: dict[str, float] = field(default_factory=lambda: dict(BEFORE_CUT))
    after_cut: dict[str, float] = field(default_factory=lambda: dict(AFTER_CUT))
    immobile_acid: float = 2.2
    sharpness: float = 0.9
    centre: float = 0.42
    curvature: float = 3.0
    y_bias: float = 0.9
    y_basic: float = 1.1
    y_position: float = 1.0
    b_decay: float = 1.2
    y_decay: float = 0.3
    double_offset: float = -1.4
    double_basic: float = 1.1
    double_length: float = 0.9
    double_charge: float = 1.6
    noise: float = 0.12


@dataclass(frozen=True)
class Charging:
    """Charging: an ordered logit on basicity and length."""

    offset: float = 0.85
    basic: float = 0.48
    length: float = 0.05
    acidic: float = -0.02
    width: float = 0.24
