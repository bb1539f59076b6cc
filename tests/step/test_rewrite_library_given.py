"""What a given library says itself stays in it where the tuned models are not surely better."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from alphabase.peptide.mobility import ccs_to_mobility_for_df
from alphabase.spectral_library.base import SpecLibBase
from made_models import write_networks
from tasks.made import MANY_HELD_OUT, fragments_like, make_peptides

from alphadia_tl import host
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.weights import new_network
from alphadia_tl.settings import PluginSettings
from alphadia_tl.step.rewrite_library import compare_with_library
from alphadia_tl.step.step_settings import step_settings

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
    assert found.values_kept == ("rt", "ccs", "ms2")
    assert len(found.warnings) == 3
    assert found.warnings[2].startswith("MS2: SA-median 1.0000 of the library itself")
    assert "0.8000 of the tuned model" in found.warnings[2]


def test_worse_values_are_replaced(settings, manager, tmp_path):
    found = compared(settings, manager, library_of(tmp_path / "speclib.hdf", measured=False), ("rt", "ccs", "ms2"))
    assert found.values_kept == found.warnings == ()


def test_models_that_were_not_accepted_and_the_charge_model_are_not_compared(settings, manager, tmp_path):
    missing = tmp_path / "is not read.hdf"
    assert compared(settings, manager, missing, ("charge",)).values_kept == ()
    found = compared(settings, manager, library_of(tmp_path / "speclib.hdf", measured=True), ("ms2",))
    assert found.values_kept == ("ms2",)


def test_a_library_without_values_gets_predictions(settings, manager, tmp_path):
    path = library_of(tmp_path / "speclib.hdf", measured=True)
    library = SpecLibBase()
    library.load_hdf(str(path), load_mod_seq=True)
    library._precursor_df = library._precursor_df.drop(columns="rt")
    library._fragment_intensity_df *= 0
    bare = tmp_path / "bare.hdf"
    library.save_hdf(str(bare))
    assert compared(settings, manager, bare, ("rt", "ms2")).values_kept == ()


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
    assert found.values_kept == ("rt",)
    assert "5 held-out peptides" in found.warnings[0]


def test_a_table_of_the_search_says_the_same_whether_text_is_missing_or_empty(settings, manager, tmp_path):
    path = library_of(tmp_path / "speclib.hdf", measured=True)
    unmodified = TRANSFER.precursor_df.assign(
        mods=TRANSFER.precursor_df["mods"].replace("", pd.NA), mod_sites=TRANSFER.precursor_df["mod_sites"]
    )
    observations = replace(TRANSFER, precursor_df=unmodified)
    assert compare_with_library(settings, observations, manager, ("rt",), path).values_kept == ("rt",)
