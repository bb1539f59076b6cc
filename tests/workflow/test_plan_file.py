import pytest
import yaml

from alphadia_tl.errors import SettingsError
from alphadia_tl.workflow.layout import Layout
from alphadia_tl.workflow.plan_file import make_plan


@pytest.fixture
def config(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for i in range(1, 6):
        (raw / f"run_{i}.mzML").write_text("")
    fasta = tmp_path / "proteome.fasta"
    fasta.write_text(">sp|P1|A\nMPEPTIDEK\n")
    return {
        "raw_paths": [str(raw / f"run_{i}.mzML") for i in (1, 2, 3)],
        "fasta_paths": [str(fasta)],
        "library_prediction": {"enabled": True},
        "general": {"thread_count": 3},
        "alphadia_tl": {"enabled": True},
    }


def changed(config, section, **values):
    return {**config, section: {**config.get(section, {}), **values}}


def test_the_plan_names_runs_steps_and_sizes(config, tmp_path):
    plan = make_plan(config, tmp_path / "out")
    written = yaml.safe_load(Layout(tmp_path / "out").plan.read_text())
    assert list(plan["runs"]) == written["tuning_runs"] == ["run_1", "run_2", "run_3"]
    assert plan["steps"] == ["transfer", "library"]
    assert (written["threads"], written["use_gpu"]) == (3, False) or written["threads"] == 3
    assert written["fasta_bytes"] == (tmp_path / "proteome.fasta").stat().st_size
    assert yaml.safe_load(Layout(tmp_path / "out").config.read_text())["raw_paths"] == config["raw_paths"]


def test_mbr_is_a_step_of_its_own(config, tmp_path):
    plan = make_plan(changed(config, "general", mbr_step_enabled=True), tmp_path / "out")
    assert plan["steps"] == ["transfer", "library", "mbr"]


WRONG = {
    "not enabled": (lambda c: changed(c, "alphadia_tl", enabled=False), "'alphadia_tl.enabled' is False"),
    "models as they are": (lambda c: changed(c, "alphadia_tl", tune=False), "'alphadia_tl.tune' is False"),
    "unknown key": (lambda c: changed(c, "alphadia_tl", tuning_run=2), "alphadia_tl.tuning_run"),
    "no runs to tune on": (lambda c: changed(c, "alphadia_tl", tuning_runs=0), "alphadia_tl.tuning_runs"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_done_is_said_before_any_job(config, tmp_path, change, message):
    with pytest.raises(SettingsError, match=message):
        make_plan(change(config), tmp_path / "out")
    assert not Layout(tmp_path / "out").plan.exists()


def times(folder):
    layout = Layout(folder)
    return {p.name: p.stat().st_mtime_ns for p in (layout.search_settings, layout.tuning_settings)}


CHANGES = {
    "nothing": (lambda c: c, set()),
    "a raw file": (lambda c: {**c, "raw_paths": [*c["raw_paths"], c["raw_paths"][0].replace("run_1", "run_4")]}, set()),
    "tuning": (lambda c: changed(c, "transfer_learning", epochs=7), {"tuning.yaml"}),
    "the plugin": (lambda c: changed(c, "alphadia_tl", models=["rt"]), {"tuning.yaml"}),
    "the search": (lambda c: changed(c, "search", target_ms1_tolerance=7), {"search.yaml"}),
}


@pytest.mark.parametrize(("change", "written_again"), CHANGES.values(), ids=CHANGES.keys())
def test_only_settings_that_changed_are_written_again(config, tmp_path, change, written_again):
    make_plan(config, tmp_path / "out")
    before = times(tmp_path / "out")
    make_plan(change(config), tmp_path / "out")
    after = times(tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == written_again


@pytest.mark.parametrize(
    ("plugin", "tune_again", "tuned", "expected"),
    [
        ({}, False, False, [1, 2, 3, 4, 5]),
        ({}, False, True, [1, 2, 3]),
        ({}, True, True, [1, 2, 3, 4, 5]),
        ({"tuning_runs": 2}, False, False, [1, 5]),
        ({"tuning_runs": 2}, True, True, [1, 5]),
    ],
)
def test_added_runs_are_tuned_on_only_where_that_is_wanted_or_nothing_was_tuned(
    config, tmp_path, plugin, tune_again, tuned, expected
):
    layout = Layout(tmp_path / "out")
    make_plan(config, layout.folder)
    if tuned:
        layout.tuned.write_text("")
    more = {**config, "raw_paths": sorted(str(p) for p in (tmp_path / "raw").iterdir())}
    plan = make_plan(changed(more, "alphadia_tl", **plugin), layout.folder, tune_again=tune_again)
    assert plan["tuning_runs"] == [f"run_{i}" for i in expected]


def test_a_random_state_of_any_is_drawn_once(config, tmp_path):
    config = changed(config, "general", random_state=-1)
    states = set()
    for _ in range(3):
        make_plan(config, tmp_path / "out")
        written = yaml.safe_load(Layout(tmp_path / "out").config.read_text())
        states.add(written["general"]["random_state"])
    assert len(states) == 1
    assert states.pop() >= 0
