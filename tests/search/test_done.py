import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import OutputError
from alphadia_tl.files import Manifest
from alphadia_tl.models.gate import Decision
from alphadia_tl.search.done import first_pass, forget, remove_damaged_runs, second_pass_config, the_only_search, tuning
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.step_settings import step_settings

INPUTS = {"config": "a", "raw files": "b"}


def test_force_forgets_all_stages_of_all_folders(tmp_path):
    Manifest(tmp_path).finish("tuning", INPUTS, [], {})
    Manifest(tmp_path / "transfer").begin("first pass", INPUTS)
    checkpoints = Bundle(tmp_path / "transfer").checkpoints
    checkpoints.mkdir()
    (checkpoints / "rt_0.pt").write_bytes(b"a training")
    forget(tmp_path)
    assert not checkpoints.exists()
    assert Manifest(tmp_path).state("tuning", INPUTS) == "new"
    assert Manifest(tmp_path / "transfer").state("first pass", INPUTS) == "new"


def test_only_runs_whose_tables_can_be_read_are_kept(tmp_path):
    table = pd.DataFrame({"a": [1]})
    for run in ("whole", "torn"):
        (tmp_path / run).mkdir()
        for name in ("psm", "frag"):
            table.to_parquet(tmp_path / run / f"{name}.parquet")
    torn = tmp_path / "torn" / "frag.parquet"
    torn.write_bytes(torn.read_bytes()[:-4])
    assert remove_damaged_runs(tmp_path) == [tmp_path / "torn"]
    assert not list((tmp_path / "torn").glob("*.parquet"))
    assert len(list((tmp_path / "whole").glob("*.parquet"))) == 2
    assert remove_damaged_runs(tmp_path / "absent") == []


def test_a_second_search_in_the_folder_is_refused_until_the_first_has_ended(tmp_path):
    with the_only_search(tmp_path / "out"), pytest.raises(OutputError, match="Another search is running"):  # noqa: SIM117
        with the_only_search(tmp_path / "out"):
            pass
    with the_only_search(tmp_path / "out"):
        pass


def test_what_a_killed_search_wrote_in_part_is_removed(tmp_path):
    torn = tmp_path / "transfer" / ".speclib.tuned.hdf.4711.part"
    torn.parent.mkdir()
    torn.write_text("half")
    with the_only_search(tmp_path):
        assert not torn.exists()


RUNS = ("run_1", "run_2")
ANEW = {"general": {"reuse_quant": False, "reuse_quant_from": []}}
GO_ON = {"general": {"reuse_quant": True, "reuse_quant_from": []}}


class Search:
    """A folder, its raw files, and a search that writes tables of the runs that it searches."""

    def __init__(self, folder):
        self.folder, self.raw = folder / "out" / "transfer", [folder / f"{run}.hdf" for run in RUNS]
        for path in self.raw:
            path.write_text("scans")
        self.config = {"raw_paths": [str(p) for p in self.raw], "general": {"random_state": 1}}
        self.searched: list[str] = []
        self.bad: list[str] = []
        self.killed_at = None

    def step(self):
        return host.make_step(self.folder, self.config, {}, {"transfer_library": {"enabled": True}}, "transfer")

    def __call__(self, weights="generic", **kwargs):
        step = self.step()

        def run():
            folders = []
            for name in RUNS:
                folder = host.quant_folder(step) / name
                reused = host.config_of(step)["general"]["reuse_quant"] and (folder / "psm.parquet").is_file()
                if name == self.killed_at:
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / "psm.parquet").write_bytes(b"PAR1 torn")
                    raise KeyboardInterrupt
                if name in self.bad:
                    continue
                if not reused:
                    self.searched.append(name)
                    folder.mkdir(parents=True, exist_ok=True)
                    pd.DataFrame({"precursor": [len(self.searched)]}).to_parquet(folder / "psm.parquet")
                folders.append(folder)
            (self.folder / host.SPECLIB_FILE).write_text("library")
            return [("transfer", name) for name in self.bad], folders

        self.searched.clear()
        return first_pass(step, self.folder, {"rt": {"source": "anywhere", "sha256": weights}}, run, **kwargs)


@pytest.fixture
def search(tmp_path):
    return Search(tmp_path)


def test_a_finished_first_pass_is_not_searched_again(search):
    first = search()
    assert search.searched == list(RUNS)
    again = search()
    assert search.searched == []
    assert [f.resolve() for f in first[1]] == [f.resolve() for f in again[1]]


def test_a_finished_first_pass_is_found_after_its_folder_was_moved(search):
    search()
    search.folder.parent.rename(search.folder.parents[1] / "moved")
    search.folder = search.folder.parents[1] / "moved" / "transfer"
    _, folders = search()
    assert search.searched == []
    assert all((f / "psm.parquet").is_file() for f in folders)


def test_a_finished_first_pass_is_found_after_a_whole_project_was_moved(tmp_path):
    (tmp_path / "project").mkdir()
    search = Search(tmp_path / "project")
    search()
    (tmp_path / "project").rename(tmp_path / "ä b")
    search.folder = tmp_path / "ä b" / "out" / "transfer"
    search.config["raw_paths"] = [str(tmp_path / "ä b" / p.name) for p in search.raw]
    search()
    assert search.searched == []


def test_other_settings_of_the_tuning_leave_a_finished_first_pass_alone(search):
    search()
    search.config["transfer_learning"] = {"max_lr": 0.1}
    search()
    assert search.searched == []


def _other_weights(search):
    search("another file")


def _raw_file_changed(search):
    search.raw[1].write_text("other scans")
    search()


def _config_changed(search):
    search.config["general"]["random_state"] = 2
    search()


@pytest.mark.parametrize("change", [_other_weights, _raw_file_changed, _config_changed])
def test_what_a_first_pass_depends_on_makes_it_search_all_again(search, change):
    search()
    change(search)
    assert search.searched == list(RUNS)


def test_after_a_kill_only_what_was_not_searched_completely_is_searched(search):
    search.killed_at = "run_2"
    with pytest.raises(KeyboardInterrupt):
        search()
    assert search.searched == ["run_1"]
    search.killed_at = None
    search()
    assert search.searched == ["run_2"]
    search()
    assert search.searched == []


def test_tables_of_other_settings_are_not_taken_up_after_a_kill(search):
    """The call right after the change searches all; it is the one after its kill that finds them."""
    search()
    search.config["library_prediction"] = {"nce": 30}
    search.killed_at = "run_1"
    with pytest.raises(KeyboardInterrupt):
        search()
    search.killed_at = None
    search()
    assert search.searched == list(RUNS)


def test_a_failed_files_table_of_other_settings_is_not_taken_up(search):
    search()
    search.config["library_prediction"] = {"nce": 30}
    search.bad = ["run_2"]
    assert search()[0] == [("transfer", "run_2")]
    search.bad = []
    search()
    assert search.searched == ["run_2"]


def test_runs_are_not_taken_up_where_the_library_has_another_order_in_each_call(search):
    search.killed_at = "run_2"
    with pytest.raises(KeyboardInterrupt):
        search(repeatable=False)
    search.killed_at = None
    search(repeatable=False)
    assert search.searched == list(RUNS)
    search(repeatable=False)
    assert search.searched == []  # all runs are of one library


@pytest.mark.parametrize("fail_fast", [True, False])
def test_missing_runs_are_searched_where_alphadia_would_stop(search, fail_fast):
    search.config["general"]["fail_fast"] = fail_fast
    step = search.step()
    host.reuse_quantification(step)
    if fail_fast:
        with pytest.raises(host.user_error_class()):
            step._get_reusable_quant_folders()
    with host.missing_runs_are_searched():
        assert step._get_reusable_quant_folders() == {}
    assert host.config_of(step)["general"]["fail_fast"] is fail_fast


def test_files_that_failed_are_tried_again(search):
    search.bad = ["run_2"]
    assert search()[0] == [("transfer", "run_2")]
    search.bad = []
    errors, folders = search()
    assert search.searched == ["run_2"]
    assert not errors
    assert len(folders) == 2


def test_a_changed_library_makes_the_pass_search_again(search):
    search()
    (search.folder / host.SPECLIB_FILE).write_text("somebody else's")
    search()
    assert search.searched == []  # the runs are whole: alphaDIA only builds its output again
    (search.folder / "quant" / "run_1" / "psm.parquet").unlink()
    search()
    assert search.searched == ["run_1"]


@pytest.fixture
def tune(search):
    _, folders = search()
    settings = step_settings(search.step().config, search.config, PluginSettings(enabled=True))
    calls = []

    def run():
        calls.append(1)
        bundle = Bundle(search.folder)
        bundle.models.mkdir(exist_ok=True)
        (bundle.models / "rt.pth").write_text("weights")
        summary = {"accepted": ["rt"], "dropped_charge_states": {3: 1}, "correlation": {"rt": float("nan")}}
        outcome = StepOutcome(
            bundle,
            (Decision("rt", True, "better", "error", False, 0.3, 0.2, [0.05, 0.15], {"train": 9}),),
            regeneration=summary,
            warnings=("few",),
            seconds={"tuning": 1.5},
            provenance={"nce_curve": {25.0: 0.7}, "fdr": 0.01},
        )
        outcome.write_provenance()
        return outcome

    def tuned(quant=folders, **changes):
        library = search.folder / host.SPECLIB_FILE
        return tuning(replace(settings, **changes), search.folder, quant, library, {}, run), len(calls)

    return tuned


def test_a_finished_tuning_is_read_back_as_it_was(tune):
    (first, _), (again, calls) = tune(), tune()
    assert calls == 1
    assert again.decisions == first.decisions
    assert again.accepted == ("rt",)
    assert str(again.to_mapping()) == str(first.to_mapping())


def test_other_settings_or_other_results_tune_again(tune, search):
    tune()
    assert tune(seed=99)[1] == 2
    assert tune(seed=99)[1] == 2
    os.utime(search.folder / "quant" / "run_1" / "psm.parquet", ns=(1, 1))
    assert tune(seed=99)[1] == 3
    (search.folder / "peptdeep.transfer" / "rt.pth").write_text("damaged")
    assert tune(seed=99)[1] == 4


def test_a_finished_tuning_is_found_after_its_folder_was_moved(tune, search):
    tune()
    search.folder.parent.rename(search.folder.parents[1] / "moved")
    search.folder = search.folder.parents[1] / "moved" / "transfer"
    folders = sorted((search.folder / "quant").iterdir())
    assert tune(folders, model_path=Path("another/name/of/it"))[1] == 1


def test_an_interrupted_second_pass_takes_up_its_runs_and_one_with_another_library_does_not(tmp_path):
    library = tmp_path / "speclib.tuned.hdf"
    library.write_text("tuned")
    config = {"library_path": str(library), "raw_paths": []}
    assert second_pass_config(tmp_path, config, config) == ANEW
    assert second_pass_config(tmp_path, config, config) == GO_ON
    library.write_text("tuned again")
    assert second_pass_config(tmp_path, config, config) == ANEW


@pytest.mark.parametrize("changed", ["library", "no manifest"])
def test_tables_of_an_earlier_search_are_not_taken_up_after_a_kill(tmp_path, changed):
    """Such as those of a plain alphaDIA search in the folder in which the plugin is then switched on."""
    library = tmp_path / "speclib.tuned.hdf"
    library.write_text("tuned")
    config = {"library_path": str(library), "raw_paths": []}
    if changed == "library":
        second_pass_config(tmp_path, config, config)
    tables = [tmp_path / "quant" / run / "psm.parquet" for run in RUNS]
    for table in tables:
        table.parent.mkdir(parents=True)
        pd.DataFrame({"precursor": [1]}).to_parquet(table)
    library.write_text("tuned again")
    assert second_pass_config(tmp_path, config, config) == ANEW
    assert all(table.is_file() for table in tables), "nothing is lost before it is made again"
    pd.DataFrame({"precursor": [1, 2]}).to_parquet(tables[0])  # searched, then killed
    assert second_pass_config(tmp_path, config, config) == GO_ON
    assert [table.is_file() for table in tables] == [True, False]
    assert second_pass_config(tmp_path, config, config) == GO_ON
    assert tables[0].is_file()


def test_what_the_user_wants_reused_is_not_taken_for_results_with_the_tuned_library(tmp_path):
    (tmp_path / "x.hdf").write_text("tuned")
    config = {"library_path": str(tmp_path / "x.hdf"), "general": {"reuse_quant": True, "reuse_quant_from": ["old"]}}
    assert second_pass_config(tmp_path, config, {}) == ANEW


def test_results_of_the_first_pass_that_stand_for_the_second_are_left_alone(tmp_path):
    config = {"general": {"reuse_quant": True, "reuse_quant_from": ["transfer/quant"]}}
    second_pass_config(tmp_path, config, config)
    assert second_pass_config(tmp_path, config, config) == {}
