import shutil

import pandas as pd
import pytest
import yaml

from alphadia_tl.bundle import weights_folder
from alphadia_tl.errors import WeightsError
from alphadia_tl.models.provenance import (
    describe_training,
    differences,
    find_start_bundle,
    gradient_difference,
    model_hashes,
)
from alphadia_tl.models.weights import find_weights

LIBRARY = pd.DataFrame(
    {
        "raw_name": ["a", "a", "b", "b"],
        "rt_observed": [60.0, 1200.0, 30.0, 1260.0],
        "sequence": list("ABCD"),
        "charge": 2,
    }
)
NOW = {
    "fragment_types": ["b_z1", "y_z1"],
    "modifications": ["Oxidation@M"],
    "nce": 25.0,
    "instrument": "Lumos",
}


def record(accepted=("rt", "ms2"), modifications=None):
    trained = describe_training(
        LIBRARY,
        fragment_types=["b_z1", "y_z1", "y_z2"],
        modifications=modifications or {"Oxidation@M": {"rt": 60, "ms2": 55}, "Acetyl@K": {"rt": 0, "ms2": 0}},
        nce=25.0,
        instrument="Lumos",
    )
    models = ("rt", "charge", "ms2", "ccs")
    return {"trained_on": trained, "decisions": [{"model": m, "accepted": m in accepted} for m in models]}


def test_the_record_holds_what_a_later_search_needs():
    assert record()["trained_on"] == {
        "fragment_types": ["b_z1", "y_z1", "y_z2"],
        "modifications": {"Oxidation@M": {"rt": 60, "ms2": 55}},
        "gradient_minutes": 20.5,
        "lengths": [1, 1],
        "charges": [2, 2],
        "nce": 25.0,
        "instrument": "Lumos",
        "runs": ["a", "b"],
    }


def test_the_same_task_gives_no_warning():
    assert differences(record(), **NOW) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fragment_types": ["b_z1", "y_z1", "a_z1"]}, "fragment types a_z1 are predicted"),
        ({"modifications": ["Oxidation@M", "Phospho@S"]}, r"Phospho@S was not learnt .*rt 0, ms2 0"),
        ({"nce": 30.0}, "nce is 30.0, but the models were tuned with 25.0"),
        ({"instrument": "timsTOF"}, "instrument is timsTOF"),
    ],
)
def test_each_difference_is_told(changes, message):
    import re

    (line,) = differences(record(), **{**NOW, **changes})
    assert re.search(message, line)


def test_a_modification_with_few_peptides_in_one_model_names_that_model_only():
    (line,) = differences(record(modifications={"Oxidation@M": {"rt": 60, "ms2": 49}}), **NOW)
    assert "(training peptides: ms2 49)" in line


def test_models_that_were_not_tuned_need_not_have_learnt_anything():
    assert differences(record(accepted=("rt",), modifications={"Oxidation@M": {"rt": 60, "ms2": 1}}), **NOW) == []
    assert "no tuned model was accepted" in differences(record(accepted=()), **NOW)[0]


def test_a_record_without_training_is_told():
    assert "not recorded" in differences({}, **NOW)[0]


@pytest.mark.parametrize(("minutes", "told"), [(20.5, 0), (24.5, 0), (25.0, 1), (16.0, 1), (None, 0)])
def test_another_gradient_is_told(minutes, told):
    assert len(gradient_difference(record(), minutes)) == told
    assert gradient_difference({}, minutes) == []


@pytest.fixture
def output(tmp_path):
    """An output folder with a bundle of made files."""
    models = tmp_path / "out" / "transfer" / "peptdeep.transfer"
    models.mkdir(parents=True)
    for name in ("rt", "ms2", "charge"):
        (models / f"{name}.pth").write_text(name)
    record = {
        "random_state": 7,
        "versions": {"torch": "2.6"},
        "started_from": {"rt": {"file": "x.zip:generic/rt.pth", "sha256": "ab"}},
        "history": [{"bundle": "older", "random_state": 3}],
        "models": model_hashes(models),
        "decisions": [{"model": "rt", "accepted": True}, {"model": "ms2", "accepted": False}],
        "trained_on": {"nce": 25},
        "seconds": {"tuning": 3},
    }
    (models.parent / "alphadia_tl.yaml").write_text(yaml.safe_dump(record))
    return tmp_path / "out"


PATHS = ["", "transfer", "transfer/peptdeep.transfer"]


@pytest.mark.parametrize("path", PATHS)
def test_a_bundle_is_found_from_its_folders(output, path):
    assert weights_folder(output / path) == output / "transfer" / "peptdeep.transfer"
    assert find_weights("rt", output / path).content == b"rt"
    start = find_start_bundle(output / path)
    assert start is not None
    assert start.folder == output / "transfer"


def test_the_history_begins_with_the_bundle_and_goes_on_with_its_own(output):
    first, second = find_start_bundle(output).history()
    assert first["bundle"] == str(output / "transfer")
    assert first["random_state"] == 7
    assert first["versions"] == {"torch": "2.6"}
    assert first["accepted"] == ["rt"]
    assert "seconds" not in first
    assert second == {"bundle": "older", "random_state": 3}


def test_a_plain_folder_and_the_installed_models_have_no_origin(output, tmp_path):
    plain = shutil.copytree(output / "transfer" / "peptdeep.transfer", tmp_path / "plain")
    assert find_start_bundle(plain) is None
    assert find_start_bundle(None) is None
    assert find_start_bundle(tmp_path / "absent") is None
    shutil.copy(output / "transfer" / "alphadia_tl.yaml", tmp_path)  # beside it, but not its own
    assert find_start_bundle(plain) is None


def test_a_folder_with_weights_is_taken_before_a_bundle_in_it(output):
    (output / "rt.pth").write_text("own")
    assert weights_folder(output) == output


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda p: p.write_text("other"), "ms2 model is not the one"),
        (lambda p: p.unlink(), "ms2 model is missing"),
    ],
)
def test_files_that_are_not_the_bundles_own_are_refused(output, break_it, message):
    find_start_bundle(output).check_files(output / "new")
    break_it(output / "transfer" / "peptdeep.transfer" / "ms2.pth")
    with pytest.raises(WeightsError, match=message):
        find_start_bundle(output).check_files(output / "new")


def test_a_bundle_is_not_overwritten_by_its_successor(output):
    with pytest.raises(WeightsError, match="would be overwritten"):
        find_start_bundle(output).check_files(output / "transfer")


@pytest.mark.parametrize("content", ["a: [1", "- 1", "!!python/object/apply:os.mkdir ['{tmp}/executed']"])
def test_an_unreadable_record_is_an_error(output, content, tmp_path):
    (output / "transfer" / "alphadia_tl.yaml").write_text(content.format(tmp=tmp_path))
    with pytest.raises(WeightsError, match=r"alphadia_tl\.yaml"):
        find_start_bundle(output)
    assert not (tmp_path / "executed").exists()
