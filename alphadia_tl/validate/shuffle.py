"""Shuffled twins of single pieces of a digest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from alphadia_tl.validate.digest import i_as_l

#: A twin that shares more of its backbone cleavages with a target has nearly the target's spectrum.
MAX_SHARED_LADDER = 0.5
N_DRAWS = 20


def shared_ladder(first: str, second: str) -> float:
    """Return the share of backbone cleavages at which two permutations of one peptide give the same b and y ions.

    Parameters
    ----------
    first, second : str
        Sequences of one composition (I = L); other sequences share nothing.

    Returns
    -------
    float
        1 for equal sequences, ``(n - 2) / (n - 1)`` where two neighbours have changed places.
    """
    first, second = i_as_l(first), i_as_l(second)
    if len(first) < 2 or sorted(first) != sorted(second):
        return float(first == second)
    different: dict[str, int] = {}
    n_unequal = shared = 0
    for a, b in zip(first[:-1], second[:-1], strict=True):
        for aa, step in ((a, 1), (b, -1)):
            before = different.get(aa, 0)
            different[aa] = before + step
            n_unequal += (different[aa] != 0) - (before != 0)
        shared += n_unequal == 0
    return shared / (len(first) - 1)


def shuffle_piece(piece: str, classes: Mapping[str, int], *, key: tuple[int, ...]) -> str:
    """Shuffle one piece of a digest so that the enzyme does not notice.

    Parameters
    ----------
    piece : str
        Sequence between two neighbouring cleavage sites.
    classes : mapping of str to int
        See :attr:`DigestSettings.classes`: residues change places within their class only; the first and the last
        residue stay where the enzyme knows them.
    key : tuple of int
        Seed. The same key and piece give the same twin, whatever else there is.

    Returns
    -------
    str
        Of 20 random orders the first that shares at most half of its ladder with the piece, or the least alike.
    """
    places = _places(piece, classes)
    if not any(len({piece[i] for i in group}) > 1 for group in places):
        return piece
    generator = np.random.default_rng([*key, *piece.encode()])
    best, least = piece, 2.0
    for _ in range(N_DRAWS):
        drawn = list(piece)
        for group in places:
            for place, origin in zip(group, generator.permutation(group), strict=True):
                drawn[place] = piece[origin]
        twin = "".join(drawn)
        alike = shared_ladder(piece, twin)
        if alike < least:
            best, least = twin, alike
        if alike <= MAX_SHARED_LADDER:
            break
    return best


def _places(piece: str, classes: Mapping[str, int]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    last = len(piece) - 1
    for i, aa in enumerate(piece):
        group = classes.get(aa, -1)
        if group == 0 or (group > 0 and 0 < i < last):
            groups.setdefault(group, []).append(i)
    return list(groups.values())


def composition(peptide: str) -> str:
    """Return the residues in alphabetical order, I as L."""
    return "".join(sorted(i_as_l(peptide)))
