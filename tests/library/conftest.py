"""Run folders as alphaDIA writes them, with known truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alphabase.peptide.fragment import create_fragment_mz_dataframe, flatten_fragments

from alphadia_tl.library.fragments import with_blocks

TYPES = ["b_z1", "b_z2", "y_z1", "y_z2"]
RESIDUES = list("ADEFGHILMNPQSTVWY")


def make_precursors(n_peptides: int, rng: np.random.Generator, *, charges: tuple[int, ...] = (2, 3)) -> pd.DataFrame:
    """Peptides with carbamidomethylated C and oxidised M, one row per charge, retention times of a 60-min gradient."""
    rows = []
    for number in range(n_peptides):
        middle = "".join(rng.choice(RESIDUES, rng.integers(5, 14)))
        sequence = f"C{middle}{'KR'[number % 2]}"
        mods, sites = ["Carbamidomethyl@C"], ["1"]
        if "M" in middle:
            mods.append("Oxidation@M")
            sites.append(str(sequence.index("M") + 1))
        if number % 5 == 0:
            sequence, mods, sites = "A" + middle + "K", [], []
        time = float(rng.uniform(120, 3480))
        for charge in charges:
            row = {"sequence": sequence, "mods": ";".join(mods), "mod_sites": ";".join(sites), "charge": charge}
            rows.append({**row, "nAA": len(sequence), "rt_true": time})
    return pd.DataFrame(rows)


@dataclass
class Run:
    """A written run: its folder, the psm and fragment tables, the dense truth in psm order."""

    folder: Path
    psm: pd.DataFrame
    fragments: pd.DataFrame
    intensity: np.ndarray
    correlation: np.ndarray


def psm_table(precursors: pd.DataFrame, rng: np.random.Generator, *, mobility: bool = False) -> pd.DataFrame:
    """Columns as stock's psm.parquet, less scores that nobody reads."""
    n = len(precursors)
    charge = precursors["charge"].to_numpy()
    return pd.DataFrame(
        {
            "elution_group_idx": np.arange(n, dtype=np.uint32),
            "precursor_idx": (rng.permutation(n) + 7).astype(np.uint32),
            "rank": rng.integers(0, 3, n).astype(np.uint8),
            "proba": rng.uniform(0, 0.5, n).astype(np.float32),
            "flat_frag_start_idx": np.arange(n, dtype=np.uint64) * 12,
            "flat_frag_stop_idx": np.arange(n, dtype=np.uint64) * 12 + 12,
            "qval": rng.uniform(0, 0.01, n),
            "channel": np.zeros(n, dtype=np.uint8),
            "rt_library": precursors["rt_true"].to_numpy() / 3600,
            "mz_library": np.full(n, 500.0),
            "mobility_library": np.zeros(n),
            "genes": "G",
            "proteins": "P",
            "decoy": np.zeros(n, dtype=np.uint8),
            "mods": precursors["mods"].to_numpy(),
            "mod_sites": precursors["mod_sites"].to_numpy(),
            "sequence": precursors["sequence"].to_numpy(),
            "charge": charge.astype(np.uint8),
            "rt_observed": precursors["rt_true"].to_numpy(dtype=np.float32),
            "mobility_observed": np.where(mobility, 0.5 + 0.5 / charge, 1e-6).astype(np.float32),
            "mz_observed": np.full(n, 500.0),
            "run": "x",
        }
    )


def fragment_table(
    psm: pd.DataFrame, rng: np.random.Generator, *, types: list[str] = TYPES
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Flat fragments with signal, by alphabase's own flattening, shuffled; and the dense truth in psm order."""
    df = with_blocks(psm[["sequence", "mods", "mod_sites", "charge"]].assign(nAA=psm["sequence"].str.len()))
    mz = create_fragment_mz_dataframe(df.copy(), types)
    intensity = np.where(mz > 0, rng.lognormal(8, 1.5, mz.shape), 0).astype(np.float32)
    intensity[rng.random(mz.shape) < 0.3] = 0
    correlation = np.where(intensity > 0, rng.uniform(0.2, 1, mz.shape), 0).astype(np.float32)
    flat_df, flat = flatten_fragments(
        df.copy(),
        mz,
        pd.DataFrame(intensity, columns=types),
        custom_df={"correlation": pd.DataFrame(correlation, columns=types)},
    )
    owner = np.repeat(np.arange(len(flat_df)), flat_df["flat_frag_stop_idx"] - flat_df["flat_frag_start_idx"])
    flat = flat.rename(columns={"mz": "mz_library"})
    flat["mz"] = flat["mz_observed"] = flat["mz_library"]
    flat["precursor_idx"] = psm["precursor_idx"].to_numpy()[owner]
    flat["rank"] = psm["rank"].to_numpy()[owner]
    flat = flat[flat["intensity"] > 0]
    flat["frag_idx"] = np.arange(len(flat))
    return flat.sample(frac=1, random_state=1).reset_index(drop=True), intensity, correlation


def write_run(
    folder: Path,
    precursors: pd.DataFrame,
    seed: int,
    *,
    mobility: bool = False,
    psm_changes: dict[str, object] | None = None,
) -> Run:
    """Write psm.parquet and frag.transfer.parquet; `psm_changes` overwrite columns of the psm before."""
    rng = np.random.default_rng(seed)
    psm = psm_table(precursors, rng, mobility=mobility).assign(**(psm_changes or {}))
    fragments, intensity, correlation = fragment_table(psm, rng)
    folder.mkdir(parents=True)
    psm.to_parquet(folder / "psm.parquet", index=False)
    fragments.to_parquet(folder / "frag.transfer.parquet", index=False)
    return Run(folder, psm, fragments, intensity, correlation)


@pytest.fixture
def precursors() -> pd.DataFrame:
    return make_precursors(80, np.random.default_rng(3))


@pytest.fixture
def runs(tmp_path: Path, precursors: pd.DataFrame) -> list[Run]:
    """Three runs of the same peptides with noise of their own."""
    return [write_run(tmp_path / "quant" / f"run_{i}", precursors, seed=i) for i in range(3)]
