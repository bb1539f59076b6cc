"""Modified peptides and their twins: modifications go where their residue goes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.errors import DataError

SEPARATOR = ";"


def moved_sites(sequence: str, twin: str, mod_sites: str) -> str:
    """Return the sites of a peptide's modifications in its twin.

    The n-th occurrence of a residue in the sequence is the n-th one in the twin. That makes the peptidoforms of a
    peptide and those of its twin pairs, one to one, in both directions.

    Parameters
    ----------
    sequence, twin : str
        Two orders of the same residues.
    mod_sites : str
        Sites as alphabase writes them: 1 for the first residue, 0 and -1 for the termini, joined by ";".

    Returns
    -------
    str
        Sites in the twin, in the order of ``mod_sites``.

    Raises
    ------
    DataError
        If the twin has other residues or a site is outside the sequence.
    """
    if sorted(sequence) != sorted(twin):
        raise DataError(f"{twin} is no twin of {sequence}: its residues differ.")
    if not mod_sites:
        return ""
    places: dict[str, list[int]] = defaultdict(list)
    for site, residue in enumerate(twin, start=1):
        places[residue].append(site)
    moved = []
    for text in mod_sites.split(SEPARATOR):
        site = int(text)
        if not -1 <= site <= len(sequence):
            raise DataError(f"Modification site {site} is outside the peptide {sequence}.")
        if site > 0:
            residue = sequence[site - 1]
            site = places[residue][sequence[: site - 1].count(residue)]
        moved.append(str(site))
    return SEPARATOR.join(moved)


def peptidoform(sequence: str, mods: str, mod_sites: str) -> str:
    """Return a name that does not depend on the order in which modifications are listed."""
    if not mods:
        return sequence
    names, sites = mods.split(SEPARATOR), mod_sites.split(SEPARATOR)
    if len(names) != len(sites):
        raise DataError(f"{sequence} has {len(names)} modifications but {len(sites)} sites.")
    ordered = sorted(zip((int(site) for site in sites), names, strict=True))
    return sequence + "|" + SEPARATOR.join(f"{site}:{name}" for site, name in ordered)


def precursor_keys(precursors: pd.DataFrame) -> NDArray[np.object_]:
    """Return peptidoform and charge of each row.

    Parameters
    ----------
    precursors : pandas.DataFrame
        Columns ``sequence``, ``mods``, ``mod_sites``, ``charge`` as alphabase has them.
    """
    columns = (precursors[name].tolist() for name in ("sequence", "mods", "mod_sites", "charge"))
    keys = [f"{peptidoform(s, m, p)}/{int(z)}" for s, m, p, z in zip(*columns, strict=True)]
    return np.array(keys, dtype=object)


def twin_precursor_keys(precursors: pd.DataFrame, target_of: dict[str, str]) -> NDArray[np.object_]:
    """Return the key of the target precursor that each entrapment precursor was made from.

    Parameters
    ----------
    precursors : pandas.DataFrame
        Columns as for :func:`precursor_keys`.
    target_of : dict of str to str
        Target peptide of each twin peptide (the table of ``alphadia-tl entrapment``).

    Returns
    -------
    ndarray of object
        "" for sequences that are no twin.
    """
    columns = (precursors[name].tolist() for name in ("sequence", "mods", "mod_sites", "charge"))
    keys = []
    for sequence, mods, sites, charge in zip(*columns, strict=True):
        target = target_of.get(sequence)
        if target is None:
            keys.append("")
        else:
            keys.append(f"{peptidoform(target, mods, moved_sites(sequence, target, sites))}/{int(charge)}")
    return np.array(keys, dtype=object)
