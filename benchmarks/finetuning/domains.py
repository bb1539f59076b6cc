"""Measured data sets, each split once by stripped sequence into a pool to learn from and held-out peptides."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(os.environ.get("ALPHADIA_TL_DATA", Path(__file__).parents[3] / "shared" / "data"))
FRAG_TYPES = ["b_z1", "b_z2", "y_z1", "y_z2"]
FIRST_ORDINAL = 3
N_TEST, N_CALIBRATION = 2000, 1000
SPLIT_SEED = 20260101


@dataclass(frozen=True)
class Domain:
    """One data set for one model.

    Attributes
    ----------
    model : str
        "rt", "ms2", "ccs" or "charge".
    name : str
        Name of the data set.
    """

    model: str
    name: str

    @property
    def key(self) -> str:
        """Name in tables."""
        return f"{self.model}/{self.name}"


DOMAINS = [
    *(
        Domain("rt", name)
        for name in ("ecoli_PXD002140", "cerebellum_PXD006109_test", "deepphospho_RPE1_DIA", "deepphospho_Dilution_DIA")
    ),
    *(Domain("ms2", name) for name in ("deepphospho_RPE1_DIA", "deepphospho_Dilution_DIA")),
    *(Domain("ccs", name) for name in ("tenzer_tryptic", "sara_hla")),
    Domain("charge", "ecoli_PXD002140"),
]


@dataclass(frozen=True)
class Table:
    """Precursors, and for MS2 their fragments.

    Attributes
    ----------
    df : pd.DataFrame
        Precursors; for the charge model all observed charge states of a peptidoform.
    fragments, mask : pd.DataFrame or None
        For MS2: intensities and which of them can be trusted.
    """

    df: pd.DataFrame
    fragments: pd.DataFrame | None = None
    mask: pd.DataFrame | None = None

    def select(self, rows: np.ndarray) -> Table:
        """Return some rows, with fragments that belong to them only."""
        df = self.df.iloc[rows].reset_index(drop=True)
        if self.fragments is None:
            return Table(df)
        counts = (df["frag_stop_idx"] - df["frag_start_idx"]).to_numpy()
        stop = counts.cumsum()
        position = np.repeat(df["frag_start_idx"].to_numpy() - (stop - counts), counts) + np.arange(stop[-1])
        df["frag_start_idx"], df["frag_stop_idx"] = stop - counts, stop
        parts = [f.iloc[position].reset_index(drop=True) for f in (self.fragments, self.mask)]
        return Table(df, *parts)


@dataclass(frozen=True)
class Split:
    """A data set in three parts that share no stripped sequence: to learn from, to calibrate on, to score."""

    pool: Table
    calibration: Table
    test: Table


def available() -> bool:
    """Tell whether the measured data is there."""
    return (DATA / "models" / "rt_generic.pth").is_file()


def load(domain: Domain) -> Split:
    """Read a data set and split it."""
    table = _read(domain)
    rng = np.random.default_rng(SPLIT_SEED)
    sequences = table.df["sequence"].to_numpy(dtype=str)
    distinct, inverse = np.unique(sequences, return_inverse=True)
    order = rng.permutation(len(distinct))
    n_test, n_calibration = min(N_TEST, len(distinct) // 5), min(N_CALIBRATION, len(distinct) // 10)
    label = np.zeros(len(distinct), dtype=int)
    label[order[:n_test]] = 2
    label[order[n_test : n_test + n_calibration]] = 1
    return Split(*(table.select(np.flatnonzero(label[inverse] == i)) for i in (0, 1, 2)))


def _read(domain: Domain) -> Table:
    folder = DATA / domain.model
    if domain.model != "ms2":
        df = pd.read_parquet(folder / f"{domain.name}.parquet")
        df["nAA"] = df["sequence"].str.len()
        if domain.model == "rt":
            df["rt_norm"] = (df["rt"] - df["rt"].min()) / (df["rt"].max() - df["rt"].min())
        return Table(df)
    df = pd.read_parquet(folder / f"{domain.name}.precursor.parquet").drop(columns=["nce", "instrument"])
    df["nAA"] = df["sequence"].str.len()
    fragments = pd.read_parquet(folder / f"{domain.name}.fragment.parquet")[FRAG_TYPES].astype(np.float32)
    mask = pd.DataFrame(_measurable(df, len(fragments)), columns=FRAG_TYPES)
    return Table(df, fragments * mask, mask)


def _measurable(df: pd.DataFrame, n: int) -> np.ndarray:
    """The libraries leave out fragments below ordinal 3: those were not measured, they are not zero."""
    counts = (df["frag_stop_idx"] - df["frag_start_idx"]).to_numpy()
    start = np.repeat(df["frag_start_idx"].to_numpy(), counts)
    position = start + np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    b_ordinal = np.zeros(n, dtype=int)
    y_ordinal = np.zeros(n, dtype=int)
    b_ordinal[position] = position - start + 1
    y_ordinal[position] = np.repeat(counts, counts) - (position - start)
    b, y = b_ordinal >= FIRST_ORDINAL, y_ordinal >= FIRST_ORDINAL
    return np.stack([b, b, y, y], axis=1)


def sample(pool: Table, model: str, size: int | None, seed: int) -> Table:
    """Draw ``size`` rows (for the charge model: peptidoforms with all their states) from the pool; None takes all."""
    rng = np.random.default_rng([SPLIT_SEED, seed])
    if model == "charge":
        group = pool.df.groupby(["sequence", "mods", "mod_sites"], sort=False).ngroup().to_numpy()
        n = group.max() + 1
        chosen = rng.permutation(n)[: n if size is None else size]
        return pool.select(np.flatnonzero(np.isin(group, chosen)))
    n = len(pool.df)
    return pool.select(rng.permutation(n)[: n if size is None else size])
