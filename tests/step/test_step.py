"""What alphaDIA is told to predict with, and what is found wrong with models before the first search."""

import collections
import shutil

import pytest
import torch
from made_models import NAMES, write_networks, write_zip
from peptdeep.settings import global_settings

from alphadia_tl import host
from alphadia_tl.errors import OutputError, WeightsError
from alphadia_tl.models.weights import FRAG_TYPES_KEY, START_FOLDER, prediction_config
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step.step import BYTES_FOR_MODELS, first_predictor, preflight
from alphadia_tl.step.step_settings import step_settings


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture
def folder(source, tmp_path):
    return shutil.copytree(source, tmp_path / "own models")


@pytest.fixture(autouse=True)
def home(source, tmp_path, monkeypatch):
    """A peptdeep home with installed models; nothing may be downloaded."""
    monkeypatch.setitem(global_settings, "PEPTDEEP_HOME", str(tmp_path / "peptdeep"))
    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: pytest.fail("something was downloaded"))
    return write_zip(tmp_path / "peptdeep" / "pretrained_models" / "pretrained_models_v3.zip", source)


def settings_for(tmp_path, path, library=None, **prediction):
    user_config = {"library_prediction": {"enabled": True, "peptdeep_model_path": path and str(path), **prediction}}
    user_config |= {"general": {"use_gpu": False}} | ({"transfer_library": library} if library else {})
    config = host.effective_config(user_config, tmp_path)
    return step_settings(config, user_config, PluginSettings(enabled=True))


def test_without_a_type_alphadia_gets_the_generic_models_and_no_random_network(tmp_path):
    assert prediction_config(None, None, tmp_path) == {"peptdeep_model_path": None, "peptdeep_model_type": "generic"}
    assert prediction_config("", "Phos", tmp_path)["peptdeep_model_type"] == "phospho"


def test_a_type_that_alphadia_would_replace_in_silence_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="Unknown peptdeep_model_type 'phosho'"):
        prediction_config(None, "phosho", tmp_path)


def test_alphadia_gets_the_folder_of_a_bundle(tmp_path, folder):
    bundle = tmp_path / "out" / "transfer"
    shutil.copytree(folder, bundle / "peptdeep.transfer")
    for path in (bundle, bundle.parent, bundle / "peptdeep.transfer"):
        assert prediction_config(str(path), None, tmp_path)["peptdeep_model_path"] == str(bundle / "peptdeep.transfer")


@pytest.mark.parametrize("names", [NAMES, NAMES[:3]])
def test_alphadia_gets_the_files_of_a_zip(tmp_path, folder, names):
    archive = write_zip(tmp_path / "mine.zip", folder, names)
    out = tmp_path / "transfer"
    path = prediction_config(str(archive), "generic", out)["peptdeep_model_path"]
    assert path == str(out / START_FOLDER)
    assert {p.name: p.read_bytes() for p in (out / START_FOLDER).iterdir()} == {
        f"{n}.pth": (folder / f"{n}.pth").read_bytes() for n in names
    }


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_installed_models_stand_in_for_those_that_are_missing(tmp_path, folder, home, kind, caplog):
    mine = write_networks(tmp_path / "mine", ("rt",), seed=9)
    path = mine if kind == "folder" else write_zip(tmp_path / "mine.zip", mine, ("rt",))
    settings = settings_for(tmp_path, path)
    manager = preflight(settings, tmp_path / "out")
    assert manager.weights["rt"].content == (mine / "rt.pth").read_bytes()
    assert {manager.weights[n].content for n in ("ms2", "charge")} == {
        (folder / f"{n}.pth").read_bytes() for n in ("ms2", "charge")
    }
    assert [line.split(" The installed ")[1] for line in manager.stand_ins] == [
        "charge model is used instead.",
        "ms2 model is used instead.",
    ]
    assert all(str(path) in line and line in caplog.text for line in manager.stand_ins)


def test_models_that_fit_pass(tmp_path, folder):
    for path in (folder, None):
        assert set(preflight(settings_for(tmp_path, path), tmp_path / "out").weights) == set(NAMES)


def test_a_disk_that_is_nearly_full_stops_before_the_search(tmp_path, folder, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, BYTES_FOR_MODELS - 1))
    with pytest.raises(OutputError, match=rf"{tmp_path / 'out'} has 0\.2 GiB free, but about 0\.2 GiB will be needed"):
        preflight(settings_for(tmp_path, folder), tmp_path / "out")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, BYTES_FOR_MODELS))
    preflight(settings_for(tmp_path, folder), tmp_path / "out")


BROKEN = [
    (lambda f: shutil.rmtree(f), "no folder with weight files"),
    (lambda f: [p.unlink() for p in f.iterdir()], r"rt\.pth"),
    (lambda f: (f / "ms2.pth").write_bytes((f / "ms2.pth").read_bytes()[:5000]), r"ms2\.pth.*cannot be read"),
    (lambda f: shutil.copy(f / "rt.pth", f / "ms2.pth"), r"ms2\.pth does not fit"),
    (lambda f: shutil.copy(f / "ms2.pth", f / "ccs.pth"), r"ccs\.pth does not fit"),
]


@pytest.mark.parametrize(("break_it", "message"), BROKEN)
def test_what_peptdeep_only_logs_is_an_error_before_the_search(tmp_path, folder, break_it, message):
    break_it(folder)
    with pytest.raises(WeightsError, match=message):
        preflight(settings_for(tmp_path, folder), tmp_path / "out")


def test_installed_models_are_needed_only_beside_own_ones_without_ccs(tmp_path, folder, home):
    home.write_bytes(b"not a zip")
    assert first_predictor(preflight(settings_for(tmp_path, folder), tmp_path / "out")) is not None
    (folder / "ccs.pth").unlink()
    with pytest.raises(WeightsError, match="cannot be read as a zip"):
        preflight(settings_for(tmp_path, folder), tmp_path / "out")


def test_alphadia_predicts_the_first_library_where_own_models_have_no_ccs(tmp_path, folder):
    (folder / "ccs.pth").unlink()
    assert first_predictor(preflight(settings_for(tmp_path, folder), tmp_path / "out")) is None


@pytest.mark.parametrize(
    ("library", "prediction", "unknown"),
    [
        ({"fragment_types": ["a", "b", "y"]}, {}, "a_z1, a_z2"),
        ({"max_charge": 3}, {"max_fragment_charge": 3}, "b_z3, y_z3"),
    ],
)
def test_fragments_beyond_the_weights_are_refused_before_the_search(tmp_path, folder, library, prediction, unknown):
    with pytest.raises(WeightsError) as e:
        preflight(settings_for(tmp_path, folder, library, **prediction), tmp_path / "out")
    assert f"do not predict the fragment type(s) {unknown}." in str(e.value)
    assert "They predict b_z1, b_z2, y_z1, y_z2" in str(e.value)


def test_fragments_that_the_weights_know_are_not_refused(tmp_path, folder):
    state = torch.load(folder / "ms2.pth", weights_only=True)
    assert FRAG_TYPES_KEY in state
    settings = settings_for(tmp_path, folder, {"max_charge": 1}, max_fragment_charge=1)
    assert preflight(settings, tmp_path / "out").charged_frag_types == ["b_z1", "y_z1"]
