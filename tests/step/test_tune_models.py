"""Collision energy, instrument, windows and the safeguards, through the step itself."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tasks.made import MANY_HELD_OUT, fragments_like, make_peptides

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import BaselineError
from alphadia_tl.host.run_facts import FILE_NAME, RunFacts
from alphadia_tl.library.selection import lockbox_rows
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models import gate
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.weights import new_network
from alphadia_tl.settings import PluginSettings, TrainingSettings
from alphadia_tl.step.step import run_step, start_manager
from alphadia_tl.step.step_settings import step_settings
from alphadia_tl.step.tune_models import BESIDE, read_acquisition, reason_to_skip, tune_models, without_observed_energy
from alphadia_tl.tasks import get_task
from alphadia_tl.tasks.charge import observable_states
from alphadia_tl.tasks.metrics import fit_calibration

NAMES = ("rt", "ms2", "charge", "ccs")
PEPTIDES = make_peptides(200, seed=6).sort_values("nAA", kind="stable", ignore_index=True)
PEPTIDES["frag_stop_idx"] = (PEPTIDES["nAA"] - 1).cumsum()
PEPTIDES["frag_start_idx"] = PEPTIDES["frag_stop_idx"] - PEPTIDES["nAA"] + 1
TYPES = ["b_z1", "b_z2", "y_z1", "y_z2"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Importing peptdeep sets two threads."""
    torch.set_num_threads(1)


def _ms2_network():
    network = new_network("ms2", seed=2).model
    with torch.no_grad():
        network.meta_nn.nn.weight[:, -1] *= 60  # the last input is the collision energy
    return network


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in NAMES:
        network = _ms2_network() if name == "ms2" else new_network(name, seed=3).model
        torch.save(network.state_dict(), folder / f"{name}.pth")
    return folder


@pytest.fixture
def settings(tmp_path, models):
    plugin = PluginSettings(enabled=True, models=("ms2",), min_training_peptides=50)
    user = {"library_prediction": {"nce": 30.0, "peptdeep_model_path": str(models)}}
    found = step_settings(host.effective_config(user, tmp_path), user, plugin)
    training = TrainingSettings(epochs=1, warmup_epochs=0, max_lr=1e-9, batch_size=32, **MANY_HELD_OUT)
    return replace(found, device="cpu", threads=1, training=training)


def _library(fragments, **columns):
    df = PEPTIDES.assign(rt_observed=1.0, proba=0.0, raw_name="a", use_for_ms2=True, precursor_mz=500.0, **columns)
    return TransferLibrary(df, fragments, fragments >= 0)


def _run(settings, folder, library):
    library.save(folder / "saved.hdf")
    outcome = run_step(settings, folder / "out", transfer_library=folder / "saved.hdf")
    return outcome, yaml.safe_load((folder / "out" / "alphadia_tl.yaml").read_text())


@pytest.fixture(scope="module")
def acquired_at_35():
    return fragments_like(_ms2_network(), PEPTIDES, nce=35.0, noise=0.05)


def _better(before, after, groups, comparisons):
    return True


def test_the_configured_energy_reaches_the_models(settings, tmp_path):
    manager = start_manager(replace(settings, nce=27.0))
    assert (manager.nce, manager.instrument) == (27.0, settings.instrument)


def test_a_step_says_that_it_leaves_out_the_librarys_own_energies(settings, tmp_path, acquired_at_35):
    library = _library(acquired_at_35, nce=20.0, instrument="QE")
    outcome, written = _run(replace(settings, plugin=replace(settings.plugin, nce=35.0)), tmp_path, library)
    assert any("own nce (20.0) is not used" in w for w in written["warnings"])
    assert outcome.accepted == ("ms2",)


def test_the_found_energy_is_used_for_tuning_and_prediction_and_told(settings, tmp_path, acquired_at_35, caplog):
    with caplog.at_level("INFO"):
        outcome, written = _run(settings, tmp_path, _library(acquired_at_35))
    assert outcome.accepted == ("ms2",)
    assert written["nce"] == 35.0
    assert written["library_prediction_nce"] == 30.0
    assert written["trained_on"]["nce"] == 35.0
    assert max(written["nce_curve"], key=written["nce_curve"].get) == 35.0
    assert "NCE 30.0 -> 35.0: median spectral angle" in caplog.text
    assert "tuned with NCE 35.0, and predicts with it" in caplog.text


def test_the_manager_predicts_with_the_chosen_energy_until_the_tuned_model_is_taken_back(models, acquired_at_35):
    manager = FinetuneManager(
        "cpu",
        {"epochs": 1, "max_lr": 1e-7, "batch_size": 32, **MANY_HELD_OUT},
        models=models,
        nce=30.0,
        precision="fp32",
    )
    configured = manager.predict_ms2_array(PEPTIDES)
    manager.finetune_ms2(PEPTIDES, acquired_at_35, nce="auto", better=_better)
    assert manager.nce == 35.0
    assert not np.allclose(manager.predict_ms2_array(PEPTIDES), configured, atol=0.02)
    manager.restore_pretrained("ms2")
    assert manager.nce == 30.0
    np.testing.assert_array_equal(manager.predict_ms2_array(PEPTIDES), configured)


@pytest.mark.parametrize(("nce", "used"), [(27, 27.0), (None, 30.0)])
def test_a_number_or_null_is_used_without_a_search(settings, tmp_path, acquired_at_35, nce, used, monkeypatch):
    decide = gate.decide
    monkeypatch.setattr(gate, "decide", lambda *a, **k: replace(decide(*a, **k), accepted=True))
    settings = replace(settings, plugin=replace(settings.plugin, nce=nce))
    outcome, written = _run(settings, tmp_path, _library(acquired_at_35))
    assert outcome.accepted == ("ms2",)
    assert written["nce"] == used
    assert written["nce_curve"] is None


def test_a_rejected_model_goes_back_to_the_configured_energy(settings, tmp_path, acquired_at_35, monkeypatch, caplog):
    decide = gate.decide
    monkeypatch.setattr(gate, "decide", lambda *a, **k: replace(decide(*a, **k), accepted=False))
    with caplog.at_level("INFO"):
        outcome, written = _run(settings, tmp_path, _library(acquired_at_35))
    assert outcome.accepted == ()
    assert written["nce"] == written["trained_on"]["nce"] == 30.0
    assert "NCE 30.0 with them" in caplog.text


def test_unrelated_spectra_keep_the_pretrained_model_and_the_step_goes_on(settings, tmp_path, acquired_at_35, caplog):
    exchanged = acquired_at_35[["y_z1", "y_z2", "b_z1", "b_z2"]].set_axis(TYPES, axis=1)
    settings = replace(settings, plugin=replace(settings.plugin, nce=None))
    outcome, written = _run(settings, tmp_path, _library(exchanged))
    decision = next(d for d in outcome.decisions if d.model == "ms2")
    assert not decision.accepted
    assert decision.reason.startswith("pretrained model kept: The pretrained MS2 model does not explain")
    assert any("N- and C-terminal fragments exchanged" in w for w in written["warnings"])
    assert "MS2 was not tuned" in caplog.text


def test_the_python_interface_raises_what_the_step_survives(models, acquired_at_35):
    manager = FinetuneManager("cpu", {"epochs": 1}, models=models, precision="fp32")
    exchanged = acquired_at_35[["y_z1", "y_z2", "b_z1", "b_z2"]].set_axis(TYPES, axis=1)
    with pytest.raises(BaselineError):
        manager.finetune_ms2(PEPTIDES, exchanged, nce=27.0)
    assert manager.nce == 30.0


def test_an_unknown_instrument_reaches_the_warnings_with_what_is_used(settings, tmp_path, acquired_at_35):
    settings = replace(settings, instrument="Quantum9000", plugin=replace(settings.plugin, nce=None))
    _, written = _run(settings, tmp_path, _library(acquired_at_35))
    [warning] = [w for w in written["warnings"] if "Quantum9000" in w]
    assert "for Lumos" in warning
    assert "Known names: " in warning
    assert "timsTOF" in warning
    assert written["instrument_used"] == "Lumos"


def test_own_conditions_of_observations_are_left_out_and_said():
    df = PEPTIDES.assign(nce=27.0, instrument="Lumos")
    left, (warning,) = without_observed_energy(df, nce=30.0, instrument="Lumos")
    assert not {"nce", "instrument"} & set(left.columns)
    assert "own nce (27.0) is not used" in warning


def _folders(tmp_path, *facts):
    folders = [tmp_path / f.run for f in facts]
    for folder, known in zip(folders, facts, strict=True):
        folder.mkdir()
        known.write(folder)
    return folders


def test_run_facts_are_logged_warned_of_and_bound_the_observable_mz(settings, acquired_at_35, caplog):
    windows = ((450.0, 500.0), (500.0, 900.0))
    facts = (RunFacts("a", "Astral", (25.0, 25.0, 25.0), windows), RunFacts("b", windows=windows))
    library = replace(_library(acquired_at_35), run_facts={f.run: f.to_mapping() for f in facts})
    with caplog.at_level("INFO"):
        found = read_acquisition(settings, library, ["a", "b"])
    assert found[0] == [(450.0, 900.0)]
    assert "Run a: instrument Astral, collision energy 25.0, 2 isolation windows" in caplog.text
    assert found[1] == ("1 run(s) were acquired with collision energy 25.0 (a), but library_prediction.nce is 30.0",)
    assert found[2]["run_facts"]["b"] == {"instrument": None, "nce": None, "precursor_mz": [450.0, 900.0]}
    assert read_acquisition(settings, library, ["a", "b", "c"])[0] == [settings.precursor_mz]


def test_the_step_writes_the_gradient_and_passes_its_warnings_on(settings, tmp_path, acquired_at_35):
    library = _library(acquired_at_35)
    library = replace(library, precursor_df=library.precursor_df.assign(rt_norm=0.75 * PEPTIDES["rt_norm"]))
    _, written = _run(replace(settings, plugin=replace(settings.plugin, models=("rt",))), tmp_path, library)
    bins = pd.read_csv(tmp_path / "out" / "rt_bins.transfer.tsv", sep="\t")
    assert bins["note"].tolist()[8:] == ["not learnt"] * 2
    assert any("0.8-0.9, 0.9-1.0" in w for w in written["warnings"])
    _run(settings, tmp_path, library)  # tunes no RT model
    assert not (tmp_path / "out" / "rt_bins.transfer.tsv").exists()


def test_windows_reach_the_charge_model(settings, tmp_path, acquired_at_35):
    windows = ((450.0, 500.0), (600.0, 650.0))
    facts = RunFacts("a", windows=windows)
    settings = replace(settings, plugin=replace(settings.plugin, models=("charge",)))
    _run(settings, tmp_path, replace(_library(acquired_at_35), run_facts={"a": facts.to_mapping()}))
    rows = pd.read_parquet(Bundle(tmp_path / "out").held_out)
    held_out = PEPTIDES[PEPTIDES["sequence"].isin(rows["sequence"])].drop_duplicates("sequence")
    observable = observable_states(held_out, settings.precursor_charge, list(windows)).astype(bool)
    observable[np.arange(len(held_out)), held_out["charge"] - 1] = True  # what was found could be
    assert len(rows) == observable.sum()
    assert observable[:, 1:4].sum() < 3 * len(held_out)


def test_untrusted_fragments_are_not_learnt_from(settings, tmp_path, acquired_at_35):
    settings = replace(settings, plugin=replace(settings.plugin, nce=None))
    mask = np.ones(acquired_at_35.shape, dtype=bool)
    mask[::3, 1] = False
    models = []
    for name, untrusted in (("one", 0.0), ("other", 1e6)):
        library = _library(acquired_at_35.where(mask, untrusted))
        library.fragment_mask_df.iloc[::3, 1] = False
        (tmp_path / name).mkdir()
        models.append(_run(settings, tmp_path / name, library)[1]["models"])
    assert models[0] == models[1]


def test_the_first_pass_leaves_run_facts_in_the_quantification_folder(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from alphadia.workflow.managers.raw_file_manager import RawFileManager

    raw = SimpleNamespace(
        cycle=np.array([[-1.0, -1.0], [400.0, 500.0]]).reshape(1, 2, 1, 2),
        instrument="QE",
        rt_values=np.array([0.0, 60.0]),
    )
    original = lambda self, dia_data_path: raw  # noqa: E731
    monkeypatch.setattr(RawFileManager, "get_dia_data_object", original)
    (tmp_path / "run_1").mkdir()

    class Step:
        def run(self):
            manager = RawFileManager(path=str(tmp_path / "run_1" / "raw_file_manager.pkl"))
            assert manager.get_dia_data_object("run_1.raw") is raw
            return []

    host.run_first_pass(Step())
    assert json.loads((tmp_path / "run_1" / FILE_NAME).read_text())["windows"] == [[400.0, 500.0]]
    assert RawFileManager.get_dia_data_object is original


ALL = ("rt", "charge", "ms2", "ccs")


def _observations(n_peptides, usable=1.0, mobility=False):
    df = pd.DataFrame({"sequence": [f"PEPTIDE{i}K" for i in range(n_peptides)], "rt_norm": 0.5})
    df["charge"] = 2 + np.arange(n_peptides) % 2
    df["use_for_ms2"] = np.arange(n_peptides) < usable * n_peptides
    return df.assign(ccs=400.0) if mobility else df


CASES = [
    ("rt", _observations(150), ALL, None),
    ("rt", _observations(140), ALL, "98 peptides to train on, 100 needed"),
    ("rt", _observations(0), ALL, "0 peptides to train on"),
    ("ms2", _observations(200, usable=0.5), ALL, "70 peptides to train on"),
    ("rt", _observations(150).assign(rt_norm=np.nan), ALL, "the observations have no retention times"),
    ("ms2", _observations(200, usable=0), ALL, "no observation has enough fragments"),
    ("charge", _observations(200, usable=0.5), ALL, None),
    ("charge", _observations(200).assign(charge=2), ALL, "all observations have charge 2"),
    ("ccs", _observations(400), ALL, "no ion mobility"),
    ("ccs", _observations(400, mobility=True), ALL, None),
    ("ccs", _observations(400, mobility=True), ("rt", "charge", "ms2"), "no pretrained weights"),
]


@pytest.fixture
def plain_settings(tmp_path):
    return step_settings(host.effective_config({}, tmp_path), {}, PluginSettings(enabled=True))


@pytest.mark.parametrize(("name", "df", "weights", "reason"), CASES)
def test_a_model_is_skipped_only_for_a_reason_that_can_be_told(plain_settings, name, df, weights, reason):
    found = reason_to_skip(name, plain_settings, df, weights)
    assert found is None if reason is None else reason in found


def test_copies_of_a_peptide_are_no_training_data(plain_settings):
    df = pd.concat([_observations(100)] * 10)
    assert "70 peptides" in reason_to_skip("rt", plain_settings, df, ALL)


def test_a_model_that_the_user_left_out_is_skipped(plain_settings):
    chosen = replace(plain_settings, plugin=PluginSettings(enabled=True, models=("rt",)))
    assert "alphadia_tl.models" in reason_to_skip("ms2", chosen, _observations(1000), ALL)


def test_the_model_that_is_tuned_beside_the_others_draws_nothing_from_the_global_random_state():
    assert not get_task(BESIDE, charged_frag_types=["b_z1"], supported=["b_z1"], nce=30.0, instrument="Lumos").dropout


def test_peptides_without_a_measured_ccs_do_not_count_for_the_ccs_model(plain_settings):
    df = _observations(1000).assign(ccs=np.nan)
    df.loc[:100, "ccs"] = 400.0
    assert "peptides to train on" in reason_to_skip("ccs", plain_settings, df, ALL)
    assert reason_to_skip("ccs", plain_settings, df.assign(ccs=400.0), ALL) is None


def _learnable_rt(models, settings, lockbox):
    """Peptides whose time is the pretrained model's and a share of lysine; in the lockbox ``lockbox`` of that share."""
    df = make_peptides(600, seed=8)
    df = df.assign(rt_observed=1.0, proba=0.0, raw_name="a", use_for_ms2=True, precursor_mz=500.0)
    manager = start_manager(settings)
    start = manager.predict_rt_array(df)
    spread = (start - start.mean()) / start.std()
    share = np.where(_locked(settings, df), lockbox, 1.0)
    df["rt_norm"] = 0.5 + 0.05 * spread + share * 0.06 * (df["sequence"].str.count("[FILW]") - 2)
    return TransferLibrary(df, *_no_fragments(df)), manager


def _no_fragments(df):
    values = pd.DataFrame(np.zeros(((df["nAA"] - 1).sum(), 4), dtype=np.float32), columns=TYPES)
    return values, values >= 0


def _locked(settings, df):
    return lockbox_rows(df["sequence"].to_numpy(dtype=object), settings.generator("lockbox"))


def _for_rt(settings, **training):
    training = replace(settings.training, **{"epochs": 12, "max_lr": 1e-3, "batch_size": 16, **training})
    return replace(settings, plugin=replace(settings.plugin, models=("rt",)), training=training)


@pytest.mark.parametrize(("lockbox", "used"), [(1.0, True), (-1.0, False)])
def test_a_model_that_passes_the_gate_is_taken_back_where_what_is_shipped_is_worse(models, settings, lockbox, used):
    settings = _for_rt(settings)
    library, manager = _learnable_rt(models, settings, lockbox)
    start = manager.predict_rt_array(library.precursor_df)
    rt = tune_models(settings, library, manager, [(400.0, 900.0)]).decisions[0]
    assert rt.interval[0] > 0
    assert rt.accepted is used
    assert rt.lockbox["peptides"] == 30
    assert (rt.lockbox["after"] < rt.lockbox["before"]) is used
    shipped, measured = manager.predict_rt_array(library.precursor_df), library.precursor_df["rt_norm"]
    assert np.array_equal(shipped, start) is not used
    validation = library.precursor_df["sequence"].isin(manager.results["rt"].sequences["validation"])
    curve, locked = fit_calibration(shipped[validation], measured[validation]), _locked(settings, library.precursor_df)
    error = np.median(np.abs(curve(shipped[locked]) - measured[locked]))
    assert error == pytest.approx(rt.lockbox["after" if used else "before"], rel=1e-3)


@pytest.mark.parametrize("fractions", [MANY_HELD_OUT, {}])  # tuned once; several times and averaged
def test_nothing_of_the_lockbox_reaches_tuning_or_a_choice(models, settings, fractions):
    settings = _for_rt(settings, train_fraction=0.7, validation_fraction=0.2, test_fraction=0.1, epochs=2)
    settings = replace(settings, training=replace(settings.training, **fractions))
    told = []
    for lockbox in (1.0, -3.0):
        library, manager = _learnable_rt(models, settings, lockbox)
        found = tune_models(settings, library, manager, [(400.0, 900.0)])
        locked = library.precursor_df["sequence"][_locked(settings, library.precursor_df)]
        result = manager.results["rt"]
        for sequences in (*result.sequences.values(), result.held_out.rows["sequence"], result.test_groups):
            assert not set(locked) & set(sequences)
        told.append((found.decisions[0], found.history, result.scores_after))
    (first, history, scores), (second, other_history, other_scores) = told
    pd.testing.assert_frame_equal(history, other_history)
    np.testing.assert_array_equal(scores, other_scores)
    assert (first.before, first.after, first.interval) == (second.before, second.after, second.interval)
    assert first.lockbox["before"] != second.lockbox["before"]
