import sysconfig

import pytest

from alphadia_tl import cli
from alphadia_tl.commands.register import ENTRY_POINT, LINE, is_registered, start_up_files


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """An environment's site-packages."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path


def test_registering_writes_a_file_tells_it_and_is_taken_back(packages, capsys):
    file = packages / "alphadia_tl_register.pth"
    assert cli.main(["register", "--status"]) == 0
    assert capsys.readouterr().out.startswith("Not registered")
    assert not file.exists()
    assert cli.main(["register"]) == 0
    assert capsys.readouterr().out == f"Written: {file}\n"
    assert file.read_text() == LINE + "\n"
    assert cli.main(["register", "--status"]) == 0
    assert capsys.readouterr().out == f"Registered: {file}\n"
    assert cli.main(["unregister"]) == 0
    assert capsys.readouterr().out == f"Removed: {file}\n"
    assert not list(packages.iterdir())
    assert cli.main(["unregister"]) == 0
    assert capsys.readouterr().out == "Nothing was registered.\n"


def test_a_file_of_another_version_does_not_count(packages):
    (packages / "alphadia_tl_register.pth").write_text("import something_else\n")
    assert not is_registered()


def test_python_3_15_gets_an_entry_point(packages):
    files = {path.name: text for path, text in start_up_files(version=(3, 15)).items()}
    assert files == {"alphadia_tl_register.pth": LINE + "\n", "alphadia_tl_register.start": ENTRY_POINT + "\n"}


def test_a_folder_that_cannot_be_written_is_one_clear_error(packages, capsys, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(packages / "file" / "site-packages"))
    (packages / "file").write_text("")
    assert cli.main(["register"]) == 1
    assert "alphadia_tl_register.pth could not be written" in capsys.readouterr().err
