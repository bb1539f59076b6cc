"""Modifications of the config alone, in alphaDIA's own prediction and its worker processes."""

import pandas as pd
import pytest
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
