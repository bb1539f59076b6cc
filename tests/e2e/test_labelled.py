"""A sample in which every peptide is dimethylated, which the base weights have never seen."""

from dataclasses import replace

import pandas as pd
import pytest
import yaml
from experiments import QUICK

from alphadia_tl.host import deep_merge
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.simulate.experiment import make_experiment
from e2e.support import ON, QUICK_TUNING, Search, call

pytestmark = [pytest.mark.slow, pytest.mark.regression]

LABEL = ("Dimethyl@Any_N-term", "Dimethyl@K")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, weights):
    digestion = replace(QUICK.digestion, fixed_modifications=("Carbamidomethyl@C", *LABEL))
    folder = tmp_path_factory.mktemp("labelled")
    experiment = make_experiment(folder, replace(QUICK, digestion=digestion), weights_folder=weights)
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
