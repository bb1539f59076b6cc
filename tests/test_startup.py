import os
import subprocess
import sys

import pytest

from alphadia_tl.startup import begin, is_alphadia

PYTHON = "/env/bin/python"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([PYTHON, "/env/bin/alphadia", "--config", "c.yaml"], True),
        ([PYTHON, r"alphadia.exe", "--check"], True),
        ([PYTHON, "-X", "faulthandler", "-I", "/env/bin/alphadia"], True),
        ([PYTHON, "-m", "alphadia.cli"], True),
        ([PYTHON, "/env/bin/alphadia-tl", "demo"], False),
        ([PYTHON, "script.py", "/env/bin/alphadia"], False),
        ([PYTHON, "-m", "pytest", "alphadia"], False),
        ([PYTHON, "-c", "print()", "alphadia"], False),
        ([PYTHON, "-c", "from multiprocessing.spawn import spawn_main", "--multiprocessing-fork"], False),
        ([PYTHON], False),
        ([], False),
    ],
)
def test_only_alphadias_own_command_is_meant(command, expected):
    assert is_alphadia(command) is expected


def test_starting_up_imports_nothing_heavy():
    code = "import sys; import alphadia_tl.startup as s; s.begin(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    top = {name.split(".")[0] for name in loaded}
    assert "alphadia_tl" in top
    assert not top & {"torch", "pandas", "numpy", "alphadia", "peptdeep", "yaml", "inspect"}


SHOW = "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules, 'numba' in seen)"


@pytest.mark.parametrize(("users_choice", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_that_wait_sleep_before_anything_is_loaded_that_has_threads(users_choice, expected):
    """Importing the command loads neither torch nor numba; running it sets the policy and still loads no torch."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    if users_choice:
        environment["OMP_WAIT_POLICY"] = users_choice
    code = f"import os, sys; from alphadia_tl.cli import main; seen = set(sys.modules); main(['--version']); {SHOW}"
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == f"{expected} False False"


def test_alphadias_own_command_has_threads_sleep_too(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "orig_argv", [PYTHON, "script.py"])
    begin()
    assert "OMP_WAIT_POLICY" not in os.environ
    monkeypatch.setattr(sys, "orig_argv", [PYTHON, "/env/bin/alphadia", "--config", "c.yaml"])
    begin()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
