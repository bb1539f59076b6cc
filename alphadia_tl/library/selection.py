"""Which observations are kept: the best per peptidoform and charge, of a bounded number of peptides.

Both choices are the same whether all runs are compared at once or one after the other in any order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from alphadia_tl.library.keys import peptide_priority, precursor_keys

Rows = npt.NDArray[np.intp]


def top_observations(precursor_df: pd.DataFrame, top_k: int) -> Rows:
    """Return the rows of the `top_k` lowest ``proba`` per peptidoform and charge; ties go by run name.

    Parameters
    ----------
    precursor_df : pandas.DataFrame
        One row per observation, with sequence, mods, mod_sites, charge, proba, raw_name.
    top_k : int
        Observations per peptidoform and charge.

    Returns
    -------
    numpy.ndarray of int
        Ascending.
    """
    keys = precursor_keys(precursor_df)
    runs = pd.factorize(precursor_df["raw_name"], sort=True)[0]
    order = np.lexsort((runs, precursor_df["proba"].to_numpy(), keys))
    ordered, place = keys[order], np.arange(len(order))
    first = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] ^ np.uint64(1)))
    in_group = place - np.repeat(first, np.diff(first, append=len(order)))
    return np.sort(order[in_group < top_k])


def sample_peptides(precursor_df: pd.DataFrame, max_precursors: int, salt: str) -> Rows:
    """Return the rows of randomly chosen whole peptides with at most `max_precursors` distinct precursors in all."""
    if len(precursor_df) <= max_precursors:
        return np.arange(len(precursor_df), dtype=np.intp)
    table = pd.DataFrame({"peptide": peptide_priority(precursor_df["sequence"], salt)})
    table["precursor"] = precursor_keys(precursor_df)
    sizes = table.groupby("peptide", sort=True)["precursor"].nunique()
    chosen = sizes.index[(sizes.cumsum() <= max_precursors).to_numpy()]
    return np.flatnonzero(table["peptide"].isin(chosen))


def possible_rows(precursor_df: pd.DataFrame, max_precursors: int, salt: str) -> Rows:
    """Return the rows of peptides that :func:`sample_peptides` may still choose when more runs have come.

    Every peptide has at least one precursor, so these are the first `max_precursors` peptides of the random order.
    """
    priority = peptide_priority(precursor_df["sequence"], salt)
    distinct = np.unique(priority)
    if len(distinct) <= max_precursors:
        return np.arange(len(precursor_df), dtype=np.intp)
    return np.flatnonzero(priority <= distinct[max_precursors - 1])
