import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from alphabase.constants.modification import MOD_DF

from alphadia_tl import cli, host
from alphadia_tl.errors import SettingsError
from alphadia_tl.settings import EntrapmentSettings, PluginSettings
from alphadia_tl.step.step_settings import step_settings, usable_processors


def _settings(tmp_path, user_config=None):
    user_config = user_config or {}
    config = host.effective_config(user_config, tmp_path)
    return step_settings(config, user_config, PluginSettings(enabled=True))


WRONG = [
    ({"general": {"input_library_type": "flat"}}, "flat library cannot"),
    ({"transfer_learning": {"nce": 30}}, "transfer_learning.nce"),
    ({"transfer_learning": {"instrument": "QE"}}, "transfer_learning.instrument"),
    ({"library_prediction": {"max_fragment_charge": 3}}, "b_z3"),
    ({"library_prediction": {"fragment_types": []}}, "fragment_types' is empty"),
    ({"transfer_learning": {"train_fraction": 2.0}}, "train_fraction"),
]


@pytest.mark.parametrize(("config", "message"), WRONG)
def test_contradictions_are_refused(tmp_path, config, message):
    with pytest.raises(SettingsError, match=message):
        _settings(tmp_path, config)


def test_only_keys_that_the_user_wrote_replace_the_plugins_training_defaults(tmp_path):
    settings = _settings(tmp_path)
    assert settings.training.batch_size is None
    assert settings.training.epochs is None
    assert _settings(tmp_path, {"transfer_learning": {"batch_size": 2000}}).training.batch_size == 2000


@pytest.mark.parametrize(("random_state", "seed"), [(None, 0), (7, 7)])
def test_the_seed_comes_from_alphadias_random_state(tmp_path, random_state, seed):
    assert _settings(tmp_path, {"general": {"random_state": random_state}}).seed == seed


def test_a_drawn_random_state_is_logged(tmp_path, caplog):
    with caplog.at_level("INFO"):
        seed = _settings(tmp_path, {"general": {"random_state": -1}}).seed
    assert str(seed) in caplog.text


def test_never_more_threads_than_cores(tmp_path):
    assert _settings(tmp_path, {"general": {"thread_count": 999}}).threads == usable_processors()


def test_one_collision_energy_for_training_and_prediction(tmp_path):
    settings = _settings(tmp_path, {"library_prediction": {"nce": 31.0}})
    assert np.isclose(settings.nce, 31)


TEMPLATES = sorted(p for p in (Path(__file__).parents[2] / "config").glob("*.yaml") if p.stem != "alphadia_tl")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: p.stem)
def test_the_templates_are_configs_that_alphadia_and_the_plugin_understand(path, tmp_path):
    config = yaml.safe_load(path.read_text())
    plugin = PluginSettings.from_mapping(config.pop("alphadia_tl"))
    settings = step_settings(host.effective_config(config, tmp_path), config, plugin)
    assert plugin.enabled
    assert settings.charged_frag_types
    modifications = {m for m in settings.searched_modifications if m}
    assert modifications <= set(MOD_DF.index)
    assert {"Phospho@S"} <= modifications or path.stem != "phospho"
    assert {"Dimethyl@K"} <= modifications or path.stem != "labelled"


@pytest.mark.parametrize("given", [{}, {"prefix": "ENTRAPMENT_"}])
def test_entrapment_that_was_written_beside_the_fasta_needs_no_settings(tmp_path, caplog, given):
    fasta = tmp_path / "in.fasta"
    fasta.write_text(">sp|P1|A_X\nMPEPTIDEKAAAGGGWWWR\n")
    cli.main(["entrapment", "--fasta", str(fasta), "--output", str(tmp_path / "out.fasta")])
    config = host.effective_config({"fasta_paths": [str(tmp_path / "out.fasta")]}, tmp_path)
    plugin = PluginSettings.from_mapping({"enabled": True, "entrapment": given})
    with caplog.at_level("INFO"):
        found = step_settings(config, {}, plugin).plugin.entrapment
    assert found.prefix == "ENTRAPMENT_"
    assert found.twins == str(tmp_path / "out.twins.tsv")
    facts = yaml.safe_load((tmp_path / "out.entrapment.yaml").read_text())
    assert found.ratio == facts["r"]
    assert "Entrapment as alphadia-tl entrapment wrote it" in caplog.text
    assert ("made for another digest" in caplog.text) == (config["library_prediction"]["missed_cleavages"] != 1)


def test_entrapment_of_another_prefix_is_the_users(tmp_path):
    (tmp_path / "x.entrapment.yaml").write_text("{prefix: ENTRAPMENT_, design: shuffled, k: 1, r: 0.9}")
    config = host.effective_config({"fasta_paths": [str(tmp_path / "x.fasta")]}, tmp_path)
    given = EntrapmentSettings(prefix="YEAST_", design="foreign", ratio=0.3)
    assert step_settings(config, {}, PluginSettings(enabled=True, entrapment=given)).plugin.entrapment == given


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen here")
def test_only_processors_that_the_scheduler_leaves_are_counted():
    code = (
        "import os\n"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])\n"
        "from alphadia_tl.step.step_settings import usable_processors\n"
        "assert usable_processors() == 1\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
