import pandas as pd
import pytest
import yaml
from alphabase.spectral_library.base import SpecLibBase
from forked import run_script
from made_models import write_networks

from alphadia_tl import cli, host

OWN = {"name": "Own@K", "composition": "C(3)H(5)O(2)"}


def save_library(path, modification):
    library = SpecLibBase(["b_z1", "y_z1"])
    library.precursor_df = pd.DataFrame(
        {"sequence": ["PEPTIDEK"], "mods": ["Acetyl@K"], "mod_sites": ["8"], "charge": 2}
    )
    library.calc_precursor_mz()
    library.calc_fragment_mz_df()
    library._fragment_intensity_df = library._fragment_mz_df * 0 + 1
    library._precursor_df = library._precursor_df.assign(rt_norm=0.5, mods=modification)
    library.save_hdf(str(path))


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (
            ["speclib.hdf", "--to", "tsv", "-o", "out.tsv"],
            0,
            "1 precursors, 14 fragments; retention time: iRT = 100 x rt",
        ),
        (["speclib.hdf", "--to", "tsv", "-o", "speclib.hdf"], 1, "TL_OUTPUT"),
        (["none.hdf", "--to", "tsv", "-o", "out.tsv"], 1, "TL_LIBRARY The spectral library"),
        (["own.hdf", "--to", "blib", "-o", "out.blib"], 1, "Own@K. Give the config with its custom_modifications"),
        (["own.hdf", "--to", "blib", "-o", "out.blib", "--config", "own.yaml"], 0, "(blib,"),
        (["speclib.hdf", "--to", "torchscript", "-o", "out"], 1, "TL_WEIGHTS"),
        (["speclib.hdf", "--to", "xml", "-o", "out.xml"], host.EXIT_WRONG_FLAG, "invalid choice: 'xml'"),
        (["speclib.hdf", "--to", "tsv"], host.EXIT_WRONG_FLAG, "required: --output"),
    ],
)
def test_a_command_line_ends_with_what_was_written_or_one_error(tmp_path, monkeypatch, flags, code, said):
    for name, modification in (("speclib", "Acetyl@K"), ("own", "Own@K")):
        save_library(tmp_path / f"{name}.hdf", modification)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"custom_modifications": [OWN]}))
    monkeypatch.chdir(tmp_path)
    found, text = run_script(cli.__file__, ["export", *flags], tmp_path)
    assert (found, said in text, "Traceback" in text) == (code, True, False), text
    assert bool(list(tmp_path.glob("out.*"))) == (code == 0)


def test_scripted_models_know_the_modifications_of_their_search(tmp_path):
    write_networks(tmp_path / "transfer" / "peptdeep.transfer", ["rt"])
    (tmp_path / "transfer" / "frozen_config.yaml").write_text(yaml.safe_dump({"custom_modifications": [OWN]}))
    flags = ["export", tmp_path, "--to", "torchscript", "-o", tmp_path / "out"]
    code, said = run_script(cli.__file__, flags, tmp_path)
    assert code == 0, said
    assert "\nOwn@K\t0:3,1:5,3:2\n" in (tmp_path / "out" / "modifications.tsv").read_text()
