import lzma

import numpy as np
import pandas as pd
import pytest
from alpharaw.ms_data_base import MSData_Base
from made_mzml import write_mzml

from alphadia_tl.simulate.sample import ABSENT_PREFIX
from regression.grid import ARMS, CELLS
from regression.others import NOISE_PEAKS, Other, count_ions, write_fasta

N_SPECTRA, N_PEAKS = 20, 50


def test_proteins_that_are_absent_have_accessions_of_absent_ones(tmp_path):
    source = tmp_path / "theirs.fasta"
    source.write_text(">sp|P00000|PRESENT0_HYE x\nMK\n>sp|P00001|ABSENT0_HYE x\nMR\n")
    write_fasta(source, tmp_path / "ours.fasta")
    headers = (tmp_path / "ours.fasta").read_text().splitlines()[::2]
    accessions = [header.split("|")[1] for header in headers]
    assert [a.startswith(ABSENT_PREFIX) for a in accessions] == [False, True]


@pytest.mark.parametrize("ions", [0.01, 1.0])
def test_fewer_ions_are_fewer_peaks_of_the_run_and_noise_stays(tmp_path, ions):
    generator = np.random.default_rng(0)
    stops = N_PEAKS * np.arange(1, N_SPECTRA + 1)
    spectra = pd.DataFrame({"peak_start_idx": stops - N_PEAKS, "peak_stop_idx": stops, "ms_level": 2})
    spectra = spectra.assign(rt=np.arange(N_SPECTRA) / 60, precursor_mz=500.0)
    spectra = spectra.assign(isolation_lower_mz=490.0, isolation_upper_mz=510.0)
    mz = np.sort(generator.uniform(200, 1000, (N_SPECTRA, N_PEAKS)), axis=1).ravel()
    plain, packed = tmp_path / "plain.mzML", tmp_path / "run.mzML.xz"
    write_mzml(spectra, pd.DataFrame({"mz": mz, "intensity": 100.0}), plain)
    packed.write_bytes(lzma.compress(plain.read_bytes()))

    count_ions(packed, tmp_path / "made.hdf", ions, generator)

    made = MSData_Base()
    made.load_hdf(str(tmp_path / "made.hdf"))
    peaks = made.spectrum_df["peak_stop_idx"] - made.spectrum_df["peak_start_idx"]
    expected = N_PEAKS * -np.expm1(-100 * ions) + NOISE_PEAKS
    assert peaks.mean() == pytest.approx(expected, rel=0.05)
    assert made.spectrum_df["rt"].to_numpy() == pytest.approx(spectra["rt"].to_numpy())
    for spectrum in made.spectrum_df.itertuples():
        assert made.peak_df["mz"][spectrum.peak_start_idx : spectrum.peak_stop_idx].is_monotonic_increasing


def test_a_run_that_is_there_gets_searches_that_there_are_and_an_estimate_of_its_own():
    others = [cell for cell in CELLS if isinstance(cell.made_of, Other)]
    assert {cell.made_of.name for cell in others} == {"timsim", "synthedia"}
    for cell in others:
        assert set(cell.arms) <= set(ARMS)
        assert cell.entrapment.ratio == cell.made_of.absent_per_present
