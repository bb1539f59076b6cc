"""A library that tuned models predict without a search."""

import numpy as np
import pandas as pd
import pytest
import yaml
from alphabase.spectral_library.base import SpecLibBase
from made_models import write_networks

from alphadia_tl.errors import TransferLearningError
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.provenance import model_hashes
from alphadia_tl.search.ready_models import predict_library

FASTA = ">sp|P1|ONE_TEST GN=ONE\nMKPEPTIDEKAMDDERLLAGSVTKR\n>sp|P2|TWO_TEST GN=TWO\nGGASSVTKACDEFGHIK\n"
CONFIG = {
    "general": {"use_gpu": False, "thread_count": 1},
    "library_prediction": {"nce": 25, "precursor_charge": [1, 3], "precursor_mz": [300, 1500]},
}
TRAINED = {
    "fragment_types": ["b_z1", "b_z2", "y_z1", "y_z2"],
    "modifications": {name: {"ms2": 99} for name in ("Carbamidomethyl@C", "Oxidation@M", "Acetyl@Protein_N-term")},
    "gradient_minutes": 18.0,
    "lengths": [7, 20],
    "charges": [1, 3],
    "nce": 30.0,
    "instrument": "Lumos",
    "runs": ["run"],
}
KEY = ["sequence", "mods", "mod_sites", "charge"]


@pytest.fixture
def bundle(tmp_path):
    """Return a bundle whose MS2 and charge models were tuned; no charge state is ruled out."""
    folder = tmp_path / "tuned" / "transfer"
    write_networks(folder / "peptdeep.transfer")
    decisions = [{"model": "ms2", "accepted": True}, {"model": "charge", "accepted": False}]
    record = {"trained_on": TRAINED, "decisions": decisions, "models": model_hashes(folder / "peptdeep.transfer")}
    (folder / "alphadia_tl.yaml").write_text(yaml.safe_dump(record))
    (tmp_path / "some.fasta").write_text(FASTA)
    return folder


def change(bundle, **values):
    path = bundle / "alphadia_tl.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))


def load(path):
    library = SpecLibBase()
    library.load_hdf(str(path))
    return library


def test_a_library_of_a_fasta_file_is_what_the_models_say_of_its_digest(bundle, tmp_path):
    told = predict_library(bundle.parent, tmp_path / "lib.hdf", fasta=[tmp_path / "some.fasta"], config=CONFIG)
    library = load(tmp_path / "lib.hdf")
    df = library.precursor_df
    assert told.precursors == len(df) > 10
    assert {"LLAGSVTK", "KPEPTIDEK", "ACDEFGHIK"} <= set(df["sequence"])
    assert df["sequence"].str.len().between(7, 17).all()
    assert "Acetyl@Protein_N-term" in set(df["mods"].str.split(";").explode())
    assert set(df["genes"]) == {"ONE_TEST", "TWO_TEST"}
    models = FinetuneManager(device="cpu", models=bundle / "peptdeep.transfer", nce=30.0)
    assert np.allclose(df["rt_pred"], models.predict_rt_array(df), atol=1e-6)
    assert np.allclose(df["ccs_pred"], models.predict_ccs_array(df), rtol=1e-5)
    spectra = models.predict_ms2_array(df)
    exists = library.fragment_mz_df.to_numpy() > 0
    both = exists & (spectra > 0)
    assert np.array_equal(library.fragment_intensity_df.to_numpy() > 0, both)
    assert library.fragment_intensity_df.max(axis=None) == 1
    assert yaml.safe_load((tmp_path / "lib.yaml").read_text())["nce"] == 30.0


def test_charge_states_that_the_bundle_rules_out_are_not_predicted_but_given_ones_are(bundle, tmp_path):
    change(bundle, charge_cutoff=1.1)  # of each peptidoform the most probable one is left
    predict_library(bundle, tmp_path / "lib.hdf", fasta=[tmp_path / "some.fasta"], config=CONFIG)
    df = load(tmp_path / "lib.hdf").precursor_df
    assert not df.duplicated(KEY[:3]).any()
    pd.DataFrame({"sequence": ["LLAGSVTK"] * 3, "charge": [1, 2, 3]}).to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    predict_library(bundle, tmp_path / "given.hdf", precursors=tmp_path / "t.tsv", config=CONFIG)
    assert sorted(load(tmp_path / "given.hdf").precursor_df["charge"]) == [1, 2, 3]


TABLES = [
    ("a list", "list.txt", "LLAGSVTK\nAMDDEK\n", {("LLAGSVTK", "", "", z) for z in (1, 2)}, 6),
    ("a list with a head", "list.csv", "sequence\nLLAGSVTK\n", {("LLAGSVTK", "", "", 2)}, 2),
    ("cysteine is carbamidomethylated", "list.txt", "AAACK\n", {("AAACK", "Carbamidomethyl@C", "4", 1)}, 1),
    ("modifications as given", "t.csv", "sequence,mods,mod_sites\nAAACK,,\n", {("AAACK", "", "", 1)}, 1),
    ("precursors", "t.tsv", "sequence\tcharge\nAAACK\t2\n", {("AAACK", "Carbamidomethyl@C", "4", 2)}, 1),
    ("Windows line ends", "t.tsv", "sequence\tcharge\r\nAAAK\t2\r\n", {("AAAK", "", "", 2)}, 1),
    ("repeated ones", "t.tsv", "sequence\tcharge\nAAAK\t2\nAAAK\t2\n", {("AAAK", "", "", 2)}, 1),
    ("those that cannot be are left out", "t.tsv", "sequence\tcharge\nAAAK\t2\nAXBK\t2\n", {("AAAK", "", "", 2)}, 1),
    ("no charge that can be", "t.tsv", "sequence\tcharge\nAAAK\t2\nAAGK\t\n", {("AAAK", "", "", 2)}, 1),
]


@pytest.mark.parametrize(("name", "text", "among", "number"), [c[1:] for c in TABLES], ids=[c[0] for c in TABLES])
def test_precursors_are_made_of_what_is_given(bundle, tmp_path, name, text, among, number):
    (tmp_path / name).write_bytes(text.encode())
    predict_library(bundle, tmp_path / "lib.hdf", precursors=tmp_path / name, config=CONFIG)
    rows = load(tmp_path / "lib.hdf").precursor_df[KEY]
    assert among <= set(rows.itertuples(index=False, name=None))
    assert len(rows) == number


OUTSIDE = [
    ("nothing", {}, {}, ""),
    ("modifications", {}, {"variable_modifications": "Phospho@S"}, "modification Phospho@S was not learnt"),
    ("lengths", {"lengths": [9, 20]}, {}, "precursors have residues from 8 to 17, but the models were tuned on 9 to"),
    ("charges", {"charges": [2, 3]}, {}, "precursors have charges from 1 to 3, but the models were tuned on 2 to 3"),
    ("fragments", {"fragment_types": ["b_z1", "y_z1"]}, {}, "fragment types b_z2, y_z2 are predicted, but"),
    ("instrument", {"instrument": "QE"}, {}, "instrument is Lumos, but the models were tuned with QE"),
]


@pytest.mark.parametrize(("trained", "config", "told"), [c[1:] for c in OUTSIDE], ids=[c[0] for c in OUTSIDE])
def test_what_the_models_did_not_learn_is_told(bundle, tmp_path, trained, config, told):
    change(bundle, trained_on=TRAINED | trained)
    config = CONFIG | {"library_prediction": CONFIG["library_prediction"] | config}
    found = predict_library(bundle, tmp_path / "lib.hdf", fasta=[tmp_path / "some.fasta"], config=config)
    assert len(found.warnings) == (1 if told else 0), found.warnings
    assert told in "".join(found.warnings)


WRONG = [
    ("no models", {"models": "nowhere"}, "do not exist"),
    ("no library's name", {"output": "lib.tsv"}, "End its name with .hdf"),
    ("neither", {"fasta": []}, "There is no FASTA file and no table"),
    ("no such FASTA", {"fasta": ["no.fasta"]}, "cannot be read"),
    ("an empty table", {"fasta": [], "precursors": ("t.tsv", "")}, "is empty"),
    ("no rows", {"fasta": [], "precursors": ("t.tsv", "sequence\n")}, "has 0 rows"),
    ("other columns", {"fasta": [], "precursors": ("t.tsv", "peptide\tx\nAAAK\t1\n")}, "It needs 'sequence'"),
    ("half of the modifications", {"fasta": [], "precursors": ("t.csv", "sequence,mods\nAAAK,\n")}, "go together"),
    ("nothing that can be", {"fasta": [], "precursors": ("t.csv", "sequence\nAXZ\n")}, "No precursor of the library"),
    ("another kind", {"fasta": [], "precursors": ("t.xlsx", "PK")}, "is none of .tsv, .csv"),
    ("a wrong key", {"config": {"library_prediction": {"enzyme": "trypsine"}}}, "'trypsine' is not known"),
]


@pytest.mark.parametrize(("what", "told"), [c[1:] for c in WRONG], ids=[c[0] for c in WRONG])
def test_what_is_wrong_is_said_before_anything_is_predicted(bundle, tmp_path, what, told):
    asked = {"fasta": ["some.fasta"], "config": CONFIG, **what}
    models, output = tmp_path / asked.pop("models", "tuned"), tmp_path / asked.pop("output", "lib.hdf")
    asked["fasta"] = [tmp_path / name for name in asked["fasta"]]
    if "precursors" in asked:
        name, text = asked["precursors"]
        (tmp_path / name).write_text(text)
        asked["precursors"] = tmp_path / name
    with pytest.raises(TransferLearningError, match=told):
        predict_library(models, output, **asked)
    assert not output.exists()
