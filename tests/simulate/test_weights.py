from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from forked import run_script
from peptdeep.pretrained_models import is_model_zip

from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.simulate.experiment import Preset, make_experiment, make_weights
from alphadia_tl.simulate.instrument import REFERENCE
from alphadia_tl.simulate.weights import MS2_TYPES, model_zip_path, training_table

from .conftest import TINY


def test_training_table_has_the_charges_that_a_search_would_observe():
    df, fragments = training_table(REFERENCE, TINY.training)
    z = np.arange(1, 7)
    fractions = REFERENCE.charge_probabilities(df, z)[np.arange(len(df)), df["charge"] - 1]
    assert fractions.min() > 0.1
    assert df["frag_stop_idx"].iloc[-1] == len(fragments)
    assert df["rt_norm"].between(0, 1).all()


def test_stock_peptdeep_loads_the_weights_without_network(home: Path):
    assert is_model_zip(model_zip_path(home))
    code = (
        "import torch, zipfile\n"
        "from peptdeep.pretrained_models import ModelManager, get_model_zip_file_path\n"
        "m = ModelManager(device='cpu')\n"
        "m.reinitialize_ms2_model(charged_frag_types=['b_z1', 'b_z2', 'y_z1', 'y_z2'], device='cpu')\n"
        "m.load_installed_models('generic')\n"
        f"assert m.ms2_model.model.supported_charged_frag_types == {MS2_TYPES}\n"
        "for name in ('ms2', 'rt', 'ccs', 'charge'):\n"
        "    ours = torch.load(zipfile.ZipFile(get_model_zip_file_path()).open(f'generic/{name}.pth'))\n"
        "    theirs = getattr(m, f'{name}_model').model.state_dict()\n"
        "    assert all(torch.equal(ours[k], theirs[k]) for k in theirs), name\n"
    )
    run_at(home, code)


def test_alphadias_tuner_predicts_with_the_weights(home: Path):
    code = (
        "import pandas as pd\n"
        "from alphadia.transferlearning.train import FinetuneManager\n"
        "table = pd.DataFrame({'sequence': ['AGHCEWQMK'], 'mods': '', 'mod_sites': '', 'charge': 2, 'nAA': 9})\n"
        "table = table.assign(nce=25.0, instrument='Lumos')\n"
        "found = FinetuneManager(device='cpu').ms2_model.predict(table, allow_unsafe_predictions=True)\n"
        "assert found.shape[0] == 8 and found[['b_z1', 'b_z2', 'y_z1', 'y_z2']].to_numpy().max() == 1.0, found\n"
    )
    run_at(home, code)


def test_fragments_with_neutral_losses_are_predicted_as_never_seen(home: Path):
    manager = FinetuneManager("cpu", models=model_zip_path(home))
    network = manager.interface("ms2").model
    assert network.supported_charged_frag_types[4:] == [
        "b_modloss_z1", "b_modloss_z2", "y_modloss_z1", "y_modloss_z2",
    ]  # fmt: skip
    assert not any(p.any() for p in network.modloss_nn[-1].nn[-1].parameters())


def run_at(home: Path, code: str) -> None:
    script = home / "script.py"
    script.write_text(code)
    exit_code, said = run_script(script, [], home)
    assert exit_code == 0, said[-2000:]


def test_files_are_made_once_and_made_again_for_other_settings(tmp_path: Path, home: Path):
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    archive = model_zip_path(tmp_path)

    def made_again(preset: Preset) -> bool:
        before = archive.stat().st_mtime_ns if archive.exists() else None
        make_weights(tmp_path, preset)
        return archive.stat().st_mtime_ns != before

    assert not made_again(TINY)
    other = replace(TINY, training=replace(TINY.training, seed=12))
    assert made_again(other)
    assert not made_again(other)
    assert networks(archive) != networks(model_zip_path(home))


def networks(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_experiments_can_share_weights_and_have_their_own_runs(tmp_path: Path, home: Path):
    preset, stamped = replace(TINY, n_runs=2), model_zip_path(home).stat().st_mtime_ns
    made = make_experiment(tmp_path / "a", preset, weights_folder=home)
    assert [p.name for p in made.raw_files] == ["run_1.hdf", "run_2.hdf"]
    assert all(p.is_file() for p in made.raw_files)
    assert made.raw_files[0].read_bytes() != made.raw_files[1].read_bytes()
    assert model_zip_path(made.home).resolve() == model_zip_path(home).resolve()
    assert model_zip_path(home).stat().st_mtime_ns == stamped
    assert made.environment()["HOME"] == str(made.home.resolve())
    stamp = made.raw_files[0].stat().st_mtime_ns
    assert make_experiment(tmp_path / "a", preset, weights_folder=home).raw_files[0].stat().st_mtime_ns == stamp
    made.raw_files[1].unlink()
    make_experiment(tmp_path / "a", preset, weights_folder=home)
    assert made.raw_files[1].is_file()
    truth = made.read_truth()
    assert {"sequence", "mods", "mod_sites", "charge", "rt_seconds", "proteins"} <= set(truth.columns)
    config = made.config(oracle=True)
    assert config["library_path"].endswith("oracle.hdf")
    assert config["library_prediction"]["enabled"] is False
