from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphadia_tl.errors import DataError
from alphadia_tl.simulate.instrument import LAB, REFERENCE, Instrument, stable_noise
from alphadia_tl.simulate.sample import FRAGMENT_TYPES

BOTH = pytest.mark.parametrize("instrument", [REFERENCE, LAB], ids=lambda i: i.name)


def table(*sequences: str, charge: int = 2, mods: str = "", sites: str = "") -> pd.DataFrame:
    return pd.DataFrame({"sequence": sequences, "mods": mods, "mod_sites": sites, "charge": charge})


@BOTH
def test_same_peptide_gets_the_same_answer_in_any_table(instrument: Instrument, library_df: pd.DataFrame):
    shuffled = library_df.sample(frac=1.0, random_state=1)
    np.testing.assert_array_equal(
        instrument.retention_time(library_df)[shuffled.index], instrument.retention_time(shuffled)
    )
    one = library_df.iloc[[37]]
    start = int((library_df["nAA"] - 1).iloc[:37].sum())
    whole = instrument.fragment_intensities(library_df, FRAGMENT_TYPES)[start : start + int(one["nAA"].iloc[0]) - 1]
    np.testing.assert_array_equal(whole, instrument.fragment_intensities(one, FRAGMENT_TYPES))


@BOTH
@settings(max_examples=25, deadline=None)
@given(sequence=st.text("ACDEFGHIKLMNPQRSTVWY", min_size=7, max_size=35), charge=st.integers(1, 5))
def test_values_are_in_range_for_any_peptide(instrument: Instrument, sequence: str, charge: int):
    df = table(sequence, charge=charge)
    assert 0.0 <= instrument.retention_time(df)[0] <= 1.0
    fragments = instrument.fragment_intensities(df, FRAGMENT_TYPES)
    assert fragments.shape == (len(sequence) - 1, 4)
    assert fragments.max() == pytest.approx(1.0)
    assert fragments.min() >= 0.0
    probabilities = instrument.charge_probabilities(df, np.arange(1, 40))
    assert probabilities.min() >= 0.0
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-4)


@BOTH
def test_singly_charged_precursors_have_no_doubly_charged_fragments(instrument: Instrument):
    fragments = instrument.fragment_intensities(table("PEPTIDEK", charge=1), FRAGMENT_TYPES)
    assert fragments[:, [1, 3]].max() == 0.0


@BOTH
def test_bond_before_proline_breaks_more_than_bond_after(instrument: Instrument):
    y = instrument.fragment_intensities(table("AGALPALGAK"), ["y_z1"])[:, 0]
    assert y[3] > 2 * y[4]


@BOTH
def test_hydrophobic_peptides_elute_late_and_oxidation_makes_them_earlier(instrument: Instrument):
    early, late = instrument.retention_time(table("GSDGSNGSK", "LLFWLLVFK"))
    assert early < 0.2 < 0.6 < late
    plain = instrument.retention_time(table("LLMWLVGK"))[0]
    assert instrument.retention_time(table("LLMWLVGK", mods="Oxidation@M", sites="3"))[0] < plain


@BOTH
def test_basic_residues_raise_the_charge(instrument: Instrument):
    z = np.arange(1, 7)
    few, many = (instrument.charge_probabilities(table(s), z)[0] @ z for s in ("AGALSALGAK", "AHALSKLHAK"))
    assert many > few + 0.5


def test_instruments_differ_but_are_related(library_df: pd.DataFrame):
    ours, theirs = LAB.retention_time(library_df), REFERENCE.retention_time(library_df)
    assert 0.9 < np.corrcoef(ours, theirs)[0, 1] < 0.99
    bounds = np.concatenate([[0], np.cumsum(library_df["nAA"] - 1)])
    a, b = (i.fragment_intensities(library_df, FRAGMENT_TYPES) for i in (LAB, REFERENCE))
    rows = range(0, len(library_df), 7)
    pcc = [np.corrcoef(a[bounds[i] : bounds[i + 1]].ravel(), b[bounds[i] : bounds[i + 1]].ravel())[0, 1] for i in rows]
    assert 0.5 < np.median(pcc) < 0.85


@pytest.mark.parametrize(
    ("df", "message"),
    [
        (table("PEPTIDEK", mods="Phospho@T", sites="4"), "Phospho@T"),
        (table("PEPTXDEK"), "not an amino acid"),
        (table(), "empty"),
    ],
)
def test_what_the_model_does_not_know_is_an_error(df: pd.DataFrame, message: str):
    with pytest.raises(DataError, match=message):
        LAB.retention_time(df)


def test_noise_is_standard_normal_and_depends_on_key_and_salt_only():
    keys = np.arange(20_000, dtype=np.uint64)
    noise = stable_noise(keys, 1)
    np.testing.assert_array_equal(noise[::-1], stable_noise(keys[::-1], 1))
    assert abs(noise.mean()) < 0.03
    assert noise.std() == pytest.approx(1.0, abs=0.03)
    assert abs(np.corrcoef(noise, stable_noise(keys, 2))[0, 1]) < 0.03
