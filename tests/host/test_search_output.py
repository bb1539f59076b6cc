import pytest

from alphadia_tl.errors import QuantificationError
from alphadia_tl.host.search_output import stage_seconds

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
