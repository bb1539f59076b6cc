import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from peptdeep.settings import global_settings
from small_disk import SMALL_DISK, may_mount

from alphadia_tl.errors import WeightsError
from alphadia_tl.models.weights import build_model, find_weights, new_network, save_networks

NAMES = ("rt", "ms2", "charge", "ccs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    for name in NAMES:
        torch.save(new_network(name, seed=3).model.state_dict(), path / f"{name}.pth")
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setitem(global_settings, "PEPTDEEP_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("something was downloaded"))
    (tmp_path / "pretrained_models").mkdir()
    return tmp_path / "pretrained_models" / "pretrained_models_v3.zip"


def saved(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", NAMES)
def test_weights_come_from_folder_mapping_and_zip(name, folder, home):
    with zipfile.ZipFile(home, "w") as archive:
        archive.write(folder / f"{name}.pth", f"generic/{name}.pth")
    sources = [find_weights(name, s) for s in (folder, str(folder), {name: folder / f"{name}.pth"}, home, None)]
    assert len({w.sha256 for w in sources}) == 1
    expected = new_network(name, seed=3).model.state_dict()
    got = build_model(sources[0], "cpu").model.state_dict()
    assert all(torch.equal(got[k], v) for k, v in expected.items())


@pytest.mark.parametrize(
    ("model_type", "member"),
    [("phospho", "phospho/rt_phos.pth"), ("Phos", "phospho/rt_phos.pth"), ("digly", "digly/rt_digly.pth")],
)
def test_model_type_chooses_the_member_of_the_zip(model_type, member, folder, home):
    with zipfile.ZipFile(home, "w") as archive:
        archive.write(folder / "rt.pth", member)
    assert find_weights("rt", None, model_type).source.endswith(member)
    with pytest.raises(WeightsError, match=r"no member generic/rt\.pth"):
        find_weights("rt", None)


def test_missing_zip_says_where_it_was_looked_for_and_how_to_install_it(home):
    with pytest.raises(WeightsError) as e:
        find_weights("rt")
    assert str(home) in str(e.value)
    assert "peptdeep install-models --model-file" in str(e.value)
    assert "library_prediction.peptdeep_model_path" in str(e.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda p: p / "absent", "no folder"),
        (lambda p: p, r"rt\.pth"),
        (lambda p: {"ms2": p / "ms2.pth"}, "No weight file was given for the rt model"),
        (lambda p: {"rt": p / "absent.pth"}, "absent.pth"),
        (lambda p: p / "absent.zip", "not installed"),
    ],
)
def test_missing_files_are_named(source, message, tmp_path):
    with pytest.raises(WeightsError, match=message):
        find_weights("rt", source(tmp_path))


def test_zip_that_is_none_is_refused(home):
    home.write_bytes(b"not a zip")
    with pytest.raises(WeightsError, match="zip file"):
        find_weights("rt")


def test_unknown_model_type_is_refused(home):
    with pytest.raises(WeightsError, match="Unknown peptdeep_model_type"):
        find_weights("rt", None, "nonsense")


def wrong_shape():
    state = new_network("rt").model.state_dict()
    state["rt_decoder.nn.2.weight"] = torch.zeros(2, 64)
    return saved(state)


def not_finite():
    state = new_network("rt").model.state_dict()
    state["rt_decoder.nn.2.weight"] = state["rt_decoder.nn.2.weight"] * float("nan")
    return saved(state)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "cannot be read"),
        (lambda: b"garbage" * 100, "cannot be read"),
        (lambda: saved(new_network("rt").model.state_dict())[:50_000], "cannot be read"),
        (lambda: saved([1, 2]), "holds no weights"),
        (lambda: saved({"a": 1}), "holds no weights"),
        (lambda: saved(new_network("ccs").model.state_dict()), "does not fit"),
        (lambda: saved(new_network("rt").model.state_dict() | {"more": torch.zeros(1)}), "does not fit"),
        (lambda: saved(dict(list(new_network("rt").model.state_dict().items())[1:])), "does not fit"),
        (wrong_shape, "does not fit"),
        (not_finite, "not finite"),
    ],
)
def test_unusable_files_are_refused(content, message, tmp_path):
    path = tmp_path / "rt.pth"
    path.write_bytes(content())
    with pytest.raises(WeightsError, match=message) as e:
        build_model(find_weights("rt", tmp_path), "cpu")
    assert str(path) in str(e.value)


@pytest.mark.parametrize("dump", [pickle.dumps, saved])
def test_code_in_a_weight_file_is_not_run(dump, tmp_path):
    victim = tmp_path / "victim"
    (tmp_path / "rt.pth").write_bytes(dump(Malicious(victim)))
    with pytest.raises(WeightsError):
        build_model(find_weights("rt", tmp_path), "cpu")
    assert not victim.exists()


def test_ms2_weights_predict_a_subset_of_their_fragment_types(folder):
    weights = find_weights("ms2", folder)
    assert build_model(weights, "cpu", ["y_z1", "b_z1"]).charged_frag_types == ["b_z1", "y_z1"]
    with pytest.raises(WeightsError, match=r"type\(s\) y_z3\.\n? ?They predict b_z1, b_z2, y_z1, y_z2"):
        build_model(weights, "cpu", ["b_z1", "y_z3"])


def test_new_networks_depend_on_the_seed_only():
    def first(seed):
        return next(iter(new_network("rt", seed=seed).model.parameters()))

    torch.rand(5)
    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_building_a_model_leaves_the_global_generator_alone(folder):
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    build_model(find_weights("rt", folder), "cpu")
    assert torch.equal(torch.rand(2), expected)


@pytest.fixture
def network():
    return torch.nn.Linear(3, 2)


def test_the_same_weights_give_the_same_bytes_in_another_process_and_folder(tmp_path, network, monkeypatch):
    for process, folder in ((7, "first"), (123_456, "again")):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        save_networks(tmp_path / folder, {"rt": network})
    assert (tmp_path / "first" / "rt.pth").read_bytes() == (tmp_path / "again" / "rt.pth").read_bytes()


def test_the_file_holds_the_weights(tmp_path, network):
    save_networks(tmp_path, {"rt": network})
    saved = torch.load(tmp_path / "rt.pth", weights_only=True)
    assert saved.keys() == network.state_dict().keys()
    assert all(torch.equal(saved[k], v) for k, v in network.state_dict().items())


WRITE_TWICE = """
import sys, torch
from pathlib import Path
from alphadia_tl.errors import OutputError
from alphadia_tl.models.weights import save_networks
folder = Path(sys.argv[1])
save_networks(folder, {"rt": torch.nn.Linear(3, 2)})
try:
    save_networks(folder, {"rt": torch.nn.Linear(1000, 4000)})
except OutputError as e:
    print(e)
print([f.name for f in folder.iterdir()], list(torch.load(folder / "rt.pth")["bias"].shape))
"""


@may_mount
def test_a_full_disk_keeps_the_old_weights_and_leaves_nothing_half_written(tmp_path):
    command = [*SMALL_DISK, str(tmp_path), sys.executable, "-c", WRITE_TWICE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "No space left on device" in done.stdout
    assert done.stdout.splitlines()[-1] == "['rt.pth'] [2]"
