import os

import pytest

from alphadia_tl.files import Manifest, hash_of, stamp, stamps

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


def test_whether_a_stage_is_finished_can_be_asked_without_a_word(finished, caplog):
    caplog.set_level("INFO")
    assert Manifest(finished).is_finished("tuning", INPUTS)
    assert not Manifest(finished).is_finished("tuning", {**INPUTS, "config": "other"})
    assert not Manifest(finished).is_finished("second pass", INPUTS)
    (finished / "library.hdf").unlink()
    assert not Manifest(finished).is_finished("tuning", INPUTS)
    Manifest(finished).begin("tuning", INPUTS)
    assert not Manifest(finished).is_finished("tuning", INPUTS)
    assert caplog.text == ""


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


def test_stamps_see_changes_of_files_and_folders(tmp_path):
    (tmp_path / "run.d").mkdir()
    (tmp_path / "run.d" / "a.bin").write_text("1")
    before = stamps([tmp_path / "run.d"])
    (tmp_path / "run.d" / "b.bin").write_text("2")
    assert stamps([tmp_path / "run.d"]) != before
    assert stamp(tmp_path / "absent") is None
    assert hash_of({"b": 1, "a": 2}) == hash_of({"a": 2, "b": 1}) != hash_of({"a": 2, "b": 2})


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (lambda folder: None, 1),
        (lambda folder: (folder / "a.txt").unlink(), 2),
        (lambda folder: Manifest(folder, "r.yaml").begin("a", {"x": "1"}), 2),
        (lambda folder: (folder / "r.yaml").write_text("key: of an older form\n"), 2),
        (lambda folder: (folder / "r.yaml").write_text("stages: {a: [\n"), 2),
        (lambda folder: Manifest(folder, "r.yaml").finish("a", {"x": "2"}, [], {}), 2),
    ],
    ids=["as it was", "file gone", "killed", "older form", "damaged", "other inputs"],
)
def test_a_thing_is_made_once_and_again_where_it_may_not_be_the_same(tmp_path, change, made):
    calls = []

    def make():
        (tmp_path / "a.txt").write_text("made")
        calls.append(1)
        return {"number": len(calls)}

    def once():
        Manifest(tmp_path, "r.yaml").once("a", {"x": "1"}, [tmp_path / "a.txt"], make)

    once()
    change(tmp_path)
    once()
    assert len(calls) == made
    assert Manifest(tmp_path, "r.yaml").facts("a") == {"number": made}
