import pandas as pd
import pytest
import yaml

from alphadia_tl.bundle import Bundle, versions
from alphadia_tl.errors import OutputError
from alphadia_tl.files import require_space, write_stats, write_whole, write_yaml


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fails(part):
        part.write_text("half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        write_whole(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="Check permissions"):
        write_yaml(tmp_path / "file" / "a.yaml", {})


def test_yaml_and_stats_read_back(tmp_path):
    bundle = Bundle(tmp_path)
    write_yaml(bundle.provenance, {"b": 1, "a": ["ä", None]})
    assert yaml.safe_load(bundle.provenance.read_text(encoding="utf-8")) == {"b": 1, "a": ["ä", None]}
    history = pd.DataFrame({"epoch": [0, 1], "value": [0.5, 0.25]})
    write_stats(bundle.stats, history)
    pd.testing.assert_frame_equal(pd.read_csv(bundle.stats, sep="\t"), history)


def test_too_little_space_is_found_before_the_work(tmp_path):
    require_space(tmp_path, 1)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="GiB free"):
        require_space(tmp_path, 2**62)


def test_versions_name_what_decides_about_results():
    assert {"alphadia", "torch", "peptdeep", "alphadia_tl"} <= set(versions())
