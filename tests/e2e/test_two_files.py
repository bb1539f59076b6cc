"""Two formats, an odd name, a given library and match between runs in one search, which is killed on the way."""

import json
import re

import pandas as pd
import pytest
from markupsafe import escape

from e2e.support import ON, ONLY_RT

pytestmark = [pytest.mark.slow, pytest.mark.regression]

ODD_NAME = "Ångström <b>&amp; \"run\" 'n°2' 100%"


@pytest.fixture(scope="module")
def two_files(search, flag_on, experiment, mzml_file, tmp_path_factory):
    """Two formats, an odd name, a library, MBR; killed at the second file of the first and of the second pass."""
    odd = tmp_path_factory.mktemp("of 'Ω'") / f"{ODD_NAME}.HDF"
    odd.symlink_to(experiment.raw_files[1].resolve())
    second_file = "Loading raw file 2/2"
    return search(
        {
            "raw_paths": [str(mzml_file.resolve()), str(odd)],
            "library_path": str(flag_on.folder / "transfer" / "speclib.hdf"),
            "library_prediction": {"enabled": False},
            "general": {"mbr_step_enabled": True},
        },
        ON,
        ONLY_RT,
        name="two_files",
        kills=[[second_file], ["The final pass searches", second_file]],
    )


def test_two_formats_a_library_and_mbr_work_together(two_files):
    assert two_files.code == 0, two_files.log[-3000:]
    assert re.findall(r"Running step '(\w+)'", two_files.log) == ["transfer", "library", "mbr"]
    assert two_files.provenance()["transfer_library"]["runs"] == 2
    assert two_files.frozen_config()["search"]["target_num_candidates"] == 5
    runs = pd.read_parquet(two_files.folder / "precursors.parquet", columns=["raw.name"])["raw.name"]
    assert set(runs) == {"run_1", ODD_NAME}
    assert (two_files.folder / "library" / "precursors.parquet").exists()


def test_the_report_is_of_the_tables_after_match_between_runs(two_files):
    key = "precursor.mod_seq_charge_hash"
    final = pd.read_parquet(two_files.folder / "precursors.parquet")[key]
    told = json.loads((two_files.folder / "transfer" / "report.json").read_text())["identified"]["second_pass"]
    assert told["precursors"] == final.nunique() > 0
    assert f"match between runs  : {final.nunique():,} precursors" in two_files.log
    assert "after match between runs" in (two_files.folder / "transfer" / "report.html").read_text()
    assert "mbr step" in two_files.provenance()["seconds"]
    assert "Match between runs has not ended" not in " ".join(two_files.provenance()["warnings"])


def test_a_raw_file_with_an_odd_name_is_searched_learnt_from_and_reported(two_files):
    assert two_files.code == 0, two_files.log[-3000:]
    transfer = two_files.folder / "transfer"
    assert ODD_NAME in json.loads((transfer / "report.json").read_text())["runs"]
    assert (transfer / "quant" / ODD_NAME).is_dir()
    page = (transfer / "report.html").read_text()
    assert escape(ODD_NAME) in page
    assert "Ångström <b>" not in page


def test_a_killed_search_goes_on_where_it_was(two_files):
    whole = (two_files.folder / "log.txt").read_text()
    assert "Reused, the first pass" in two_files.log
    assert "Reused, the tuning" in two_files.log
    assert "Continued, the second pass" in two_files.log
    assert "Fine-tuning RT model" not in two_files.log
    assert whole.count("Fine-tuning RT model with the following settings") <= 1
    assert two_files.log.count("Reusing quantification results") == 1
    assert two_files.provenance()["identified"]["second_pass"]["precursors"] > 0
    assert not list(two_files.folder.rglob("*.part"))
