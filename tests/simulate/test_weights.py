from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forked import run_script
from peptdeep.pretrained_models import is_model_zip

from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.simulate import experiment as module
from alphadia_tl.simulate.experiment import SMALL, make_experiment, make_weights
from alphadia_tl.simulate.instrument import REFERENCE
from alphadia_tl.simulate.weights import MS2_TYPES, BaseTraining, model_zip_path, train_base_weights, training_table

TINY = BaseTraining(
    n_proteins=8, n_rt=40, n_charge=40, n_ms2=40, n_ccs=40, epochs_rt=1, epochs_charge=1, epochs_ms2=1, epochs_ccs=1
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home")
    train_base_weights(path, REFERENCE, TINY)
    return path


def test_training_table_has_the_charges_that_a_search_would_observe():
    df, fragments = training_table(REFERENCE, TINY)
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


def test_files_are_made_once_and_made_again_for_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trained = []

    def fake(home: Path, instrument: object, training: BaseTraining) -> dict[str, dict[str, float]]:
        trained.append(training.seed)
        model_zip_path(home).parent.mkdir(parents=True, exist_ok=True)
        model_zip_path(home).write_bytes(b"zip")
        return {}

    monkeypatch.setattr(module, "train_base_weights", fake)
    preset = replace(SMALL, training=TINY)
    make_weights(tmp_path, preset)
    make_weights(tmp_path, preset)
    assert trained == [TINY.seed]
    make_weights(tmp_path, replace(preset, training=replace(TINY, seed=12)))
    assert trained == [TINY.seed, 12]
    model_zip_path(tmp_path).unlink()
    make_weights(tmp_path, replace(preset, training=replace(TINY, seed=12)))
    assert trained == [TINY.seed, 12, 12]


def test_experiments_can_share_weights_and_have_their_own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fake(home: Path, *_: object) -> dict[str, dict[str, float]]:
        model_zip_path(home).parent.mkdir(parents=True)
        model_zip_path(home).write_bytes(b"zip")
        return {}

    monkeypatch.setattr(module, "train_base_weights", fake)
    preset = replace(SMALL, n_proteins=8, n_runs=2, acquisition=replace(SMALL.acquisition, gradient_minutes=0.5))
    made = make_experiment(tmp_path / "a", preset, weights_folder=tmp_path / "w")
    assert [p.name for p in made.raw_files] == ["run_1.hdf", "run_2.hdf"]
    assert all(p.is_file() for p in made.raw_files)
    assert made.raw_files[0].read_bytes() != made.raw_files[1].read_bytes()
    assert model_zip_path(made.home).read_bytes() == b"zip"
    assert made.environment()["HOME"] == str(made.home.resolve())
    stamp = made.raw_files[0].stat().st_mtime_ns
    assert (
        make_experiment(tmp_path / "a", preset, weights_folder=tmp_path / "w").raw_files[0].stat().st_mtime_ns == stamp
    )
    truth = made.read_truth()
    assert {"sequence", "mods", "mod_sites", "charge", "rt_seconds", "proteins"} <= set(truth.columns)
    config = made.config(oracle=True)
    assert config["library_path"].endswith("oracle.hdf")
    assert config["library_prediction"]["enabled"] is False
