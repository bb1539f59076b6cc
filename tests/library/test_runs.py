from __future__ import annotations

import logging
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from alphabase.spectral_library.flat import SpecLibFlat

from alphadia_tl.errors import DataError, QuantificationError
from alphadia_tl.library.fragments import block_rows, type_codes
from alphadia_tl.library.runs import read_fragments, read_precursors

from .conftest import TYPES, make_precursors, write_run


def collect_run(folder, types, **fdr):
    return read_fragments(folder, read_precursors(folder, **fdr), types)


def blocks(observations):
    """Dense values keyed by peptidoform and charge."""
    df = observations.precursor_df
    keys = zip(df["sequence"], df["mods"], df["mod_sites"], df["charge"], strict=True)
    bounds = zip(df["frag_start_idx"], df["frag_stop_idx"], strict=True)
    return {k: observations.intensity[a:b] for k, (a, b) in zip(keys, bounds, strict=True)}


def stock_dense(run):
    """What alphaDIA's accumulator makes of the folder, through alphabase."""
    flat = SpecLibFlat()
    flat._precursor_df = run.psm[run.psm["decoy"] == 0].reset_index(drop=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flat.calc_precursor_mz()
        flat._fragment_df = run.fragments
        return flat.to_speclib_base(charged_frag_types=TYPES, flat_columns=["intensity", "correlation"])


def test_dense_fragments_equal_those_of_alphabase(runs):
    started = time.perf_counter()
    ours = collect_run(runs[0].folder, TYPES)
    middle = time.perf_counter()
    stock = stock_dense(runs[0])
    print(f"dense fragments: {middle - started:.3f} s, alphabase {time.perf_counter() - middle:.3f} s")  # noqa: T201
    stock_df = stock.precursor_df
    order = ours.precursor_df.reset_index().merge(
        stock_df.reset_index(), on=["sequence", "mods", "mod_sites", "charge"], suffixes=("", "_stock")
    )
    assert len(order) == len(stock_df) == len(ours.precursor_df)
    mine = block_rows(order["frag_start_idx"].to_numpy(), order["frag_stop_idx"].to_numpy())
    theirs = block_rows(order["frag_start_idx_stock"].to_numpy(), order["frag_stop_idx_stock"].to_numpy())
    np.testing.assert_array_equal(ours.intensity[mine], stock.fragment_intensity_df.to_numpy()[theirs])
    np.testing.assert_array_equal(ours.correlation[mine], stock._fragment_correlation_df.to_numpy()[theirs])
    assert ours.intensity.dtype == np.float32


def test_dense_fragments_equal_the_truth(runs):
    ours = collect_run(runs[0].folder, TYPES)
    np.testing.assert_array_equal(ours.intensity, runs[0].intensity)
    assert ours.quantified.all()
    assert ours.types_seen.all()


@pytest.mark.parametrize("types", [["y_z1", "b_z1"], ["y_z2"], ["b_z1", "y_z1", "y_H2O_z1"]])
def test_columns_follow_the_asked_types(runs, types):
    ours = collect_run(runs[0].folder, types)
    for column, name in enumerate(types):
        truth = runs[0].intensity[:, TYPES.index(name)] if name in TYPES else np.zeros(len(runs[0].intensity))
        np.testing.assert_array_equal(ours.intensity[:, column], truth)
        assert ours.types_seen[column] == (name in TYPES)


def test_type_codes_are_those_of_alphabase():
    assert type_codes(["b_z1", "y_z2", "y_modloss_z1"]).tolist() == [
        98 << 16 | 1,
        121 << 16 | 2,
        121 << 16 | 98 << 8 | 1,
    ]
    with pytest.raises(DataError, match="q_z1"):
        type_codes(["q_z1"])


def test_fragments_belong_to_precursor_index_and_rank(tmp_path, precursors):
    run = write_run(tmp_path / "run", precursors, seed=1)
    intruders = run.fragments.assign(rank=run.fragments["rank"] + 10, intensity=np.float32(1e9))
    pd.concat([run.fragments, intruders]).to_parquet(run.folder / "frag.transfer.parquet")
    np.testing.assert_array_equal(collect_run(run.folder, TYPES).intensity, run.intensity)


def test_decoys_and_precursors_above_the_fdr_are_left_out(tmp_path, precursors):
    qval = np.full(len(precursors), 0.005)
    qval[:10], qval[10] = 0.02, np.nan
    decoy = np.zeros(len(precursors), dtype=np.uint8)
    decoy[20:25] = 1
    run = write_run(tmp_path / "run", precursors, 1, psm_changes={"qval": qval, "decoy": decoy})
    assert len(collect_run(run.folder, TYPES).precursor_df) == len(precursors) - 16
    assert len(collect_run(run.folder, TYPES, fdr=0.05).precursor_df) == len(precursors) - 6


def test_missing_modifications_become_empty_text(tmp_path, precursors):
    mods = precursors["mods"].where(precursors["mods"] != "", None)
    sites = precursors["mod_sites"].where(precursors["mod_sites"] != "", "nan")
    run = write_run(tmp_path / "run", precursors, 1)
    pd.read_parquet(run.folder / "psm.parquet").assign(mods=mods, mod_sites=sites).to_parquet(
        run.folder / "psm.parquet"
    )
    ours = collect_run(run.folder, TYPES).precursor_df
    assert (ours["mods"] == "").sum() == (precursors["mods"] == "").sum() > 0
    assert (ours["mod_sites"] == "").sum() == (precursors["mod_sites"] == "").sum()


def test_repeated_and_timeless_rows_are_dropped_and_counted(tmp_path, precursors, caplog):
    run = write_run(tmp_path / "run", precursors, 1)
    twice = pd.concat([run.psm, run.psm.head(4)])
    twice["rt_observed"] = twice["rt_observed"].where(np.arange(len(twice)) != 50, np.nan)
    twice.to_parquet(run.folder / "psm.parquet")
    with caplog.at_level(logging.WARNING):
        ours = collect_run(run.folder, TYPES)
    assert len(ours.precursor_df) == len(precursors) - 1
    assert "4 repeated rows" in caplog.text
    assert "1 precursors without" in caplog.text


def test_best_of_repeated_candidates_stays(tmp_path, precursors):
    run = write_run(tmp_path / "run", precursors, 1)
    worse = run.psm.head(5).assign(rank=9, proba=np.float32(0.9), rt_observed=np.float32(1.0))
    pd.concat([worse, run.psm]).to_parquet(run.folder / "psm.parquet")
    ours = collect_run(run.folder, TYPES)
    assert (ours.precursor_df["rt_observed"] > 1).all()
    assert ours.quantified.all()


def test_mobility_of_data_without_it_is_missing(tmp_path, precursors):
    without = write_run(tmp_path / "without", precursors, 1)
    with_it = write_run(tmp_path / "with", precursors, 1, mobility=True)
    assert collect_run(without.folder, TYPES).precursor_df["mobility"].isna().all()
    assert collect_run(with_it.folder, TYPES).precursor_df["mobility"].between(0.5, 1).all()


def test_range_of_signal_is_that_of_fragments_with_signal(runs):
    fragments = runs[0].fragments
    signal = fragments.loc[fragments["intensity"] > 0, "mz_library"]
    assert collect_run(runs[0].folder, TYPES).fragment_mz == pytest.approx((signal.min(), signal.max()))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_middle(path):
    data = bytearray(path.read_bytes())
    data[4:4000] = bytes(3996)
    path.write_bytes(bytes(data))


def drop(column):
    return lambda path: pd.read_parquet(path).drop(columns=column).to_parquet(path)


def shift_positions(path):
    frame = pd.read_parquet(path)
    frame.assign(position=frame["position"] + 30).to_parquet(path)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("psm.parquet", lambda p: p.unlink(), "psm.parquet is missing"),
        ("frag.transfer.parquet", lambda p: p.unlink(), "transfer_library.enabled"),
        ("psm.parquet", truncate, "cannot be read"),
        ("frag.transfer.parquet", truncate, "cannot be read"),
        ("frag.transfer.parquet", flip_middle, "cannot be read"),
        ("psm.parquet", lambda p: p.write_bytes(b""), "cannot be read"),
        ("psm.parquet", drop("rt_observed"), "lacks the column.s. rt_observed"),
        ("frag.transfer.parquet", drop(["correlation", "position"]), "correlation, position"),
        ("frag.transfer.parquet", shift_positions, "positions outside"),
    ],
)
def test_unreadable_run_is_named(tmp_path, precursors, name, damage, message):
    run = write_run(tmp_path / "my_run", precursors, 1)
    damage(run.folder / name)
    with pytest.raises(QuantificationError, match=message) as caught:
        collect_run(run.folder, TYPES)
    assert "my_run" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"mods": "Nonsense@C", "mod_sites": "1"}, "unknown modification Nonsense@C"),
        ({"mods": "Oxidation@M", "mod_sites": "1"}, "Oxidation@M where it cannot be"),
        ({"charge": 0}, "charge other than 1 to 10"),
        ({"sequence": "cPEPTIDEK"}, "no sequence"),
    ],
)
def test_what_cannot_be_learnt_is_left_out_and_named(tmp_path, change, told, caplog):
    run = write_run(tmp_path / "run", make_precursors(5, np.random.default_rng(0)), 1)
    odd = run.psm.index == 3
    run.psm.assign(**{c: run.psm[c].where(~odd, v) for c, v in change.items()}).to_parquet(run.folder / "psm.parquet")
    assert len(collect_run(run.folder, TYPES).precursor_df) == len(run.psm) - 1
    assert f"1 of {len(run.psm)} rows for run 'run' cannot be learnt: {told}" in caplog.text
    run.psm.assign(**change).to_parquet(run.folder / "psm.parquet")
    with pytest.raises(DataError, match=told):
        collect_run(run.folder, TYPES)
