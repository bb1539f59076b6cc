"""A made library with the columns that alphaDIA saves, and predictors whose answers can be worked out by hand."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from alphabase.peptide.mobility import ccs_to_mobility_for_df
from alphabase.spectral_library.base import SpecLibBase

FRAG_TYPES = ("b_z1", "b_z2", "y_z1", "y_z2")
RESIDUES = np.array(list("ADEFGHILMNPQSTVWY"))


def of_text(text: str, salt: int = 0) -> float:
    """Return a number in [0, 1) that depends on nothing but the text."""
    return zlib.crc32(f"{salt}{text}".encode()) / 2**32


class MadePredictor:
    """Predictions are functions of each row alone, close to what the made library holds."""

    def __init__(self, frag_types: Sequence[str] = FRAG_TYPES) -> None:
        self.charged_frag_types = frag_types
        self.rows_seen: dict[str, int] = {}

    def _count(self, stage: str, df: pd.DataFrame) -> None:
        assert list(df.index) == list(range(len(df)))
        assert "frag_start_idx" not in df.columns
        self.rows_seen[stage] = self.rows_seen.get(stage, 0) + len(df)

    def predict_rt_array(self, df):
        self._count("rt", df)
        return np.array([0.9 * of_text(s) + 0.05 for s in df["sequence"]], dtype=np.float32)

    def predict_ccs_array(self, df):
        self._count("ccs", df)
        return (200 + 50.0 * df["charge"] + 3.0 * df["nAA"]).to_numpy(dtype=np.float32)

    def predict_charge_probabilities(self, df):
        self._count("charge", df)
        result = np.zeros((len(df), 10), dtype=np.float32)
        result[:, 1] = 0.9
        result[:, 2] = [of_text(s, 7) for s in df["sequence"]]
        result[:, 3] = 0.001
        return result

    def predict_ms2_array(self, df):
        self._count("ms2", df)
        return np.concatenate(
            [spectrum(s, z, self.charged_frag_types) for s, z in zip(df["sequence"], df["charge"], strict=True)]
        )


def spectrum(sequence: str, charge: int, frag_types: Sequence[str] = FRAG_TYPES) -> np.ndarray:
    """Return the spectrum that the made predictor gives, shape (nAA - 1, n_types): mostly the peptide's own."""

    def column(text: str) -> np.ndarray:
        return np.random.default_rng(zlib.crc32(text.encode())).random(len(sequence) - 1)

    columns = [0.7 * column(sequence + t) + 0.3 * column(f"{sequence}{charge}{t}") for t in frag_types]
    values = np.column_stack(columns).astype(np.float32)
    return values / values.max()


def make_precursors(n_peptides: int = 60, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n_peptides):
        sequence = "".join(rng.choice(RESIDUES, size=int(rng.integers(6, 14)))) + "KR"[i % 2]
        mods, sites = ("", "")
        if i % 5 == 0:
            sequence = sequence[:2] + "M" + sequence[3:]
            mods, sites = "Oxidation@M", "3"
        rows += [(sequence, mods, sites, charge) for charge in (2, 3, 4)]
    return pd.DataFrame(rows, columns=["sequence", "mods", "mod_sites", "charge"])


def make_library(n_peptides: int = 60, frag_types: Sequence[str] = FRAG_TYPES) -> SpecLibBase:
    """Return a library as after prediction, its intensities and times near those of the made predictor."""
    library = SpecLibBase(list(frag_types))
    library.precursor_df = make_precursors(n_peptides)
    library.calc_precursor_mz()
    library.calc_fragment_mz_df()
    df = library._precursor_df
    rng = np.random.default_rng(5)
    rt = np.array([of_text(s) for s in df["sequence"]]) + rng.normal(0, 0.05, len(df))
    df["rt_pred"] = df["rt_norm_pred"] = rt.astype(np.float32)
    df["ccs_pred"] = (210 + 48 * df["charge"] + 3 * df["nAA"]).astype(np.float32)
    df["mobility_pred"] = ccs_to_mobility_for_df(df, "ccs_pred").astype(np.float32)
    df["proteins"], df["genes"], df["decoy"], df["channel"] = "P1", "G1", 0, 0
    df["elution_group_idx"] = df["precursor_idx"] = np.arange(len(df))
    truth = np.concatenate(
        [spectrum(s, z, library.charged_frag_types) for s, z in zip(df["sequence"], df["charge"], strict=True)]
    )
    noisy = truth * rng.uniform(0.3, 1, truth.shape)
    exists = library._fragment_mz_df.to_numpy() > 0
    library._fragment_intensity_df = pd.DataFrame(
        np.where(exists, noisy, 0).astype(np.float32), columns=library.charged_frag_types
    )
    return library


def load(path) -> SpecLibBase:
    library = SpecLibBase()
    library.load_hdf(str(path), load_mod_seq=True)
    return library


@pytest.fixture
def predictor() -> MadePredictor:
    return MadePredictor()


@pytest.fixture
def library() -> SpecLibBase:
    return make_library()


@pytest.fixture
def library_path(tmp_path, library):
    path = tmp_path / "speclib.hdf"
    library.save_hdf(str(path))
    return path
