import logging
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import yaml
from alphadia.exceptions import CustomError
from alphadia.search_plan import SearchPlan
from made_inputs import searchable

from alphadia_tl import __version__, host
from alphadia_tl.bundle import Bundle
from alphadia_tl.models.gate import Decision
from alphadia_tl.search import passes
from alphadia_tl.search.plan import TransferLearningPlan
from alphadia_tl.step.outcome import StepOutcome


def test_the_callers_config_is_left_alone(tmp_path):
    config = {"general": {"thread_count": 2}, "alphadia_tl": {"enabled": True}}
    before = yaml.safe_dump(config)
    TransferLearningPlan(str(tmp_path), config)
    assert yaml.safe_dump(config) == before


@pytest.mark.parametrize("section", [None, {}, {"enabled": False}])
def test_without_the_flag_the_plan_is_alphadias_own(tmp_path, section):
    config = {"general": {"thread_count": 2}}
    plan = TransferLearningPlan(str(tmp_path), config | ({} if section is None else {"alphadia_tl": section}))
    stock = SearchPlan(str(tmp_path), config)
    for name in ("_user_config", "_multistep_config", "_transfer_step_enabled", "_mbr_step_enabled"):
        assert getattr(plan, name) == getattr(stock, name)


def test_the_flag_alone_makes_the_search_two_pass(tmp_path):
    plan = TransferLearningPlan(str(tmp_path), {"alphadia_tl": {"enabled": True}})
    assert plan._transfer_step_enabled
    assert plan._transfer_step_output_dir == tmp_path / "transfer"


@pytest.mark.parametrize(
    ("section", "raw", "expected"),
    [
        ({"enabled": True}, "run.d", "python"),
        ({"enabled": True}, "run.D", "python"),
        ({"enabled": True}, "run.hdf", "python"),
        ({"enabled": True}, "other.hdf", None),
        ({"enabled": True}, "run.mzML", None),
        ({"enabled": False}, "run.d", None),
    ],
)
@pytest.mark.parametrize("by_flag", [True, False])
def test_timstof_runs_are_searched_with_the_engine_that_reads_them(tmp_path, section, raw, expected, by_flag):
    for name, group in (("run.hdf", "raw"), ("other.hdf", "ms_data")):
        with h5py.File(tmp_path / name, "w") as file:
            file.create_group(group)
    runs = {"raw_paths": [str(tmp_path / raw)]}
    plan = TransferLearningPlan(
        str(tmp_path / "out"), {"alphadia_tl": section, **({} if by_flag else runs)}, runs if by_flag else {}
    )
    assert plan.user_config.get("search", {}).get("extraction_backend") == expected


def test_a_flag_that_leads_to_no_step_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(SearchPlan, "run_plan", lambda self: None)
    with pytest.raises(CustomError, match="never ran the transfer step"):
        TransferLearningPlan(str(tmp_path), {**searchable(tmp_path), "alphadia_tl": {"enabled": True}}).run_plan()


@pytest.mark.parametrize(("enabled", "guarded"), [(True, False), (False, True), (False, False)])
def test_classifiers_and_mzml_files_are_guarded_where_the_plugin_is_on_or_searches_are_compared(
    tmp_path, monkeypatch, enabled, guarded
):
    import alphadia.fdr.fdr
    from alpharaw.mzml import MzMLReader

    def now():
        return alphadia.fdr.fdr.perform_fdr, MzMLReader._import

    own, seen = now(), []

    def run_plan(self):
        seen.extend(a is not b for a, b in zip(now(), own, strict=True))
        self._done = True

    monkeypatch.setattr(SearchPlan, "run_plan", run_plan)
    monkeypatch.setattr(TransferLearningPlan, "guarded", guarded)
    TransferLearningPlan(str(tmp_path), {**searchable(tmp_path), "alphadia_tl": {"enabled": enabled}}).run_plan()
    assert seen == [enabled or guarded] * 2
    assert now() == own


@pytest.mark.parametrize(
    ("section", "message"), [({"enabeld": True}, "alphadia_tl.enabeld"), ({"enabled": "yes"}, "true or false")]
)
def test_a_wrong_section_stops_before_anything_runs(tmp_path, section, message):
    with pytest.raises(CustomError, match=message):
        TransferLearningPlan(str(tmp_path), {"alphadia_tl": section})


def test_mbr_keeps_its_own_search_settings(monkeypatch, tmp_path):
    config = {"general": {"mbr_step_enabled": True}, "alphadia_tl": {"enabled": True}}
    plan = TransferLearningPlan(str(tmp_path), config)
    seen = {}
    monkeypatch.setattr(
        SearchPlan, "run_step", lambda self, output_directory, extra_config, step_name: seen.update(extra_config)
    )
    shallow = {**plan._multistep_config["mbr"], "search": {"target_ms1_tolerance": 4.0}}
    plan.run_step(tmp_path, shallow, "mbr")
    assert seen["search"] == {"target_num_candidates": 5, "target_ms1_tolerance": 4.0}


def made_plan(folder, *, accepted=True, tolerance=0.07, own=None, command_line=None):
    """Return a plan, and the outcome of a transfer learning whose RT model was accepted or not."""
    plan = TransferLearningPlan(str(folder), {"alphadia_tl": {"enabled": True}, **(own or {})}, command_line)
    summary = {"accepted": ["rt"], "stays": []} if accepted else None
    decisions = (Decision("rt", accepted, "because"),)
    bundle = Bundle(folder / "transfer")
    return plan, StepOutcome(bundle, decisions=decisions, regeneration=summary, rt_tolerance=tolerance)


def test_the_first_pass_quantifies_fragments_with_the_users_weights_and_leaves_tuning_to_the_plugin(tmp_path):
    config = {
        "library_prediction": {"enabled": True, "peptdeep_model_path": str(tmp_path / "weights")},
        "alphadia_tl": {"enabled": True},
    }
    passes = TransferLearningPlan(str(tmp_path), config).passes
    step = passes.make_step("transfer", passes.config("transfer"))
    found = host.config_of(step)
    assert found["transfer_library"]["enabled"]
    assert not found["transfer_learning"]["enabled"]
    assert found["general"]["save_library"]
    assert not found["general"]["save_mbr_library"]
    assert found["library_path"] is None
    assert found["library_prediction"]["enabled"]
    assert found["library_prediction"]["peptdeep_model_path"] == str(tmp_path / "weights")
    assert step.output_folder == str(tmp_path / "transfer")
    assert passes.settings(found).model_path == tmp_path / "weights"


def test_the_final_pass_searches_the_tuned_library_within_the_chosen_window(tmp_path, caplog):
    plan, outcome = made_plan(tmp_path)
    log = logging.getLogger("alphadia_tl.models.provenance")
    log.addHandler(caplog.handler)  # alphaDIA's logging has taken pytest's away
    config = plan.passes.final_pass({}, outcome)
    log.removeHandler(caplog.handler)
    # as ProteoBench's parser of alphaDIA's log reads it
    assert f"predictors_library: AlphaPeptDeep (rt tuned by alphadia_tl {__version__}) [user defined]" in caplog.text
    assert config["library_path"] == str(tmp_path / "transfer" / "speclib.tuned.hdf")
    assert config["library_prediction"]["enabled"] is False
    assert config["search"]["target_rt_tolerance"] == 0.07
    assert config["general"]["reuse_quant"] is False


@pytest.mark.parametrize("where", ["own", "command_line"])
def test_an_rt_tolerance_of_the_users_own_goes_before_the_chosen_one(tmp_path, where):
    plan, outcome = made_plan(tmp_path, **{where: {"search": {"target_rt_tolerance": 60}}})
    assert "target_rt_tolerance" not in plan.passes.final_pass({}, outcome).get("search", {})


def test_a_tuning_that_leaves_the_library_as_it_was_reuses_the_first_pass(tmp_path):
    plan, outcome = made_plan(tmp_path, accepted=False, tolerance=None)
    config = plan.passes.final_pass({}, outcome)
    assert config["library_path"] == str(tmp_path / "transfer" / "speclib.hdf")
    assert config["general"]["reuse_quant"] is True
    assert config["general"]["reuse_quant_from"] == [str(tmp_path / "transfer" / "quant")]


@pytest.mark.parametrize("mbr", [False, True])
def test_jobs_get_the_configs_that_alphadia_hands_from_step_to_step(tmp_path, monkeypatch, mbr):
    """`step_config` says what alphaDIA's own plan hands to each step, merged key by key."""
    config = {**searchable(tmp_path), "general": {"mbr_step_enabled": mbr}, "alphadia_tl": {"enabled": True}}
    handed = {}

    def note(self, output_directory, extra_config, step_name):
        handed[step_name] = (Path(output_directory), self.merged(step_name, extra_config))

    monkeypatch.setattr(TransferLearningPlan, "run_step", note)
    plan = TransferLearningPlan(str(tmp_path), config)
    (tmp_path / "transfer").mkdir()
    stat = "optimization.ms1_error\toptimization.ms2_error\n4.5\t7.5\n5.5\t8.5\n"
    (tmp_path / "transfer" / "stat.tsv").write_text(stat)
    plan._done = True
    plan.run_plan()
    assert list(handed) == plan.steps
    for step in plan.steps:
        assert handed[step] == (plan.step_folder(step), plan.step_config(step))
    assert handed["library"][1]["search"]["target_ms2_tolerance"] == 8.0


def test_the_report_follows_each_step_and_is_of_the_last_one(tmp_path, monkeypatch):
    """A search that fails in match between runs has the report of the pass before it, which says so."""
    plan, outcome = made_plan(tmp_path, own={"general": {"mbr_step_enabled": True}})
    plan._outcome, told = replace(outcome, provenance={"fdr": 0.01}), []
    monkeypatch.setattr(SearchPlan, "run_step", lambda *_: None)
    monkeypatch.setattr(passes, "finish_search", lambda outcome, folder: told.append((folder, outcome)))
    for step in ("library", "mbr"):
        plan.run_step(plan.step_folder(step), {}, step)
    assert [folder for folder, _ in told] == [tmp_path / "library", tmp_path]
    assert [passes.BEFORE_MBR in outcome.warnings for _, outcome in told] == [True, False]
    assert {"library step", "mbr step"} <= told[1][1].seconds.keys()
