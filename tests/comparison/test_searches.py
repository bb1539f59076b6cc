import pytest
import yaml
from stand_in import put_in_place

from alphadia_tl.comparison.searches import run_searches, search_configs, wall_seconds

USER = {
    "raw_paths": ["a.raw"],
    "output_directory": "elsewhere",
    "general": {"thread_count": 2, "mbr_step_enabled": True, "random_state": 7, "transfer_step_enabled": True},
    "alphadia_tl": {"enabled": False, "tuning_runs": 2},
}


def test_searches_differ_in_the_switches_only():
    configs = search_configs(USER, stock=True)
    assert list(configs) == ["off", "on", "stock"]
    assert "alphadia_tl" not in configs["off"] | configs["stock"]
    assert configs["on"].pop("alphadia_tl") == {"enabled": True, "tuning_runs": 2}
    assert configs["on"] == configs["off"]
    assert configs["off"]["general"] == {**USER["general"], "transfer_step_enabled": False}
    configs["stock"]["general"]["transfer_step_enabled"] = False
    assert configs["stock"] == configs["off"]
    assert "output_directory" not in configs["off"]


@pytest.mark.parametrize("general", [{}, {"random_state": None}, {"random_state": -1}])
def test_all_searches_are_seeded(general):
    configs = search_configs({"general": general}, stock=True)
    assert {c["general"]["random_state"] for c in configs.values()} == {1}


def test_the_users_config_is_left_alone():
    before = yaml.safe_dump(USER)
    search_configs(USER, stock=True)
    assert yaml.safe_dump(USER) == before


@pytest.fixture
def stand_in(monkeypatch, tmp_path_factory):
    """A program in place of a search: `code`, with OUT and NAME filled in."""

    def make(code):
        names = "from pathlib import Path\nOUT = ARGS[ARGS.index('-o') + 1]\nNAME = Path(OUT).name\n"
        put_in_place(monkeypatch, tmp_path_factory.mktemp("stand_in"), "alphadia_tl.cli", names + code)

    return make


SEARCH = """
import os, sys
os.makedirs(OUT)
open(os.path.join(OUT, 'result'), 'w').write(NAME)
print('searching ü')
print('a warning', file=sys.stderr)
"""


def run(output, config=USER):
    said = []
    code = run_searches(search_configs(config), output, said.append)
    return code, "".join(said)


def test_each_search_is_run_into_its_folder_and_its_output_is_shown_and_logged(tmp_path, stand_in):
    stand_in(SEARCH)
    code, said = run(tmp_path)
    assert code == 0
    for name in ("off", "on"):
        assert (tmp_path / name / "result").read_text() == name
        log = (tmp_path / f"{name}.log").read_text(encoding="utf-8")
        assert sorted(log.splitlines()) == ["a warning", "searching ü"]
        assert f"[{name}] searching ü\n" in said
        assert f"[{name}] a warning\n" in said
    assert all(0 < seconds < 60 for seconds in wall_seconds(tmp_path, ["off", "on"]).values())


@pytest.mark.parametrize(("ending", "expected"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)])
def test_a_failing_search_ends_it_with_its_code_and_the_name_of_its_log(tmp_path, stand_in, ending, expected):
    stand_in(f"{SEARCH}\nif NAME == 'on': {ending}")
    configs = search_configs(USER, stock=True)
    said = []
    assert run_searches(configs, tmp_path, said.append) == expected
    assert str(tmp_path / "on.log") in said[-1]
    assert (tmp_path / "off" / "result").exists()
    assert not (tmp_path / "stock").exists()


def test_what_is_finished_is_not_searched_again_and_what_failed_is_kept_aside(tmp_path, stand_in):
    stand_in(f"{SEARCH}\nif NAME == 'on': sys.exit(3)")
    run(tmp_path)
    stand_in(SEARCH)
    code, said = run(tmp_path)
    assert code == 0
    assert "[off] finished before" in said
    assert "[on] searching" in said
    assert (tmp_path / "on.before_1" / "result").exists()
    assert not (tmp_path / "off.before_1").exists()


@pytest.mark.parametrize("change", ["config", "fasta_paths", "library_path"])
def test_other_settings_and_other_files_are_searched_anew(tmp_path, stand_in, change):
    stand_in(SEARCH)
    file = tmp_path / "file"
    file.write_text("before")
    config = USER | {"fasta_paths": [str(file)], "library_path": str(file)}
    run(tmp_path, config)
    if change != "config":
        file.write_text("after that")
    _, said = run(tmp_path, config | ({"raw_paths": ["b.raw"]} if change == "config" else {}))
    assert "finished before" not in said
    assert (tmp_path / "off.before_1" / "result").exists()


def test_where_the_record_is_damaged_all_is_searched_again_and_nothing_lost(tmp_path, stand_in, caplog):
    stand_in(SEARCH)
    run(tmp_path)
    (tmp_path / "searches.yaml").write_text("off: [")
    code, said = run(tmp_path)
    assert code == 0
    assert "searches.yaml cannot be read" in caplog.text
    assert "finished before" not in said
    assert (tmp_path / "on.before_1" / "result").exists()


@pytest.mark.slow
def test_the_real_command_reports_alphadias_own_exit_code(tmp_path):
    config = {"no_such_key": 1, "general": {"random_state": 1}}
    said = []
    assert run_searches(search_configs(config), tmp_path, said.append) == 1
    assert "no_such_key" in (tmp_path / "off.log").read_text()
    assert yaml.safe_load((tmp_path / "off.config.yaml").read_text())["general"]["transfer_step_enabled"] is False
    assert not (tmp_path / "on.log").exists()


def test_a_search_that_was_cut_off_is_not_taken_for_the_one_that_was_in_its_place(tmp_path, stand_in):
    """The record speaks of the folder that was moved aside."""
    other = {**USER, "general": {**USER["general"], "thread_count": 1}}
    stand_in(SEARCH)
    assert run(tmp_path)[0] == 0
    stand_in("raise KeyboardInterrupt")

    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_searches(search_configs(other), tmp_path, interrupted)
    (tmp_path / "off").mkdir(exist_ok=True)
    stand_in(SEARCH)
    said = run(tmp_path)[1]
    assert "[off] finished before" not in said
    assert "[on] finished before" in said
    assert (tmp_path / "off" / "result").read_text() == "off"
