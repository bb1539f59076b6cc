"""Peptidoforms as other programs write them: modifications by name, UniMod number or mass inside the sequence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pandas as pd
from alphabase.constants.modification import MOD_DF
from alphabase.psm_reader.psm_reader import psm_reader_yaml

Mods = list[tuple[int, str]]
"""Sites (0 and -1 are the termini) and texts of modifications."""
_TOKEN = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]|\(((?:[^()]|\([^()]*\))*)\)|(.)", re.DOTALL)
_CHARGE = re.compile(r"[./](\d+)\s*$")
_MASS = re.compile(r"[+-]?\d+(?:\.(\d*))?")
_ID = re.compile(r"(?i)unimod:\s*(\d+)")
_PREFIX = re.compile(r"(?i)^(?:u|unimod):|\s*\([^()]*\)$")
_ASSIGNED = re.compile(r"(N-term|C-term|(\d+)[A-Z]?)\(([^()]*)\)")
_EXACT = 0.003  # Da; masses with fewer digits may be off by what rounding leaves


def insert_mods(sequence: str, mods: Iterable[tuple[int, str]]) -> str:
    """Write modifications, by site, into a sequence."""
    parts = ["", *sequence]
    for site, text in mods:
        at = len(parts) - 1 if site < 0 else min(site, len(parts) - 1)
        parts[at] += f"-[{text}]" if site < 0 else f"[{text}]"
    return "".join(parts)


def assigned_mods(text: str) -> Mods:
    """Read what FragPipe writes: ``N-term(42.0106), 3C(57.0215)``."""
    sites = {"N-term": 0, "C-term": -1}
    return [(sites.get(at, int(number or 0)), mass) for at, number, mass in _ASSIGNED.findall(text)]


def read_charges(sequences: Any) -> pd.Series:
    """Return the charges that stand behind sequences, as in ``_PEPTIDE_.2`` or ``PEPTIDE/2``; NaN without."""
    return cast(pd.Series, pd.to_numeric(sequences.astype(str).str.extract(_CHARGE, expand=False)))


def read_peptidoforms(sequences: pd.Series, fixed: Mapping[str, str] = MappingProxyType({})) -> pd.DataFrame:
    """Return ``sequence``, ``mods`` and ``mod_sites`` in alphabase's names, one row for each with its index.

    A modification that alphabase does not know keeps its own text. Modifications are looked up by UniMod number, by
    name, or by mass as exactly as it is written, where they are written or at the terminus beside. An acetyl group at
    the N-terminus is taken as the protein's. ``fixed`` are modifications, by residue, that are not written.
    """
    code, distinct = pd.factorize(sequences.astype(object).fillna("").astype(str))
    names = _Names(fixed)
    rows = [names.peptidoform(text) for text in distinct]
    forms = pd.DataFrame(rows, columns=["sequence", "mods", "mod_sites"], dtype=object)
    return forms.iloc[code].set_index(sequences.index)


class _Names:
    """Modifications as they are known now: a config may have added some."""

    def __init__(self, fixed: Mapping[str, str]) -> None:
        self.fixed = fixed
        table = MOD_DF[["mod_name", "mass", "unimod_id"]].reset_index(drop=True)
        table[["base", "place"]] = table["mod_name"].str.rsplit("@", n=1, expand=True)
        self.by_place = dict(list(table.groupby("place", sort=False)))
        written = psm_reader_yaml["modification_mappings"]["maxquant"].items()
        self.short: dict[str, str] = {
            t: name for name, texts in written for t in ([texts] if isinstance(texts, str) else texts)
        }
        self.preferred = set(psm_reader_yaml["msfragger_psm_tsv"]["mass_mapped_mods"])
        self.look_up = cache(self._look_up)

    def peptidoform(self, text: str) -> tuple[str, str, str]:
        """Return sequence, mods and mod_sites of one text."""
        residues, found, at_end = "", Mods(), False
        for bracket, parenthesis, letter in _TOKEN.findall(_CHARGE.sub("", text)):
            if letter:
                at_end = letter in "-c" and bool(residues)
                residues += "" if letter in "_.-nc \t" else letter
            else:
                found.append((-1 if at_end else len(residues), (bracket or parenthesis).strip()))
        there = {site for site, _ in found}
        found += [(i, self.fixed[r]) for i, r in enumerate(residues, 1) if r in self.fixed and i not in there]
        placed = sorted((self._place(site, mod, residues) for site, mod in found), key=lambda m: (m[0] < 0, m[0]))
        return residues, ";".join(name for _, name in placed), ";".join(str(site) for site, _ in placed)

    def _place(self, site: int, text: str, residues: str) -> tuple[int, str]:
        found = []
        for at in [site] + [0] * (site == 1) + [-1] * (0 < site == len(residues)):
            letter, end = (residues[at - 1], "") if at > 0 else ((residues[:1], "N"), (residues[-1:], "C"))[at]
            places = tuple(f"{p}{q}_{end}-term" for q in ("Any", "Protein") for p in ("", f"{letter}^"))
            if name := self.look_up(text, places if end else (letter,), "_" if end else letter):
                found.append((at, name))
        if _MASS.fullmatch(text):  # what is at a terminus is written on the residue beside, too
            found.sort(key=lambda f: f[1].replace("Protein_", "Any_") not in self.preferred)
        unknown = f"{text}@{residues[site - 1] if site > 0 else ('Any_N-term', 'Any_C-term')[site]}"
        return found[0] if found else (site, unknown)

    def _look_up(self, text: str, places: tuple[str, ...], written_on: str) -> str | None:
        short = self.short.get(f"{written_on}({text})", "")
        if short.rpartition("@")[2] in places:
            return short
        known = [self.by_place[place] for place in places if place in self.by_place]
        if not known:
            return None
        here = pd.concat(known)
        if number := _ID.fullmatch(text):
            here = here[here["unimod_id"] == float(number[1])]
        elif mass := _MASS.fullmatch(text):
            off = (here["mass"] - float(text)).abs()
            near = off <= max(_EXACT, 0.6 * 10.0 ** -len(mass[1] or ""))
            here = here[near].iloc[np.lexsort((off[near], ~here["mod_name"][near].isin(self.preferred)))]
        else:
            here = here[here["base"].str.lower().isin({text.lower(), _PREFIX.sub("", text).lower()})]
        names: list[str] = here["mod_name"].tolist()
        acetyl = "Acetyl@Protein_N-term"
        return acetyl if acetyl in names and names[0].startswith("Acetyl@") else next(iter(names), None)
