import numpy as np
import pandas as pd
import pytest

from alphadia_tl.library.observed_spectra import ListedIons, Spectra, ion_columns

TYPES = ("b_z1", "b_z2", "y_z1", "y_modloss_z1", "y_H2O_z1")
PRECURSORS = pd.DataFrame({"nAA": [3, 4], "frag_start_idx": [0, 2], "frag_stop_idx": [2, 5]})


def peaks(*rows, whole=None):
    return Spectra(pd.DataFrame(rows, columns=["owner", "mz", "intensity"]), whole)


MZ = np.array([[300.0, 400.0], [500.0, 1000.0], [300.0, 0.0], [300.003, 2000.0], [700.0, 800.0]], np.float32)


@pytest.mark.parametrize(
    ("mz", "row"),
    [(300.0, 2), (299.9945, 2), (299.993, None), (2000.019, 3), (2000.022, None), (700.0, 4), (400.0, None)],
)
def test_a_peak_is_the_ion_within_20_ppm_and_002_th_of_its_own_precursor(mz, row):
    intensity, mask = peaks((1, mz, 5.0)).dense(PRECURSORS, ("b_z1", "y_z1"), MZ)
    found = np.argwhere(intensity > 0)
    assert [int(r) for r, _ in found][:1] == ([] if row is None else [row])
    assert (intensity[mask] > 0).all()


def test_a_peak_that_may_be_two_ions_is_not_trusted():
    intensity, mask = peaks((1, 300.001, 5.0), (1, 700.0, 2.0)).dense(PRECURSORS, ("b_z1", "y_z1"), MZ)
    assert np.argwhere(intensity > 0).tolist() == [[2, 0], [3, 0], [4, 0]]
    assert np.argwhere(mask).tolist() == [[4, 0]]


@pytest.mark.parametrize(("noise", "whole", "zeros"), [(0, None, 0), (9, None, 3), (9, False, 0), (0, True, 3)])
def test_what_is_not_there_is_zero_in_whole_spectra_of_the_types_that_are_seen(noise, whole, zeros):
    other = [(1, 210.0 + i, 1.0) for i in range(noise)]
    spectra = peaks((1, 700.0, 2.0), (1, 800.0, 2.0), (1, 2000.0, 2.0), *other, whole=whole)
    intensity, mask = spectra.dense(PRECURSORS, ("b_z1", "y_z1"), MZ)
    assert (intensity > 0).sum() == 3
    assert (mask & (intensity == 0)).sum() == zeros
    assert not mask[:2].any()  # nothing is known of the precursor without a spectrum


def test_a_precursor_without_peaks_and_a_file_without_any_have_no_fragments():
    intensity, mask = peaks().dense(PRECURSORS, ("b_z1", "y_z1"), MZ)
    assert intensity.shape == mask.shape == MZ.shape
    assert not mask.any()


def test_ions_are_found_among_the_types_however_they_are_named():
    names = [("b", 1, ""), ("Y", "1", "noloss"), ("b", 2.0, None), ("y", 1, "H3PO4"), ("y", 1, "H2O"), ("y", 1, "NH3")]
    series, charge, loss = zip(*names, ("a", 1, ""), ("y", 3, ""), ("y", "x", ""), strict=True)
    assert ion_columns(series, charge, loss, TYPES).tolist() == [0, 2, 1, 3, 4, -1, -1, -1, -1]


def test_lists_are_taken_apart_for_the_rows_that_are_wanted():
    names = pd.Series(["y1;b2(2+);a2;y1-H2O", "y2^1/371.2;b1-unknown^2/100.1;", None, "y1"])
    values = pd.Series(["4;3;2;1", "2.5;x;", None, "1;2"])
    table = ListedIons([(names, values)], True, TYPES).of(np.array([1, -1, 0, 3])).table
    known = table[table["column"] >= 0]
    assert known[["owner", "column", "number", "intensity"]].to_numpy().tolist() == [
        [0, 2, 2, 2.5],
        [0, 1, 1, 0.0],
        [2, 2, 1, 4.0],
        [2, 1, 2, 3.0],
        [2, 4, 1, 1.0],
    ]
    assert ListedIons([(names, values)], True, TYPES).of(np.array([-1])).table.empty


def test_ions_that_a_precursor_does_not_have_are_ignored():
    rows = [(0, 0, 2, 1.0), (0, 0, 3, 9.0), (0, 2, 1, 2.0), (0, 2, 0, 9.0), (0, 3, 2, -1.0), (0, -1, 1, 9.0)]
    table = pd.DataFrame(rows, columns=["owner", "column", "number", "intensity"])
    intensity, mask = Spectra(table, False).dense(PRECURSORS, TYPES, np.ones((5, 5), np.float32))
    assert np.argwhere(intensity > 0).tolist() == np.argwhere(mask).tolist() == [[1, 0], [1, 2]]
