import csv
import gzip
import sqlite3

import numpy as np
import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase
from e2e.support import SHARED, needs_shared
from made_psms import (
    RUN,
    TYPES,
    alphadia,
    diann,
    diann2,
    fragpipe,
    library,
    made_truth,
    maxquant,
    openswath,
    sage,
    spectronaut,
    write_blib,
    write_dlib,
    write_mzspeclib,
    write_tsv,
)
from scipy.stats import spearmanr

from alphadia_tl.errors import DataError
from alphadia_tl.exchange.export import FORMATS, export_library
from alphadia_tl.library.collect import Wanted
from alphadia_tl.library.psm_tables import read_psms
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.settings import TransferLibrarySettings

PEPTIDOFORM = ["sequence", "mods", "mod_sites", "charge"]
TRUTH = made_truth()


def read(paths, **how):
    return read_psms(paths, Wanted(TYPES), TransferLibrarySettings(), generator=np.random.default_rng(0), **how)


def write(table, path):
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        write_tsv(table, path)


def table_of(make):
    return lambda df, path: write(make(df), path)


# What writes it, its name, what is special: fragments, of whole spectra; no mobility; times without a unit.
PROGRAMS = {
    "DIA-NN 1.8": (table_of(diann), "report.tsv", "ms2"),
    "DIA-NN 2": (table_of(diann2), "report.parquet", "ms2"),
    "Spectronaut": (table_of(spectronaut), "report.tsv", "ms2"),
    "MaxQuant": (table_of(maxquant), "msms.txt", "ms2 whole"),
    "FragPipe": (table_of(fragpipe), "psm.tsv", ""),
    "Sage with labels": (table_of(lambda df: sage(df).drop(columns="is_decoy").assign(label=1)), "s.tsv", ""),
    "texts as categories": (table_of(lambda df: diann(df).astype({"Run": "category"})), "r.parquet", "ms2"),
    "Sage": (table_of(sage), "results.sage.tsv", ""),
    "alphaDIA": (table_of(alphadia), "precursors.parquet", ""),
    "alphabase": (table_of(lambda df: df.drop(columns="ions").assign(rt=df["rt"] / 60)), "psm.tsv", ""),
    "library": (table_of(library), "lib.tsv", "unitless ms2"),
    "library, parquet": (table_of(library), "lib.parquet", "unitless ms2"),
    "OpenSWATH": (table_of(openswath), "lib.tsv", "unitless ms2"),
    "blib": (write_blib, "lib.blib", "ms2"),
    "dlib": (write_dlib, "lib.dlib", "no mobility ms2"),
    "elib of whole spectra": (lambda df, path: write_dlib(df, path, noise=4), "lib.elib", "no mobility ms2 whole"),
    "mzSpecLib": (write_mzspeclib, "lib.mzlib.txt", "no mobility ms2"),
}  # fmt: skip


@pytest.mark.parametrize("form", PROGRAMS)
def test_all_programs_files_of_one_truth_give_its_observations(tmp_path, form):
    make, name, has = PROGRAMS[form]
    path = tmp_path / name
    make(TRUTH, path)
    made = read(path)
    df = made.precursor_df
    got = df.merge(TRUTH.drop(columns=["nAA", "mobility", "precursor_mz"]), on=PEPTIDOFORM)
    assert len(got) == len(df) == len(TRUTH)
    if "unitless" not in has:
        np.testing.assert_allclose(got["rt_observed"], got["rt"], rtol=1e-4)
    else:
        assert df["rt_observed"].isna().all()
    low, high = TRUTH["rt"].min(), TRUTH["rt"].max()
    np.testing.assert_allclose(got["rt_norm"], (got["rt"] - low) / (high - low), atol=1e-4)
    if "no mobility" in has:
        assert "CCS is not tuned: there is no ion mobility" in made.notes
    else:
        assert df["mobility"].between(0.7, 1).all()
        assert df["ccs"].gt(100).all()
    assert df["use_for_ms2"].any() == ("ms2" in has)
    if "ms2" in has:
        check_spectra(made, got, whole="whole" in has)
    else:
        assert any("MS2 is not tuned" in note for note in made.notes)


def check_spectra(made, got, *, whole):
    intensity, mask = made.fragment_intensity_df.to_numpy(), made.fragment_mask_df.to_numpy()
    for row in got.itertuples():
        expected = np.zeros((row.nAA - 1, 2))
        for series, number, _, value in row.ions:
            expected[number - 1 if series == "b" else row.nAA - 1 - number, "by".index(series)] = value
        here = slice(row.frag_start_idx, row.frag_stop_idx)
        trusted = mask[here] & (intensity[here] > 0)
        np.testing.assert_array_equal(intensity[here][trusted], expected[trusted])
        assert trusted.sum() >= 0.8 * (expected > 0).sum()  # a peak may be several ions
    zeros = mask & (intensity == 0)
    assert zeros.any() == whole
    assert zeros.mean() > 0.2 or not whole


def report(**changes):
    return diann(TRUTH).assign(**{k.replace("_", "."): v for k, v in changes.items()})


def as_text(table=None, **how):
    return (report() if table is None else table).to_csv(sep=how.pop("sep", "\t"), index=False, **how)


@pytest.mark.parametrize(
    "data",
    {
        "gzip": gzip.compress(as_text().encode()),
        "Windows": as_text(lineterminator="\r\n").encode(),
        "comma": as_text(sep=",").encode(),
        "decimal comma": as_text(sep=";", decimal=",").encode(),
        "quotes around all": as_text(quoting=csv.QUOTE_ALL).encode(),
        "a lone quote": as_text(report(Genes='"5 prime'), quoting=csv.QUOTE_NONE, quotechar="'").encode(),
        "UTF-8 with a mark": as_text().encode("utf-8-sig"),
        "UTF-16": as_text().encode("utf-16"),
        "Latin 1": as_text(report(Genes="\u00e9")).encode("latin-1"),
        "other order": as_text(report()[sorted(report().columns)]).encode(),
        "decoys": as_text(pd.concat([report(Decoy=0), report(Decoy=1, Run="other")])).encode(),
        "above the FDR": as_text(pd.concat([report(), report(Q_Value=0.02, Run="other")])).encode(),
        "above the global FDR": as_text(pd.concat([report(), report(Global_Q_Value=0.02, Run="other")])).encode(),
        "columns twice": as_text(pd.concat([report(), report()[["RT"]]], axis=1)).encode(),
        "infinite": as_text(pd.concat([report(), report(Run="other", RT=np.inf)])).encode(),
        "repeated": as_text(pd.concat([report(Q_Value=0.0), report(RT=5.0)])).encode(),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_table_is_read_however_it_is_written(tmp_path, data):
    plain, other = tmp_path / "a.tsv", tmp_path / "r\u00e9sultats \u65e5.tsv"
    write_tsv(report(), plain)
    other.write_bytes(data[1])
    pd.testing.assert_frame_equal(
        read(other).precursor_df.drop(columns="proba"), read(plain).precursor_df.drop(columns="proba")
    )


BAD = {
    "zero bytes": (b"", "is no table, but empty"),
    "zero bytes, packed": (gzip.compress(b""), "is no table, but empty"),
    "a web page": (b"\n<!DOCTYPE html><html></html>", "is no table, but a web page"),
    "binary": (bytes(range(256)) * 9, "but a binary file"),
    "Excel": (b"PK\x03\x04" + bytes(99), "an Excel file"),
    "XML": (b"<?xml version='1.0'?><a/>", "but XML"),
    "HDF": (b"\x89HDF\r\n\x1a\n" + bytes(99), "give it as --transfer-library, or a base library as --library"),
    "broken parquet": (b"PAR1" + bytes(99), "cannot be read"),
    "mzSpecLib without precursors": (b"<mzSpecLib>\n<Spectrum=1>\n", "it names no peptidoforms"),
    "broken gzip": (gzip.compress(as_text().encode())[:3000], "cannot be read"),
    "broken database": (b"SQLite format 3\0" + bytes(999), "cannot be read as a spectral library"),
    "no rows": (as_text(report()[:0]).encode(), "has columns, but no rows"),
    "other columns": (b"a\tb\n1\t2\n", "is no table of a known program.  Its columns are: a, b"),
    "a column less": (as_text(report().drop(columns="Precursor.Charge")).encode(), "For a DIA-NN report it lacks P"),
    "no row at the FDR": (as_text(report(Q_Value=0.5)).encode(), "none of its 90 rows are targets with Q.Val"),
    "decoys only": (as_text(report(Decoy=1)).encode(), "none of its 90 rows are targets"),
    "unknown modification": (as_text(report(Modified_Sequence="AS(Foo)K")).encode(), "unknown modification Foo@S: 90"),
    "unknown number": (as_text(report(Modified_Sequence="AS(UniMod:99999)K")).encode(), "UniMod:99999@S: 90"),
    "no sequences": (as_text(report(Modified_Sequence="")).encode(), "no sequence of 2 to 198 residues"),
    "texts as charges": (as_text(report(Precursor_Charge="two")).encode(), "charge other than 1 to 10: 90"),
    "a label": (as_text(maxquant(TRUTH).assign(**{"m/z": 229 + TRUTH["precursor_mz"]})).encode(), "do not explain: 90"),
    "run names": (as_text(pd.concat([report(), report(File_Name="b/run_1.raw")])).encode(), "several files have the"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_one_error_that_names_the_file_and_the_reason(tmp_path, case):
    data, reason = BAD[case]
    path = tmp_path / "given.tsv"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_spectra_without_peaks_and_drift_times_are_no_reason_to_stop(tmp_path):
    write_blib(TRUTH, tmp_path / "a.blib")
    with sqlite3.connect(tmp_path / "a.blib") as db:
        db.execute("DELETE FROM RefSpectraPeaks WHERE RefSpectraID < 4")
        db.execute("UPDATE RefSpectra SET numPeaks = 0 WHERE id < 4")
        db.execute("UPDATE RefSpectra SET ionMobilityType = 1, ionMobility = 12.5")
    db.close()
    made = read(tmp_path / "a.blib")
    assert made.precursor_df["use_for_ms2"].sum() >= len(TRUTH) - 5
    assert len(made) == len(TRUTH)
    assert "mobility" not in made.precursor_df.columns  # drift times


def test_a_database_of_something_else_and_a_damaged_spectrum_are_told(tmp_path):
    write_dlib(TRUTH, tmp_path / "a.dlib")
    with sqlite3.connect(tmp_path / "a.dlib") as db:
        db.execute("UPDATE entries SET MassArray = substr(MassArray, 1, 20)")
        db.commit()
    db.close()
    with pytest.raises(DataError, match="a spectrum is damaged"):
        read(tmp_path / "a.dlib")
    with sqlite3.connect(tmp_path / "b.db") as db:
        db.execute("CREATE TABLE x (y int)")
    db.close()
    with pytest.raises(DataError, match="but no BiblioSpec or EncyclopeDIA library"):
        read(tmp_path / "b.db")


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_exported_is_read_without_its_decoys(tmp_path, name):
    made = SpecLibBase(list(TYPES))
    named = {
        "rt_norm_pred": (TRUTH["rt"] - TRUTH["rt"].min()) / np.ptp(TRUTH["rt"]),
        "mobility_pred": TRUTH["mobility"],
    }
    decoy = (np.arange(len(TRUTH)) >= 80).astype(int)
    made._precursor_df = TRUTH.drop(columns=["ions", "rt", "q"]).assign(**named, decoy=decoy, proteins="P", genes="G")
    made.calc_fragment_mz_df()
    rng = np.random.default_rng(0)
    made._fragment_intensity_df = made.fragment_mz_df.clip(upper=1.0) * rng.uniform(0.1, 1, made.fragment_mz_df.shape)
    made.save_hdf(str(tmp_path / "made.hdf"))
    export_library(tmp_path / "made.hdf", tmp_path / "out", name)
    df = read(tmp_path / "out").precursor_df
    targets = TRUTH[decoy == 0][PEPTIDOFORM].assign(rt=named["rt_norm_pred"])
    got = df.merge(targets, on=PEPTIDOFORM)
    assert len(got) == len(df) == len(targets)
    assert df["use_for_ms2"].all()
    assert spearmanr(got["rt"], got["rt_norm"]).statistic > 0.999


def test_several_tables_are_one_library_unless_they_share_a_run(tmp_path):
    write(report(Run="a"), tmp_path / "a.tsv")
    write_blib(TRUTH, tmp_path / "b.blib")
    assert set(read([tmp_path / "a.tsv", tmp_path / "b.blib"]).precursor_df["raw_name"]) == {"a", RUN}
    write(maxquant(TRUTH), tmp_path / "b.txt")
    with pytest.raises(DataError, match=f"Run '{RUN}' is in .*b.blib and in .*b.txt"):
        read([tmp_path / "b.blib", tmp_path / "b.txt"])


def test_runs_of_different_gradients_are_aligned(tmp_path):
    write(pd.concat([report(), report(Run="short", RT=TRUTH["rt"] ** 0.9 / 60)]), tmp_path / "a.tsv")
    df = read(tmp_path / "a.tsv").precursor_df
    assert df.groupby(PEPTIDOFORM)["rt_norm"].agg(np.ptp).max() < 0.03


def test_times_that_are_all_the_same_or_missing_tune_no_rt_model_and_leave_a_run_among_others_out(tmp_path):
    for time in (3.0, np.nan):
        write(report(RT=time), tmp_path / "a.tsv")
        made = read(tmp_path / "a.tsv")
        assert len(made) == len(TRUTH)
        assert made.precursor_df["rt_norm"].isna().all()
        assert "RT is not tuned: no run has retention times that differ" in made.notes
        made.save(tmp_path / "made.hdf")
        again = TransferLibrary.load(tmp_path / "made.hdf")
        assert again.notes == made.notes
        assert len(again) == len(made)
    write(pd.concat([report(), report(Run="same", RT=3.0)]), tmp_path / "a.tsv")
    made = read(tmp_path / "a.tsv")
    assert [run for run, _ in made.left_out] == ["same"]
    assert set(made.precursor_df["raw_name"]) == {RUN}


def test_a_library_has_the_fragments_of_a_report_without(tmp_path):
    write(report().drop(columns="Fragment.Info"), tmp_path / "a.tsv")
    write_tsv(library(TRUTH[:-9]), tmp_path / "lib.tsv")
    made = read(tmp_path / "a.tsv")
    assert "a.tsv has fragment intensities, but not of which fragments (DIA-NN: --report-lib-info)" in made.notes
    made = read(tmp_path / "a.tsv", library=tmp_path / "lib.tsv")
    got = made.precursor_df.merge(TRUTH[["ions", *PEPTIDOFORM]], on=PEPTIDOFORM)
    got["ions"] = got["ions"].where(got["use_for_ms2"], got["ions"].map(lambda _: []))
    check_spectra(made, got, whole=False)
    assert len(TRUTH) - 12 <= got["use_for_ms2"].sum() <= len(TRUTH) - 9
    np.testing.assert_allclose(got["rt_observed"].max(), TRUTH["rt"].max(), rtol=1e-4)


def test_lists_of_ions_and_intensities_that_do_not_fit_are_no_fragments(tmp_path):
    write(report(Fragment_Info="y1^1/2"), tmp_path / "a.tsv")
    assert any("MS2 is not tuned" in note for note in read(tmp_path / "a.tsv").notes)


def test_a_library_is_of_one_scale_of_times_whatever_runs_it_names(tmp_path):
    table = library(TRUTH)
    write(table.assign(ReferenceRun=[f"run {i % 50}" for i in range(len(table))]), tmp_path / "lib.tsv")
    made = read(tmp_path / "lib.tsv")
    assert (len(made), set(made.precursor_df["raw_name"]), made.left_out) == (len(TRUTH), {"lib"}, ())


def test_one_charge_state_is_told(tmp_path):
    write(diann(TRUTH[TRUTH["charge"] == 2].reset_index(drop=True)), tmp_path / "a.tsv")
    assert "charge is not tuned: all precursors have charge 2" in read(tmp_path / "a.tsv").notes


def test_rows_with_modifications_that_nobody_knows_are_left_out_and_named_once(tmp_path, caplog):
    table = report()
    table.loc[:2, "Modified.Sequence"] = "AAS(Foo)K"
    write(table, tmp_path / "a.tsv")
    assert len(read(tmp_path / "a.tsv")) == len(TRUTH) - 3
    assert caplog.text.count("unknown modification Foo@S: 3") == 1


REAL = {
    "qpx_diann_report.tsv": (947, 0, {"Acetyl@Protein_N-term", "Carbamidomethyl@C", "Oxidation@M"}),
    "qpx_msms.txt": (929, 928, {"Acetyl@Protein_N-term", "Carbamidomethyl@C", "Oxidation@M"}),
    "BCS_hela.elib": (111, 111, {"Carbamidomethyl@C", "Oxidation@M"}),
    "small_yeast.dlib": (2736, 2736, {"Carbamidomethyl@C"}),
}


@needs_shared
def test_without_settings_those_of_an_empty_config_count():
    made = read_psms(SHARED / "other" / "BCS_hela.elib")
    assert list(made.fragment_intensity_df.columns) == ["b_z1", "b_z2", "y_z1", "y_z2"]


@needs_shared
@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read(name):
    made = read(SHARED / "other" / name)
    df = made.precursor_df
    used, modifications = df["use_for_ms2"], {m for mods in df["mods"] for m in mods.split(";") if m}
    assert (len(df), used.sum() > 0.9 * REAL[name][1], modifications) == (
        REAL[name][0],
        REAL[name][1] > 0,
        REAL[name][2],
    )
    assert df["rt_norm"].between(0, 1).all()
