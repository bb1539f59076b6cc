"""Scripted models, run by torch alone, against this package's predictions."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from made_models import write_networks

from alphadia_tl.errors import WeightsError
from alphadia_tl.models.manager import FinetuneManager
from alphadia_tl.models.torchscript import write_torchscript

PEPTIDES = pd.DataFrame(
    {
        "sequence": ["MAGNEQVSK", "LGGNCQVTR", "LGGNEQVTR"],
        "mods": ["Acetyl@Protein_N-term;Oxidation@M;Phospho@S", "Carbamidomethyl@C", ""],
        "mod_sites": ["0;1;8", "5", ""],
        "charge": [1, 2, 3],
    }
)
LONGER = PEPTIDES.assign(
    sequence=["M" + "AEDGHK" * 6] * 3, mods=["Oxidation@M", "", "Amidated@Any_C-term"], mod_sites=["1", "", "-1"]
)
CALL = """
import json, sys
sys.path.insert(0, sys.argv[1])
import example
found = {}
for sequences, mods, sites, charge in json.loads(sys.argv[2]):
    peptides, n = (sequences, mods, sites), len(sequences)
    found.setdefault("rt", []).append(example.predict("rt", *peptides).tolist())
    found.setdefault("charge", []).append(example.predict("charge", *peptides).tolist())
    found.setdefault("ccs", []).append(example.predict("ccs", *peptides, charge).tolist())
    found.setdefault("ms2", []).append(example.predict("ms2", *peptides, charge, [27] * n, ["QE"] * n).tolist())
others = {"alphadia_tl", "alphabase", "peptdeep", "transformers", "pandas"} & set(sys.modules)
print(json.dumps([found, sorted(others), example.FRAGMENT_TYPES]))
"""


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return write_networks(tmp_path_factory.mktemp("networks"))


def test_the_example_predicts_what_the_package_predicts_with_torch_alone(tmp_path, networks):
    assert write_torchscript(networks, tmp_path / "out") == ["rt", "charge", "ms2", "ccs"]
    tables = [PEPTIDES, LONGER]
    given = json.dumps([[t[c].tolist() for c in ("sequence", "mods", "mod_sites", "charge")] for t in tables])
    command = [sys.executable, "-c", CALL, str(tmp_path / "out"), given]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, others, fragment_types = json.loads(said.splitlines()[-1])
    assert others == []
    settings = {"nce": 27, "instrument": "QE", "charged_frag_types": fragment_types, "precision": "fp32"}
    manager = FinetuneManager("cpu", models=networks, **settings)
    for i, table in enumerate(tables):
        df = table.assign(nAA=table["sequence"].str.len())
        expected = {
            "rt": manager.predict_rt_array(df),
            "ccs": manager.predict_ccs_array(df),
            "charge": manager.predict_charge_probabilities(df),
            "ms2": manager.predict_ms2_array(df).reshape(3, df["nAA"][0] - 1, -1),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][i], values, atol=1e-5, err_msg=name)


def test_models_without_weights_are_not_written_and_older_files_go(tmp_path, networks, caplog):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "rt.pth").write_bytes((networks / "rt.pth").read_bytes())
    (tmp_path / "ccs.pt").write_text("old")
    assert write_torchscript(tmp_path / "some", tmp_path) == ["rt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["example.py", "modifications.tsv", "rt.pt", "some"]
    assert "Not written, ccs.pt" in caplog.text
    done = subprocess.run([sys.executable, tmp_path / "example.py"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("rt [")


@pytest.mark.parametrize(("name", "words"), [("empty", "holds no weights"), ("none", "no folder with weight files")])
def test_a_folder_without_weights_is_one_error(tmp_path, name, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=words):
        write_torchscript(tmp_path / name, tmp_path / "out")
