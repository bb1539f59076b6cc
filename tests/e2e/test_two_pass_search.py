"""The plugin's main job, with the real alphaDIA on rendered files with known truth."""

import json
import re

import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.simulate.truth import score_classes
from e2e.support import ON, ONLY_RT

pytestmark = pytest.mark.slow

BUNDLE = {
    "speclib.transfer.hdf",
    "peptdeep.transfer",
    "stats.transfer.tsv",
    "alphadia_tl.yaml",
    "speclib.tuned.hdf",
    "report.html",
    "report.json",
    "held_out.transfer.parquet",
    "spectra.transfer.parquet",
    "rt_bins.transfer.tsv",
    "modifications.transfer.tsv",
}


def _steps(log):
    return re.findall(r"Running step '(\w+)'", log)


def test_one_switch_finds_more_true_precursors_at_no_higher_true_fdp(flag_on):
    assert flag_on.code == 0, flag_on.log[-3000:]
    with_plugin, without = flag_on.score(), flag_on.score("transfer")  # the first pass is the search without it
    assert with_plugin.true > without.true * 1.02
    assert with_plugin.fdp <= without.fdp + 0.01


def test_the_error_of_both_passes_is_estimated(flag_on):
    identified = flag_on.provenance()["identified"]
    for name, folder in (("first_pass", "transfer"), ("second_pass", ".")):
        told, score = identified[name], flag_on.score_of_runs(folder)
        assert told["entrapment"] == score.entrapment
        assert told["fdp"] == pytest.approx(4 * score.entrapment / score.reported)
        assert told["verdict"] in ("valid", "inconclusive", "invalid")
    assert f"claimed 1.00%: {identified['second_pass']['verdict']}" in flag_on.log
    assert identified["first_pass"]["entrapment"] > 0


def test_the_bundle_is_complete_and_says_what_was_decided(flag_on):
    assert {p.name for p in (flag_on.folder / "transfer").iterdir()} >= BUNDLE
    decisions = {d["model"]: d for d in flag_on.provenance()["decisions"]}
    assert decisions["rt"]["accepted"]
    assert not decisions["ccs"]["accepted"]
    assert "no ion mobility" in decisions["ccs"]["reason"]
    for line in (d["reason"] for d in decisions.values()):
        assert line in flag_on.log
    assert all(len(w["sha256"]) == 64 for w in flag_on.provenance()["started_from"].values())


def test_one_collision_energy_is_chosen_and_told_and_the_run_is_described(flag_on):
    written = flag_on.provenance()
    assert re.search(r"NCE \d+\.\d (-> \d+\.\d|kept): median spectral angle 0\.\d+", flag_on.log)
    assert written["nce_curve"][written["library_prediction_nce"]] > 0
    assert written["nce"] in written["nce_curve"]
    [file] = (flag_on.folder / "transfer" / "quant").glob("*/run_facts.json")
    facts = json.loads(file.read_text())
    low, high = facts["precursor_mz"]
    assert 300 < low < high < 2000
    assert all(low <= a < b <= high for a, b in facts["windows"])
    assert f"Run {file.parent.name}: " in flag_on.log
    assert f"{len(facts['windows'])} isolation windows from {low:.1f} to {high:.1f} m/z" in flag_on.log


def test_the_second_pass_searches_the_tuned_library(flag_on):
    config = flag_on.frozen_config()
    assert config["library_path"].endswith("speclib.tuned.hdf")
    assert not config["library_prediction"]["enabled"]
    tuned, first = SpecLibBase(), SpecLibBase()
    tuned.load_hdf(str(flag_on.folder / "transfer" / "speclib.tuned.hdf"))
    first.load_hdf(str(flag_on.folder / "transfer" / "speclib.hdf"))
    assert len(tuned.precursor_df) <= len(first.precursor_df)
    merged = tuned.precursor_df.merge(first.precursor_df, on=["sequence", "mods", "mod_sites", "charge"])
    assert (merged["rt_pred_x"] != merged["rt_pred_y"]).mean() > 0.99
    found = pd.read_parquet(flag_on.folder / "precursors.parquet")
    keys = set(zip(tuned.precursor_df["sequence"], tuned.precursor_df["charge"], strict=True))
    assert set(zip(found["precursor.sequence"], found["precursor.charge"], strict=True)) <= keys


def test_the_second_pass_looks_near_the_retention_times_of_the_tuned_model(flag_on):
    tolerance = flag_on.frozen_config()["search"]["target_rt_tolerance"]
    rt = next(d for d in flag_on.provenance()["decisions"] if d["model"] == "rt")
    assert tolerance == pytest.approx(10 * rt["after"], rel=0.05)
    assert f"RT tolerance of the final pass: {tolerance:.4f} of the gradient on either side" in flag_on.log


def test_the_log_has_epochs_as_alphadia_users_know_them(flag_on):
    pattern = r"Epoch \d+ +Lr: 0\.\d{5}  Training loss: \d\.\d{4}  validation loss: \d\.\d{4}"
    assert len(re.findall(pattern, flag_on.log)) >= 9  # three models, three epochs at most, none left out
    assert "WARNING: Epoch" not in flag_on.log


def test_the_history_has_every_metric_of_every_tuned_model(flag_on):
    history = pd.read_csv(flag_on.folder / "transfer" / "stats.transfer.tsv", sep="\t")
    assert list(history.columns) == ["epoch", "property", "data_split", "metric_name", "value"]
    wanted = {
        "rt": {"l1_loss", "r_square", "r", "slope", "intercept", "abs_error_95th_percentile"},
        "charge": {"ce_loss", "accuracy", "precision", "recall"},
        "ms2": {"l1_loss", "PCC-mean", "COS-mean", "SA-mean", "SPC-mean"},
    }
    test_rows = history[history["data_split"] == "test"]
    for model, names in wanted.items():
        assert names <= set(test_rows.loc[test_rows["property"] == model, "metric_name"])


@pytest.mark.regression
def test_without_the_flag_alphadia_runs_as_ever(flag_off, stock):
    assert flag_off.code == stock.code == 0
    assert _steps(flag_off.log) == _steps(stock.log) == ["library"]
    ours, theirs = flag_off.frozen_config(), stock.frozen_config()
    assert {k: v for k, v in ours.items() if k != "output_directory"} == {
        k: v for k, v in theirs.items() if k != "output_directory"
    }
    files = [sorted(str(p.relative_to(s.folder)) for p in s.folder.rglob("*")) for s in (flag_off, stock)]
    assert files[0] == files[1]
    # alphaDIA itself is not deterministic: two runs of one config differ by less than this
    assert flag_off.score().reported == pytest.approx(stock.score().reported, rel=0.03)


def test_of_what_was_kept_gained_and_lost_the_error_is_estimated(flag_on):
    written = flag_on.provenance()["between_passes"]
    truth = score_classes(flag_on.folder / "transfer", flag_on.folder, flag_on.truth)
    assert [written[name] for name in truth] == [score.reported for score in truth.values()]
    for name, score in ((name, score) for name, score in truth.items() if score.reported):
        assert written["errors"][name]["entrapment"] == score.entrapment
        assert written["errors"][name]["fdp_decoys"] == written["errors"][name]["decoys"] / score.reported
        assert re.search(rf"{name} +: {score.reported:,} precursors, wrong by decoys [\d.]+ %", flag_on.log)


@pytest.mark.regression
def test_where_a_given_library_is_better_than_the_tuned_model_it_stays_and_the_first_pass_is_the_result(
    search, no_prediction
):
    """The library is that of the simulated instrument itself."""
    result = search(no_prediction, ON, ONLY_RT, name="better")
    assert result.code == 0, result.log[-3000:]
    record = result.provenance()
    assert record["library_values_kept"] == [d["model"] for d in record["decisions"] if d["accepted"]] == ["rt"]
    assert "the model is not surely better: the library's own values stay in it" in result.log
    assert "Reusing quantification results" in result.log
    assert not (result.folder / "transfer" / "speclib.tuned.hdf").exists()
    assert (result.folder / "pg.matrix.parquet").exists()
    first = pd.read_parquet(result.folder / "transfer" / "precursors.parquet")
    final = pd.read_parquet(result.folder / "precursors.parquet")
    key = ["precursor.sequence", "precursor.mods", "precursor.mod_sites", "precursor.charge"]
    assert set(map(tuple, first[key].to_numpy())) == set(map(tuple, final[key].to_numpy()))
