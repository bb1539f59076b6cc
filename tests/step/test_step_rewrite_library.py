"""The tuned library is written only where an accepted model changes it; what a given one says itself may stay."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from alphabase.peptide.mobility import ccs_to_mobility_for_df
from alphabase.spectral_library.base import SpecLibBase
from made_models import write_networks
from tasks.made import MANY_HELD_OUT, fragments_like, make_peptides

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import PredictionError
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models.gate import Decision
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.weights import new_network
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step import step as library_stage
from alphadia_tl.step.outcome import StepOutcome
from alphadia_tl.step.step import UNCHANGED, rewrite_library
from alphadia_tl.step.step_settings import step_settings
from alphadia_tl.step.tune_models import compare_with_library

SUMMARY = {"accepted": ["rt"], "stays": []}


@pytest.mark.parametrize(
    ("accepted", "changing"), [((), None), (("charge",), None), (("rt",), ["rt"]), (("rt", "charge"), ["rt"])]
)
def test_a_charge_model_that_filters_nothing_changes_no_library(tmp_path, monkeypatch, accepted, changing):
    asked = []

    def regenerate(speclib, tuned, models, digest=None):
        asked.append(models.accepted)
        return SUMMARY

    monkeypatch.setattr(library_stage, "regenerate", regenerate)
    settings = SimpleNamespace(plugin=PluginSettings(charge_filter_recall=1.0), predicted_frag_types=())
    outcome = StepOutcome(Bundle(tmp_path), decisions=tuple(Decision(m, True, "better") for m in accepted))
    outcome.bundle.tuned_library.write_text("of an earlier call")
    outcome = rewrite_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")
    assert asked == ([] if changing is None else [changing])
    assert outcome.bundle.tuned_library.exists() == (changing is not None)
    assert outcome.regeneration == (None if changing is None else SUMMARY)
    assert outcome.warnings == ((UNCHANGED,) if accepted == ("charge",) else ())


def test_a_tuned_model_that_cannot_predict_makes_way_and_the_others_go_on(tmp_path, monkeypatch):
    """What is written beside the library is of the models that predicted it: weights, energy, RT tolerance."""
    asked, done = [], []

    def regenerate(speclib, tuned, models, digest=None):
        asked.append(models.accepted)
        if "rt" in models.accepted:
            error = PredictionError("The RT model's predictions are not all finite.")
            error.model = "rt"
            raise error
        return SUMMARY

    monkeypatch.setattr(library_stage, "regenerate", regenerate)
    monkeypatch.setattr(library_stage, "collision_energy", lambda *a: done.append("energy") or {"nce": 30.0})
    monkeypatch.setattr(library_stage, "save_models", lambda *a: done.append("weights") or {"rt": "hash"})
    manager = SimpleNamespace(restore_pretrained=lambda name: done.append(f"pretrained {name}"))
    settings = SimpleNamespace(plugin=PluginSettings(), predicted_frag_types=())
    decisions = tuple(Decision(m, True, "better") for m in ("rt", "ms2"))
    outcome = StepOutcome(Bundle(tmp_path), decisions=decisions, rt_tolerance=0.07)
    outcome = rewrite_library(settings, manager, outcome, tmp_path / "speclib.hdf")
    assert asked == [["rt", "ms2"], ["ms2"]]
    assert done == ["pretrained rt", "energy", "weights"]
    assert outcome.accepted == ("ms2",)
    assert outcome.regeneration == SUMMARY
    assert outcome.rt_tolerance is None
    assert (outcome.provenance["nce"], outcome.provenance["models"]) == (30.0, {"rt": "hash"})
    assert yaml.safe_load(outcome.bundle.provenance.read_text()) == outcome.to_mapping()


def test_an_error_of_no_model_ends_the_step(tmp_path, monkeypatch):
    def regenerate(*args, **kwargs):
        raise PredictionError("The library has no precursor.", "Check the FASTA file.")

    monkeypatch.setattr(library_stage, "regenerate", regenerate)
    settings = SimpleNamespace(plugin=PluginSettings(), predicted_frag_types=())
    outcome = StepOutcome(Bundle(tmp_path), decisions=(Decision("rt", True, "better"),))
    with pytest.raises(PredictionError, match="no precursor"):
        rewrite_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")


def test_what_stays_a_given_librarys_own_is_not_predicted(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(library_stage, "regenerate", lambda *a: asked.append(a[2].accepted) or SUMMARY)
    settings = SimpleNamespace(plugin=PluginSettings(), predicted_frag_types=())
    decisions = tuple(Decision(m, True, "better") for m in ("rt", "ms2"))
    outcome = StepOutcome(Bundle(tmp_path), decisions=decisions, library_values_kept=("ms2",))
    outcome = rewrite_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")
    assert asked == [["rt"]]
    outcome = replace(outcome, library_values_kept=("ms2", "rt"))
    outcome = rewrite_library(settings, SimpleNamespace(), outcome, tmp_path / "speclib.hdf")
    assert asked == [["rt"]]
    assert outcome.regeneration is None
    assert outcome.warnings == ()  # what stays was told where it was decided


PEPTIDES = make_peptides(300, seed=2)
FRAGMENTS = fragments_like(new_network("ms2", seed=3).model, PEPTIDES)
TRANSFER = TransferLibrary(
    PEPTIDES.assign(precursor_mz=500.0, rt_observed=0.0, proba=0.0, raw_name="run_1", use_for_ms2=True),
    FRAGMENTS,
    FRAGMENTS >= 0,
)
TUNED = {"rt": 0.02, "ccs": 0.02, "ms2": 0.8}


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    folder = write_networks(tmp_path_factory.mktemp("models"))
    manager = FinetuneManager("cpu", {"epochs": 1, "batch_size": 32, **MANY_HELD_OUT}, models=folder, precision="fp32")
    manager.finetune_rt(PEPTIDES)
    manager.finetune_ccs(PEPTIDES)
    manager.finetune_ms2(PEPTIDES, FRAGMENTS)
    # the networks have learnt nothing in one epoch; these scores are as good as those of a tuned model
    for name, score in TUNED.items():
        result = manager.results[name]
        manager.results[name] = replace(result, scores_after=np.full(len(result.scores_after), score))
    return manager


@pytest.fixture
def settings(tmp_path):
    return step_settings(host.effective_config({}, tmp_path), {}, PluginSettings(enabled=True))


def library_of(path, *, measured):
    """Write a library: what it says is either measured or has nothing to do with its precursors."""
    library = SpecLibBase(list(FRAGMENTS.columns))
    said = PEPTIDES if measured else PEPTIDES.sample(frac=1, random_state=1)
    said = {"rt": 100 * said["rt_norm"].to_numpy() - 20, "ccs": said["ccs"].to_numpy()}
    library.precursor_df = PEPTIDES.drop(columns="rt_norm").assign(**said)  # is sorted by it
    library.calc_precursor_mz()
    library.calc_fragment_mz_df()
    df = library._precursor_df
    library._precursor_df = df.assign(mobility=ccs_to_mobility_for_df(df, "ccs")).drop(columns="ccs")
    noise = 1.0 if measured else np.random.default_rng(1).random(FRAGMENTS.shape) ** 8
    library._fragment_intensity_df = (FRAGMENTS * noise).astype(np.float32)
    library.save_hdf(str(path))
    return path


def compared(settings, manager, path, accepted):
    return compare_with_library(settings, TRANSFER, manager, accepted, path)


def test_measured_values_stay_and_are_told(settings, manager, tmp_path):
    found = compared(settings, manager, library_of(tmp_path / "speclib.hdf", measured=True), ("rt", "ccs", "ms2"))
    assert tuple(found) == ("rt", "ccs", "ms2")
    assert len(found) == 3
    assert found["ms2"].startswith("MS2: SA-median 1.0000 of the library itself")
    assert "0.8000 of the tuned model" in found["ms2"]


def test_worse_values_are_replaced(settings, manager, tmp_path):
    found = compared(settings, manager, library_of(tmp_path / "speclib.hdf", measured=False), ("rt", "ccs", "ms2"))
    assert found == {}


def test_models_that_were_not_accepted_and_the_charge_model_are_not_compared(settings, manager, tmp_path):
    missing = tmp_path / "is not read.hdf"
    assert compared(settings, manager, missing, ("charge",)) == {}
    found = compared(settings, manager, library_of(tmp_path / "speclib.hdf", measured=True), ("ms2",))
    assert tuple(found) == ("ms2",)


def test_a_library_without_values_gets_predictions(settings, manager, tmp_path):
    path = library_of(tmp_path / "speclib.hdf", measured=True)
    library = SpecLibBase()
    library.load_hdf(str(path), load_mod_seq=True)
    library._precursor_df = library._precursor_df.drop(columns="rt")
    library._fragment_intensity_df *= 0
    bare = tmp_path / "bare.hdf"
    library.save_hdf(str(bare))
    assert compared(settings, manager, bare, ("rt", "ms2")) == {}


def test_a_few_peptides_cannot_tell_and_the_library_stays(settings, manager, tmp_path):
    path = library_of(tmp_path / "speclib.hdf", measured=False)
    library = SpecLibBase()
    library.load_hdf(str(path), load_mod_seq=True)
    held_out = set(manager.results["rt"].test_groups)
    few = set(sorted(held_out)[:5])
    gone = library._precursor_df["sequence"].isin(held_out - few)
    library._precursor_df.loc[gone, "rt"] = np.nan
    some = tmp_path / "some.hdf"
    library.save_hdf(str(some))
    found = compared(settings, manager, some, ("rt",))
    assert tuple(found) == ("rt",)
    assert "5 held-out peptides" in found["rt"]


def test_a_table_of_the_search_says_the_same_whether_text_is_missing_or_empty(settings, manager, tmp_path):
    path = library_of(tmp_path / "speclib.hdf", measured=True)
    unmodified = TRANSFER.precursor_df.assign(
        mods=TRANSFER.precursor_df["mods"].replace("", pd.NA), mod_sites=TRANSFER.precursor_df["mod_sites"]
    )
    observations = replace(TRANSFER, precursor_df=unmodified)
    assert list(compare_with_library(settings, observations, manager, ("rt",), path)) == ["rt"]
