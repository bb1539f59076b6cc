from __future__ import annotations

import importlib
import logging

import numpy as np
import pandas as pd
import pytest
from alphabase.peptide.precursor import update_precursor_mz

from alphadia_tl.errors import DataError, QuantificationError
from alphadia_tl.library.collect import Wanted, collect
from alphadia_tl.library.transfer_library import describe
from alphadia_tl.settings import TransferLibrarySettings

from .conftest import TYPES, make_precursors, write_run

KEY = ["sequence", "mods", "mod_sites", "charge"]


def collected(runs, *, seed=0, fail_fast=True, settings=None, **changes):
    folders = [getattr(r, "folder", r) for r in runs]
    generator = np.random.default_rng(seed)
    settings = settings or TransferLibrarySettings()
    return collect(folders, settings, Wanted(TYPES, **changes), fail_fast=fail_fast, generator=generator)


def assert_same(one, two):
    pd.testing.assert_frame_equal(one.precursor_df, two.precursor_df)
    pd.testing.assert_frame_equal(one.fragment_intensity_df, two.fragment_intensity_df)
    pd.testing.assert_frame_equal(one.fragment_mask_df, two.fragment_mask_df)
    assert one.left_out == two.left_out


def test_library_fulfils_the_contract(runs):
    library = collected(runs)
    df = library.precursor_df
    assert {"precursor_mz", "rt_norm", "rt_observed", "proba", "raw_name", "use_for_ms2"} <= set(df.columns)
    assert not {"mobility", "ccs", "_candidate", "_key"} & set(df.columns)
    assert df["nAA"].is_monotonic_increasing
    assert df.index.equals(pd.RangeIndex(len(df)))
    assert (df["frag_stop_idx"] - df["frag_start_idx"] == df["nAA"] - 1).all()
    assert df["frag_stop_idx"].iloc[-1] == len(library.fragment_intensity_df)
    assert library.fragment_intensity_df.to_numpy().dtype == np.float32
    assert library.fragment_mask_df.dtypes.eq(bool).all()
    assert df["use_for_ms2"].dtype == bool
    assert df["rt_norm"].between(0, 1).all()
    assert df["precursor_mz"].between(150, 2000).all()


def test_every_block_is_the_one_of_its_run(runs):
    library = collected(runs)
    values = library.fragment_intensity_df.to_numpy()
    by_name = {r.folder.name: r for r in runs}
    stops = {n: (r.psm["sequence"].str.len() - 1).cumsum().to_numpy() for n, r in by_name.items()}
    for row in library.precursor_df.itertuples():
        run = by_name[row.raw_name]
        at = run.psm.index[(run.psm[KEY] == [getattr(row, k) for k in KEY]).all(axis=1)][0]
        stop = stops[row.raw_name][at]
        expected = run.intensity[stop - row.nAA + 1 : stop]
        np.testing.assert_array_equal(values[row.frag_start_idx : row.frag_stop_idx], expected)


@pytest.mark.parametrize("max_precursors", [None, 60])
def test_order_of_folders_changes_nothing(runs, max_precursors):
    settings = TransferLibrarySettings(top_k_samples=2)
    one = collected(runs, max_precursors=max_precursors, settings=settings)
    for order in ([2, 0, 1], [1, 2, 0]):
        assert_same(one, collected([runs[i] for i in order], max_precursors=max_precursors, settings=settings))


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_best_observations_per_peptidoform_and_charge(runs, top_k):
    library = collected(runs, settings=TransferLibrarySettings(top_k_samples=top_k))
    every = pd.concat([r.psm.assign(raw_name=r.folder.name) for r in runs])
    expected = every.sort_values("proba").groupby(KEY).head(top_k)
    merged = library.precursor_df.merge(expected, on=[*KEY, "raw_name"], how="outer", indicator=True)
    assert (merged["_merge"] == "both").all()
    assert set(library.precursor_df["charge"]) == {2, 3}


def test_charge_states_that_score_worse_are_not_lost(tmp_path, precursors):
    """Charge 3 always scores worse: picking the best three per peptidoform alone would leave no charge 3."""
    proba = np.where(precursors["charge"] == 3, 0.4, 0.01).astype(np.float32)
    runs = [write_run(tmp_path / f"r{i}", precursors, i, psm_changes={"proba": proba}) for i in range(3)]
    df = collected(runs).precursor_df
    assert df["charge"].value_counts().to_dict() == {2: 3 * len(precursors) // 2, 3: 3 * len(precursors) // 2}


def test_a_fragment_type_that_a_run_did_not_look_for_is_not_trusted(runs):
    types, generator = [*TYPES, "y_H2O_z1"], np.random.default_rng(0)
    folders = [r.folder for r in runs]
    library = collect(folders, TransferLibrarySettings(), Wanted(types), fail_fast=True, generator=generator)
    assert not library.fragment_mask_df["y_H2O_z1"].any()
    assert library.fragment_mask_df[TYPES].any().all()


def test_each_precursor_has_its_mz_calculated_once(monkeypatch, runs):
    """A guard on the amount of work: three runs observe the same precursors."""
    module = importlib.import_module("alphadia_tl.library.collect")
    homes = {"update_precursor_mz": module, "theoretical_mz": module.fragments}
    rows = {"update_precursor_mz": 0, "theoretical_mz": 0}

    def counted(name, function):
        def call(df, *args):
            rows[name] += len(df)
            return function(df, *args)

        return call

    for name in rows:
        monkeypatch.setattr(homes[name], name, counted(name, getattr(homes[name], name)))
    library = collected(runs)
    distinct = len(library.precursor_df.drop_duplicates(KEY))
    assert len(library.precursor_df) > distinct
    assert rows == {"update_precursor_mz": distinct, "theoretical_mz": distinct}
    expected = update_precursor_mz(library.precursor_df.drop(columns="precursor_mz"))
    np.testing.assert_array_equal(library.precursor_df["precursor_mz"], expected["precursor_mz"])


def test_too_many_precursors_are_sampled_by_peptide(runs, caplog):
    with caplog.at_level(logging.INFO):
        df = collected(runs, max_precursors=60).precursor_df
    assert 50 <= len(df.drop_duplicates(KEY)) <= 60
    assert df.groupby("sequence")["charge"].nunique().eq(2).all()
    assert "random sample of 30 peptides" in caplog.text
    other = collected(runs, max_precursors=60, seed=1).precursor_df
    assert set(other["sequence"]) != set(df["sequence"])


def test_interference_is_masked_and_kept(runs):
    library = collected(runs)
    intensity, mask = library.fragment_intensity_df.to_numpy(), library.fragment_mask_df.to_numpy()
    masked = ~mask
    assert 0.02 < (masked & (intensity > 0)).sum() / (intensity > 0).sum() < 0.5
    assert mask[intensity == 0].mean() > 0.9


@pytest.mark.parametrize("bad", [np.nan, -5.0])
def test_unsound_intensities_are_untrusted_zeros(tmp_path, precursors, bad):
    run = write_run(tmp_path / "r", precursors, 1)
    before = collected([run]).fragment_intensity_df["b_z1"].to_numpy()
    place = run.fragments["number"] == 3
    run.fragments["intensity"] = run.fragments["intensity"].where(~place, np.float32(bad))
    run.fragments.to_parquet(run.folder / "frag.transfer.parquet")
    library = collected([run])
    assert np.isfinite(library.fragment_intensity_df.to_numpy()).all()
    assert (library.fragment_intensity_df.to_numpy() >= 0).all()
    third = library.precursor_df["frag_start_idx"].to_numpy() + 2
    hit = third[before[third] > 0]
    assert len(hit) > 50
    assert not library.fragment_mask_df["b_z1"].to_numpy()[hit].any()
    assert (library.fragment_intensity_df["b_z1"].to_numpy()[hit] == 0).all()


def test_rows_without_signal_make_no_difference(tmp_path, precursors):
    """alphaDIA writes rows for fragments with signal only; a row that says zero must mean the same as none."""
    run = write_run(tmp_path / "r", precursors, 1)
    sparse = collected([run])
    absent = run.fragments[run.fragments["type"] == 121]
    absent = absent.assign(type=np.uint8(98), intensity=np.float32(0), correlation=np.float32(0))
    columns = ["precursor_idx", "rank", "position", "type", "charge", "loss_type"]
    both = pd.concat([run.fragments, absent]).drop_duplicates(columns)
    assert (both["intensity"] == 0).sum() > 100
    both.to_parquet(run.folder / "frag.transfer.parquet")
    assert_same(sparse, collected([run]))


def test_precursors_without_fragments_are_kept_for_time_and_charge_only(tmp_path, precursors):
    run = write_run(tmp_path / "r", precursors, 1)
    gone = run.psm["precursor_idx"].iloc[:6]
    run.fragments[~run.fragments["precursor_idx"].isin(gone)].to_parquet(run.folder / "frag.transfer.parquet")
    library = collected([run])
    assert len(library) == len(precursors)
    unused = library.precursor_df[~library.precursor_df["use_for_ms2"]]
    rows = library.precursor_df.merge(run.psm.iloc[:6][KEY], on=KEY)
    assert len(rows) == 6
    assert set(rows["frag_start_idx"]) <= set(unused["frag_start_idx"])
    for row in rows.itertuples():
        assert not library.fragment_mask_df.iloc[row.frag_start_idx : row.frag_stop_idx].to_numpy().any()


def test_zeros_outside_the_fragment_range_are_masked(runs):
    wide, narrow = collected(runs), collected(runs, fragment_mz=(300.0, 900.0))
    pd.testing.assert_frame_equal(wide.fragment_intensity_df, narrow.fragment_intensity_df)
    intensity = wide.fragment_intensity_df.to_numpy()
    lost = wide.fragment_mask_df.to_numpy() & ~narrow.fragment_mask_df.to_numpy()
    assert lost.sum() > 0
    assert (intensity[lost] == 0).all()


def test_mixed_gradients_come_out_aligned(tmp_path):
    precursors = make_precursors(200, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    unit = precursors["rt_true"].to_numpy() / 3600
    times = {"hour": 3600 * unit, "half": 1800 * unit**1.2, "other": 60 + 1700 * unit}
    runs = [
        write_run(tmp_path / name, precursors, i, psm_changes={"rt_observed": t + rng.normal(0, 2, len(t))})
        for i, (name, t) in enumerate(times.items())
    ]
    spread = {}
    for align in (True, False):
        df = collected(runs, settings=TransferLibrarySettings(norm_delta_max=align)).precursor_df
        assert df["rt_norm"].between(0, 1).all()
        spread[align] = df.groupby(KEY)["rt_norm"].agg(np.ptp).median()
    assert spread[True] < 0.005 < 0.02 < spread[False]


def test_mobility_gives_ccs(tmp_path, precursors):
    runs = [write_run(tmp_path / "tims", precursors, 1, mobility=True), write_run(tmp_path / "tof", precursors, 2)]
    df = collected(runs).precursor_df
    tims = df["raw_name"] == "tims"
    assert df.loc[tims, "ccs"].between(100, 2000).all()
    assert df.loc[~tims, ["mobility", "ccs"]].isna().all(axis=None)


def test_unreadable_run_stops_or_is_left_out(runs, caplog):
    (runs[1].folder / "frag.transfer.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(QuantificationError, match="run_1"):
        collected(runs)
    with caplog.at_level(logging.WARNING):
        library = collected(runs, fail_fast=False)
    assert [name for name, _ in library.left_out] == ["run_1"]
    assert "run_1" in caplog.text
    assert set(library.precursor_df["raw_name"]) == {"run_0", "run_2"}
    assert_same(
        collected([runs[0], runs[2]]), type(library)(*(getattr(library, f) for f in list(library.__dict__)[:3]), ())
    )


def test_no_readable_run_is_an_error_naming_all(runs):
    for run in runs:
        (run.folder / "psm.parquet").unlink()
    with pytest.raises(QuantificationError) as caught:
        collected(runs, fail_fast=False)
    assert all(f"run_{i}" in str(caught.value) for i in range(3))


def test_constant_retention_time_stops_or_is_left_out(tmp_path, runs, precursors):
    flat = write_run(tmp_path / "flat", precursors, 9, psm_changes={"rt_observed": np.float32(60)})
    with pytest.raises(DataError, match="flat"):
        collected([*runs, flat])
    assert [n for n, _ in collected([*runs, flat], fail_fast=False).left_out] == ["flat"]


def test_a_run_of_which_nothing_can_be_learnt_stops_or_is_left_out(tmp_path, runs, precursors):
    write_run(tmp_path / "odd", precursors, 9)
    psm = pd.read_parquet(tmp_path / "odd" / "psm.parquet").assign(mods="Odd@C")
    psm.to_parquet(tmp_path / "odd" / "psm.parquet")
    with pytest.raises(DataError, match="Odd@C"):
        collected([*runs, tmp_path / "odd"])
    assert [name for name, _ in collected([*runs, tmp_path / "odd"], fail_fast=False).left_out] == ["odd"]


@pytest.mark.parametrize(("n", "words"), [(0, "no precursor"), (1, "only one precursor")])
def test_run_without_identifications_gives_an_empty_library_not_an_error(tmp_path, precursors, n, words):
    qval = np.where(np.arange(len(precursors)) < n, 0.001, 1.0)
    run = write_run(tmp_path / "r", precursors, 1, psm_changes={"qval": qval})
    library = collected([run])
    assert len(library) == 0
    assert words in library.left_out[0][1]
    library.save(tmp_path / "x.hdf")
    assert describe(library)["observations"] == 0


@pytest.mark.parametrize("n", [2, 4])
def test_a_handful_of_precursors_is_enough_to_collect(tmp_path, precursors, n):
    run = write_run(tmp_path / "r", precursors.iloc[::20].head(n), 1)
    assert len(collected([run])) == n


def test_two_folders_of_one_name_are_refused_and_one_given_twice_is_not(tmp_path, runs, precursors):
    twin = write_run(tmp_path / "elsewhere" / "run_0", precursors, 4)
    with pytest.raises(QuantificationError, match="run_0"):
        collected([*runs, twin])
    assert_same(collected([*runs, runs[0]]), collected(runs))


def test_no_folders_is_an_error():
    with pytest.raises(QuantificationError, match="no run folders"):
        collected([])


def test_description_counts(runs):
    library = collected(runs)
    counts = describe(library)
    assert counts["runs"] == 3
    assert counts["observations"] == len(library)
    assert counts["precursors"] == len(library.precursor_df.drop_duplicates(KEY))
    assert sum(counts["charges"].values()) == len(library)
    assert set(counts["modifications"]) == {"Carbamidomethyl@C", "Oxidation@M"}
    assert 0 < counts["masked_signal_fraction"] < 1
    assert 0 < counts["used_for_ms2"] <= len(library)


def test_further_parts_of_the_library_are_runs_of_their_own(tmp_path, precursors):
    """Each search has its own times; the quantification of one run lies in folders of the same name."""
    half = len(precursors) // 2
    folders = [tmp_path / "quant" / "run", tmp_path / "slice_2" / "quant" / "run"]
    for seed, (folder, rows) in enumerate(zip(folders, (precursors[:half], precursors[half:]), strict=True)):
        write_run(folder, rows.reset_index(drop=True), seed=seed)
    library = collected(folders)
    assert set(library.precursor_df["raw_name"]) == {"run", "run (part 2)"}
    assert set(library.precursor_df["sequence"]) == set(precursors["sequence"])
