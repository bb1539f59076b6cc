from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.errors import DataError
from alphadia_tl.library.selection import (
    CHARGES,
    Slice,
    impossible_peptidoforms,
    learnable,
    lockbox_rows,
    possible_rows,
    sample_peptides,
    split_by_peptide,
    top_observations,
)

SEQUENCES = st.lists(st.text("ACDEK", min_size=1, max_size=4), max_size=80)


@given(SEQUENCES, st.integers(0, 1000))
def test_no_sequence_straddles_splits(sequences, seed):
    labels = split_by_peptide(sequences, generator=np.random.default_rng(seed))
    assert labels.dtype == np.int8
    for sequence in set(sequences):
        assert len({label for s, label in zip(sequences, labels, strict=True) if s == sequence}) == 1


@given(SEQUENCES, st.integers(0, 1000), st.randoms())
def test_labels_do_not_depend_on_order_or_repetition(sequences, seed, random):
    shuffled = sequences * 2
    random.shuffle(shuffled)
    labels = dict(zip(sequences, split_by_peptide(sequences, generator=np.random.default_rng(seed)), strict=True))
    again = dict(zip(shuffled, split_by_peptide(shuffled, generator=np.random.default_rng(seed)), strict=True))
    assert labels == again


@given(st.integers(0, 300), st.sampled_from([(0.7, 0.2, 0.1), (0.8, 0.1, 0.1), (0.5, 0.3, 0.1), (1.0, 0.0, 0.0)]))
def test_fractions_count_peptides(n, fractions):
    labels = split_by_peptide([f"P{i}" for i in range(n)], fractions, generator=np.random.default_rng(0))
    for label, fraction in enumerate(fractions):
        count = int((labels == label).sum())
        assert abs(count - fraction * n) <= 2
        assert count > 0 or fraction == 0 or n < sum(f > 0 for f in fractions)
    assert (labels == -1).sum() <= max(0, n - sum(fractions) * n) + 1


def test_generator_decides():
    sequences = [f"P{i}" for i in range(100)]
    one, two = (split_by_peptide(sequences, generator=np.random.default_rng(s)) for s in (1, 2))
    assert (one != two).any()


@pytest.mark.parametrize(
    ("sequences", "fractions"),
    [(["A"], (0.9, 0.2, 0.1)), (["A"], (-0.1, 0.5, 0.1)), (["A", None], (0.7, 0.2, 0.1)), (["A"], (0.5, np.nan, 0.1))],
)
def test_impossible_input_is_refused(sequences, fractions):
    with pytest.raises(DataError):
        split_by_peptide(sequences, fractions, generator=np.random.default_rng(0))


@pytest.mark.parametrize("n", [10, 57, 200])
def test_other_turns_hold_out_other_peptides(n):
    sequences = [f"PEP{'A' * i}K" for i in range(n)]
    held_out = [
        set(np.flatnonzero(split_by_peptide(sequences, generator=np.random.default_rng(3), fold=fold) == 2))
        for fold in range(5)
    ]
    assert len(set().union(*held_out)) == sum(map(len, held_out))
    assert len({len(h) for h in held_out}) == 1


OBSERVATIONS = st.lists(
    st.tuples(
        st.sampled_from("ABCDEF"), st.sampled_from([2, 3, 4]), st.sampled_from([0.1, 0.2, 0.3]), st.integers(0, 4)
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda o: (o[0], o[1], o[3]),
)


def as_frame(observations):
    df = pd.DataFrame(observations, columns=["sequence", "charge", "proba", "raw_name"])
    return df.assign(mods="", mod_sites="", raw_name=df["raw_name"].astype(str))


@given(OBSERVATIONS, st.integers(1, 3), st.integers(0, 60))
def test_selection_run_by_run_equals_selection_at_once_and_loses_no_charge(observations, top_k, cut):
    df = as_frame(observations)
    at_once = df.iloc[top_observations(df, top_k)]
    assert set(zip(at_once["sequence"], at_once["charge"], strict=True)) == set(
        zip(df["sequence"], df["charge"], strict=True)
    )
    assert at_once.groupby(["sequence", "charge"]).size().max() <= top_k
    first = df.iloc[:cut]
    both = pd.concat([first.iloc[top_observations(first, top_k)], df.iloc[cut:]]) if cut else df
    assert set(both.iloc[top_observations(both.reset_index(), top_k)].index) == set(at_once.index)


@given(OBSERVATIONS, st.integers(1, 3))
def test_the_best_are_those_of_a_sorted_table(observations, top_k):
    df = as_frame(observations)
    best = df.sort_values(["proba", "raw_name"]).groupby(["sequence", "charge"]).head(top_k).index
    assert top_observations(df, top_k).tolist() == sorted(best)


@given(OBSERVATIONS, st.integers(1, 12), st.integers(0, 60))
def test_sampling_keeps_peptides_whole_and_is_the_same_run_by_run(observations, limit, cut):
    df, salt = as_frame(observations), "0123456789abcdef"
    chosen = df.iloc[sample_peptides(df, limit, salt)]
    assert len(chosen.drop_duplicates(["sequence", "charge"])) <= limit
    assert len(df[df["sequence"].isin(chosen["sequence"])]) == len(chosen)
    first = df.iloc[:cut]
    both = pd.concat([first.iloc[possible_rows(first, limit, salt)], df.iloc[cut:]])
    both = both.iloc[possible_rows(both, limit, salt)]
    assert set(both.iloc[sample_peptides(both, limit, salt)].index) == set(chosen.index)


TWICE = "Phospho@S twice where it cannot be"
NO_SITE = "a site of Phospho@S that the peptide does not have"
DIFFER = "numbers of mods and mod_sites that differ"
PYRO, AMIDATED = "Gln->pyro-Glu@Q^Any_N-term", "Amidated@Any_C-term"


@pytest.mark.parametrize(
    ("sequence", "mods", "sites", "fault"),
    [
        ("PEPTMIDEK", "Oxidation@M", "5", ""),
        ("PEPTASES", "Phospho@S;Phospho@S", "6;8", ""),
        ("PEPTASEK", "Acetyl@Protein_N-term;Phospho@S", "0;6", ""),
        ("PEPK", "Label:13C(6)15N(2)@K", "4", ""),
        ("QEPTASEK", PYRO, "0", ""),
        ("QEPTASEK", PYRO, "1", ""),
        ("PEPK", AMIDATED, "-1", ""),
        ("PEPTUOJK", "", "", ""),
        ("PEPTASEK", None, None, ""),
        ("PEPTMIDEK", "Oxidation@M", "9", "Oxidation@M where it cannot be"),
        ("PEPTASEK", "Phospho@S", "5", "Phospho@S where it cannot be"),
        ("SEPTASES", "Phospho@S", "0", "Phospho@S where it cannot be"),
        ("PEPTASES", "Phospho@S", "-1", "Phospho@S where it cannot be"),
        ("PEPTASEK", "Acetyl@Any_N-term", "3", "Acetyl@Any_N-term where it cannot be"),
        ("PEPTASEK", "Acetyl@Any_N-term", "-1", "Acetyl@Any_N-term where it cannot be"),
        ("QEPQASEK", PYRO, "4", f"{PYRO} where it cannot be"),
        ("EEPQASEK", PYRO, "0", f"{PYRO} where it cannot be"),
        ("PEPK", AMIDATED, "4", f"{AMIDATED} where it cannot be"),
        ("PEPK", AMIDATED, "0", f"{AMIDATED} where it cannot be"),
        ("PEPTASEK", "Phospho@S;Phospho@S", "6;12", NO_SITE),
        ("PEPTASEK", "Phospho@S", "-3", NO_SITE),
        ("PEPTASEK", "Phospho@S", "six", NO_SITE),
        ("PEPTASEK", "Phospho@S", "6.0", NO_SITE),
        ("PEPTASEK", "Phospho@S;Phospho@S", "6;6", TWICE),
        ("PEPTASEK", "Phospho@S;Phospho@S", "6", DIFFER),
        ("PEPTASEK", "Phospho@S", None, DIFFER),
        ("PEPTASEK", None, "6", DIFFER),
        ("PEPTASEK", "Phospho@S;", "6;7", "unknown modification "),
        ("PEPTASEK", "Nonsense@S", "6", "unknown modification Nonsense@S"),
        *((s, "", "", "no sequence of 2 to 198 residues A to Z but B, X, Z") for s in ("pepK", "PEPXK", "K", "", None)),
    ],
)
def test_what_no_peptide_can_be_is_told(sequence, mods, sites, fault):
    """Between sound rows, so that a row is never judged by the residues of another one."""
    rows = [("SSSSSSSSS", "Phospho@S", "9"), (sequence, mods, sites), ("ASK", "Phospho@S", "2")]
    df = pd.DataFrame(rows, columns=["sequence", "mods", "mod_sites"])
    assert impossible_peptidoforms(df).tolist() == ["", fault, ""]


def test_what_cannot_be_learnt_is_counted_with_the_first_example(caplog):
    df = pd.DataFrame({"sequence": "PEPTMIDEK", "mods": "", "mod_sites": "", "charge": [2.0, 0, np.nan, 2.5, 11, 3]})
    df["instrument"] = ["lumos", "QE", "QE", "QE", "QE", "Astral9"]
    df = pd.concat([df, df.iloc[:1].assign(mods="Oxidation@M", mod_sites="4")])
    kept = learnable(df, "run 'x'", CHARGES, instrument=["LUMOS", "QE"])
    assert kept["charge"].tolist() == [2.0]
    assert "6 of 7 rows for run 'x' cannot be learnt" in caplog.text
    assert "charge other than 1 to 10: 4 (first: PEPTMIDEK 0.0)" in caplog.text
    assert "unknown instrument Astral9: 1 (first: PEPTMIDEK 3.0)" in caplog.text
    assert "Oxidation@M where it cannot be: 1 (first: PEPTMIDEK Oxidation@M 4 2.0)" in caplog.text
    with pytest.raises(DataError, match=r"6 of 6 rows for run 'x' cannot be learnt: charge other than 1 to 10: 4"):
        learnable(df.iloc[1:], "run 'x'", CHARGES, instrument=["LUMOS", "QE"])
    assert len(learnable(df.iloc[:0], "run 'x'", CHARGES)) == 0


@pytest.mark.parametrize(
    ("peptides", "kept"), [(0, 0), (1, 0), (199, 0), (200, 10), (239, 11), (9_999, 499), (10_000, 500), (30_000, 500)]
)
def test_one_peptide_in_twenty_is_locked_away_where_that_says_something(peptides, kept):
    names = np.array([f"PEPTIDE{i}" for i in range(peptides)], dtype=object)
    sequences = np.concatenate([names, names[::-1]])
    rows = lockbox_rows(sequences, np.random.default_rng(3))
    locked = set(sequences[rows])
    assert len(locked) == kept
    assert not locked & set(sequences[~rows])
    assert set(sequences[::-1][lockbox_rows(sequences[::-1], np.random.default_rng(3))]) == locked


NAMES = [f"PEPTIDE{i}K" for i in range(20_000)]


@given(key=st.integers(0, 10**20), edges=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_slices_that_follow_each_other_have_each_sequence_once(key, edges):
    bounds = [0.0, *sorted(edges), 1.0]
    rows = [Slice(key, a, b).rows(NAMES[:300]) for a, b in pairwise(bounds)]
    assert (np.sum(rows, axis=0) == 1).all()


def test_a_slice_is_a_random_part_of_the_size_asked_for_whatever_the_order():
    part = Slice(7, 0.2, 0.5)
    rows = part.rows(NAMES)
    assert rows.mean() == pytest.approx(0.3, abs=0.02)
    assert (part.rows(pd.Series(NAMES[::-1])) == rows[::-1]).all()
    assert (Slice(8, 0.2, 0.5).rows(NAMES) == rows).mean() < 0.7
