"""Precursors of some peptides are read from a library that a search saved."""

import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.errors import QuantificationError
from alphadia_tl.speclib.storage import library_precursors

PRECURSOR = ["sequence", "mods", "mod_sites", "charge"]
SEQUENCES = ["AAAK", "CCCK", "DDDDK", "EEEEEK", "FFFK"]
TIMES = pd.DataFrame({"sequence": SEQUENCES * 2, "charge": [2] * 5 + [3] * 5}).assign(
    mods="", mod_sites="", rt_library=[i / 10 for i in range(10)]
)[[*PRECURSOR, "rt_library"]]


def saved(folder, times):
    library = SpecLibBase()
    library._precursor_df = times.assign(nAA=times["sequence"].str.len(), precursor_mz=500.0)
    library._fragment_mz_df = library._fragment_intensity_df = pd.DataFrame({"b_z1": [0.0]})
    library.save_hdf(str(folder / "speclib.hdf"))
    return folder / "speclib.hdf"


@pytest.mark.parametrize("name", ["rt", "rt_norm", "rt_pred", "irt"])
def test_times_are_read_whatever_their_column_is_called(tmp_path, name):
    path = saved(tmp_path, TIMES.rename(columns={"rt_library": name}))
    read = library_precursors(path, TIMES["sequence"])
    pd.testing.assert_frame_equal(read, TIMES, check_dtype=False)
    assert set(library_precursors(path, SEQUENCES[:2])["sequence"]) == set(SEQUENCES[:2])


def test_precursors_are_read_from_a_library_without_times_too(tmp_path):
    path = saved(tmp_path, TIMES.drop(columns="rt_library"))
    found = library_precursors(path, SEQUENCES[:3])
    assert list(found.columns) == PRECURSOR
    assert sorted(found["sequence"].unique()) == SEQUENCES[:3]


def test_a_damaged_library_is_named(tmp_path):
    (tmp_path / "speclib.hdf").write_text("no")
    with pytest.raises(QuantificationError, match=r"speclib\.hdf"):
        library_precursors(tmp_path / "speclib.hdf", ["PEPTIDEK"])
