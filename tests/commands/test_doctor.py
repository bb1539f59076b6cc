"""What the doctor tells of a machine; searches are stand-ins, but for the last."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import torch
from e2e.support import SCRIPTS, call
from made_models import NAMES, write_networks, write_zip
from peptdeep.settings import global_settings
from stand_in import install, put_in_place

from alphadia_tl import cli

URL = global_settings["model_url"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A zip as peptdeep installs it."""
    folder = tmp_path_factory.mktemp("models")
    return write_zip(folder / "models.zip", write_networks(folder / "networks"))


@pytest.fixture
def installed(tmp_path, models, monkeypatch):
    """Where peptdeep looks for its models, which are there; a search would fail."""
    monkeypatch.setitem(global_settings, "PEPTDEEP_HOME", str(tmp_path / "peptdeep"))
    path = tmp_path / "peptdeep" / "pretrained_models" / "pretrained_models_v3.zip"
    path.parent.mkdir(parents=True)
    shutil.copy(models, path)
    put_in_place(monkeypatch, tmp_path / "stand_in", "alphadia_tl.cli", "sys.exit(print('a search') or 7)")
    return path


@pytest.fixture
def none_installed(installed):
    """Nothing is searched where models are missing."""
    installed.unlink()


@pytest.fixture
def told(tmp_path, capsys):
    """Call the doctor; return the exit code and what it tells of each subject, after its state."""

    def call_doctor(*flags, output=tmp_path / "output"):
        code = cli.main(["doctor", *flags, "--output", str(output)])
        *lines, end = capsys.readouterr().out.splitlines()
        found = {line[6:26].strip(): (line[:6].strip(), line[26:]) for line in lines}
        to_mend = [state for state, _ in found.values()].count("mend")
        assert end == (f"{to_mend} to mend." if to_mend else "All can run.")
        assert code == bool(to_mend)
        return found

    return call_doctor


def replace_member(path, name, content):
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, c in (members | {name: content}).items():
            if c is not None:
                archive.writestr(n, c)


def damage_deflated(path):
    """A bit of the compressed data is another, as after a broken download."""
    replace_member(path, "generic/rt.pth", bytes(range(256)) * 400)
    content = bytearray(path.read_bytes())
    at = content.index(b"generic/rt.pth") + len("generic/rt.pth")
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(content)


def be_a_folder(path):
    path.unlink()
    path.mkdir()


WRONG_MODELS = {  # what happens to the zip, and what is told
    "missing": (lambda p: p.unlink(), "does not exist"),
    "a folder": (be_a_folder, "cannot be read: No such file"),
    "a web page": (lambda p: p.write_text("<html>404</html>"), "cannot be read as a zip"),
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:5000]), "cannot be read as a zip"),
    "damaged inside": (damage_deflated, "cannot be read as a zip"),
    "without a model": (lambda p: replace_member(p, "generic/ccs.pth", None), "no member generic/ccs.pth"),
    "no weights in it": (lambda p: replace_member(p, "generic/ms2.pth", b"x"), "cannot be read as PyTorch weights"),
    "damaged for phospho": (lambda p: replace_member(p, "phospho/rt_phos.pth", b"x"), "phospho/rt_phos.pth"),
}


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_models_that_are_missing_or_damaged_are_told_with_where_to_get_them(name, installed, told):
    harm, what = WRONG_MODELS[name]
    harm(installed)
    found = told()
    state, text = found["models"]
    assert state == "mend"
    assert str(installed) in text
    assert what in text
    assert found["search"][0] == "skip"
    if "no weights" not in name and "phospho" not in name:
        assert URL in text
        assert "peptdeep install-models --model-file" in text


def test_what_is_installed_is_told_and_a_failed_search_says_where_its_log_lies(installed, told, tmp_path, monkeypatch):
    monkeypatch.setattr("alphadia_tl.step.step_settings.cpu_count", lambda: 3)
    found = told()
    assert found["Python"] == ("ok", f"{sys.version.split()[0]}, {sys.executable}.")
    assert found["torch"] == ("ok", f"{torch.__version__.split('+')[0]}.")
    assert {found[name][0] for name in ("alphadia", "alphabase", "peptdeep", "alphadia-search-rs")} == {"ok"}
    state, text = found["models"]
    assert state == "ok"
    assert all(f"generic/{name}" in text for name in NAMES)
    assert "phospho/rt_phos" in text
    assert "digly" not in text
    assert "general.thread_count to 3" in found["threads"][1]
    state, text = found["search"]
    assert state == "mend"
    [log] = (tmp_path / "output").glob("alphadia_tl_doctor_*/search.log")
    assert f"exit code 7. Read {log}." in text
    assert log.read_text() == "a search\n"


def test_a_package_of_another_version_or_none_is_told_with_the_command_that_installs_it(installed, told, monkeypatch):
    install(monkeypatch, installed.parents[2] / "old", "alphabase", "1.2.1")
    install(monkeypatch, installed.parents[2] / "new", "alphadia", "2.4.0")
    found = told()
    assert found["alphabase"][0] == "mend"
    assert "1.2.1; " in found["alphabase"][1]
    assert "Run: pip install 'alphabase<2,>=1.9'" in found["alphabase"][1]
    assert found["packages"][1].startswith("TL_HOST: alphaDIA 2.4.0 is installed")
    assert found["search"][0] == "skip"


SPACE = [  # free GiB, state
    (0.5, "mend"),
    (5, "note"),
    (500, "ok"),
]


@pytest.mark.parametrize(("free", "state"), SPACE)
def test_little_space_is_told_of_the_output_and_of_temporary_files(free, state, none_installed, told, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, int(free * 1024**3)))
    found = told()
    assert found["output"][0] == found["temporary files"][0] == state
    assert ("--output" in found["output"][1], "TMPDIR" in found["temporary files"][1]) == (state != "ok",) * 2


def test_an_output_folder_that_is_a_file_is_told(none_installed, told, tmp_path):
    (tmp_path / "file").write_text("")
    found = told(output=tmp_path / "file" / "output")
    assert found["output"][0] == "mend"
    assert str(tmp_path / "file" / "output") in found["output"][1]
    assert found["search"][0] == "skip"


def test_threads_that_spin_are_told(none_installed, told, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    state, text = told()["waiting threads"]
    assert state == "note"
    assert "'active'" in text
    assert "Unset it" in text


def no_kernel(*args, **kwargs):
    raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")


def test_a_gpu_that_torch_cannot_use_is_told(none_installed, told, monkeypatch, tmp_path):
    assert told()["GPU"] == ("ok", "none: set general.use_gpu: false.") or torch.cuda.is_available()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", no_kernel)
    state, text = told()["GPU"]
    assert state == "mend"
    assert "no kernel image is available for execution on the device. Install a torch" in text
    assert "general.use_gpu: false" in text
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    state, text = told()["GPU"]
    assert state == "note"
    assert "nvidia-smi is there. Install a newer driver" in text


BROKEN = [  # a package that cannot be imported, what is told of it
    ("h5py", "imports"),
    ("torch", "packages"),
]


@pytest.mark.parametrize(("package", "subject"), BROKEN)
def test_a_package_that_cannot_be_imported_is_no_traceback(package, subject, tmp_path):
    (tmp_path / f"{package}.py").write_text("raise ImportError('libbroken.so.1: cannot open shared object file')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [SCRIPTS / "alphadia-tl", "doctor", "-o", tmp_path],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stdout.splitlines() if line[6:].startswith(subject)]
    assert line.startswith("mend")
    assert "libbroken.so.1: cannot open shared object file. Install alphadia_tl into a new environment" in line


@pytest.mark.regression
def test_the_tiny_run_is_searched_with_the_machines_own_models(weights, tmp_path):
    code, log = call("alphadia-tl", ["doctor", "-o", tmp_path], weights)
    assert code == 0, log
    [line] = [line for line in log.splitlines() if line.startswith("ok    search")]
    assert " precursors, " in line
    assert "All can run." in log.splitlines()
    assert list(tmp_path.iterdir()) == []
