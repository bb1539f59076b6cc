from __future__ import annotations

import collections
import re
import resource
import shutil

import h5py
import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.errors import LibraryError, OutputError, QuantificationError
from alphadia_tl.speclib import storage
from alphadia_tl.speclib.storage import library_precursors

from .conftest import load


def names(folder):
    return [p.name for p in folder.iterdir()]


def could_not_be_written(path, why):
    advice = "Check permissions and free space of the output folder, then run again"
    return rf"^{re.escape(str(path))} could not be written: {why}\. {advice}"


def test_saved_library_replaces_the_old_one_and_leaves_nothing_else(tmp_path, library):
    path = tmp_path / "new" / "speclib.tuned.hdf"
    storage.save_library(library, path)
    library._precursor_df["genes"] = "G2"
    storage.save_library(library, path)
    assert (load(path)._precursor_df["genes"] == "G2").all()
    assert names(path.parent) == [path.name]


def test_too_little_space_is_found_before_writing(tmp_path, library, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10))
    words = r"has 0\.0 GiB free, but about 0\.0 GiB will be needed\. Free some space or choose another"
    with pytest.raises(OutputError, match=f"^{re.escape(str(tmp_path))} {words}"):
        storage.save_library(library, tmp_path / "x.hdf")
    assert names(tmp_path) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_space_that_runs_out_while_writing_keeps_the_old_library(tmp_path, library):
    path = tmp_path / "x.hdf"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(OutputError, match=could_not_be_written(path, ".+")):
            storage.save_library(library, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.hdf"]


def test_missing_permission_is_named(tmp_path, library, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(library, "save_hdf", refuse)
    with pytest.raises(OutputError, match=could_not_be_written(tmp_path / "x.hdf", "Permission denied")):
        storage.save_library(library, tmp_path / "x.hdf")


def not_hdf(path):
    path.write_text("no")


def other_hdf(path):
    with h5py.File(path, "w") as file:
        file["x"] = [1]


def without_fragments(path):
    with h5py.File(path, "w") as file:
        file["library/precursor_df/sequence"] = ["PEPTIDEK"]


UNREADABLE = "cannot be read as an alphabase library"


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "does not exist"),
        (not_hdf, UNREADABLE),
        (other_hdf, UNREADABLE),
        (without_fragments, UNREADABLE),
    ],
)
def test_unreadable_library_is_named(tmp_path, make, what):
    path = tmp_path / "speclib.hdf"
    make(path)
    with pytest.raises(LibraryError, match=f"^The spectral library '{re.escape(str(path))}' {what}"):
        storage.load_library(path)


def test_a_file_in_place_of_the_folder_is_named(tmp_path, library):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=could_not_be_written(tmp_path / "file", "File exists")):
        storage.save_library(library, tmp_path / "file" / "x.hdf")


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
