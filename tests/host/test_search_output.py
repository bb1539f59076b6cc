import os

import pytest
import yaml

from alphadia_tl.errors import QuantificationError
from alphadia_tl.host.search_output import read_frozen_config, stage_seconds

LOG = """0:00:01.500000 INFO: date: 2026-11-23
0:00:02.000000 INFO: =================== Running step 'transfer' ===================
a line of a table
0:10:02.000000 PROGRESS: =================== Search step 'transfer' finished ===================
0:10:03.000000 INFO: =================== Running step 'library' ===================
1 day, 1:00:03.500000 PROGRESS: =================== Search step 'library' finished ===================
1 day, 1:00:04.000000 INFO: =================== Search Finished ===================
"""


def test_steps_and_total_are_read_from_the_log(tmp_path):
    (tmp_path / "log.txt").write_text(LOG)
    day = 86400
    assert stage_seconds(tmp_path) == {
        "transfer step": 600.0,
        "library step": day + 3600 + 3.5 - 603,
        "total": day + 3604,
    }


def test_a_step_that_did_not_finish_has_no_time(tmp_path):
    (tmp_path / "log.txt").write_text("".join(LOG.splitlines(keepends=True)[:3]))
    assert stage_seconds(tmp_path) == {"total": 2.0}


def test_the_plugins_own_stages_go_before_the_logs(tmp_path):
    (tmp_path / "log.txt").write_text(LOG)
    (tmp_path / "transfer").mkdir()
    (tmp_path / "transfer" / "alphadia_tl.yaml").write_text("seconds: {first pass: 3.5, tuning: 2}\n")
    assert stage_seconds(tmp_path) == {"first pass": 3.5, "tuning": 2, "total": 90004.0}


def test_a_damaged_provenance_file_is_an_error(tmp_path):
    (tmp_path / "alphadia_tl.yaml").write_text("seconds: [")
    with pytest.raises(QuantificationError, match="is no valid YAML"):
        stage_seconds(tmp_path)


def test_a_folder_without_log_has_no_times(tmp_path):
    assert stage_seconds(tmp_path) == {}


# What a search wrote down, where it is now, and what is there now.
MOVED = {
    "in the folder": ("/was/out", "/was/out/x", "out/x"),
    "in the folder, from another current folder": ("out", "out/x", "out/x"),
    "beside the folder, moved along": ("/was/out", "/was/x", "x"),
    "beside the folder, from another current folder": ("was/out", "was/x", "x"),
    "above the folder, from another current folder": ("out", "x", "x"),
    "elsewhere": ("/was/out", "{here}/other/x", "other/x"),
    "gone": ("/was/out", "/gone/x", None),
    "relative to nobody knows what": ("/was/out", "x", None),
}


@pytest.mark.parametrize(("folder", "path", "now"), MOVED.values(), ids=MOVED.keys())
def test_paths_that_a_search_wrote_down_are_found_where_they_are_now(tmp_path, folder, path, now):
    here, path = tmp_path / "ä b", path.format(here=tmp_path / "ä b")
    for place in ("out", "other", "."):
        (here / place).mkdir(parents=True, exist_ok=True)
        (here / place / "x").touch()
    config = {"output_directory": folder, "fasta_paths": [path], "library_path": path, "quant_directory": None}
    config["general"] = {"reuse_quant_from": [path]}
    (here / "out" / "frozen_config.yaml").write_text(yaml.safe_dump(config))
    found = read_frozen_config(here / "out")
    expected = path if now is None else str(here / now)
    one_way = {os.path.normpath(p) for p in (*found["fasta_paths"], found["library_path"])}
    assert one_way == {os.path.normpath(p) for p in found["general"]["reuse_quant_from"]} == {expected}
    assert os.path.normpath(found["output_directory"]) == str(here / "out")
    assert found["quant_directory"] is None
