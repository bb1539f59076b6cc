"""What is exported, what is left out, and what is said of it."""

from __future__ import annotations

import collections
import hashlib
import logging
import shutil
import sqlite3

import h5py
import numpy as np
import pandas as pd
import pytest

from alphadia_tl.errors import TransferLearningError
from alphadia_tl.exchange import export
from alphadia_tl.exchange.chunks import LibraryFile
from alphadia_tl.exchange.export import FORMATS, export_library

from .conftest import FRAG_TYPES, ROWS, fragments, make

N_FRAGMENTS = sum(len(fragments(make(), i)) for i in range(len(ROWS)))


@pytest.mark.parametrize("name", [*FORMATS, "skyline"])
def test_a_library_is_read_only_and_an_older_file_is_replaced(tmp_path, library, saved, name, caplog):
    path, output = saved(library), tmp_path / "new" / "out"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    for _ in range(2):
        with caplog.at_level(logging.INFO):
            summary = export_library(path, output, name)
    decoys = 1 if name in ("blib", "skyline") else 0
    assert summary.precursors == len(ROWS) - decoys
    assert summary.fragments == N_FRAGMENTS - (len(fragments(library, 1)) if decoys else 0)
    assert summary.left_out == ({"decoys": 1} if decoys else {})
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert [p.name for p in output.parent.iterdir()] == ["out"]
    said = caplog.messages[-1]
    assert f"{summary.precursors:,} precursors, {summary.fragments:,} fragments" in said
    assert "iRT = 100 x rt_norm" in said
    assert ("1 decoys" in said) == bool(decoys)


@pytest.mark.parametrize(("folder", "given"), [("transfer", "."), ("transfer", "transfer"), (".", ".")])
def test_the_tuned_library_of_a_bundle_or_a_search_is_meant(tmp_path, library, folder, given):
    (tmp_path / folder).mkdir(exist_ok=True)
    library.save_hdf(str(tmp_path / folder / "speclib.tuned.hdf"))
    assert export_library(tmp_path / given, tmp_path / "out.tsv", "tsv").precursors == len(ROWS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_library_read_in_parts_gives_the_same_file(tmp_path, library, saved, name):
    path = saved(library)
    with h5py.File(path) as file:
        for output, size in (("whole", 100), ("parts", 2)):
            chunks = LibraryFile(path, file).chunks(decoys=True, untimed=True, size=size)
            FORMATS[name].write(tmp_path / output, chunks, "made")

    def content(file):
        if name == "diann":
            return pd.read_parquet(file).to_csv()
        if name in ("tsv", "mzspeclib"):
            return file.read_text()
        lines = sqlite3.connect(file).iterdump()
        return sorted(line for line in lines if "LibInfo" not in line)

    assert content(tmp_path / "whole") == content(tmp_path / "parts")


def test_the_config_beside_a_library_knows_its_modifications(tmp_path, library, saved):
    (tmp_path / "frozen_config.yaml").write_text("custom_modifications: [{name: Beside@M, composition: O(2)}]")
    other_modification(library, "Beside")
    export_library(saved(library), tmp_path / "out", "mzspeclib")
    assert "LKSM[+31.989829]AR" in (tmp_path / "out").read_text()


def shuffled(library):
    """Return a library whose precursors are in another order than their fragments."""
    library._precursor_df = library._precursor_df.iloc[::-1].reset_index(drop=True)


def test_the_order_of_precursors_is_free(tmp_path, saved, library):
    export_library(saved(library), tmp_path / "a.tsv", "tsv")
    shuffled(library)
    export_library(saved(library), tmp_path / "b.tsv", "tsv")
    a, b = (set((tmp_path / name).read_text().splitlines()) for name in ("a.tsv", "b.tsv"))
    assert a == b


def with_times(column, values):
    def change(library):
        library._precursor_df = library._precursor_df.drop(columns="rt_norm").assign(**{column: values})

    return change


TIMES = np.linspace(0.1, 0.9, len(ROWS))


@pytest.mark.parametrize(
    ("column", "values", "irt", "said"),
    [
        ("rt_pred", TIMES, 100 * TIMES, "100 x rt_pred"),
        ("rt", 60 * TIMES, 60 * TIMES, "rt, as the library has it"),
        ("irt", TIMES, TIMES, "irt, as the library has it"),
        ("rt", [np.nan, *TIMES[1:]], [np.nan, *100 * TIMES[1:]], "100 x rt"),
        ("none", TIMES, np.full(len(TIMES), np.nan), "none in the library"),
    ],
)
def test_retention_times_become_irt(tmp_path, library, saved, column, values, irt, said):
    with_times(column, values)(library)
    summary = export_library(saved(library), tmp_path / "out", "diann")
    table = pd.read_parquet(tmp_path / "out").drop_duplicates("Precursor.Id")
    np.testing.assert_allclose(table["RT"].astype(float), irt, rtol=1e-6)
    assert summary.retention_time == said


def no_fragment_of_the_first(library):
    library._fragment_intensity_df.iloc[:4] = 0


def impossible_intensities(library):
    library._fragment_intensity_df.iloc[:4] = -1.0
    library._fragment_intensity_df.iloc[:4, 0] = np.nan


def no_charge(library):
    library._precursor_df["charge"] = library._precursor_df["charge"].astype(float)
    library._precursor_df.loc[0, "charge"] = np.nan


@pytest.mark.parametrize(
    ("change", "name", "left_out"),
    [
        (no_fragment_of_the_first, "tsv", {"precursors without a fragment": 1}),
        (
            impossible_intensities,
            "tsv",
            {"fragments whose intensity is not 0 or above": 4 * len(FRAG_TYPES), "precursors without a fragment": 1},
        ),
        (no_charge, "tsv", {"precursors without a charge": 1}),
        (with_times("rt", [np.nan, *TIMES[1:]]), "dlib", {"precursors without a retention time": 1}),
        (with_times("rt", [np.nan, *TIMES[1:]]), "mzspeclib", {}),
    ],
)
def test_what_cannot_be_written_is_left_out_and_counted(tmp_path, library, saved, change, name, left_out):
    change(library)
    summary = export_library(saved(library), tmp_path / "out", name)
    assert summary.left_out == left_out
    assert summary.precursors == len(ROWS) - (1 if left_out else 0)


def without(*columns):
    def change(library):
        library._precursor_df = library._precursor_df.drop(columns=list(columns))

    return change


def texts_for_decoys(library):
    library._precursor_df["decoy"] = np.where(library._precursor_df["decoy"], "True", "False").astype(object)


@pytest.mark.parametrize("change", [without("precursor_mz"), without("nAA"), texts_for_decoys])
def test_the_same_is_written_of_a_library_that_says_it_otherwise(tmp_path, library, saved, change):
    export_library(saved(library), tmp_path / "a", "tsv")
    change(library)
    export_library(saved(library), tmp_path / "b", "tsv")
    a, b = (pd.read_csv(tmp_path / name, sep="\t") for name in "ab")
    pd.testing.assert_frame_equal(a, b)


def test_what_a_library_does_not_say_stays_empty(tmp_path, library, saved):
    without("proteins", "genes", "mobility", "decoy")(library)
    export_library(saved(library), tmp_path / "out", "mzspeclib")
    text = (tmp_path / "out").read_text()
    assert not any(word in text for word in ("accession", "gene name", "mobility", "decoy"))


def silent(library):
    library._fragment_intensity_df[:] = 0


def other_modification(library, name="Unheard"):
    library._precursor_df["mods"] = library._precursor_df["mods"].str.replace("Oxidation", name)


def cut(library):
    library._precursor_df["frag_stop_idx"] += 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (silent, "Nothing of the library '.*' can be written:.* precursors without a fragment"),
        (other_modification, "modifications that are not known: Unheard@M.*--config"),
        (cut, "do not own nAA - 1 fragment rows"),
    ],
)
@pytest.mark.parametrize("name", ["tsv", "blib"])
def test_a_library_that_cannot_be_exported_is_one_error_and_no_file(tmp_path, library, saved, change, words, name):
    change(library)
    path = saved(library)
    with pytest.raises(TransferLearningError, match=words):
        export_library(path, tmp_path / "out" / "file", name)
    assert not list((tmp_path / "out").glob("*"))


def no_hdf(path):
    path.write_text("no")


def other_hdf(path):
    with h5py.File(path, "w") as file:
        file["x"] = [1]


def no_fragments(path):
    with h5py.File(path, "a") as file:
        del file["library/fragment_intensity_df"]
        file.create_group("library/fragment_intensity_df")


def no_precursors(path):
    with h5py.File(path, "a") as file:
        for column in file["library/precursor_df"].values():
            column.resize(0, axis=0)


def no_column(name):
    def remove(path):
        with h5py.File(path, "a") as file:
            del file[f"library/{name}"]

    return remove


def cut_column(path):
    with h5py.File(path, "a") as file:
        file["library/fragment_mz_df/y_z1"].resize(5, axis=0)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: (path.unlink(), path.mkdir()), "holds no speclib.tuned.hdf"),
        (no_hdf, "cannot be read as an alphabase library"),
        (other_hdf, "cannot be read as an alphabase library"),
        (no_fragments, "holds no fragment"),
        (no_precursors, "holds no precursor"),
        (no_column("precursor_df/sequence"), "lacks the precursor columns sequence"),
        (no_column("fragment_mz_df/y_z1"), "lacks the fragment m/z of y_z1"),
        (no_column("fragment_mz_df"), "cannot be read as an alphabase library"),
        (cut_column, "differ in length"),
    ],
)
def test_a_file_that_is_no_library_is_one_error(tmp_path, library, saved, damage, words):
    path = saved(library)
    damage(path)
    with pytest.raises(TransferLearningError, match=words):
        export_library(path, tmp_path / "out.tsv", "tsv")
    assert not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize(
    ("output", "name", "words"),
    [
        ("out.tsv", "xml", "No format is named 'xml'. Choose among diann, tsv, blib, mzspeclib, dlib, skyline"),
        (".", "tsv", "is a folder"),
        ("made.hdf", "tsv", "is the library itself"),
        ("made.hdf/out.tsv", "tsv", "cannot be written|could not be written"),
    ],
)
def test_an_output_that_cannot_be_is_one_error(tmp_path, library, saved, output, name, words):
    path = saved(library)
    with pytest.raises(TransferLearningError, match=words):
        export_library(path, tmp_path / output, name)
    assert [p.name for p in tmp_path.iterdir()] == ["made.hdf"]


def test_space_is_looked_for_before_anything_is_written(tmp_path, library, saved, monkeypatch):
    path = saved(library)
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10))
    with pytest.raises(TransferLearningError, match="GiB will be needed"):
        export_library(path, tmp_path / "out.tsv", "tsv")
    assert [p.name for p in tmp_path.iterdir()] == ["made.hdf"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_space_asked_for_is_enough(tmp_path, saved, name, monkeypatch):
    asked = []
    monkeypatch.setattr(export, "require_space", lambda _, size: asked.append(size))
    path = saved(
        make([("ACDEFGHIKLMNPQRSTVWYK", "Carbamidomethyl@C", "2", z, 1.0, 0, "P1", "G1") for z in (2, 3)] * 200)
    )
    export_library(path, tmp_path / "out", name)
    overhead = 70_000  # tables and schema of a file, however small
    assert (
        (tmp_path / "out").stat().st_size < asked[0] + overhead < 4 * (tmp_path / "out").stat().st_size + 2 * overhead
    )


@pytest.mark.parametrize("name", FORMATS)
def test_space_that_runs_out_keeps_the_old_file(tmp_path, library, saved, name, monkeypatch):
    import resource

    path = saved(library)
    (tmp_path / "out").write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(TransferLearningError, match="could not be written"):
            export_library(path, tmp_path / "out", name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "out").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made.hdf", "out"]
