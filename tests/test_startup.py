import subprocess
import sys

import pytest

from alphadia_tl.startup import is_alphadia

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
