from dataclasses import replace
from types import SimpleNamespace

import pytest
import yaml
from alphadia.exceptions import CustomError
from alphadia.search_plan import SearchPlan

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.models.gate import Decision
from alphadia_tl.search.plan import TransferLearningPlan
from alphadia_tl.speclib.regenerate import RegenerationSummary
from alphadia_tl.step import step
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


def test_a_flag_that_leads_to_no_step_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(SearchPlan, "run_plan", lambda self: None)
    with pytest.raises(CustomError, match="never ran the transfer step"):
        TransferLearningPlan(str(tmp_path), {"alphadia_tl": {"enabled": True}}).run_plan()


@pytest.mark.parametrize("enabled", [True, False])
def test_classifiers_of_every_pass_are_guarded_where_the_plugin_is_on(tmp_path, monkeypatch, enabled):
    import alphadia.fdr.fdr

    own, seen = alphadia.fdr.fdr.perform_fdr, []

    def run_plan(self):
        seen.append(alphadia.fdr.fdr.perform_fdr is not own)
        self._step_outcome = SimpleNamespace()

    monkeypatch.setattr(SearchPlan, "run_plan", run_plan)
    TransferLearningPlan(str(tmp_path), {"alphadia_tl": {"enabled": enabled}}).run_plan()
    assert seen == [enabled]
    assert alphadia.fdr.fdr.perform_fdr is own


@pytest.mark.parametrize(
    ("section", "message"), [({"enabeld": True}, "alphadia_tl.enabeld"), ({"enabled": "yes"}, "true or false")]
)
def test_a_wrong_section_stops_before_anything_runs(tmp_path, section, message):
    with pytest.raises(CustomError, match=message):
        TransferLearningPlan(str(tmp_path), {"alphadia_tl": section})


def test_mbr_keeps_its_own_search_settings(monkeypatch, tmp_path):
    config = {"general": {"mbr_step_enabled": True}, "alphadia_tl": {"enabled": True}}
    plan = TransferLearningPlan(str(tmp_path), config)
    plan._step_outcome = StepOutcome(Bundle(tmp_path))
    seen = {}
    monkeypatch.setattr(
        SearchPlan, "run_step", lambda self, output_directory, extra_config, step_name: seen.update(extra_config)
    )
    shallow = {**plan._multistep_config["mbr"], "search": {"target_ms1_tolerance": 4.0}}
    plan.run_step(tmp_path, shallow, "mbr")
    assert seen["search"] == {"target_num_candidates": 5, "target_ms1_tolerance": 4.0}


def test_tuning_starts_from_the_users_weights_on_requantified_fragments(monkeypatch, tmp_path):
    config = {
        "library_prediction": {"enabled": True, "peptdeep_model_path": str(tmp_path / "weights")},
        "alphadia_tl": {"enabled": True},
    }
    plan = TransferLearningPlan(str(tmp_path), config)
    searched, tuned, predictors = [], [], []
    manager = SimpleNamespace(weights={"ccs": None}, weight_sources=dict)

    def run_first_pass(made, predictor):
        searched.append(made.config)
        predictors.append(predictor)
        return [("transfer", f"bad_{len(searched)}")], [tmp_path / "quant"]

    def run_step(settings, folder, *, quant_folders, speclib):
        tuned.append((settings, folder, speclib))
        made = RegenerationSummary(str(speclib), "", ("rt",), 1, 1, 1, 1, None)
        return StepOutcome(Bundle(folder), decisions=(Decision("rt", True, "better"),), regeneration=made)

    monkeypatch.setattr(host, "run_first_pass", run_first_pass)
    monkeypatch.setattr(step, "preflight", lambda settings, folder: manager)
    monkeypatch.setattr(step, "run_step", run_step)
    transfer = tmp_path / "transfer"
    plan.run_step(transfer, plan._multistep_config["transfer"], "transfer")
    assert [c["transfer_library"]["enabled"] for c in searched] == [True]
    assert [c["transfer_learning"]["enabled"] for c in searched] == [False]
    assert [c["general"]["save_library"] for c in searched] == [True]
    assert predictors == [manager]
    assert [c["library_path"] for c in searched] == [None]
    assert [c["library_prediction"]["enabled"] for c in searched] == [True]
    assert [s.model_path for s, _, _ in tuned] == [tmp_path / "weights"]
    assert [(folder, speclib) for _, folder, speclib in tuned] == [(transfer, transfer / "speclib.hdf")]
    assert len(plan._raw_files_with_errors) == 1
    plan._step_outcome = replace(plan._step_outcome, rt_tolerance=0.07)
    assert plan._second_pass_config()["library_path"] == str(transfer / "speclib.tuned.hdf")
    assert plan._second_pass_config()["search"] == {"target_rt_tolerance": 0.07}


@pytest.mark.parametrize("where", ["config", "command line"])
def test_an_rt_tolerance_of_the_users_own_goes_before_the_chosen_one(tmp_path, where):
    own = {"search": {"target_rt_tolerance": 60}}
    config = {"alphadia_tl": {"enabled": True}} | (own if where == "config" else {})
    plan = TransferLearningPlan(str(tmp_path), config, own if where == "command line" else {})
    made = RegenerationSummary("speclib.tuned.hdf", "", ("rt",), 1, 1, 1, 1, None)
    decision = Decision("rt", True, "better")
    plan._step_outcome = StepOutcome(
        Bundle(tmp_path / "transfer"), decisions=(decision,), regeneration=made, rt_tolerance=0.07
    )
    assert "search" not in plan._second_pass_config()


@pytest.mark.parametrize(
    "decision", [Decision("rt", False, "worse"), Decision("charge", True, "better, but no charge state is filtered")]
)
def test_a_tuning_that_leaves_the_library_as_it_was_reuses_the_first_pass(tmp_path, decision):
    plan = TransferLearningPlan(str(tmp_path), {"alphadia_tl": {"enabled": True}})
    plan._step_outcome = StepOutcome(Bundle(tmp_path / "transfer"), decisions=(decision,))
    config = plan._second_pass_config()
    assert config["library_path"] == str(tmp_path / "transfer" / "speclib.hdf")
    assert config["general"] == {"reuse_quant": True, "reuse_quant_from": [str(tmp_path / "transfer" / "quant")]}
