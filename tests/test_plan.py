from types import SimpleNamespace

import pytest
import yaml
from alphadia.exceptions import CustomError
from alphadia.search_plan import SearchPlan

from alphadia_tl.plan import TransferLearningPlan


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


@pytest.mark.parametrize(
    ("section", "message"), [({"enabeld": True}, "alphadia_tl.enabeld"), ({"enabled": "yes"}, "true or false")]
)
def test_a_wrong_section_stops_before_anything_runs(tmp_path, section, message):
    with pytest.raises(CustomError, match=message):
        TransferLearningPlan(str(tmp_path), {"alphadia_tl": section})


def test_mbr_keeps_its_own_search_settings(monkeypatch, tmp_path):
    config = {"general": {"mbr_step_enabled": True}, "alphadia_tl": {"enabled": True}}
    plan = TransferLearningPlan(str(tmp_path), config)
    plan._step_outcome = SimpleNamespace(seconds={})
    seen = {}
    monkeypatch.setattr(
        SearchPlan, "run_step", lambda self, output_directory, extra_config, step_name: seen.update(extra_config)
    )
    shallow = {**plan._multistep_config["mbr"], "search": {"target_ms1_tolerance": 4.0}}
    plan.run_step(tmp_path, shallow, "mbr")
    assert seen["search"] == {"target_num_candidates": 5, "target_ms1_tolerance": 4.0}
