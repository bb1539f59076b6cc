import pandas as pd
import pytest
from alphadia.reporting.reporting import JSONLBackend
from alphadia.workflow.managers.base import BaseManager
from hypothesis import given
from hypothesis import strategies as st
from made_models import write_networks, write_zip
from peptdeep.settings import MOD_TO_FEATURE, global_settings

from alphadia_tl import host

NAME = "CustomTag@K"
CONFIG = {"custom_modifications": [{"name": NAME, "composition": "H(4)C(2)"}]}
PEPTIDES = pd.DataFrame(
    {"sequence": ["AAAAAAK", "CDEFGHK", "LLLLLLLK"], "mods": NAME, "mod_sites": ["7", "7", "8"], "charge": 2}
)


def test_a_custom_modification_is_encoded_by_its_composition():
    host.register_modifications(CONFIG)
    assert (MOD_TO_FEATURE[NAME] == MOD_TO_FEATURE["Dimethyl@K"]).all()
    host.register_modifications(CONFIG)  # each pass registers them again
    host.register_modifications({"custom_modifications": []})
    assert NAME in global_settings["common"]["user_defined_modifications"]


@pytest.mark.slow
def test_stock_prediction_in_worker_processes_knows_it(tmp_path, monkeypatch):
    from peptdeep.pretrained_models import ModelManager

    host.register_modifications(CONFIG)
    archive = tmp_path / "peptdeep" / "pretrained_models" / "pretrained_models_v3.zip"
    write_zip(archive, write_networks(tmp_path / "networks"))
    monkeypatch.setitem(global_settings, "PEPTDEEP_HOME", str(tmp_path / "peptdeep"))
    manager = ModelManager(device="cpu")
    df = PEPTIDES.assign(nAA=PEPTIDES["sequence"].str.len())
    result = manager.predict_all(
        df, predict_items=["rt"], multiprocessing=True, min_required_precursor_num_for_mp=1, process_num=2
    )
    assert len(result["precursor_df"]) == 3
    assert result["precursor_df"]["rt_pred"].nunique() == 3


configs = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.integers()),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.integers() | inner),
    max_leaves=8,
)


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


def test_what_alphadia_pickled_of_a_run_is_read_where_it_was_moved_to(tmp_path):
    was, now = tmp_path / "was", tmp_path / "now"
    was.mkdir()
    events = JSONLBackend(path=str(was))
    with events:
        manager = BaseManager(str(was / "m.pkl"), load_from_file=False, reporter=events)
        manager.rt_error = 3.0
        manager.save()
    was.rename(now)
    was.mkdir()  # alphaDIA would write its events here
    with host.missing_runs_are_searched():
        found = BaseManager(str(now / "m.pkl"))
    assert found.rt_error == 3.0
    assert found.path == str(now / "m.pkl")
    assert not list(was.iterdir())
