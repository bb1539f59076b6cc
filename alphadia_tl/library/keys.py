"""64-bit keys of peptidoforms and precursors, for grouping without comparing strings."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Keys = npt.NDArray[np.uint64]

KEY_COLUMN = "_key"
"""Holds :func:`precursor_keys` in tables that are compared again and again."""


def peptidoform_keys(precursor_df: pd.DataFrame) -> Keys:
    """Hash sequence, modifications and their sites; stable between processes and machines."""
    return _hash(_peptidoforms(precursor_df))


def precursor_keys(precursor_df: pd.DataFrame) -> Keys:
    """Hash peptidoform and charge, or take the hash from the column ``_key``."""
    if KEY_COLUMN in precursor_df.columns:
        known: Keys = precursor_df[KEY_COLUMN].to_numpy(np.uint64)
        return known
    return _hash(_peptidoforms(precursor_df) + "|" + precursor_df["charge"].astype(str).to_numpy(dtype=object))


def draw_salt(generator: np.random.Generator) -> str:
    """Draw the salt of :func:`peptide_priority`: one number from the generator, 16 characters."""
    return format(int(generator.integers(1 << 62)), "016x")


def peptide_priority(sequences: pd.Series, salt: str) -> Keys:
    """Give every stripped sequence its place in a random order that depends on the salt alone.

    The first k peptides of that order are a uniform sample of k, whatever the order in which they are met.
    """
    return pd.util.hash_array(sequences.to_numpy(dtype=object), hash_key=salt, categorize=False)


def _peptidoforms(precursor_df: pd.DataFrame) -> npt.NDArray[Any]:
    sequence, mods, sites = (precursor_df[c].to_numpy(dtype=object) for c in ("sequence", "mods", "mod_sites"))
    joined: npt.NDArray[Any] = sequence + "|" + mods + "|" + sites
    return joined


def _hash(values: npt.NDArray[Any]) -> Keys:
    return pd.util.hash_array(values, categorize=False)
