import pytest

from regression.runner import window_of


@pytest.mark.parametrize(("text", "tolerance"), [("rt_tolerance: 0.03\n", 0.03), ("rt_tolerance: null\n", None)])
def test_other_searches_have_the_window_that_the_plugin_chose(tmp_path, text, tolerance):
    (tmp_path / "transfer").mkdir()
    (tmp_path / "transfer" / "alphadia_tl.yaml").write_text(text)
    assert window_of(tmp_path) == tolerance


def test_a_search_that_failed_has_no_window_and_one_that_was_not_run_is_an_error(tmp_path):
    assert window_of(tmp_path) is None
    with pytest.raises(FileNotFoundError, match="run the arm 'on' first"):
        window_of(tmp_path / "on_1")
