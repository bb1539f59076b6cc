"""Tuning again from an earlier bundle, and using it as it is; the library is made, nothing is searched."""

import hashlib
import shutil

import pandas as pd
import pytest
import torch
import yaml
from made_inputs import searchable
from made_models import NAMES, write_networks
from tasks.made import MANY_HELD_OUT, make_fragments, make_peptides

from alphadia_tl import host
from alphadia_tl.cli import main
from alphadia_tl.errors import SettingsError
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models.provenance import model_hashes
from alphadia_tl.search.plan import TransferLearningPlan
from alphadia_tl.search.ready_models import ReadyModels
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step.step import run_step
from alphadia_tl.step.step_settings import step_settings

TAG = "MadeUpTag@K"
PREDICTION = {"enabled": True, "variable_modifications": "Oxidation@M;Phospho@S", "fixed_modifications": TAG}
CUSTOM = [{"name": TAG, "composition": "H(2)C(3)O(1)"}]


def observations(n, run="run_1"):
    df = make_peptides(n, seed=5)
    df = df.assign(
        rt_observed=df["rt_norm"] * 1200, proba=0.01, raw_name=run, use_for_ms2=True, precursor_mz=500.0
    ).drop(columns="ccs")
    fragments = make_fragments(df)
    return TransferLibrary(df, fragments, fragments > -1)


def tagged(library):
    """Put a made-up modification on the last lysine of every peptide."""
    df = library.precursor_df
    mods = [";".join(filter(None, (m, TAG))) for m in df["mods"]]
    sites = [";".join(filter(None, (s, str(n)))) for s, n in zip(df["mod_sites"], df["nAA"], strict=True)]
    df = df.assign(mods=mods, mod_sites=sites)
    return TransferLibrary(df, library.fragment_intensity_df, library.fragment_mask_df)


def user_config(models, **plugin):
    return {
        "general": {"use_gpu": False, "thread_count": 1, "random_state": 3},
        "transfer_learning": {"epochs": 2, "warmup_epochs": 1},
        "library_prediction": {**PREDICTION, "peptdeep_model_path": str(models)},
        "custom_modifications": CUSTOM,
        "alphadia_tl": {"enabled": True, "scout": "all", "min_training_peptides": 20, "models": ["rt"], **plugin},
    }


def settings_for(tmp_path, models, **plugin):
    config = user_config(models, **plugin)
    config["transfer_learning"] |= {**MANY_HELD_OUT, "batch_size": 32, "train_fraction": 0.45, "test_fraction": 0.4}
    section = PluginSettings.from_mapping(config.pop("alphadia_tl"))
    return step_settings(host.effective_config(config, tmp_path), config, section)


@pytest.fixture(scope="module")
def finetuned(tmp_path_factory):
    """Bundle of ``alphadia-tl finetune`` on peptides that carry a modification of the config alone."""
    folder = tmp_path_factory.mktemp("finetuned")
    write_networks(folder / "start")
    host.register_modifications({"custom_modifications": CUSTOM})  # for writing the made library; undone below
    tagged(observations(120)).save(folder / "speclib.transfer.hdf")
    _forget(TAG)
    config = user_config(folder / "start")
    config["library_prediction"]["enabled"] = False  # so that no models have to be installed
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    arguments = ["finetune", "--transfer-library", str(folder / "speclib.transfer.hdf")]
    code = main([*arguments, "--config", str(folder / "config.yaml"), "-o", str(folder / "transfer")])
    assert code == 0
    return folder / "transfer"


def _forget(name):
    from alphabase.constants import modification
    from peptdeep.settings import MOD_TO_FEATURE, global_settings

    modification.MOD_DF.drop(index=name, inplace=True)  # noqa: PD002
    modification.update_all_by_MOD_DF()
    del MOD_TO_FEATURE[name]
    del global_settings["common"]["user_defined_modifications"][name]


def read(folder):
    return yaml.safe_load((folder / "alphadia_tl.yaml").read_text(encoding="utf-8"))


def test_a_modification_of_the_config_is_learnt_from_a_saved_library(finetuned):
    record = read(finetuned)
    assert record["trained_on"]["modifications"][TAG] == {"rt": 84}
    table = pd.read_csv(finetuned / "modifications.transfer.tsv", sep="\t").set_index("modification")
    assert table.loc[TAG, "training_peptides"] == 84
    assert table.loc[TAG, "learnt"]
    assert table.loc[TAG, "test_peptides"] == 60  # five turns, each with twelve others held out
    rt = next(d for d in record["decisions"] if d["model"] == "rt")
    assert table.loc[TAG, ["before", "after"]].tolist() == pytest.approx([rt["before"], rt["after"]])


def test_the_bundle_says_what_it_was_trained_on_and_what_it_holds(finetuned):
    record = read(finetuned)
    assert record["trained_on"]["runs"] == ["run_1"]
    assert record["trained_on"]["gradient_minutes"] == pytest.approx(
        observations(120).precursor_df["rt_observed"].max() / 60, abs=0.01
    )
    assert record["trained_on"]["fragment_types"] == ["b_z1", "b_z2", "y_z1", "y_z2"]
    assert record["models"] == model_hashes(finetuned / "peptdeep.transfer")
    assert "Transfer learning report" in (finetuned / "report.html").read_text(encoding="utf-8")
    start = finetuned.parent / "start"
    assert record["started_from"] == {
        n: {"file": str(start / f"{n}.pth"), "sha256": hashlib.sha256((start / f"{n}.pth").read_bytes()).hexdigest()}
        for n in NAMES
    }
    assert record["history"] == []


def test_searched_modifications_without_training_peptides_are_named(tmp_path, finetuned):
    from dataclasses import replace

    settings = replace(settings_for(tmp_path, finetuned), searched_modifications=("Phospho@S", TAG))
    outcome = run_step(settings, tmp_path / "again", transfer_library=finetuned.parent / "speclib.transfer.hdf")
    (line,) = [w for w in outcome.warnings if "Phospho@S" in w]
    assert "0 training peptides, fewer than 50: not learnt by rt" in line
    assert not any(TAG in w for w in outcome.warnings)


@pytest.mark.parametrize("inside", ["", "peptdeep.transfer"])
def test_tuning_goes_on_from_a_bundle_and_keeps_its_history(tmp_path, finetuned, inside):
    settings = settings_for(tmp_path, finetuned / inside)
    run_step(settings, tmp_path / "again", transfer_library=finetuned.parent / "speclib.transfer.hdf")
    record, first = read(tmp_path / "again"), read(finetuned)
    assert {n: w["sha256"] for n, w in record["started_from"].items()} == first["models"]
    (entry,) = record["history"]
    assert entry["bundle"] == str(finetuned.resolve())
    assert entry["random_state"] == 3
    for key in ("versions", "started_from", "trained_on", "models"):
        assert entry[key] == first[key]


class Step:
    """Stands for alphaDIA's search step."""

    raw_path_list = ()

    def __init__(self, config, found, output_folder):
        self.config = config
        self.found = found
        self.output_folder = output_folder

    def run(self):
        from peptdeep.settings import MOD_TO_FEATURE

        assert TAG in MOD_TO_FEATURE, "the search began before the config's modifications were known to the models"
        self.found()
        return []


@pytest.fixture
def plan(tmp_path, monkeypatch, finetuned):
    """Run a plan in which alphaDIA's steps are replaced; return what each was told."""
    told = []
    _forget_if_known(TAG)

    def run(minutes=None, **changes):
        minutes = minutes or read(finetuned)["trained_on"]["gradient_minutes"]
        config = user_config(finetuned, **changes.pop("plugin", {}))
        config = host.deep_merge(searchable(tmp_path), config, changes)

        def found():
            table = {"raw.name": ["r"], "precursor.rt.observed": [minutes * 60]}
            pd.DataFrame(table).to_parquet(tmp_path / "precursors.parquet")

        def make_step(output_folder, user_config, cli_config, extra_config, step_name, check_library=None):
            told.append((step_name, extra_config))
            merged = host.effective_config(host.deep_merge(user_config, extra_config), output_folder)
            return Step(merged, found, output_folder)

        monkeypatch.setattr(host, "make_step", make_step)
        monkeypatch.setattr(host, "run_first_pass", lambda step, predictor: (step.run(), []))
        TransferLearningPlan(str(tmp_path), config).run_plan()
        return told

    return run


def _forget_if_known(name):
    from peptdeep.settings import MOD_TO_FEATURE

    if name in MOD_TO_FEATURE:
        _forget(name)


def test_one_search_with_the_models_as_they_are(plan, finetuned, tmp_path):
    ((step, extra),) = plan(plugin={"tune": False})
    assert step == "library"
    assert extra["library_prediction"]["peptdeep_model_path"] == str(finetuned / "peptdeep.transfer")
    record = read(tmp_path)
    assert {n: w["sha256"] for n, w in record["started_from"].items()} == read(finetuned)["models"]
    assert record["history"][0]["bundle"] == str(finetuned.resolve())
    assert any("Oxidation@M" in w or "Phospho@S" in w for w in record["warnings"])
    assert not any("elute" in w or TAG in w for w in record["warnings"])


def test_the_models_of_the_bundle_predict_the_library_of_the_one_search(plan, finetuned, monkeypatch):
    asked, run_search = [], host.run_search

    def watched(step, predictor):
        asked.append(predictor)
        return run_search(step, predictor)

    monkeypatch.setattr(host, "run_search", watched)
    plan(plugin={"tune": False})
    weights = torch.load(finetuned / "peptdeep.transfer" / "rt.pth", weights_only=True)
    used = asked[0].interface("rt").model.state_dict()
    assert all(torch.equal(used[name], value) for name, value in weights.items())


@pytest.fixture
def tuned_at_35(finetuned, tmp_path):
    """A bundle whose MS2 model was tuned with another energy than searches are configured for."""
    bundle = tmp_path / "tuned_at_35"
    shutil.copytree(finetuned, bundle)
    record = read(bundle)
    record["trained_on"]["nce"] = 35.0
    record["decisions"] = [d for d in record["decisions"] if d["model"] != "ms2"] + [{"model": "ms2", "accepted": True}]
    (bundle / "alphadia_tl.yaml").write_text(yaml.safe_dump(record))
    return bundle


@pytest.mark.parametrize(("nce", "used", "warned"), [("auto", 35.0, 0), (None, 25.0, 1), (30, 30.0, 1)])
def test_models_as_they_are_predict_with_the_energy_that_they_were_tuned_with(tmp_path, tuned_at_35, nce, used, warned):
    ready = ReadyModels(settings_for(tmp_path, tuned_at_35, tune=False, nce=nce), tmp_path / "out")
    assert ready.predictor.nce == used
    assert sum("tuned with 35.0" in w for w in ready.warnings) == warned
    ready.finish(None, tmp_path / "out" / "alphadia_tl.yaml")
    assert read(tmp_path / "out")["nce"] == used


def test_fragment_types_that_were_not_tuned_are_told(tmp_path, tuned_at_35):
    record = read(tuned_at_35)
    record["trained_on"]["fragment_types"] = ["b_z1", "y_z1"]
    (tuned_at_35 / "alphadia_tl.yaml").write_text(yaml.safe_dump(record))
    ready = ReadyModels(settings_for(tmp_path, tuned_at_35, tune=False), tmp_path / "out")
    assert any("fragment types b_z2, y_z2 are predicted" in w for w in ready.warnings)


def test_another_gradient_is_told_after_the_search(plan, tmp_path):
    plan(minutes=60.0, plugin={"tune": False})
    assert any("elute until 60.0 min" in w for w in read(tmp_path)["warnings"])


def test_a_first_pass_predicts_with_the_bundle_and_knows_the_modifications(plan, finetuned, monkeypatch):
    stop = RuntimeError("first pass done")

    def run_step_stub(*args, **kwargs):
        raise stop

    monkeypatch.setattr("alphadia_tl.step.step.run_step", run_step_stub)
    with pytest.raises(RuntimeError, match="first pass done"):
        plan()


def test_wrong_models_stop_before_the_search(plan, finetuned, tmp_path):
    import shutil

    from alphadia.exceptions import CustomError

    shutil.copytree(finetuned, tmp_path / "copy")
    (tmp_path / "copy" / "peptdeep.transfer" / "rt.pth").write_bytes(b"")
    path = str(tmp_path / "copy")
    for tune in (True, False):
        with pytest.raises(CustomError, match="rt model is not the one"):
            plan(plugin={"tune": tune}, library_prediction={"peptdeep_model_path": path})
    assert not (tmp_path / "precursors.parquet").exists()


@pytest.mark.parametrize(
    ("prediction", "message"),
    [({"enabled": True}, "names no models"), ({"enabled": False, "peptdeep_model_path": "x"}, "would predict nothing")],
)
def test_models_that_would_not_be_used_are_an_error(tmp_path, prediction, message):
    config = {"library_prediction": prediction}
    with pytest.raises(SettingsError, match=message):
        step_settings(host.effective_config(config, tmp_path), config, PluginSettings(enabled=True, tune=False))


def test_finetune_without_tuning_is_an_error(tmp_path, caplog):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"alphadia_tl": {"tune": False}}))
    (tmp_path / "x.hdf").touch()
    arguments = ["finetune", "--transfer-library", str(tmp_path / "x.hdf"), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--config", str(tmp_path / "config.yaml")]) == 1
    log = tmp_path / "out" / "log.txt"  # alphaDIA sets logging up once per process
    assert "there is nothing to tune" in (log.read_text() if log.is_file() else caplog.text)
