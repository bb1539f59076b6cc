import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.comparison.compare import quantity_agreement, rt_agreement, shared_table, variation


def rows(numbers, *, run="run_1", rt_shift=0.0, factor=1.0):
    numbers = np.asarray(list(numbers))
    return pd.DataFrame(
        {
            "run": run,
            "precursor": numbers.astype("uint64"),
            "q": 0.0,
            "proba": 0.01,
            "rt": numbers * 10.0 + rt_shift,
            "precursor_intensity": (numbers + 1) * 100.0 * factor,
        }
    )


def test_shared_are_the_same_identifications_in_the_same_run():
    first = pd.concat([rows(range(10)), rows(range(5), run="run_2")])
    second = pd.concat([rows(range(5, 12)), rows(range(5), run="run_3")])
    assert len(shared_table(first, second, "precursor")) == 5


def test_shifted_times_and_scaled_quantities_are_told_exactly():
    shared = shared_table(rows(range(10)), rows(range(10), rt_shift=-3, factor=4), "precursor")
    assert rt_agreement(shared) == pytest.approx({"rt_median_abs_difference": 3.0, "rt_correlation": 1.0})
    assert quantity_agreement(shared) == pytest.approx(
        {
            "quantity_log2_correlation": 1.0,
            "quantity_median_ratio": 4.0,
            "quantity_log2_mad": 0.0,
            "quantity_pairs": 10.0,
        }
    )


def test_quantities_of_zero_or_missing_are_left_out():
    first = rows(range(6)).assign(precursor_intensity=[0, np.nan, 1, 2, 4, 8])
    second = rows(range(6)).assign(precursor_intensity=[1, 1, 0, 2, 4, 16])
    assert quantity_agreement(shared_table(first, second, "precursor"))["quantity_pairs"] == 3


@given(st.lists(st.tuples(st.floats(1, 1e9), st.floats(1, 1e9)), min_size=1, max_size=20))
def test_turning_the_comparison_round_inverts_the_ratio_only(pairs):
    one = pd.DataFrame(pairs, columns=["intensity_first", "intensity_second"])
    there = quantity_agreement(one)
    back = quantity_agreement(one.rename(columns={"intensity_first": "intensity_second",
                                                  "intensity_second": "intensity_first"}))  # fmt: skip
    assert back["quantity_median_ratio"] == pytest.approx(1 / there["quantity_median_ratio"])
    assert back["quantity_log2_mad"] == pytest.approx(there["quantity_log2_mad"], abs=1e-9)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_pairs_have_no_correlation(n):
    shared = shared_table(rows(range(n)), rows(range(n)), "precursor")
    assert math.isnan(rt_agreement(shared)["rt_correlation"])
    assert math.isnan(quantity_agreement(shared)["quantity_log2_correlation"])


def test_variation_is_that_of_identifications_in_every_run():
    found = pd.concat([rows(range(4)), rows(range(3), run="run_2", factor=3)])
    spread = variation(found, "precursor")
    assert spread.index.tolist() == [0, 1, 2]
    assert spread.to_numpy() == pytest.approx(math.sqrt(2) / 2)  # of 1 and 3: standard deviation √2, mean 2


@pytest.mark.parametrize("found", [rows(range(4)), rows([])], ids=["one run", "nothing"])
def test_one_run_has_no_variation(found):
    assert variation(found, "precursor").empty


def test_a_run_without_any_quantity_leaves_nothing_to_compare():
    found = pd.concat([rows(range(4)), rows(range(4), run="run_2", factor=0)])
    assert variation(found, "precursor").empty
