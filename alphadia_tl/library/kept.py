"""The state of a collection: observations kept from the runs read so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from alphadia_tl.library.dense import Bools, Floats, block_rows, with_blocks
from alphadia_tl.library.retention import RunTimes
from alphadia_tl.library.selection import Rows


@dataclass
class Kept:
    """Best observations so far, and the little that stays of every run.

    Attributes
    ----------
    precursor_df : pandas.DataFrame
        Observations; their fragment blocks lie in the order of the rows.
    intensity, mask : numpy.ndarray, shape (rows, types)
        Dense fragments of the observations, and which to trust.
    times : list of RunTimes
        Retention times of the runs.
    limits : dict of run name to two floats
        Range of m/z (Th) in which the run has fragments with signal.
    sampled : bool
        Peptides were left out to stay within a bound.
    """

    precursor_df: pd.DataFrame
    intensity: Floats
    mask: Bools
    times: list[RunTimes] = field(default_factory=list)
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    sampled: bool = False

    @classmethod
    def empty(cls, n_types: int) -> Kept:
        """Return one without observations."""
        return cls(pd.DataFrame(), np.zeros((0, n_types), np.float32), np.zeros((0, n_types), bool))

    def add(self, new_df: pd.DataFrame, intensity: Floats, mask: Bools) -> None:
        """Append observations whose blocks lie in order."""
        parts = [self.precursor_df, new_df] if len(self.precursor_df) else [new_df]
        self.precursor_df = with_blocks(pd.concat(parts, ignore_index=True))
        self.intensity = np.concatenate([self.intensity, intensity])
        self.mask = np.concatenate([self.mask, mask])

    def take(self, rows: Rows) -> None:
        """Keep only these rows, in this order."""
        chosen = self.precursor_df.iloc[rows]
        gather = block_rows(chosen["frag_start_idx"].to_numpy(), chosen["frag_stop_idx"].to_numpy())
        self.precursor_df = with_blocks(chosen.reset_index(drop=True))
        self.intensity, self.mask = self.intensity[gather], self.mask[gather]
