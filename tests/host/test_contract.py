import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl import host
from alphadia_tl.errors import HostError, WeightsError
from alphadia_tl.host import contract as checks

configs = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers()),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.integers() | inner),
    max_leaves=8,
)


def test_the_installed_alphadia_fits():
    host.check_host()


@pytest.mark.parametrize("version", ["2.2.9", "2.4.0", "3.0"])
def test_another_version_series_is_refused(monkeypatch, version):
    monkeypatch.setattr(checks.metadata, "version", lambda name: version)
    with pytest.raises(HostError, match=version):
        host.check_host()


@pytest.mark.parametrize("method", ["run_step", "run_plan", "__init__"])
def test_a_changed_signature_is_refused(monkeypatch, method):
    from alphadia.search_plan import SearchPlan

    monkeypatch.setattr(SearchPlan, method, lambda self, something_new: None)
    with pytest.raises(HostError, match=method):
        host.check_host()


@pytest.mark.parametrize(
    ("attributes", "right"), [({"_user_config": {}}, True), ({"_user_config": None}, False), ({}, False)]
)
def test_a_private_attribute_that_is_gone_or_of_another_kind_is_refused(attributes, right):
    found = SimpleNamespace(**attributes)
    if right:
        checks.check_attributes(found, {"_user_config": dict})
        return
    with pytest.raises(HostError, match="_user_config"):
        checks.check_attributes(found, {"_user_config": dict})


def test_a_missing_method_is_refused(monkeypatch):
    from alphadia.search_step import SearchStep

    monkeypatch.delattr(SearchStep, "run")
    with pytest.raises(HostError, match=r"SearchStep\.run"):
        host.check_host()


@pytest.mark.parametrize("fails", [False, True])
def test_the_plan_is_replaced_only_while_the_command_runs(monkeypatch, fails):
    import alphadia.cli
    import alphadia.search_plan

    original = alphadia.search_plan.SearchPlan
    mine = type("Mine", (original,), {})
    seen = []

    def run():
        seen.append(alphadia.search_plan.SearchPlan)
        if fails:
            raise RuntimeError("broken")

    monkeypatch.setattr(alphadia.cli, "run", run)
    if fails:
        with pytest.raises(RuntimeError):
            host.run_command_line(mine)
    else:
        assert host.run_command_line(mine) == 0
    assert seen == [mine]
    assert alphadia.search_plan.SearchPlan is original


def test_errors_of_the_plugin_become_user_errors_of_alphadia():
    from alphadia.exceptions import CustomError

    error = host.as_user_error(WeightsError("rt.pth is missing.", "Install it."))
    assert isinstance(error, CustomError)
    assert str(error) == "TL_WEIGHTS: rt.pth is missing.\nInstall it."


@given(configs, configs)
def test_a_deep_merge_keeps_what_the_later_config_does_not_name(first, second):
    def leaves(config, path=()):
        for key, value in config.items():
            if isinstance(value, dict) and value:
                yield from leaves(value, (*path, key))
            else:
                yield (*path, key), value

    merged = dict(leaves(host.deep_merge(first, second)))
    later = dict(leaves(second))
    for path, value in later.items():
        if value != {}:
            assert merged[path] == value
    for path, value in leaves(first):
        hidden = any(path[: len(p)] == p or p[: len(path)] == path for p in later)
        assert hidden or merged[path] == value


def test_a_deep_merge_shares_nothing_with_its_inputs():
    first = {"a": {"b": [1]}}
    host.deep_merge(first, {})["a"]["b"].append(2)
    assert first == {"a": {"b": [1]}}


def test_version_needs_no_heavy_import():
    import subprocess

    code = (
        "import sys, alphadia_tl.cli as c; c.main(['--version']); "
        "print([m for m in sys.modules if m in ('torch', 'alphadia', 'pandas', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.startswith(host.host_version())


def test_a_run_without_precursors_has_an_empty_fragment_table_that_the_library_can_read(tmp_path):
    """alphaDIA itself fails to quantify the fragments of no precursor."""
    import alphadia.search_step
    import pandas as pd

    from alphadia_tl.library.runs import FRAGMENT_COLUMNS

    original = alphadia.search_step.PeptideCentricWorkflow
    tables = []

    class Step:
        def run(self):
            workflow = alphadia.search_step.PeptideCentricWorkflow
            tables.append(workflow.requantify_fragments(object.__new__(workflow), pd.DataFrame({"charge": []})))
            return []

    assert host.run_first_pass(Step()) == ([], [])
    assert alphadia.search_step.PeptideCentricWorkflow is original
    psm_df, fragment_df = tables[0]
    assert len(psm_df) == len(fragment_df) == 0
    fragment_df.to_parquet(tmp_path / "frag.transfer.parquet")
    assert set(FRAGMENT_COLUMNS) <= set(pd.read_parquet(tmp_path / "frag.transfer.parquet").columns)


def test_an_alphadia_that_does_not_fit_is_one_line_and_an_exit_code(monkeypatch, capsys):
    from alphadia_tl.cli import main

    monkeypatch.setattr(checks.metadata, "version", lambda name: "2.4.0")
    assert main(["--config", "any.yaml"]) == 1
    assert capsys.readouterr().err.startswith("TL_HOST: alphaDIA 2.4.0 is installed")
