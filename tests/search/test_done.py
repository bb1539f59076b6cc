import pandas as pd
import pytest

from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import OutputError
from alphadia_tl.files import Manifest
from alphadia_tl.search.done import forget, remove_damaged_runs, the_only_search

INPUTS = {"config": "a", "raw files": "b"}


def test_force_forgets_all_stages_of_all_folders(tmp_path):
    Manifest(tmp_path).finish("tuning", INPUTS, [], {})
    Manifest(tmp_path / "transfer").begin("first pass", INPUTS)
    checkpoints = Bundle(tmp_path / "transfer").checkpoints
    checkpoints.mkdir()
    (checkpoints / "rt_0.pt").write_bytes(b"a training")
    forget(tmp_path)
    assert not checkpoints.exists()
    assert Manifest(tmp_path).state("tuning", INPUTS) == "new"
    assert Manifest(tmp_path / "transfer").state("first pass", INPUTS) == "new"


def test_only_runs_whose_tables_can_be_read_are_kept(tmp_path):
    table = pd.DataFrame({"a": [1]})
    for run in ("whole", "torn"):
        (tmp_path / run).mkdir()
        for name in ("psm", "frag"):
            table.to_parquet(tmp_path / run / f"{name}.parquet")
    torn = tmp_path / "torn" / "frag.parquet"
    torn.write_bytes(torn.read_bytes()[:-4])
    assert remove_damaged_runs(tmp_path) == [tmp_path / "torn"]
    assert not list((tmp_path / "torn").glob("*.parquet"))
    assert len(list((tmp_path / "whole").glob("*.parquet"))) == 2
    assert remove_damaged_runs(tmp_path / "absent") == []


def test_a_second_search_in_the_folder_is_refused_until_the_first_has_ended(tmp_path):
    with the_only_search(tmp_path / "out"), pytest.raises(OutputError, match="Another search is running"):  # noqa: SIM117
        with the_only_search(tmp_path / "out"):
            pass
    with the_only_search(tmp_path / "out"):
        pass


def test_what_a_killed_search_wrote_in_part_is_removed(tmp_path):
    torn = tmp_path / "transfer" / ".speclib.tuned.hdf.4711.part"
    torn.parent.mkdir()
    torn.write_text("half")
    with the_only_search(tmp_path):
        assert not torn.exists()
