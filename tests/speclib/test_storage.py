from __future__ import annotations

import collections
import re
import resource
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from alphabase.constants.modification import add_new_modifications
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.errors import LibraryError, OutputError, QuantificationError
from alphadia_tl.speclib import storage
from alphadia_tl.speclib.storage import library_precursors

from .conftest import load, make_library


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


def with_cells(rows, **values):
    """Return a change of the first rows of the precursor table."""

    def change(library):
        for column, value in values.items():
            df = library._precursor_df
            if isinstance(value, str) or value is None:
                df[column] = df[column].astype(object)
            df.loc[df.index[:rows], column] = value

    return change


def with_fragments(value, rows=3):
    """Return a change of all intensities of the first precursors."""

    def change(library):
        stop = library._precursor_df["frag_stop_idx"].iloc[rows - 1]
        library._fragment_intensity_df.iloc[:stop] = value

    return change


LEFT_OUT = {
    "unknown modification": (with_cells(3, mods="Unheard@K", mod_sites="1"), "unknown modification Unheard@K: 3"),
    "charge 0": (with_cells(3, charge=0), "charge that is no whole number above 0: 3"),
    "charge missing": (with_cells(3, charge=np.nan), "charge that is no whole number above 0: 3"),
    "charge negative": (with_cells(3, charge=-2), "charge that is no whole number above 0: 3"),
    "lower case": (with_cells(3, sequence="PEPTiDEK"), "PEPTiDEK"),
    "letter without mass": (with_cells(3, sequence="PEPTXDEK"), "PEPTXDEK"),
    "site outside": (with_cells(3, mods="Oxidation@M", mod_sites="20"), "a site of Oxidation@M that the peptide does"),
    "no sequence": (with_cells(3, sequence=None), "no sequence of 2 to 198 residues"),
    "site missing": (with_cells(3, mods="Oxidation@M;Acetyl@Any_N-term", mod_sites="2"), "numbers of mods and"),
    "RT missing": (with_cells(3, rt_pred=np.nan, rt_norm_pred=np.nan), "no retention time: 3"),
    "RT is text": (with_cells(3, rt_pred="unknown", rt_norm_pred=""), "no retention time: 3"),
    "no signal": (with_fragments(0), "no fragment with an intensity above 0: 3"),
    "negative signal": (with_fragments(-5), "no fragment with an intensity above 0: 3"),
    "signal missing": (with_fragments(np.nan), "no fragment with an intensity above 0: 3"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "told"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_precursors_that_no_search_can_use_are_left_out_and_told(library, caplog, change, told):
    rest = library._precursor_df.iloc[3:].reset_index(drop=True)
    change(library)
    storage.sound_library(library)
    assert told in caplog.text
    assert "3 of 180 precursors of the library are left out" in caplog.text
    pd.testing.assert_frame_equal(library._precursor_df, rest, check_dtype=False)
    change(library)
    library._precursor_df = library._precursor_df.iloc[:3]
    with pytest.raises(LibraryError, match=f"can be searched: .*{told}|holds no retention times"):
        storage.sound_library(library)


@pytest.mark.parametrize(("model", "change"), [("rt", with_cells(3, rt_pred=np.nan)), ("ms2", with_fragments(0))])
def test_what_will_be_predicted_need_not_be_there(library, caplog, model, change):
    change(library)
    storage.sound_library(library, (model,))
    assert len(library._precursor_df) == 180
    assert "left out" not in caplog.text


def test_a_real_zero_is_no_missing_value(library, caplog):
    library._precursor_df.loc[:2, "rt_pred"] = 0.0
    storage.sound_library(library)
    assert len(library._precursor_df) == 180
    assert caplog.text == ""


def without(column):
    def change(library):
        library._precursor_df = library._precursor_df.drop(columns=column)

    return change


def emptied(library):
    library._precursor_df = library._precursor_df.iloc[:0]


REFUSED = {
    "empty": (emptied, "holds no precursor"),
    "no mod_sites": (without("mod_sites"), "lacks the precursor columns mod_sites"),
    "no retention times": (without(["rt_pred", "rt_norm_pred"]), "no retention times"),
    "all retention times missing": (with_cells(180, rt_pred=np.nan, rt_norm_pred=np.nan), "no retention times"),
    "other rows": (with_cells(1, frag_stop_idx=3), "nAA - 1 fragment rows"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED)
def test_libraries_that_cannot_be_searched_are_refused(library, change, words):
    change(library)
    with pytest.raises(LibraryError, match=words):
        storage.sound_library(library)


def test_a_custom_modification_of_the_config_is_understood(library, caplog):
    name = "MadeForThisTest@K"
    with_cells(1, mods=name, mod_sites="1")(library)
    add_new_modifications({name: {"composition": "C(2)H(2)O(1)"}})
    storage.sound_library(library)
    assert len(library._precursor_df) == 180
    assert "left out" not in caplog.text


def mz_of(library):
    return library._precursor_df["precursor_mz"].to_numpy(), library._fragment_mz_df.to_numpy()


@pytest.mark.parametrize("missing", [np.nan, -1.0, np.inf])
def test_missing_mz_values_are_calculated_in_a_library_of_any_order(library, caplog, missing):
    library._precursor_df = library._precursor_df.sample(frac=1, random_state=1).reset_index(drop=True)
    storage.make_dense(library)
    right = [values.copy() for values in mz_of(library)]
    library._precursor_df.loc[5:9, "precursor_mz"] = missing
    library._fragment_mz_df.iloc[5:200, 1] = missing
    storage.sound_library(library)
    assert "Precursor m/z values are missing" in caplog.text
    assert "Fragment m/z values are missing" in caplog.text
    for got, expected in zip(mz_of(library), right, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_a_column_of_retention_times_without_any_gives_way_to_the_next(library):
    library._precursor_df["rt"] = np.nan
    storage.sound_library(library)
    assert "rt" not in library._precursor_df.columns
    assert len(library._precursor_df) == 180


REPEATS = {
    "exact": ({}, "0 of the rows left out", "P1"),
    "other RT": ({"rt_pred": 0.123}, "6 of the rows left out", "P1"),
    "other protein": ({"proteins": "P2;P1"}, "0 of the rows left out", "P1;P2"),
}


@pytest.mark.parametrize(("values", "told", "proteins"), REPEATS.values(), ids=REPEATS)
def test_the_first_row_of_a_repeated_precursor_is_searched(library, caplog, values, told, proteins):
    df = library._precursor_df
    again = df.iloc[::30].assign(**values)
    library._precursor_df = pd.concat([df, again], ignore_index=True)
    storage.sound_library(library)
    assert "6 rows of the library repeat a precursor" in caplog.text
    assert told in caplog.text
    df.loc[::30, "proteins"] = proteins
    pd.testing.assert_frame_equal(library._precursor_df, df, check_dtype=False)


def test_other_intensities_of_a_repeated_precursor_are_told(library, caplog):
    library.append(library.copy())
    library._fragment_intensity_df.iloc[-5:] *= 0.5  # of the last precursor
    storage.sound_library(library)
    assert "1 of the rows left out say another retention time or other intensities" in caplog.text


@pytest.mark.parametrize("column", ["decoy", "channel"])
def test_decoys_and_channels_are_no_repeats(library, caplog, column):
    df = library._precursor_df
    other = df.assign(**{column: 1, "precursor_idx": df["precursor_idx"] + len(df)})
    library._precursor_df = pd.concat([df, other], ignore_index=True)
    storage.sound_library(library)
    assert len(library._precursor_df) == 2 * len(df)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("target", "decoy"),
    [(0, 1), (0.0, 1.0), (False, True), (np.nan, 1), (0, 2), (0, -1), ("0", "1"), ("False", "True")],
)
def test_every_mark_of_a_decoy_becomes_the_one_that_alphadia_knows(library, target, decoy):
    library._precursor_df["decoy"] = pd.Series(np.resize([target, target, decoy], len(library._precursor_df)))
    storage.sound_library(library)
    assert library._precursor_df["decoy"].tolist() == np.resize([0, 0, 1], len(library._precursor_df)).tolist()
    storage.leave_out_decoys(library)
    assert len(library._precursor_df) == len(make_library()._precursor_df) * 2 // 3


def test_numbers_shared_by_different_precursors_are_given_up(library, caplog):
    with_cells(3, precursor_idx=7, elution_group_idx=7)(library)
    storage.sound_library(library)
    assert "share a precursor_idx" in caplog.text
    assert not {"precursor_idx", "elution_group_idx"} & set(library._precursor_df.columns)


def test_precursors_that_cannot_be_are_told_and_stay(library, caplog):
    with_cells(2, sequence="PEPTMIDEK", mods="Phospho@S", mod_sites="4", nAA=9)(library)
    start = library._precursor_df["frag_start_idx"].iloc[2:]
    with_cells(2, frag_start_idx=start.iloc[0], frag_stop_idx=start.iloc[0] + 8)(library)
    library._precursor_df = library._precursor_df.drop_duplicates(["sequence", "charge"], ignore_index=True)
    n = len(library._precursor_df)
    storage.sound_library(library)
    assert "Phospho@S where it cannot be: 2 (first: PEPTMIDEK Phospho@S 4)" in caplog.text
    assert len(library._precursor_df) == n
