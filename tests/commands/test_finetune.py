import numpy as np
import pytest
import yaml
from e2e.support import QUICK_TUNING, SHARED, call, needs_shared
from peptdeep.settings import global_settings

from alphadia_tl.cli import main
from alphadia_tl.commands.finetune import quant_folders
from alphadia_tl.errors import QuantificationError
from alphadia_tl.library.collect import Wanted, collect
from alphadia_tl.settings import TransferLibrarySettings


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


def said_by(caplog, capsys, *arguments):
    """Return the exit code and what was logged; the first call of a process sets alphaDIA's log up."""
    code = main(["finetune", *arguments])
    shown = capsys.readouterr()
    return code, caplog.text + shown.out + shown.err


def test_models_are_looked_at_before_the_transfer_library_is_read(tmp_path, caplog, capsys):
    (tmp_path / "is.hdf").touch()
    (tmp_path / "c.yaml").write_text(f"library_prediction: {{peptdeep_model_path: {tmp_path / 'none'}}}\n")
    arguments = ("--transfer-library", str(tmp_path / "is.hdf"), "--config", str(tmp_path / "c.yaml"))
    code, said = said_by(caplog, capsys, *arguments, "-o", str(tmp_path / "out"))
    assert code == 1
    assert "TL_WEIGHTS" in said
    assert "TL_LIBRARY" not in said
    assert not list((tmp_path / "out").glob("*.pth"))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--quant-dir", "{tmp}/none"], "{tmp}/none holds no run"),
        (["--transfer-library", "{tmp}/none.hdf"], "{tmp}/none.hdf does not exist"),
        (["--transfer-library", "{tmp}/is.hdf", "--library", "{tmp}/none.hdf"], "{tmp}/none.hdf does not exist"),
        (["--psm", "{tmp}/none.tsv"], "{tmp}/none.tsv does not exist"),
        (["--psm", "{tmp}/is.hdf", "--library", "{tmp}/none.tsv"], "{tmp}/none.tsv does not exist"),
        (["--psm", "{tmp}", "--library", "{tmp}/is.hdf"], "{tmp} is a folder"),
        (
            ["--psm", "{tmp}/is.hdf", "--library", "{tmp}/is.hdf", "--library", "{tmp}/is.hdf"],
            "Two libraries of one kind are given as --library: {tmp}/is.hdf and {tmp}/is.hdf",
        ),
        (["--transfer-library", "x", "--config", "{tmp}/none.yaml"], "{tmp}/none.yaml"),
    ],
)
def test_missing_inputs_end_with_alphadias_exit_code_for_user_errors_before_anything_is_loaded(
    tmp_path, arguments, named, caplog, capsys, monkeypatch
):
    monkeypatch.setitem(global_settings, "PEPTDEEP_HOME", str(tmp_path / "peptdeep"))  # where no models are
    (tmp_path / "is.hdf").touch()
    arguments = [a.format(tmp=tmp_path) for a in arguments]
    code, said = said_by(caplog, capsys, *arguments, "-o", str(tmp_path / "out"))
    assert code == 1
    assert named.format(tmp=tmp_path) in said
    assert "TL_WEIGHTS" not in said


def test_two_runs_of_one_name_are_named_and_renaming_one_folder_mends_it(tmp_path):
    folders = [tmp_path / name / "run_1" for name in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
    rest = TransferLibrarySettings(), Wanted(("b_z1", "y_z1"))
    how = {"fail_fast": True, "generator": np.random.default_rng(0)}
    with pytest.raises(QuantificationError, match=r"a/run_1 and .*b/run_1. Rename one of the folders"):
        collect(folders, *rest, **how)
    (tmp_path / "link").symlink_to(folders[0])  # its name is the run's; the folder behind it counts once
    with pytest.raises(QuantificationError, match=r"psm\.parquet is missing") as error:
        collect([folders[0], tmp_path / "link"], *rest, **how)
    assert str(error.value).count("is missing") == 1


@pytest.mark.slow
@pytest.mark.regression
@needs_shared
def test_models_are_tuned_on_a_report_of_dia_nn_and_what_it_does_not_have_is_told(tmp_path):
    for name, file in {"rt": "rt_generic", "ms2": "ms2_base", "charge": "charge_base", "ccs": "ccs_generic"}.items():
        (tmp_path / f"{name}.pth").write_bytes((SHARED / "models" / f"{file}.pth").read_bytes())
    config = {
        **QUICK_TUNING,
        "general": {"use_gpu": False},
        "library_prediction": {"peptdeep_model_path": str(tmp_path)},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    report = SHARED / "other" / "qpx_diann_report.tsv"
    out = tmp_path / "out"
    code, log = call("alphadia-tl", ["finetune", "--psm", report, "-c", tmp_path / "c.yaml", "-o", out], tmp_path)
    assert code == 0, log[-3000:]
    assert "947 of 1,000 rows are targets with Q.Value and Global.Q.Value and Lib.Q.Value up to 1.00%" in log
    record = yaml.safe_load((out / "alphadia_tl.yaml").read_text())
    assert set(record["training"]) == {"rt", "charge"}
    assert any("MS2 is not tuned" in w for w in record["warnings"])
    assert (out / "speclib.transfer.hdf").is_file()
    code, log = call("alphadia-tl", ["finetune", "--psm", tmp_path / "c.yaml", "-o", out], tmp_path)
    assert (code, log.count("ERROR"), "Traceback" in log) == (1, 1, False)
