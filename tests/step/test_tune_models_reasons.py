from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from alphadia_tl import host
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step.step_settings import step_settings
from alphadia_tl.step.tune_models import BESIDE, reason_to_skip
from alphadia_tl.tasks import get_task

ALL = ("rt", "charge", "ms2", "ccs")


def _observations(n_peptides, usable=1.0, mobility=False):
    df = pd.DataFrame({"sequence": [f"PEPTIDE{i}K" for i in range(n_peptides)]})
    df["use_for_ms2"] = np.arange(n_peptides) < usable * n_peptides
    return df.assign(ccs=400.0) if mobility else df


CASES = [
    ("rt", _observations(150), ALL, None),
    ("rt", _observations(140), ALL, "98 peptides to train on, 100 needed"),
    ("rt", _observations(0), ALL, "0 peptides to train on"),
    ("ms2", _observations(200, usable=0.5), ALL, "70 peptides to train on"),
    ("charge", _observations(200, usable=0.5), ALL, None),
    ("ccs", _observations(400), ALL, "no ion mobility"),
    ("ccs", _observations(400, mobility=True), ALL, None),
    ("ccs", _observations(400, mobility=True), ("rt", "charge", "ms2"), "no pretrained weights"),
]


@pytest.fixture
def settings(tmp_path):
    return step_settings(host.effective_config({}, tmp_path), {}, PluginSettings(enabled=True))


@pytest.mark.parametrize(("name", "df", "weights", "reason"), CASES)
def test_a_model_is_skipped_only_for_a_reason_that_can_be_told(settings, name, df, weights, reason):
    found = reason_to_skip(name, settings, df, weights)
    assert found is None if reason is None else reason in found


def test_copies_of_a_peptide_are_no_training_data(settings):
    df = pd.concat([_observations(100)] * 10)
    assert "70 peptides" in reason_to_skip("rt", settings, df, ALL)


def test_a_model_that_the_user_left_out_is_skipped(settings):
    chosen = replace(settings, plugin=PluginSettings(enabled=True, models=("rt",)))
    assert "alphadia_tl.models" in reason_to_skip("ms2", chosen, _observations(1000), ALL)


def test_the_model_that_is_tuned_beside_the_others_draws_nothing_from_the_global_random_state():
    assert not get_task(BESIDE, charged_frag_types=["b_z1"], supported=["b_z1"], nce=30.0, instrument="Lumos").dropout


def test_peptides_without_a_measured_ccs_do_not_count_for_the_ccs_model(settings):
    df = _observations(1000).assign(ccs=np.nan)
    df.loc[:100, "ccs"] = 400.0
    assert "peptides to train on" in reason_to_skip("ccs", settings, df, ALL)
    assert reason_to_skip("ccs", settings, df.assign(ccs=400.0), ALL) is None
