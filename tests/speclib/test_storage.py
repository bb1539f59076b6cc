from __future__ import annotations

import collections
import resource
import shutil

import h5py
import pytest

from alphadia_tl.errors import LibraryError, OutputError
from alphadia_tl.speclib import storage

from .conftest import load


def names(folder):
    return [p.name for p in folder.iterdir()]


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
    with pytest.raises(OutputError, match=r"0\.0 GiB free.*Free some space"):
        storage.save_library(library, tmp_path / "x.hdf")
    assert names(tmp_path) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_space_that_runs_out_while_writing_keeps_the_old_library(tmp_path, library):
    path = tmp_path / "x.hdf"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(OutputError, match=r"x\.hdf"):
            storage.save_library(library, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.hdf"]


def test_missing_permission_is_named(tmp_path, library, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(library, "save_hdf", refuse)
    with pytest.raises(OutputError, match="Check permissions"):
        storage.save_library(library, tmp_path / "x.hdf")


def not_hdf(path):
    path.write_text("no")


def other_hdf(path):
    with h5py.File(path, "w") as file:
        file["x"] = [1]


def without_fragments(path):
    with h5py.File(path, "w") as file:
        file["library/precursor_df/sequence"] = ["PEPTIDEK"]


@pytest.mark.parametrize("make", [lambda path: None, not_hdf, other_hdf, without_fragments])
def test_unreadable_library_is_named(tmp_path, make):
    path = tmp_path / "speclib.hdf"
    make(path)
    with pytest.raises(LibraryError, match=r"speclib\.hdf"):
        storage.load_library(path)


def test_a_file_in_place_of_the_folder_is_named(tmp_path, library):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file/"):
        storage.save_library(library, tmp_path / "file" / "x.hdf")
