import pytest

from alphadia_tl.commands import workflow as command
from alphadia_tl.commands.workflow import main


@pytest.fixture(autouse=True)
def logging_as_it_is(monkeypatch):
    """alphaDIA's logging takes over the process's."""
    monkeypatch.setattr(command.host, "start_logging", lambda folder: None)


def test_without_snakemake_the_command_says_what_to_install(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "c.yaml").write_text("alphadia_tl: {enabled: true}\n")
    assert main(["--config", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "out")]) == 1
    assert "pip install 'snakemake>=" in caplog.text


def test_an_impossible_config_ends_before_snakemake(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(command, "run_snakemake", lambda *a, **k: pytest.fail("Snakemake was started"))
    (tmp_path / "c.yaml").write_text("alphadia_tl: {enabled: true, tuning_runs: 0}\nraw_paths: []\n")
    assert main(["--config", str(tmp_path / "c.yaml"), "-o", str(tmp_path / "out")]) == 1
    assert "TL_CONFIG" in caplog.text


@pytest.mark.parametrize("flags", [[], ["--tune-again"]])
def test_the_flag_that_tunes_again_is_the_plans_and_not_snakemakes(tmp_path, monkeypatch, flags):
    got = {}
    monkeypatch.setattr(command, "make_plan", lambda config, output, *, tune_again: got.update(tune_again=tune_again))
    monkeypatch.setattr(command, "run_snakemake", lambda output, left: got.update(left=left) or 0)
    (tmp_path / "c.yaml").write_text("alphadia_tl: {enabled: true}\n")
    words = [
        "--config",
        tmp_path / "c.yaml",
        "-o",
        tmp_path / "out",
        "--file",
        tmp_path / "c.yaml",
        *flags,
        "--dry-run",
    ]
    assert main(list(map(str, words))) == 0
    assert got == {"tune_again": bool(flags), "left": ["--dry-run"]}
