import pytest
import yaml
from forked import run_script
from made_inputs import searchable
from stand_in import put_in_place

from alphadia_tl.workflow.layout import Layout
from alphadia_tl.workflow.plan_file import make_plan


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in a process of its own, whose logging alphaDIA takes over, with a program as Snakemake."""

    def run(config, *flags, first=""):
        put_in_place(monkeypatch, tmp_path / "stand_in", "snakemake", "print('Snakemake got', ARGS)")
        script = tmp_path / "script.py"
        start = "from alphadia_tl.cli import main\nsys.exit(main(sys.argv[1:]))\n"
        script.write_text(f"import os, sys\nos.chdir({str(tmp_path / 'stand_in')!r})\n{first}\n{start}")
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
        command = ["workflow", "--config", tmp_path / "c.yaml", "-o", tmp_path / "out", *flags]
        return run_script(script, command, tmp_path)

    return run


def test_without_snakemake_the_command_says_what_to_install(run):
    code, said = run({"alphadia_tl": {"enabled": True}}, first="sys.modules['snakemake'] = None")
    assert code == 1
    assert "pip install 'snakemake>=" in said


def test_an_impossible_config_ends_before_snakemake(run):
    code, said = run({"alphadia_tl": {"enabled": True, "tuning_runs": 0}, "raw_paths": []})
    assert code == 1
    assert "TL_CONFIG" in said
    assert "Snakemake got" not in said


@pytest.mark.parametrize(("flags", "tuned_on"), [([], ["run_1"]), (["--tune-again"], ["run_1", "run_2"])])
def test_the_flag_that_tunes_again_is_the_plans_and_not_snakemakes(tmp_path, run, flags, tuned_on):
    config = {**searchable(tmp_path, "run_1.mzML", "run_2.mzML"), "alphadia_tl": {"enabled": True}}
    raw = config.pop("raw_paths")
    config["raw_paths"] = raw[:1]
    layout = Layout(tmp_path / "out")
    make_plan(config, layout.folder)
    layout.tuned.write_text("")
    code, said = run(config, "--file", raw[1], *flags, "--dry-run")
    assert code == 0
    assert yaml.safe_load(layout.plan.read_text())["tuning_runs"] == tuned_on
    (got,) = [line for line in said.splitlines() if line.startswith("Snakemake got")]
    assert got.endswith("'--dry-run']")
    assert "--tune-again" not in got
    assert str(raw[1]) not in got
