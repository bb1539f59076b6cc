"""A config that is no config ends every command in one line with a code, and exit code 1."""

import subprocess
import sys
from pathlib import Path

import pytest
from e2e.support import call
from stand_in import install_alphadia

from alphadia_tl import cli, host

FAULTS = {
    "missing": (None, "cannot be read"),
    "empty": (b"", "is empty"),
    "latin1": ("fasta_paths: [a.fasta] # caf\u00e9\n".encode("latin-1"), "no UTF-8 text"),
    "utf16": ("general: null\n".encode("utf-16"), "is UTF-16 text"),
    "list": (b"- a\n- b\n", "is a list"),
    "tab": (b"general:\n\tthread_count: 1\n", "a tab"),
    "no yaml": (b"a: [1,\n", "is no valid YAML"),
    "text for a section": (b"library_prediction: trypsin\nalphadia_tl: {enabled: true}\n", "'library_prediction'"),
}


def write(folder, name):
    path = folder / "config.yaml"
    if FAULTS[name][0] is not None:
        path.write_bytes(FAULTS[name][0])
    return ["--config", str(path), "-o", str(folder / "out")]


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "text for a section"])
def test_a_faulty_config_of_a_search_is_one_line_with_a_code(tmp_path, capfd, name):
    assert cli.main(write(tmp_path, name)) == 1
    told = capfd.readouterr().err
    assert told.startswith("TL_CONFIG: ")
    assert FAULTS[name][1] in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "command"), [("latin1", ["finetune", "--quant-dir", "none"]), ("text for a section", [])]
)
def test_a_faulty_config_is_one_line_of_the_log_of_a_command_that_logs(tmp_path, name, command):
    code, told = call("alphadia-tl", [*command, *write(tmp_path, name)], Path.home())
    assert code == 1, told
    assert "TL_CONFIG" in told
    assert FAULTS[name][1] in told
    assert "Traceback" not in told


def test_a_config_dict_that_is_no_json_is_named(tmp_path, capfd):
    assert cli.main(["--config-dict", "{'alphadia_tl': {'enabled': True}}", "-o", str(tmp_path)]) == 1
    assert "TL_CONFIG: Flag '--config-dict' is no JSON" in capfd.readouterr().err


def test_version_needs_no_heavy_import():

    code = (
        "import sys, alphadia_tl.cli as c; c.main(['--version']); "
        "print([m for m in sys.modules if m in ('torch', 'alphadia', 'pandas', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.startswith(host.host_version())


def test_an_alphadia_that_does_not_fit_is_one_line_and_an_exit_code(monkeypatch, tmp_path, capsys):
    from alphadia_tl.cli import main

    install_alphadia(monkeypatch, tmp_path, "2.4.0")
    assert main(["--config", "any.yaml"]) == 1
    assert capsys.readouterr().err.startswith("TL_HOST: alphaDIA 2.4.0 is installed")
