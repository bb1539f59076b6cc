"""Gained precursors are held against the library of the pass before, which has learnt nothing from them."""

import numpy as np
import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.errors import QuantificationError
from alphadia_tl.validate import expected_times
from alphadia_tl.validate.drift import alarms, measure, measure_folders
from alphadia_tl.validate.expected_times import EXPECTED, library_precursors, library_times, with_expected_times
from validate.test_drift import DECOYS, GRADIENT, SHARED, a_pass, rows

PRECURSOR = ["sequence", "mods", "mod_sites", "charge"]
TRUE = rows(120, seed=21)
# Seen at any time, and expected just there by the library of the pass itself.
LEARNT = rows(150, seed=22, rt_error=2.0)
FIRST = a_pass(SHARED, DECOYS)
SECOND = a_pass(SHARED, TRUE, LEARNT, DECOYS)


def times_of(*tables, seed=30):
    """Library times on a scale of their own that bends; of what was learnt by heart they are anything."""
    df = pd.concat(tables)
    df = df.assign(rt_library=np.sqrt(df["rt_calibrated"] / GRADIENT))
    wrong = df["sequence"].isin(LEARNT["sequence"])
    df.loc[wrong, "rt_library"] = np.random.default_rng(seed).uniform(0, 1, wrong.sum())
    return df[[*PRECURSOR, "rt_library"]].drop_duplicates(PRECURSOR)


TIMES = times_of(SHARED, TRUE, LEARNT)


def saved(folder, times):
    library = SpecLibBase()
    library._precursor_df = times.assign(nAA=times["sequence"].str.len(), precursor_mz=500.0)
    library._fragment_mz_df = library._fragment_intensity_df = pd.DataFrame({"b_z1": [0.0]})
    library.save_hdf(str(folder / "speclib.hdf"))


def test_wrong_identifications_that_were_learnt_by_heart_raise_the_alarm():
    assert alarms(measure(FIRST, SECOND)) == []  # by its own library the later pass is fine
    [found] = alarms(measure(*with_expected_times(FIRST, SECOND, TIMES)))
    assert "gained precursors elute within" in found


def test_true_gained_precursors_agree_whatever_the_scale_of_the_library():
    second = a_pass(SHARED, TRUE, DECOYS)
    for times in (TIMES, TIMES.assign(rt_library=np.exp(3 * TIMES["rt_library"]) - 40)):
        figures = measure(*with_expected_times(FIRST, second, times))
        assert figures.rt_agreement_gained > 0.9
        assert figures.rt_agreement_decoys is None
        assert alarms(figures) == []


def test_times_are_laid_onto_each_run_and_nothing_is_expected_where_little_is_known():
    few = SHARED.head(49).assign(run="few")
    late = SHARED.assign(run="late", rt_observed=SHARED["rt_observed"] + 300)
    first = a_pass(SHARED, late, few, DECOYS)
    unknown = rows(5, seed=40)
    one, two = with_expected_times(first, a_pass(first, unknown), TIMES)
    difference = (two["rt_observed"] - two[EXPECTED]).abs()
    for run in ("run_1", "late"):
        here = (two["run"] == run) & (two["decoy"] == 0) & ~two["sequence"].isin(unknown["sequence"])
        assert difference[here].median() < 6
    assert two.loc[two["run"] == "few", EXPECTED].isna().all()
    assert two.loc[two["decoy"] != 0, EXPECTED].isna().all()
    assert two.loc[two["sequence"].isin(unknown["sequence"]), EXPECTED].isna().all()
    assert len(one) == len(first)
    assert len(two) == len(first) + 5


@pytest.mark.parametrize("name", ["rt", "rt_norm", "rt_pred", "irt"])
def test_the_saved_library_is_read_whatever_its_column_is_called(tmp_path, monkeypatch, name):
    saved(tmp_path, TIMES.rename(columns={"rt_library": name}))
    monkeypatch.setattr(expected_times, "ROWS", 500)
    read = library_times(tmp_path, TIMES["sequence"])
    pd.testing.assert_frame_equal(read, TIMES.reset_index(drop=True), check_dtype=False)
    some = library_times(tmp_path, SHARED["sequence"])
    assert set(some["sequence"]) == set(SHARED["sequence"])


def test_without_a_library_or_times_in_it_there_is_none(tmp_path):
    assert library_times(tmp_path, ["PEPTIDEK"]) is None
    saved(tmp_path, TIMES.drop(columns="rt_library"))
    assert library_times(tmp_path, ["PEPTIDEK"]) is None


def test_a_damaged_library_is_named(tmp_path):
    (tmp_path / "speclib.hdf").write_text("no")
    with pytest.raises(QuantificationError, match=r"speclib\.hdf"):
        library_times(tmp_path, ["PEPTIDEK"])


def test_folders_are_compared_by_the_library_of_the_first(tmp_path):
    for folder, table in (("first", FIRST), ("second", SECOND)):
        quant = tmp_path / folder / "quant" / "run_1"
        quant.mkdir(parents=True)
        table.drop(columns="run").to_parquet(quant / "psm.parquet")
    own = measure_folders(tmp_path / "first", tmp_path / "second")
    saved(tmp_path / "first", TIMES)
    by_library = measure_folders(tmp_path / "first", tmp_path / "second")
    assert by_library.rt_agreement_gained < 0.7 < own.rt_agreement_gained


def test_precursors_are_read_from_a_library_without_times_too(tmp_path):
    saved(tmp_path, TIMES.drop(columns="rt_library"))
    wanted = TIMES["sequence"].unique()[:5]
    found = library_precursors(tmp_path / "speclib.hdf", wanted)
    assert list(found.columns) == PRECURSOR
    assert sorted(found["sequence"].unique()) == sorted(wanted)
