"""A sample in which every peptide carries a label on its N-terminus and its lysines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from alphabase.peptide.fragment import create_fragment_mz_dataframe

from alphadia_tl.simulate.instrument import LAB
from alphadia_tl.simulate.render import render_run
from alphadia_tl.simulate.run_file import Acquisition
from alphadia_tl.simulate.sample import FRAGMENT_TYPES, Digestion, digest, set_fragment_pointers

DIMETHYL = 28.0313
LABEL = ("Carbamidomethyl@C", "Dimethyl@Any_N-term", "Dimethyl@K")


@pytest.fixture(scope="module")
def labelled_df(fasta):
    return digest(fasta, replace(Digestion(), fixed_modifications=LABEL))


def only_the_label(df: pd.DataFrame) -> pd.Series:
    return ~df["mods"].str.contains("Oxidation|Carbamidomethyl")


def test_every_peptide_carries_the_label_and_its_mass(labelled_df: pd.DataFrame, library_df: pd.DataFrame):
    assert labelled_df["mods"].str.contains("Dimethyl@Any_N-term", regex=False).all()
    lysines = labelled_df["sequence"].str.count("K")
    assert (labelled_df["mods"].str.count("Dimethyl@K") == lysines).all()
    rest = labelled_df["mods"].str.replace(r"Dimethyl@[A-Za-z_-]+;?", "", regex=True).str.strip(";")
    plain = library_df[["sequence", "mods", "charge", "precursor_mz"]].drop_duplicates(["sequence", "mods", "charge"])
    both = labelled_df.assign(mods=rest, lysines=lysines).merge(plain, on=["sequence", "mods", "charge"])
    assert len(both) > 1000
    shift = (both["precursor_mz_x"] - both["precursor_mz_y"]) * both["charge"]
    unoxidised = ~both["mods"].str.contains("Oxidation")
    np.testing.assert_allclose(shift[unoxidised], (DIMETHYL * (1 + both["lysines"]))[unoxidised], atol=1e-3)


def test_a_labelled_peptide_elutes_later(labelled_df: pd.DataFrame):
    df = labelled_df[only_the_label(labelled_df)]
    later = LAB.retention_time(df) - LAB.retention_time(df.assign(mods="", mod_sites=""))
    assert (later > 0).mean() > 0.9
    assert np.median(later) > 0.03


def test_fragments_are_rendered_at_their_labelled_masses(labelled_df: pd.DataFrame, quiet: Acquisition):
    df = labelled_df[only_the_label(labelled_df) & (labelled_df["charge"] == 2)].iloc[[10]].reset_index(drop=True)
    df = df.assign(rt=0.5, abundance=1000.0)
    set_fragment_pointers(df)
    intensity = LAB.fragment_intensities(df, FRAGMENT_TYPES)
    run = render_run(df, pd.DataFrame(intensity, columns=FRAGMENT_TYPES), quiet, np.random.default_rng(1))
    columns = ["sequence", "mods", "mod_sites", "charge", "nAA"]
    labelled, plain = (
        create_fragment_mz_dataframe(t[columns].copy(), FRAGMENT_TYPES).to_numpy()
        for t in (df, df.assign(mods="", mod_sites=""))
    )
    assert labelled[0, 0] - plain[0, 0] == pytest.approx(DIMETHYL, abs=1e-3)
    largest = np.unravel_index(intensity.argmax(), intensity.shape)
    measured = run.peak_df["mz"].to_numpy()
    assert np.abs(measured - labelled[largest]).min() < 0.005
