from __future__ import annotations

import dataclasses
import logging
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.errors import DataError, LibraryError, OutputError
from alphadia_tl.library.collect import Wanted, collect
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.settings import TransferLibrarySettings

from .conftest import TYPES, write_run


@pytest.fixture
def library(tmp_path, precursors):
    run = write_run(tmp_path / "quant" / "run_0", precursors, 1, mobility=True)
    made = collect(
        [run.folder], TransferLibrarySettings(), Wanted(TYPES), fail_fast=True, generator=np.random.default_rng(0)
    )
    return dataclasses.replace(made, left_out=(("run_1", "broken: ü"),))


@pytest.fixture
def saved(tmp_path, library):
    library.save(tmp_path / "out" / "speclib.transfer.hdf")
    return tmp_path / "out" / "speclib.transfer.hdf"


def test_saved_library_comes_back_as_it_was(library, saved):
    again = TransferLibrary.load(saved)
    columns = list(library.precursor_df.columns)
    pd.testing.assert_frame_equal(again.precursor_df[columns], library.precursor_df)
    pd.testing.assert_frame_equal(again.fragment_intensity_df, library.fragment_intensity_df)
    pd.testing.assert_frame_equal(again.fragment_mask_df, library.fragment_mask_df)
    assert again.left_out == library.left_out
    assert [p.name for p in saved.parent.iterdir()] == ["speclib.transfer.hdf"]


@pytest.mark.parametrize("types", [["y_z1", "b_z1", "y_z2", "b_z2"], ["y_z1"]])
def test_order_of_fragment_types_survives(library, tmp_path, types):
    made = TransferLibrary(library.precursor_df, library.fragment_intensity_df[types], library.fragment_mask_df[types])
    made.save(tmp_path / "x.hdf")
    again = TransferLibrary.load(tmp_path / "x.hdf")
    pd.testing.assert_frame_equal(again.fragment_intensity_df, made.fragment_intensity_df)
    pd.testing.assert_frame_equal(again.fragment_mask_df, made.fragment_mask_df)


def test_alphabase_reads_it(library, saved):
    stock = SpecLibBase()
    stock.load_hdf(str(saved), load_mod_seq=True)
    np.testing.assert_array_equal(stock.fragment_intensity_df.to_numpy(), library.fragment_intensity_df.to_numpy())
    assert stock.charged_frag_types == TYPES
    assert stock.precursor_df["use_for_ms2"].dtype == bool
    assert (stock.precursor_df["mods"] == library.precursor_df["mods"]).all()
    assert (stock.fragment_mz_df.to_numpy() > 0).mean() > 0.9
    stock.save_hdf(str(saved.with_name("again.hdf")))


def stock_made(library, path):
    """A library as alphaDIA writes it: rows in another order, interference as zeros, no mask."""
    stock = SpecLibBase()
    df = library.precursor_df.sample(frac=1, random_state=0)
    stock._precursor_df = df.reset_index(drop=True)
    stock._fragment_intensity_df = library.fragment_intensity_df * library.fragment_mask_df
    stock._fragment_mz_df = library.fragment_intensity_df * 0 + 500
    stock.save_hdf(str(path))


def test_library_written_by_stock_trusts_no_zeros(library, tmp_path, caplog):
    stock_made(library, tmp_path / "stock.hdf")
    with caplog.at_level(logging.WARNING):
        again = TransferLibrary.load(tmp_path / "stock.hdf")
    assert "no fragment mask" in caplog.text
    assert again.precursor_df["nAA"].is_monotonic_increasing
    intensity = again.fragment_intensity_df.to_numpy()
    np.testing.assert_array_equal(again.fragment_mask_df.to_numpy(), intensity > 0)
    key = ["sequence", "mods", "mod_sites", "charge"]
    both = again.precursor_df.merge(library.precursor_df, on=key, suffixes=("", "_old"))
    old = (library.fragment_intensity_df * library.fragment_mask_df).to_numpy()
    assert len(both) == len(library)
    for row in both.itertuples():
        np.testing.assert_array_equal(
            intensity[row.frag_start_idx : row.frag_stop_idx], old[row.frag_start_idx_old : row.frag_stop_idx_old]
        )


def test_spectra_of_less_than_three_fragments_are_not_learnt_from_a_library_of_stock(library, tmp_path):
    start = library.precursor_df["frag_start_idx"].to_numpy()
    intensity = library.fragment_intensity_df * 0
    for row, signals in enumerate((1, 2, 3)):
        intensity.iloc[start[row] : start[row] + signals, 0] = 5.0
    made = dataclasses.replace(
        library,
        precursor_df=library.precursor_df.assign(use_for_ms2=True),
        fragment_intensity_df=intensity,
        fragment_mask_df=library.fragment_mask_df | True,
    )
    stock_made(made, tmp_path / "stock.hdf")
    again = TransferLibrary.load(tmp_path / "stock.hdf").precursor_df
    assert again["use_for_ms2"].sum() == 1
    used = again[again["use_for_ms2"]].iloc[0]
    assert used["sequence"] == library.precursor_df["sequence"].iloc[2]


def cut(path):
    path.write_bytes(path.read_bytes()[:2000])


def without_library(path):
    with h5py.File(path, "a") as file:
        del file["library"]


def without_column(path):
    with h5py.File(path, "a") as file:
        del file["library/precursor_df/rt_norm"]


def with_short_mask(path):
    with h5py.File(path, "a") as file:
        mask = file["alphadia_tl/fragment_mask"][:-1]
        del file["alphadia_tl/fragment_mask"]
        file["alphadia_tl/fragment_mask"] = mask


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "does not exist"),
        (cut, "cannot be read"),
        (lambda p: p.write_text("no hdf"), "cannot be read"),
        (without_library, "cannot be read"),
        (without_column, "rt_norm"),
        (with_short_mask, "corrupt"),
    ],
)
def test_damaged_file_is_a_clear_error(saved, damage, message):
    damage(saved)
    with pytest.raises(LibraryError, match=message) as caught:
        TransferLibrary.load(saved)
    assert saved.name in str(caught.value)


def test_unknown_modifications_in_a_file_are_named(library, tmp_path):
    df = library.precursor_df.assign(mods="Odd@C")
    stock_made(dataclasses.replace(library, precursor_df=df), tmp_path / "odd.hdf")
    with pytest.raises(DataError, match="Odd@C"):
        TransferLibrary.load(tmp_path / "odd.hdf")


def test_failed_write_leaves_the_old_file(library, saved, monkeypatch):
    before = saved.read_bytes()

    def no_space(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", no_space)
    with pytest.raises(OutputError, match="No space left"):
        library.save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_shapes_must_agree(library):
    with pytest.raises(LibraryError, match="shape"):
        TransferLibrary(library.precursor_df, library.fragment_intensity_df, library.fragment_mask_df.iloc[1:])


def test_empty_library_survives(tmp_path):
    TransferLibrary.empty(TYPES, (("r", "nothing"),)).save(tmp_path / "x.hdf")
    again = TransferLibrary.load(tmp_path / "x.hdf")
    assert len(again) == 0
    assert list(again.fragment_intensity_df.columns) == TYPES
    assert again.left_out == (("r", "nothing"),)


def test_what_is_known_of_the_runs_is_kept(tmp_path):
    facts = {"a": {"run": "a", "instrument": "Astral", "nce": None, "windows": [[400.0, 410.0]]}}
    library = replace(TransferLibrary.empty(["b_z1", "y_z1"]), run_facts=facts)
    library.save(tmp_path / "x.hdf")
    assert TransferLibrary.load(tmp_path / "x.hdf").run_facts == facts
