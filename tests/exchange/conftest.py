"""A made library that has each kind of thing that a format must say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl import host

FRAG_TYPES = ["b_z1", "b_z2", "y_z1", "y_z2", "y_modloss_z1", "b_H2O_z1"]
# sequence, mods, sites, charge, mobility, decoy, proteins, genes; sorted by length
ROWS = [
    ("ACDEK", "Acetyl@Protein_N-term;Carbamidomethyl@C", "0;2", 1, 0.7, 0, "P1", "G1"),
    ("KEDCA", "Carbamidomethyl@C", "4", 2, np.nan, 1, "P1", "G1"),
    ("LKSMAR", "", "", 2, 0.9, 0, "P1;P2", "G1;G2"),
    ("LKSMAR", "Oxidation@M", "4", 2, 0.91, 0, "P1;P2", "G1;G2"),
    ("LKSMAR", "Oxidation@M", "4", 3, np.nan, 0, "P1;P2", "G1;G2"),
    ("GAVLSPEK", "Phospho@S", "5", 2, 1.1, 0, "", ""),
    ("GAVLSPEK", "Phospho@S;Amidated@Any_C-term", "5;-1", 2, 1.1, 0, "P3", "G3"),
]
CUSTOM = ("GAVLTPEK", "Dimethyl:d12@Any_N-term;Dimethyl:d12@K", "0;8", 2, 1.2, 0, "P4", "G4")


def make(rows=ROWS):
    """Return a library of some rows; intensities are 0 for a third of the fragments."""
    library = SpecLibBase(FRAG_TYPES)
    columns = ["sequence", "mods", "mod_sites", "charge", "mobility", "decoy", "proteins", "genes"]
    library.precursor_df = pd.DataFrame(rows, columns=columns)
    library.calc_precursor_mz()
    library.calc_fragment_mz_df()
    df = library._precursor_df
    df["mobility"] = pd.to_numeric(df["mobility"])  # alphabase fills what is missing with texts
    df["rt_norm"] = np.linspace(0.1, 0.9, len(df))
    rng = np.random.default_rng(1)
    values = rng.random(library._fragment_mz_df.shape)
    values *= (rng.random(values.shape) > 0.33) & (library._fragment_mz_df.to_numpy() > 0)
    library._fragment_intensity_df = pd.DataFrame(values.astype(np.float32), columns=FRAG_TYPES)
    return library


@pytest.fixture(scope="session", autouse=True)
def custom_modifications():
    host.register_modifications(host.default_config())


@pytest.fixture
def library():
    return make()


@pytest.fixture
def saved(tmp_path):
    """Save a library, and return its path."""

    def save(library):
        path = tmp_path / "made.hdf"
        library.save_hdf(str(path))
        return path

    return save


def fragments(library, row):
    """Return what a precursor's fragments are, worked out one by one: (series, number, loss, charge) to m/z, value."""
    precursor = library._precursor_df.iloc[row]
    found = {}
    for bond, at in enumerate(range(precursor.frag_start_idx, precursor.frag_stop_idx)):
        for name in FRAG_TYPES:
            mz, value = (df[name].iloc[at] for df in (library._fragment_mz_df, library._fragment_intensity_df))
            if mz > 0 and value > 0:
                number = bond + 1 if name[0] == "b" else precursor.nAA - 1 - bond
                loss = "H3PO4" if "modloss" in name else "H2O" if "H2O" in name else ""
                found[name[0], number, loss, int(name[-1])] = (float(mz), float(value))
    return found
