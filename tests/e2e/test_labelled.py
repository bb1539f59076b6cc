"""A sample in which every peptide is dimethylated, which the base weights have never seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import yaml
from alphabase.peptide.precursor import update_precursor_mz
from experiments import QUICK

from alphadia_tl.host import deep_merge
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.simulate.experiment import make_experiment
from alphadia_tl.simulate.render import render_run
from alphadia_tl.simulate.sample import digest, make_sample
from e2e.support import ON, QUICK_TUNING, Search, call

pytestmark = [pytest.mark.slow, pytest.mark.regression]

LABEL = ("Dimethyl@Any_N-term", "Dimethyl@K")


@pytest.fixture(scope="module")
def labelled_experiment(tmp_path_factory, weights):
    digestion = replace(QUICK.digestion, fixed_modifications=("Carbamidomethyl@C", *LABEL))
    folder = tmp_path_factory.mktemp("labelled")
    return make_experiment(folder, replace(QUICK, digestion=digestion), weights_folder=weights)


@pytest.fixture(scope="module")
def labelled(labelled_experiment):
    experiment, folder = labelled_experiment, labelled_experiment.folder
    config = deep_merge(experiment.config(), ON, QUICK_TUNING)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    code, log = call("alphadia-tl", ["--config", path, "-o", folder / "out"], experiment.home.resolve())
    return Search(folder / "out", code, log, experiment.read_truth())


def test_labelled_peptides_are_found_in_both_passes(labelled):
    assert labelled.code == 0, labelled.log[-3000:]
    for folder in ("transfer", "."):
        score = labelled.score(folder)
        assert score.true > 300
        assert score.fdp < 0.1
    found = pd.read_parquet(labelled.folder / "precursors.parquet", columns=["precursor.mods"])["precursor.mods"]
    assert found.str.contains(LABEL[0], regex=False).all()


def test_the_models_learn_the_label_and_the_bundle_says_so(labelled):
    library = TransferLibrary.load(labelled.folder / "transfer" / "speclib.transfer.hdf")
    assert library.precursor_df["mods"].str.contains(LABEL[0], regex=False).all()
    record = labelled.provenance()
    assert "rt" in [d["model"] for d in record["decisions"] if d["accepted"]]
    table = pd.read_csv(labelled.folder / "transfer" / "modifications.transfer.tsv", sep="\t")
    for name in LABEL:
        assert record["trained_on"]["modifications"][name]["rt"] >= 50
        assert record["transfer_library"]["modifications"][name] >= 50
        row = table[(table["modification"] == name) & (table["model"] == "rt")].iloc[0]
        assert row["learnt"]
        assert row["after"] < row["before"]
    assert record["trained_on"]["gradient_minutes"] == pytest.approx(5, abs=1)
    assert not any(name in warning for name in LABEL for warning in record["warnings"])


@pytest.fixture(scope="module")
def pair(labelled_experiment, tmp_path_factory):
    """A search of the sample beside one of the same peptides, less three in ten, with a heavy label."""
    experiment, folder = labelled_experiment, tmp_path_factory.mktemp("pair")
    preset, generator = experiment.preset, np.random.default_rng(7)
    sample = make_sample(digest(experiment.fasta, preset.digestion), preset.instrument, generator)
    light = sample.precursor_df.assign(rt_seconds=lambda df: preset.acquisition.apex_seconds(df["rt"].to_numpy()))
    peptides = light["sequence"].unique()
    chosen = generator.choice(peptides, int(0.7 * len(peptides)), replace=False)
    heavy = light[light["sequence"].isin(chosen)].drop(columns="precursor_mz").reset_index(drop=True)
    heavy["mods"] = heavy["mods"].str.replace("Dimethyl@", "Dimethyl:2H(4)@")
    heavy["abundance"] *= 0.5
    truth = pd.concat([light, update_precursor_mz(heavy)], ignore_index=True)
    render_run(truth, sample.fragment_intensity_df, preset.acquisition, generator).save(folder / "pair.hdf")
    labels = {0: "Dimethyl@", 4: "Dimethyl:2H(4)@"}
    mapping = [
        {"channel_name": number, "modifications": {name: name.replace("Dimethyl@", label) for name in LABEL}}
        for number, label in labels.items()
    ]
    changes = {"raw_paths": [str(folder / "pair.hdf")]}
    changes["library_multiplexing"] = {"enabled": True, "multiplex_mapping": mapping}
    (folder / "c.yaml").write_text(yaml.safe_dump(deep_merge(experiment.config(), ON, QUICK_TUNING, changes)))
    code, log = call("alphadia-tl", ["--config", folder / "c.yaml", "-o", folder / "out"], experiment.home.resolve())
    return Search(folder / "out", code, log, truth)


def test_both_channels_are_searched_learnt_from_and_found_in_both_passes(pair):
    assert pair.code == 0, pair.log[-3000:]
    for folder in ("transfer", "."):
        assert pair.score(folder).true > 2000
        found = pd.read_parquet(pair.folder / folder / "precursors.parquet")
        assert (found["precursor.channel"].value_counts()[[0, 4]] > 800).all()
        heavy = found["precursor.mods"].str.contains("2H(4)", regex=False)
        assert (heavy == (found["precursor.channel"] == 4)).all()
        groups = found.groupby("precursor.elution_group_idx")["precursor.channel"].nunique()
        assert (groups == 2).sum() > 300
    library = TransferLibrary.load(pair.folder / "transfer" / "speclib.transfer.hdf")
    assert 0.2 < library.precursor_df["mods"].str.contains("2H(4)", regex=False).mean() < 0.6
