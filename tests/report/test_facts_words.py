from __future__ import annotations

import numpy as np
import pytest

from alphadia_tl.report import facts as words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (61, "1 min 01 s"), (3599.7, "1 h 00 min"),
     (7325, "2 h 02 min"), (None, "–"), (float("nan"), "–")],
)  # fmt: skip
def test_duration(seconds, expected):
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(100, 110, "+10 (+10.0 %)"), (1000, 0, "-1,000 (-100.0 %)"), (0, 3, "–"), (None, 3, "–"), (3, None, "–")],
)
def test_change(before, after, expected):
    assert words.change(before, after) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0392, 0.006074], "0.0392 – 0.0061"),
        ([0.4014, 0.2444], "0.401 – 0.244"),
        ([12.34, 0.5], "12.3 – 0.5"),
        ([1234.5, 2.0], "1,234 – 2"),
        ([-0.02, 0.01], "-0.0200 – 0.0100"),
        ([None, 0.5], "– – 0.500"),
        ([float("nan"), None], "– – –"),
        ([0.0, 0.0], "0 – 0"),
        ([1e-30, 0.0], "0.00000 – 0.00000"),
    ],
)
def test_values_side_by_side_have_the_same_decimals(values, expected):
    assert words.together(values, " – ") == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (True, "yes"),
        (None, "–"),
        (12345, "12,345"),
        (0.123456, "0.1235"),
        (10877.378, "10,877"),
        (float("nan"), "–"),
        ([], "–"),
        (["rt", "ms2"], "rt, ms2"),
        ({2: 1000, 3: 5}, "2: 1,000, 3: 5"),
        ("a_b", "a_b"),
    ],
)
def test_value(item, expected):
    assert words.value(item) == expected


def test_yaml_of_values_it_does_not_know():
    assert words.as_yaml({"a": np.float32(0.5), 1: (1, None), "p": {"x"}}) == "a: 0.5\n'1':\n- 1\n- null\np:\n- x\n"
