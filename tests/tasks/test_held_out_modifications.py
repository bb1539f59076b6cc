from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.tasks.held_out import (
    MIN_PEPTIDES,
    MODIFICATION_COLUMNS,
    count_peptides,
    modification_table,
    not_learnt,
    training_counts,
)


def texts(*values):
    return np.array(values, dtype=object)


def result(training, mods, before, after, groups=None, use_median=True):
    return SimpleNamespace(
        headline=SimpleNamespace(name="error", use_median=use_median),
        scores_before=np.array(before, dtype=float),
        scores_after=np.array(after, dtype=float),
        test_mods=texts(*mods),
        test_groups=texts(*(groups or [f"P{i}K" for i in range(len(mods))])),
        training_mods=training,
    )


def test_peptides_are_counted_once_whatever_carries_them():
    sequences = texts("AK", "AK", "AK", "CK", "CK", "DK")
    mods = texts("X@K", "X@K", "X@K;Y@A", "X@K;X@K", "", "")
    assert count_peptides(sequences, mods) == {"X@K": 2, "Y@A": 1}
    assert count_peptides(texts(), texts()) == {}


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.lists(st.sampled_from("xyz"), max_size=3)), max_size=30))
def test_counts_equal_a_count_by_hand(rows):
    expected = {m: len({s for s, mods in rows if m in mods}) for _, mods in rows for m in mods}
    assert count_peptides(texts(*(s for s, _ in rows)), texts(*(";".join(m) for _, m in rows))) == expected


def test_the_metric_is_taken_over_the_test_rows_that_carry_the_modification():
    mods = ["X@K", "X@K;Y@A", "", "XX@K", "X@K"]
    tuned = result({"X@K": 80, "XX@K": 3}, mods, [1, 2, 50, 60, 9], [0, 1, 50, 60, 2], groups=["A", "B", "C", "D", "A"])
    table = modification_table({"rt": tuned})
    assert tuple(table.columns) == MODIFICATION_COLUMNS
    row = table.set_index("modification").loc["X@K"]
    assert (row["before"], row["after"], row["test_peptides"], row["training_peptides"]) == (2, 1, 2, 80)
    assert row["learnt"]
    mean = modification_table({"charge": result({"X@K": 80}, mods, [1, 2, 50, 60, 9], [0] * 5, use_median=False)})
    assert mean["before"].iloc[0] == 4


def test_a_modification_that_no_peptide_carries_is_in_the_table_and_named():
    table = modification_table({"rt": result({}, ["", ""], [1, 2], [1, 2])}, searched=["Phospho@S"])
    row = table.iloc[0]
    assert row["modification"] == "Phospho@S"
    assert row["training_peptides"] == row["test_peptides"] == 0
    assert np.isnan(row["before"])
    assert "modification Phospho@S: 0 training peptides, fewer than 50: not learnt by rt" in not_learnt(table)[0]


@pytest.mark.parametrize(("number", "learnt"), [(MIN_PEPTIDES, True), (MIN_PEPTIDES - 1, False)])
def test_fifty_peptides_are_enough(number, learnt):
    table = modification_table({"rt": result({"X@K": number}, ["X@K"], [1], [1])})
    assert (not_learnt(table) == []) == learnt


def test_only_the_models_that_saw_too_few_are_named():
    few, many = (result({"X@K": n}, ["X@K"], [1], [1]) for n in (12, 70))
    (line,) = not_learnt(modification_table({"rt": many, "ms2": few, "ccs": few}))
    assert "12 training peptides" in line
    assert "not learnt by ms2, ccs" in line


def test_without_tuned_models_there_is_nothing_to_tell():
    table = modification_table({}, searched=["Oxidation@M"])
    assert len(table) == 0
    assert not_learnt(table) == []
    assert training_counts(table) == {}


def test_counts_per_model_are_plain_values():
    table = modification_table({"rt": result({"X@K": 70}, ["X@K"], [1], [1])})
    assert training_counts(table) == {"X@K": {"rt": 70}}
    assert type(training_counts(table)["X@K"]["rt"]) is int
