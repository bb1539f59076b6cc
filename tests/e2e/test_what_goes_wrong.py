"""Error cases with the real alphaDIA: what the user sees, the exit code, and what is kept."""

from pathlib import Path

import pytest
import yaml
from small_disk import SMALL_DISK, may_mount

from alphadia_tl.host import deep_merge, host_version
from e2e.support import ON, QUICK_SEARCH, SHARED, call, call_afresh, needs_shared

pytestmark = pytest.mark.slow


def test_no_weights_and_no_network_stop_before_the_search(search, tmp_path):
    result = search(ON, home=tmp_path, name="no_weights")
    assert result.code == 1
    assert "TL_WEIGHTS" in result.log
    assert "pretrained_models_v3.zip" in result.log
    assert "peptdeep install-models" in result.log
    assert "Loading spectral library" not in result.log


def test_a_wrong_config_stops_before_anything_runs(search):
    result = search({**ON, "transfer_learning": {"train_fraction": 1.5}}, name="wrong_config")
    assert result.code == 1
    assert "above 0 and below 1" in result.log
    assert "Loading spectral library" not in result.log


@may_mount
def test_a_disk_without_space_is_found_before_the_search(experiment, tmp_path):
    output = tmp_path / "small"
    output.mkdir()
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(deep_merge(experiment.config(), ON)))
    code, log = call_afresh(
        "alphadia-tl", ["--config", config, "-o", output], experiment.home.resolve(), [*SMALL_DISK, output]
    )
    assert code == 1
    assert f"{output / 'transfer'} has 0.0 GiB free" in log
    assert "Loading spectral library" not in log


def test_the_check_that_the_gui_makes_prints_alphadias_version_first():
    code, log = call_afresh("alphadia-tl", ["--check"], Path.home())
    assert code == 0
    lines = [line for line in log.splitlines() if "Warning" not in line and "warn" not in line]
    assert host_version() in lines
    assert lines.index(host_version()) < lines.index("Importing AlphaDIA works!")
    assert any("alphadia_tl" in line and "fits this alphaDIA" in line for line in lines)


def test_an_unknown_flag_ends_with_alphadias_exit_code():
    assert call("alphadia-tl", ["--no-such-flag"], Path.home())[0] == 126


# Small enough to be predicted in a minute, and alphaDIA still finds a handful of precursors in the real file.
FEW = {
    "raw_paths": [str(SHARED / "dia" / "collinsb_I180316_001_SW-A.hdf")],
    "fasta_paths": [str(SHARED / "fasta" / "rustims_HYE_small.fasta")],
    "library_prediction": {
        "missed_cleavages": 0,
        "variable_modifications": "",
        "precursor_charge": [2, 2],
        "precursor_len": [7, 18],
        "precursor_mz": [400, 900],
    },
}


@pytest.mark.regression
@needs_shared
def test_a_real_file_with_hardly_any_precursor_ends_well_with_the_pretrained_models(search, generic_home):
    result = search(FEW, ON, {"alphadia_tl": {"scout": "all"}}, home=generic_home, name="few")
    assert result.code == 0, result.log[-3000:]
    assert "No tuned model was accepted" in result.log
    assert "Reusing quantification results" in result.log  # the first pass is the result
    assert not (result.folder / "transfer" / "speclib.tuned.hdf").exists()
    assert "peptides to train on, 100 needed" in result.log
    assert not any(d["accepted"] for d in result.provenance()["decisions"])
    assert 0 < result.provenance()["transfer_library"]["precursors"] < 20
    assert (result.folder / "precursors.parquet").exists()
    assert (result.folder / "transfer" / "report.html").exists()


@needs_shared
def test_a_real_file_in_which_no_precursor_passes_ends_well(search, generic_home, tmp_path):
    entries = (SHARED / "fasta" / "rustims_HYE_small.fasta").read_text().split(">")[1:30]
    fasta = tmp_path / "none.fasta"
    fasta.write_text("".join(">" + entry for entry in entries))
    result = search({**FEW, "fasta_paths": [str(fasta)]}, ON, home=generic_home, name="none")
    if result.code == 1:  # not even a decoy passed: alphaDIA has nothing to write a table of, and says so
        assert "NO_PSM_FOUND: No PSMs found." in result.log
        assert "Traceback" not in result.log
        assert "Fine-tuning" not in result.log
        return
    assert result.code == 0, result.log[-3000:]
    assert not any(d["accepted"] for d in result.provenance()["decisions"])
    found = result.provenance()["identified"]["second_pass"]
    assert (found["precursors"], found["proteins"]) == (0, 0)


@needs_shared
def test_an_unreadable_raw_file_is_named_and_the_others_are_searched(search, experiment, flag_on):
    result = search(
        {
            "raw_paths": [str(experiment.raw_files[0].resolve()), str(SHARED / "dia" / "BCS_hela_narrow_3_2.mzML")],
            "library_path": str(flag_on.folder / "transfer" / "speclib.hdf"),
            "library_prediction": {"enabled": False},
        },
        {"alphadia_tl": {"enabled": True, "min_training_peptides": 15_000}},
        QUICK_SEARCH,
        name="one_unreadable",
    )
    assert result.code == 1
    assert "NOT_VALID_DIA_DATA" in result.log
    assert "BCS_hela_narrow_3_2  failed at step 'transfer'" in result.log
    assert (result.folder / "precursors.parquet").exists()


@needs_shared
def test_only_an_unreadable_raw_file_ends_with_alphadias_own_error(search, flag_on):
    result = search(
        {
            "raw_paths": [str(SHARED / "dia" / "BCS_hela_narrow_3_2.mzML")],
            "library_path": str(flag_on.folder / "transfer" / "speclib.hdf"),
            "library_prediction": {"enabled": False},
        },
        ON,
        name="all_unreadable",
    )
    assert result.code == 1
    assert "NO_PSM_FILES_FOUND" in result.log
