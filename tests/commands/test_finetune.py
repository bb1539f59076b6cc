import pytest

from alphadia_tl.cli import main
from alphadia_tl.commands.finetune import quant_folders
from alphadia_tl.errors import QuantificationError


def test_runs_are_found_in_quant_folders_and_nothing_else(tmp_path):
    for name in ("b", "a", "no_psm"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        (tmp_path / name / "psm.parquet").touch()
    assert [p.name for p in quant_folders([tmp_path])] == ["a", "b"]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_quant_folder_without_runs_is_an_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(QuantificationError, match=r"holds no run with a psm\.parquet"):
        quant_folders([tmp_path / name])


def test_models_and_disk_are_looked_at_before_the_tuning(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(
        "alphadia_tl.step.step.preflight", lambda settings, folder: called.append(("preflight", folder))
    )
    monkeypatch.setattr("alphadia_tl.step.step.run_step", lambda settings, folder, **k: called.append(("step", folder)))
    (tmp_path / "is.hdf").touch()
    out = tmp_path / "out"
    assert main(["finetune", "--transfer-library", str(tmp_path / "is.hdf"), "-o", str(out)]) == 0
    assert called == [("preflight", out), ("step", out)]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--quant-dir", "{tmp}/none"], "{tmp}/none holds no run"),
        (["--transfer-library", "{tmp}/none.hdf"], "{tmp}/none.hdf does not exist"),
        (["--transfer-library", "{tmp}/is.hdf", "--library", "{tmp}/none.hdf"], "{tmp}/none.hdf does not exist"),
        (["--transfer-library", "x", "--config", "{tmp}/none.yaml"], "{tmp}/none.yaml"),
    ],
)
def test_missing_inputs_end_with_alphadias_exit_code_for_user_errors_before_anything_is_loaded(
    tmp_path, arguments, named, caplog, capsys, monkeypatch
):
    monkeypatch.setattr("alphadia_tl.step.step.preflight", lambda *a: pytest.fail("models are looked for"))
    (tmp_path / "is.hdf").touch()
    assert main(["finetune", *(a.format(tmp=tmp_path) for a in arguments), "-o", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()  # the first call of a process sets alphaDIA's log up
    assert named.format(tmp=tmp_path) in caplog.text + shown.out + shown.err
