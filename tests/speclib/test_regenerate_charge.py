from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from alphadia_tl.speclib.regenerate import (
    choose_charge_cutoff,
    kept_fraction,
    probability_of_own_charge,
    renumber,
    rows_to_keep,
)

PROBABILITIES = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 1, width=32))


@given(PROBABILITIES, st.floats(0.01, 1))
def test_cutoff_is_the_largest_that_keeps_the_recall(probabilities, recall):
    cutoff = choose_charge_cutoff(probabilities, recall)
    assert kept_fraction(probabilities, cutoff) >= recall - 1e-9
    higher = probabilities[probabilities > cutoff]
    if higher.size:
        assert kept_fraction(probabilities, float(higher.min())) < recall


@pytest.mark.parametrize(
    ("values", "recall", "cutoff"),
    [
        ([0.1, 0.2, 0.3, 0.4], 1.0, 0.1),
        ([0.1, 0.2, 0.3, 0.4], 0.75, 0.2),
        ([0.1, 0.2, 0.3, 0.4], 0.74, 0.2),
        ([0.5, 0.5, 0.5, 0.9], 0.5, 0.5),
        ([0.7], 0.995, 0.7),
        (list(np.arange(1000) / 1000), 0.995, 0.005),
    ],
)
def test_cutoff_of_known_probabilities(values, recall, cutoff):
    assert choose_charge_cutoff(np.array(values), recall) == pytest.approx(cutoff)


def test_charges_beyond_the_model_cannot_be_ruled_out():
    probabilities = np.tile(np.linspace(0.0, 0.9, 10, dtype=np.float32), (3, 1))
    own = probability_of_own_charge(probabilities, np.array([1, 10, 11]))
    assert own.tolist() == pytest.approx([0.0, 0.9, 1.0])


def frame(rows):
    df = pd.DataFrame(rows, columns=["sequence", "charge", "elution_group_idx", "probability"])
    return df.assign(mods="", mod_sites="")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([("A", 2, 0, 0.9), ("A", 3, 1, 0.1)], [1, 0], id="below the cut-off leaves"),
        pytest.param([("A", 2, 0, 0.2), ("A", 3, 1, 0.1)], [1, 0], id="most probable one stays"),
        pytest.param([("A", 2, 0, 0.9), ("A", 3, 0, 0.1)], [1, 0], id="one elution group with several charges"),
        pytest.param([("A", 2, 0, 0.9), ("A", 3, 1, 0.1), ("B", 3, 1, 0.9)], [1, 1, 1], id="channels stay together"),
    ],
)
def test_which_rows_stay(rows, expected):
    df = frame(rows)
    kept = rows_to_keep(df, df["probability"].to_numpy(), 0.5)
    assert kept.astype(int).tolist() == expected


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_every_peptidoform_keeps_a_charge(seed, cutoff):
    rng = np.random.default_rng(seed)
    df = frame([(f"P{i // 3}", 2 + i % 3, i, rng.random()) for i in range(30)])
    df = df.sample(frac=1, random_state=seed % 2**31)
    kept = df[rows_to_keep(df, df["probability"].to_numpy(), cutoff)]
    assert set(kept["sequence"]) == set(df["sequence"])


def test_renumbering_closes_gaps_and_keeps_order_partners_and_type():
    df = pd.DataFrame(
        {
            "precursor_idx": np.array([5, 9, 2], np.uint32),
            "elution_group_idx": np.array([7, 7, 3], np.int64),
        }
    )
    renumber(df)
    assert df["precursor_idx"].tolist() == [1, 2, 0]
    assert df["elution_group_idx"].tolist() == [1, 1, 0]
    assert df["precursor_idx"].dtype == np.uint32
