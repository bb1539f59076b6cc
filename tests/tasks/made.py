"""Made peptides whose properties follow from their sequences."""

import numpy as np
import pandas as pd

from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.predict import predict

# So many held-out peptides that made data is not tuned on several times.
MANY_HELD_OUT = {"train_fraction": 0.35, "validation_fraction": 0.15, "test_fraction": 0.5}
RESIDUES = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def make_peptides(n, seed=0):
    """Return n precursors with made properties that depend on the sequence, in random order of length."""
    rng = np.random.default_rng(seed)
    sequences = ["".join(rng.choice(RESIDUES, rng.integers(7, 13))) + "K" for _ in range(n)]
    df = pd.DataFrame({"sequence": sequences, "mods": "", "mod_sites": ""})
    with_m = df["sequence"].str.contains("M")
    df.loc[with_m, "mods"] = "Oxidation@M"
    df.loc[with_m, "mod_sites"] = (df.loc[with_m, "sequence"].str.find("M") + 1).astype(str)
    hydrophobic = df["sequence"].str.count("[AFILMVWY]") / df["sequence"].str.len()
    df["charge"] = np.where(df["sequence"].str.contains("[HR]"), 3, 2)
    df["rt_norm"] = 0.1 + 0.8 * hydrophobic
    df["ccs"] = 200 + 15.0 * df["sequence"].str.len() + 40 * df["charge"]
    df["nAA"] = df["sequence"].str.len()
    df["frag_stop_idx"] = (df["nAA"] - 1).cumsum()
    df["frag_start_idx"] = df["frag_stop_idx"] - df["nAA"] + 1
    return df


def make_fragments(df, seed=0):
    """Return intensities of b and y ions: y ions grow with the distance from the N-terminus, times noise."""
    rng = np.random.default_rng(seed)
    position = np.concatenate([np.arange(n - 1) for n in df["nAA"]])
    y1 = (position % 5 + 1) * 100 * rng.uniform(0.9, 1.1, position.size)
    values = {"b_z1": y1 * 0.2, "b_z2": 0 * y1, "y_z1": y1, "y_z2": y1 * 0.1}
    return pd.DataFrame(values).astype(np.float32)


def fragments_like(network, df, nce=30.0, noise=0.2, seed=0, instrument="Lumos"):
    """Return intensities that a network predicts, times noise."""
    values = predict(get_task("ms2", nce=nce, instrument=instrument), network, df, "fp32")
    values = values * np.random.default_rng(seed).uniform(1 - noise, 1 + noise, values.shape)
    return pd.DataFrame(values, columns=["b_z1", "b_z2", "y_z1", "y_z2"]).astype(np.float32)


def all_of(examples, name):
    """Values of all rows or fragments."""
    return examples.per_row.get(name, examples.per_fragment.get(name)).numpy()
