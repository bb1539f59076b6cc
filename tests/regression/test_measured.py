from dataclasses import replace

import numpy as np
import pytest
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.files import Manifest
from alphadia_tl.simulate.experiment import RECORD, RENDERED, SMALL
from alphadia_tl.simulate.sample import ABSENT_PREFIX, FRAGMENT_TYPES, digest
from alphadia_tl.simulate.weights import model_zip_path
from regression.base import make_base
from regression.grid import PHOSPHO, PROSIT, RPE1, TWO_CHARGES
from regression.measured import (
    DATA,
    KEY,
    OXIDISED,
    Measured,
    available,
    make_measured,
    moved,
    observed_rows,
    proteome,
    read_observed,
    without_oxidation,
)

needs_data = pytest.mark.skipif(not available(), reason=f"the measured data is not at {DATA}")
PRESET = replace(SMALL, digestion=PHOSPHO, acquisition=replace(SMALL.acquisition, gradient_minutes=1.0))
N_PEPTIDES = 120


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_base(tmp_path_factory.mktemp("weights"), taught=False)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, base):
    return make_measured(tmp_path_factory.mktemp("measured"), PRESET, Measured(RPE1, N_PEPTIDES, "Phospho"), base)


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
    measured = merged["rt_measured"].notna()
    assert (merged["rt"] == merged["rt_measured"])[measured].all()
    assert merged.loc[~measured, "mods"].str.contains("Oxidation").all()
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
def test_the_same_settings_are_not_rendered_again(experiment, base):
    before = experiment.raw_files[0].stat().st_mtime_ns

    again = make_measured(experiment.folder, PRESET, Measured(RPE1, N_PEPTIDES, "Phospho"), base)

    assert again.raw_files[0].stat().st_mtime_ns == before
    assert again.config()["library_prediction"]["nce"] == 30.0


@needs_data
def test_more_peptides_than_were_measured_are_refused(tmp_path, base):
    with pytest.raises(ValueError, match="such peptides"):
        make_measured(tmp_path, PRESET, Measured(RPE1, 10**6), base)


@needs_data
def test_a_few_percent_of_a_methionine_peptide_are_oxidised_and_elute_earlier(tmp_path, base):
    preset = replace(PRESET, digestion=TWO_CHARGES)
    truth = make_measured(tmp_path, preset, Measured(PROSIT, 300), base).read_truth()
    oxidised = truth[truth["mods"].str.contains("Oxidation")]
    plain = oxidised.assign(**without_oxidation(oxidised)).merge(truth, on=KEY, suffixes=("_oxidised", ""))

    assert len(plain) == len(oxidised) > 10
    assert (plain["rt_oxidised"] <= plain["rt"]).all()
    total = plain.groupby(["sequence", "mods", "mod_sites"])[["abundance_oxidised", "abundance"]].sum()
    typical = (total["abundance_oxidised"] / total["abundance"]).median()
    assert OXIDISED[0] / 3 < typical < 3 * OXIDISED[1]


@needs_data
def test_a_world_is_moved_the_more_the_stronger_and_its_spectra_stay_spectra():
    observed, intensities = read_observed(PROSIT, replace(PRESET, digestion=TWO_CHARGES))
    some = observed.head(200)
    before = intensities[observed_rows(some, some)]

    def distance(strength):
        df, after = moved(some, intensities, strength)
        assert after.max() == 1.0
        assert df["rt"].between(0, 1).all()
        return np.abs(after[observed_rows(df, df)] - before).mean()

    assert distance(0.0) < 1e-6 < distance(0.2) < distance(0.6)


@needs_data
def test_the_base_models_are_where_a_search_finds_them_and_how_far_off_they_are_is_known(experiment, base):
    assert model_zip_path(experiment.home).read_bytes() == base.read_bytes()
    facts = Manifest(experiment.folder, RECORD).facts(RENDERED)
    assert 0.2 < facts["base_spectral_angle"] < 0.9
    assert 0.0 < facts["base_rt_error"] < 0.2
