"""The plain ``alphadia`` command in an environment of its own: registered, unregistered, uninstalled."""

import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

import alphadia_tl

pytestmark = pytest.mark.slow

REPOSITORY = Path(alphadia_tl.__file__).parents[1]
SCRIPT = "#!{python}\nimport sys\nfrom {module} import {name}\nif __name__ == '__main__':\n    sys.exit({name}())\n"
# Both are wrong: which of them is told shows who has read the config.
CONFIG = {"alphadia_tl": {"enabled": True, "epochs": 3}, "fasta_paths": ["absent.fasta"]}


class Environment:
    """A virtual environment that sees the packages of the running one, but this package only where it is installed."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False, symlinks=True)
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        (self.packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.installed = self.packages / "alphadia_tl_editable.pth"
        self.installed.write_text(f"{REPOSITORY}\n")
        for command, module, name in (("alphadia", "alphadia.cli", "run"), ("alphadia-tl", "alphadia_tl.cli", "main")):
            script = folder / "bin" / command
            script.write_text(SCRIPT.format(python=self.python, module=module, name=name))
            script.chmod(0o755)
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(CONFIG))

    def __call__(self, command, *arguments):
        return subprocess.run(
            [self.folder / "bin" / command, *arguments], capture_output=True, text=True, check=False, cwd=self.folder
        )

    def search(self):
        done = self("alphadia", "--config", self.config, "-o", self.folder / "out")
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("environment") / "env")


@pytest.fixture(scope="module")
def registered(environment):
    done = environment("alphadia-tl", "register")
    assert done.returncode == 0, done.stderr
    assert str(environment.packages / "alphadia_tl_register.pth") in done.stdout
    return environment


def test_registered_the_plain_command_reads_our_section(registered):
    code, log = registered.search()
    assert code == 1
    assert "Unknown config key 'alphadia_tl.epochs'" in log


def test_registered_other_programs_load_nothing_of_this_package(registered):
    show = "import sys; print([m for m in sys.modules if m.startswith('alphadia')])"
    done = subprocess.run([registered.python, "-c", show], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_where_the_package_is_gone_the_plain_command_is_alphadias_own(registered):
    registered.installed.rename(registered.folder / "gone")
    try:
        code, log = registered.search()
    finally:
        (registered.folder / "gone").rename(registered.installed)
    assert code == 1
    assert "Traceback" not in log
    assert "Defining new keys is not allowed" in log
    assert "key='alphadia_tl'" in log


def test_where_alphadia_does_not_fit_the_command_stops(registered):
    broken = registered.folder / "sitecustomize.py"
    version = "m.version = lambda name: '2.4.0' if name == 'alphadia' else old(name)"
    code = f"import importlib.metadata as m\nold = m.version\n{version}\n"
    broken.write_text(code)
    (registered.packages / "a_sitecustomize.pth").write_text(f"{registered.folder}\n")
    try:
        exit_code, log = registered.search()
    finally:
        (registered.packages / "a_sitecustomize.pth").unlink()
    assert exit_code == 1
    assert "alphaDIA 2.4.0 is installed, but this alphadia_tl works with 2.3.* only" in log
    assert "alphadia-tl unregister" in log


def test_unregistering_leaves_nothing_behind(registered):
    """Without the file the plain command is what it is where the package is gone."""
    assert registered("alphadia-tl", "unregister").returncode == 0
    assert sorted(p.name for p in registered.packages.glob("*.pth")) == ["alphadia_tl_editable.pth", "needed.pth"]
