from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alphabase.constants.isotope import IsotopeDistribution
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alphabase.peptide.precursor import get_mod_seq_formula, update_precursor_mz
from alpharaw.ms_data_base import MSData_Base
from alpharaw.mzml import MzMLReader
from made_mzml import write_mzml

from alphadia_tl.errors import DataError
from alphadia_tl.simulate.render import Acquisition, DiaRun, isotope_fractions, render_run
from alphadia_tl.simulate.sample import FRAGMENT_TYPES, Sample


def single(sample: Sample, rt: float = 0.5) -> Sample:
    """One bright precursor in the middle of the run; its fragments stay where they were in the table."""
    chosen = sample.precursor_df["charge"].eq(2).to_numpy().nonzero()[0][10]
    return Sample(sample.precursor_df.iloc[[chosen]].assign(rt=rt, abundance=100.0), sample.fragment_intensity_df)


def render(sample: Sample, acquisition: Acquisition, seed: int = 1) -> DiaRun:
    return render_run(sample.precursor_df, sample.fragment_intensity_df, acquisition, np.random.default_rng(seed))


def peaks(run: DiaRun, spectrum: int) -> pd.DataFrame:
    row = run.spectrum_df.iloc[spectrum]
    return run.peak_df.iloc[int(row["peak_start_idx"]) : int(row["peak_stop_idx"])]


def test_run_is_the_same_for_the_same_seed_and_differs_for_another(sample: Sample):
    acquisition = Acquisition(gradient_minutes=1.0)
    first, again, other = (render(sample, acquisition, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.peak_df, again.peak_df)
    pd.testing.assert_frame_equal(first.spectrum_df, again.spectrum_df)
    assert len(first.peak_df) != len(other.peak_df)


def test_cycles_hold_one_survey_and_all_windows(sample: Sample, quiet: Acquisition):
    df = render(sample, quiet).spectrum_df
    assert len(df) == 100 * 13
    assert (df["ms_level"].to_numpy().reshape(100, 13) == [1] + [2] * 12).all()
    assert df["isolation_lower_mz"].to_numpy()[1:13].tolist() == list(range(400, 1000, 50))
    assert df["rt"].iloc[13] == pytest.approx(1.2 / 60)
    assert (df["rt"].diff().dropna() > 0).all()
    assert (df["peak_start_idx"].to_numpy()[1:] == df["peak_stop_idx"].to_numpy()[:-1]).all()


def test_fragments_are_at_their_mass_in_the_window_of_the_precursor_at_the_apex(sample: Sample, quiet: Acquisition):
    one = single(sample)
    row = one.precursor_df.iloc[0]
    run = render(one, quiet)
    summed = [peaks(run, i)["intensity"].sum() if i % 13 else 0.0 for i in range(len(run.spectrum_df))]
    brightest = run.spectrum_df.iloc[int(np.argmax(summed))]
    assert brightest["isolation_lower_mz"] < row["precursor_mz"] < brightest["isolation_upper_mz"]
    assert brightest["rt"] * 60 == pytest.approx(60.0, abs=1.3)
    found = peaks(run, int(np.argmax(summed)))
    mz = create_fragment_mz_dataframe(one.precursor_df.drop(columns=["frag_start_idx"]), FRAGMENT_TYPES).to_numpy()
    truth = one.fragment_intensity_df.to_numpy()[row["frag_start_idx"] : row["frag_stop_idx"]]
    strong = (truth > 0.05) & (mz > 150) & (mz < 1800)
    for expected, share in zip(mz[strong], truth[strong], strict=True):
        nearest = found.iloc[(found["mz"] - expected).abs().to_numpy().argmin()]
        assert abs(nearest["mz"] / expected - 1) < 2e-6
        assert nearest["intensity"] / found["intensity"].max() == pytest.approx(share, rel=0.25, abs=0.05)


def test_isotopes_are_in_the_survey(sample: Sample, quiet: Acquisition):
    one = single(sample)
    run = render(one, quiet)
    mz = one.precursor_df["precursor_mz"].iloc[0]
    apex = peaks(run, 50 * 13)["mz"].to_numpy()
    for k in range(3):
        assert np.abs(apex / (mz + k * 1.00335 / 2) - 1).min() < 2e-6


def test_other_spectra_are_empty_without_noise(sample: Sample, quiet: Acquisition):
    df = render(single(sample), quiet).spectrum_df
    assert (df["peak_stop_idx"] > df["peak_start_idx"]).to_numpy().reshape(100, 13).any(axis=0).sum() == 2


@pytest.mark.parametrize(("offset", "sigma"), [(0.0, 3.0), (5.0, 1.0), (-4.0, 2.0)])
def test_mz_errors_have_the_size_that_is_set(sample: Sample, quiet: Acquisition, offset: float, sigma: float):
    one = single(sample)
    exact = render(one, quiet).peak_df
    run = render(one, replace(quiet, ppm_offset=offset, ppm_sigma=sigma)).peak_df
    bright = run[run["intensity"] > 400]
    reference = np.sort(exact["mz"].to_numpy())
    nearest = reference[np.clip(np.searchsorted(reference, bright["mz"]), 1, len(reference) - 1)]
    ppm = (bright["mz"].to_numpy() / nearest - 1) * 1e6
    ppm = ppm[np.abs(ppm) < 20]
    assert np.median(ppm) == pytest.approx(offset, abs=1.0)
    assert np.std(ppm) == pytest.approx(0.5 * sigma, rel=0.5)


def test_close_peaks_become_one_and_peaks_are_sorted(sample: Sample):
    run = render(sample, Acquisition(gradient_minutes=0.5, noise_peaks=2000.0))
    for spectrum in range(1, 14):
        mz = peaks(run, spectrum)["mz"].to_numpy(dtype=float)
        assert (np.diff(mz) > 0.9 * mz[1:] / 25_000).all()


def test_noise_alone_has_the_number_that_is_set(sample: Sample):
    faint = Sample(sample.precursor_df.assign(abundance=0.0), sample.fragment_intensity_df)
    run = render(faint, Acquisition(gradient_minutes=1.0, noise_peaks=100.0, noise_counts=1000.0, noise_spread=0.1))
    per_spectrum = run.spectrum_df["peak_stop_idx"] - run.spectrum_df["peak_start_idx"]
    assert per_spectrum[run.spectrum_df["ms_level"] == 2].mean() == pytest.approx(100, rel=0.05)


def test_row_order_of_the_table_does_not_matter_without_noise(sample: Sample, quiet: Acquisition):
    acquisition = replace(quiet, peak_sigma_spread=0.0)
    reverse = Sample(sample.precursor_df.iloc[::-1], sample.fragment_intensity_df)
    total, again = (render(s, acquisition).peak_df["intensity"].sum() for s in (sample, reverse))
    assert again == pytest.approx(total, rel=0.002)


def test_both_formats_read_back_by_alpharaw_are_equal(sample: Sample, tmp_path: Path):
    run = render(sample, Acquisition(gradient_minutes=0.3, noise_peaks=50.0))
    run.save(tmp_path / "a.hdf")
    write_mzml(run.spectrum_df, run.peak_df, tmp_path / "a.mzML")
    hdf, mzml = MSData_Base(), MzMLReader()
    hdf.load_hdf(str(tmp_path / "a.hdf"))
    mzml.load_raw(str(tmp_path / "a.mzML"))
    np.testing.assert_array_equal(hdf.peak_df["mz"], mzml.peak_df["mz"])
    np.testing.assert_array_equal(hdf.peak_df["intensity"], mzml.peak_df["intensity"])
    for column in ("rt", "ms_level", "precursor_mz", "isolation_lower_mz", "isolation_upper_mz", "peak_start_idx"):
        np.testing.assert_allclose(hdf.spectrum_df[column], mzml.spectrum_df[column], atol=1e-6, err_msg=column)


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda df: df.drop(columns="rt"), "'rt'"), (lambda df: df.assign(abundance=np.nan), "not finite")],
)
def test_unusable_tables_are_refused(sample: Sample, quiet: Acquisition, change, message: str):
    with pytest.raises(DataError, match=message):
        render_run(change(sample.precursor_df), sample.fragment_intensity_df, quiet, np.random.default_rng(1))


@pytest.mark.parametrize("mass", [700.0, 1500.0, 3500.0])
def test_isotope_envelope_sums_to_nearly_one_and_shifts_with_mass(mass: float):
    envelope = isotope_fractions(np.array([mass]))[0]
    assert 0.8 < envelope.sum() <= 1.0
    assert (envelope[1] > envelope[0]) == (mass > 1900)


@pytest.mark.parametrize("sequence", ["AGALPALGAK", "PEPTIDEGHWVLLNSTQR", "SAMPLEMEKITEWITHMANYRESIDVESHERE"])
def test_isotope_envelope_is_near_the_exact_one(sequence: str):
    exact, mono = IsotopeDistribution().calc_formula_distribution(get_mod_seq_formula(sequence, ""))
    df = pd.DataFrame({"sequence": [sequence], "mods": "", "mod_sites": "", "charge": 1, "nAA": len(sequence)})
    mass = update_precursor_mz(df)["precursor_mz"].to_numpy() - 1.00728
    np.testing.assert_allclose(isotope_fractions(mass)[0], exact[mono : mono + 4], atol=0.05)
