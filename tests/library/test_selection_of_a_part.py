import pandas as pd
import pytest

from alphadia_tl.library.selection import Slice, count_found, first_slice, next_slice


@pytest.mark.parametrize(
    ("n", "wanted", "share"),
    [
        (10, 3000, None),
        (9_999, 100, None),
        (10_000, 100, 0.5),
        (150_000, 3000, 0.5),
        (300_000, 3000, 1 / 3),
        (10**6, 3000, 0.1),
        (10**6, 100, 0.005),
        (0, 1, None),
    ],
)
def test_of_a_large_library_a_part_is_searched_first(n, wanted, share):
    part = first_slice(n, wanted, 1)
    assert (part and part.stop) == (share and pytest.approx(share))


@pytest.mark.parametrize(
    ("stop", "found", "stops"),
    [
        (0.1, 3000, None),
        (0.1, 2400, None),
        (0.1, 1500, 0.225),
        (0.01, 2399, 0.015),
        (0.1, 0, 1.0),
        (0.5, 1600, 1.0),
        (1.0, 5, None),
    ],
)
def test_further_slices_bring_what_is_missing(stop, found, stops):
    part = next_slice(Slice(1, 0.0, stop), 10**6, found, 3000)
    assert (part and part.stop) == (stops and pytest.approx(stops))
    assert part is None or part.start == stop


def test_precursors_of_several_runs_are_counted_once(tmp_path):
    table = pd.DataFrame({"sequence": ["A", "B", "C", "D"], "mods": "", "mod_sites": "", "charge": 2})
    table = table.assign(decoy=[0, 0, 0, 1], qval=[0.001, 0.01, 0.02, 0.001])
    folders = [tmp_path / name for name in "abc"]
    for folder in folders[:2]:
        folder.mkdir()
        table.to_parquet(folder / "psm.parquet")
    assert count_found(folders, 0.01) == 2
    assert count_found(folders[2:], 0.01) == 0
