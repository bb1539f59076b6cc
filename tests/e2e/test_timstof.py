"""A part of a diaPASEF run of another group's simulator, searched as the user brings it: nothing said of the engine.

alphaDIA's Python engine compiles for minutes in each process before it searches: `make regression` runs this.
"""

import json

import pandas as pd
import pytest
import yaml
from alphabase.spectral_library.base import SpecLibBase

from e2e.support import FEW_STEPS, MANY_HELD_OUT, ON, SHARED, call, needs_shared

pytestmark = [pytest.mark.slow, pytest.mark.regression, needs_shared]

TIMSIM = SHARED / "dia" / "timsim"
N_PRESENT, N_ABSENT = 500, 100
# The tolerances spare the Python engine most of its time.
NARROW = {
    "search": {
        "target_ms1_tolerance": 15,
        "target_ms2_tolerance": 15,
        "target_mobility_tolerance": 0.05,
        "target_rt_tolerance": 100,
    },
    "search_initial": {"ms1_tolerance": 15, "ms2_tolerance": 15, "mobility_tolerance": 0.05, "rt_tolerance": 100},
    "calibration": {**FEW_STEPS["calibration"], "optimization_lock_target": 100},
}


@pytest.fixture(scope="module")
def searched(generic_home, tmp_path_factory):
    """Return the output folder and the log; the run lies on storage that is read-only, its name has a blank."""
    folder = tmp_path_factory.mktemp("timsTOF")
    entries = (TIMSIM / "timsim.fasta").read_text().split(">")[1:]
    truth = pd.read_parquet(TIMSIM / "timsim.truth.parquet").query("charge == 2 and 400 < precursor_mz < 800")
    abundant = set(truth.sort_values("abundance")["sequence"].iloc[-N_PRESENT:])
    chosen = [e for e in entries if e.split()[-1] in abundant]
    chosen += [e for e in entries if "ABSENT" in e][:N_ABSENT]
    (folder / "part.fasta").write_text("".join(">" + entry for entry in chosen))
    run = folder / "a run.d"
    run.symlink_to(TIMSIM / "timsim.d")
    prediction = {"enabled": True, "variable_modifications": "", "precursor_charge": [2, 2], "precursor_mz": [400, 800]}
    config = {
        "raw_paths": [str(run)],
        "fasta_paths": [str(folder / "part.fasta")],
        "general": {"thread_count": 2, "use_gpu": False, "random_state": 1, "save_figures": False},
        "library_prediction": prediction | {"missed_cleavages": 2, "nce": 30, "instrument": "Lumos"},
        "transfer_learning": {"epochs": 4, "warmup_epochs": 1, **MANY_HELD_OUT},
        "alphadia_tl": {**ON["alphadia_tl"], "models": ["rt", "ccs"]},
        **NARROW,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    code, log = call("alphadia-tl", ["--config", path, "-o", folder / "out"], generic_home)
    assert code == 0, log[-3000:]
    return folder / "out", log


def test_the_engine_that_reads_the_run_is_chosen_and_told(searched):
    output, log = searched
    assert "alphaDIA's Python engine searches them" in log
    assert yaml.safe_load((output / "frozen_config.yaml").read_text())["search"]["extraction_backend"] == "python"


def test_the_ccs_model_is_tuned_and_the_final_pass_searches_its_mobilities(searched):
    output = searched[0]
    told = json.loads((output / "transfer" / "report.json").read_text())
    decision = next(d for d in told["decisions"] if d["model"] == "ccs")
    assert decision["accepted"], decision["reason"]
    assert decision["after"] < decision["before"]
    truth = pd.read_parquet(TIMSIM / "timsim.truth.parquet")
    errors = []
    for name in ("speclib.hdf", "speclib.tuned.hdf"):
        library = SpecLibBase()
        library.load_hdf(str(output / "transfer" / name))
        both = library.precursor_df.merge(truth, on=["sequence", "mods", "mod_sites", "charge"])
        errors.append((both["mobility_pred"] - both["mobility"]).abs().median())
    assert errors[1] < 0.5 * errors[0]
    assert "Ion mobility (CCS)" in (output / "transfer" / "report.html").read_text()


def test_what_was_found_is_in_the_sample(searched):
    found = pd.read_parquet(searched[0] / "precursors.parquet")
    assert len(found) > N_PRESENT / 2
    assert found["pg.proteins"].str.contains("P").all()
    truth = pd.read_parquet(TIMSIM / "timsim.truth.parquet")
    assert found["precursor.sequence"].isin(truth["sequence"]).mean() > 0.95
