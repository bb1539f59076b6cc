from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.simulate.instrument import LAB
from alphadia_tl.simulate.render import Acquisition, render_run
from alphadia_tl.simulate.sample import (
    FRAGMENT_TYPES,
    RESIDUE_FREQUENCIES,
    Digestion,
    Sample,
    digest,
    make_sample,
    oracle_library,
    random_proteome,
    set_fragment_pointers,
)


def test_proteome_is_the_same_for_the_same_seed_and_differs_for_another():
    first, again, other = (random_proteome(5, np.random.default_rng(s)) for s in (1, 1, 2))
    assert first.sequences == again.sequences
    assert first.sequences != other.sequences


@pytest.mark.parametrize("residue", ["K", "R", "L", "W"])
def test_proteome_has_the_natural_frequency_of(residue):
    text = "".join(random_proteome(300, np.random.default_rng(1)).sequences)
    expected = RESIDUE_FREQUENCIES[residue] / sum(RESIDUE_FREQUENCIES.values())
    assert text.count(residue) / len(text) == pytest.approx(expected, rel=0.08)


def test_fasta_names_a_quarter_of_the_proteins_as_absent(fasta: Path):
    assert fasta.read_text().count("\n>sp|E") == 5
    assert fasta.read_text().startswith(">sp|P00001|SIM00001 ")


def test_sample_holds_no_precursor_that_is_only_in_absent_proteins(sample: Sample):
    assert not sample.precursor_df["proteins"].str.startswith("E").any()


def test_sample_is_a_part_of_the_library_inside_the_mz_range(sample: Sample, library_df: pd.DataFrame):
    key = ["sequence", "mods", "mod_sites", "charge"]
    assert 0 < len(sample.precursor_df) < len(library_df)
    assert len(sample.precursor_df.merge(library_df[key], on=key)) == len(sample.precursor_df)
    assert library_df["precursor_mz"].between(400, 1000).all()


def test_sample_is_the_same_for_the_same_seed(sample: Sample, library_df: pd.DataFrame):
    again = make_sample(library_df, LAB, np.random.default_rng(6))
    pd.testing.assert_frame_equal(sample.precursor_df, again.precursor_df)
    pd.testing.assert_frame_equal(sample.fragment_intensity_df, again.fragment_intensity_df)


def test_oxidised_and_missed_peptides_are_rarer(library_df: pd.DataFrame):
    df = make_sample(library_df, LAB, np.random.default_rng(6), protein_spread=0.0, peptide_spread=0.0).precursor_df
    oxidised = df["mods"].str.contains("Oxidation")
    assert df.loc[oxidised, "abundance"].max() <= 0.08 < df.loc[~oxidised, "abundance"].max()


def test_oracle_library_can_be_read_and_holds_the_truth(library_df: pd.DataFrame, tmp_path: Path):
    oracle_library(library_df, LAB, tmp_path / "oracle.hdf")
    library = SpecLibBase()
    library.load_hdf(str(tmp_path / "oracle.hdf"), load_mod_seq=True)
    df = library.precursor_df
    assert len(df) == len(library_df)
    np.testing.assert_allclose(df["rt"], LAB.retention_time(df), atol=1e-6)
    assert list(library.fragment_mz_df.columns) == FRAGMENT_TYPES
    assert library.fragment_intensity_df.shape == library.fragment_mz_df.shape
    row = df.iloc[len(df) // 2]
    own = library.fragment_intensity_df.iloc[row["frag_start_idx"] : row["frag_stop_idx"]].to_numpy()
    np.testing.assert_allclose(own, LAB.fragment_intensities(df.iloc[[len(df) // 2]], FRAGMENT_TYPES), atol=1e-6)


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
