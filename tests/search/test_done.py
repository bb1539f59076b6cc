import os

import pandas as pd
import pytest

from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import OutputError
from alphadia_tl.search.done import Manifest, forget, hash_of, remove_damaged_runs, stamp, stamps, the_only_search

INPUTS = {"config": "a", "raw files": "b"}


@pytest.fixture
def finished(tmp_path):
    """A folder with one finished stage."""
    (tmp_path / "library.hdf").write_text("spectra")
    manifest = Manifest(tmp_path)
    manifest.begin("tuning", INPUTS)
    manifest.finish("tuning", INPUTS, [tmp_path / "library.hdf"], {"runs": ["x"], "curve": {25.0: 0.7}})
    return tmp_path


def test_a_finished_stage_is_reused_with_what_was_noted(finished, caplog):
    caplog.set_level("INFO")
    manifest = Manifest(finished)
    assert manifest.state("tuning", INPUTS) == "finished"
    assert manifest.facts("tuning") == {"runs": ["x"], "curve": {25.0: 0.7}}
    assert "Reused, the tuning" in caplog.text


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        ({**INPUTS, "config": "other"}, "config"),
        ({"config": "a"}, "raw files"),
        ({**INPUTS, "weights": "w"}, "weights"),
        ({"config": "c", "raw files": "r"}, "config, raw files"),
    ],
)
def test_what_changed_is_named_and_the_stage_done_again(finished, caplog, inputs, named):
    caplog.set_level("INFO")
    assert Manifest(finished).state("tuning", inputs) == "new"
    assert f"changed since the last call: {named}." in caplog.text


def test_an_interrupted_stage_is_begun_and_an_unknown_one_new(tmp_path):
    Manifest(tmp_path).begin("tuning", INPUTS)
    assert Manifest(tmp_path).state("tuning", INPUTS) == "begun"
    assert Manifest(tmp_path).state("second pass", INPUTS) == "new"


@pytest.mark.parametrize("harm", ["missing", "other size", "other time"])
def test_a_result_that_is_not_as_it_was_is_made_again(finished, caplog, harm):
    caplog.set_level("INFO")
    path = finished / "library.hdf"
    if harm == "missing":
        path.unlink()
    elif harm == "other size":
        path.write_text("other spectra")
    else:
        os.utime(path, ns=(1, 1))
    assert Manifest(finished).state("tuning", INPUTS) == "begun"
    assert "library.hdf is missing or was changed" in caplog.text


@pytest.mark.parametrize("text", ["{", "stages: 3", "[]", ""])
def test_a_damaged_manifest_means_all_again(finished, caplog, text):
    (finished / "alphadia_tl.manifest.yaml").write_text(text)
    assert Manifest(finished).state("tuning", INPUTS) == "new"
    assert "cannot be read" in caplog.text


def test_force_forgets_all_stages_of_all_folders(finished):
    Manifest(finished / "transfer").begin("first pass", INPUTS)
    checkpoints = Bundle(finished / "transfer").checkpoints
    checkpoints.mkdir()
    (checkpoints / "rt_0.pt").write_bytes(b"a training")
    forget(finished)
    assert not checkpoints.exists()
    assert Manifest(finished).state("tuning", INPUTS) == "new"
    assert Manifest(finished / "transfer").state("first pass", INPUTS) == "new"


def test_stages_of_one_folder_do_not_disturb_each_other(finished):
    manifest = Manifest(finished)
    manifest.begin("second pass", {"config": "z"})
    assert Manifest(finished).state("tuning", INPUTS) == "finished"


def test_results_outside_the_folder_are_watched_too(tmp_path):
    elsewhere = tmp_path / "quant" / "psm.parquet"
    elsewhere.parent.mkdir()
    elsewhere.write_text("x")
    manifest = Manifest(tmp_path / "out")
    manifest.finish("first pass", INPUTS, [elsewhere], {})
    assert Manifest(tmp_path / "out").state("first pass", INPUTS) == "finished"
    elsewhere.write_text("longer")
    assert Manifest(tmp_path / "out").state("first pass", INPUTS) == "begun"


def test_only_runs_whose_tables_can_be_read_are_kept(tmp_path):
    table = pd.DataFrame({"a": [1]})
    for run in ("whole", "torn"):
        (tmp_path / run).mkdir()
        for name in ("psm", "frag"):
            table.to_parquet(tmp_path / run / f"{name}.parquet")
    torn = tmp_path / "torn" / "frag.parquet"
    torn.write_bytes(torn.read_bytes()[:-4])
    assert remove_damaged_runs(tmp_path) == [tmp_path / "torn"]
    assert not list((tmp_path / "torn").glob("*.parquet"))
    assert len(list((tmp_path / "whole").glob("*.parquet"))) == 2
    assert remove_damaged_runs(tmp_path / "absent") == []


def test_stamps_see_changes_of_files_and_folders(tmp_path):
    (tmp_path / "run.d").mkdir()
    (tmp_path / "run.d" / "a.bin").write_text("1")
    before = stamps([tmp_path / "run.d"])
    (tmp_path / "run.d" / "b.bin").write_text("2")
    assert stamps([tmp_path / "run.d"]) != before
    assert stamp(tmp_path / "absent") is None
    assert hash_of({"b": 1, "a": 2}) == hash_of({"a": 2, "b": 1}) != hash_of({"a": 2, "b": 2})


def test_a_second_search_in_the_folder_is_refused_until_the_first_has_ended(tmp_path):
    with the_only_search(tmp_path / "out"), pytest.raises(OutputError, match="Another search is running"):  # noqa: SIM117
        with the_only_search(tmp_path / "out"):
            pass
    with the_only_search(tmp_path / "out"):
        pass


def test_what_a_killed_search_wrote_in_part_is_removed(tmp_path):
    torn = tmp_path / "transfer" / ".speclib.tuned.hdf.4711.part"
    torn.parent.mkdir()
    torn.write_text("half")
    with the_only_search(tmp_path):
        assert not torn.exists()
