from dataclasses import replace

import numpy as np
import pytest
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.simulate.experiment import SMALL
from alphadia_tl.simulate.sample import ABSENT_PREFIX, FRAGMENT_TYPES, digest
from regression.grid import PHOSPHO, RPE1
from regression.measured import DATA, KEY, Measured, available, make_measured, proteome, read_observed

needs_data = pytest.mark.skipif(not available(), reason=f"the measured data is not at {DATA}")
PRESET = replace(SMALL, digestion=PHOSPHO, acquisition=replace(SMALL.acquisition, gradient_minutes=1.0))
N_PEPTIDES = 120


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return make_measured(tmp_path_factory.mktemp("measured"), PRESET, Measured(RPE1, N_PEPTIDES, "Phospho"))


def test_proteins_are_cut_into_the_peptides_that_they_were_joined_from(tmp_path):
    peptides = np.array(["LLEEVGR", "ADFTWSK", "MNPQVIEK", "GGSSTTAK", "VVVWYHR", "EEDDAILK", "SAMPLEK"] * 4)
    peptides = np.array(
        [f"{'ACDEFGHILMNPQSTVWY'[i % 18]}{'ACDEFGHILMNPQSTVWY'[i // 18]}{p}" for i, p in enumerate(peptides)]
    )

    proteome(peptides, np.random.default_rng(0)).write_fasta(tmp_path / "made.fasta")

    assert set(peptides) <= set(digest(tmp_path / "made.fasta", PRESET.digestion)["sequence"])


@needs_data
def test_the_sample_holds_measured_precursors_of_present_proteins_at_their_measured_times(experiment):
    truth = experiment.read_truth()
    observed, _ = read_observed(RPE1, PRESET)

    merged = truth.merge(observed[[*KEY, "rt"]], on=KEY, how="left", suffixes=("", "_measured"))

    assert len(truth) > N_PEPTIDES / 2
    assert truth["mods"].str.contains("Phospho").any()
    assert (merged["rt"] == merged["rt_measured"]).all()
    assert not truth["proteins"].str.startswith(ABSENT_PREFIX).any()


@needs_data
def test_the_perfect_library_has_the_measured_spectra_also_of_what_is_absent(experiment):
    library = SpecLibBase()
    library.load_hdf(str(experiment.oracle))
    df = library.precursor_df
    observed, intensities = read_observed(RPE1, PRESET)
    merged = df[[*KEY, "proteins"]].reset_index().merge(observed, on=KEY)

    for row in merged.itertuples():
        own = df.loc[row.index]
        predicted = library.fragment_intensity_df[FRAGMENT_TYPES].to_numpy()[
            own["frag_start_idx"] : own["frag_stop_idx"]
        ]
        assert np.array_equal(predicted, intensities[row.start : row.start + row.nAA - 1])
    assert merged["proteins"].str.startswith(ABSENT_PREFIX).any()
    assert len(df) > len(merged)
    assert np.isfinite(df["rt"]).all()


@needs_data
def test_the_same_settings_are_not_rendered_again(experiment):
    before = experiment.raw_files[0].stat().st_mtime_ns

    again = make_measured(experiment.folder, PRESET, Measured(RPE1, N_PEPTIDES, "Phospho"))

    assert again.raw_files[0].stat().st_mtime_ns == before
    assert again.config()["library_prediction"]["nce"] == 30.0


@needs_data
def test_more_peptides_than_were_measured_are_refused(tmp_path):
    with pytest.raises(ValueError, match="such peptides"):
        make_measured(tmp_path, PRESET, Measured(RPE1, 10**6))
