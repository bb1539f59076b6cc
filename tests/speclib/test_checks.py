from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from alphadia_tl.errors import LibraryError, PredictionError
from alphadia_tl.speclib import checks


def test_spectrum_correlation_equals_numpys_over_the_fragments_that_exist():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 40)
    starts = np.cumsum(lengths) - lengths
    new, old = rng.random((2, lengths.sum(), 4))
    exists = rng.random(new.shape) > 0.2
    got = checks.spectrum_correlations(new, old, exists, starts)
    for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        cells = exists[start : start + length]
        if cells.sum() < 2:
            assert np.isnan(got[i])
            continue
        expected = np.corrcoef(new[start : start + length][cells], old[start : start + length][cells])[0, 1]
        assert got[i] == pytest.approx(expected, abs=1e-5)


def test_constant_spectra_are_not_judged():
    constant = np.ones((3, 2))
    varied = np.arange(6.0).reshape(3, 2)
    assert np.isnan(checks.spectrum_correlations(constant, varied, varied >= 0, np.array([0]))[0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.1, np.nan, np.inf], "2 of 3 .* not finite"),
        ([0.0, 0.0], "zero"),
        ([0.25] * 40, "equal 0.25"),
    ],
)
def test_unusable_predictions_are_refused(values, words):
    with pytest.raises(PredictionError, match=words):
        checks.check_values(np.array(values), "rt")


def test_few_equal_predictions_are_no_proof_of_a_defect():
    checks.check_values(np.array([0.25, 0.25]), "rt")


@pytest.mark.parametrize(
    ("replaced", "expected"),
    [
        (pd.Series(np.arange(50.0)), 1.0),
        (pd.Series(-np.arange(50.0)), -1.0),
        (pd.Series([str(i) for i in range(50)]), 1.0),
        (pd.Series([*range(45), "", None, "?", "", ""]), 1.0),
        (pd.Series(np.zeros(50)), np.nan),
        (pd.Series([""] * 50), np.nan),
    ],
)
def test_rank_correlation_with_what_libraries_hold(replaced, expected):
    got = checks.rank_correlation(np.arange(50, dtype=np.float32) ** 2, replaced)
    assert got == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("model", "passes", "fails"), [("rt", 0.5, 0.49), ("ccs", 0.6, -1.0), ("ms2", 0.21, 0.19)])
def test_floor_of_correlation(model, passes, fails):
    checks.check_correlation(model, passes, 100, "old")
    checks.check_correlation(model, float("nan"), 100, "old")
    with pytest.raises(PredictionError, match=rf"{model} predictions of 100 .* only {fails:.3f}"):
        checks.check_correlation(model, fails, 100, "old")


def precursors(**columns):
    base = {"sequence": "PEPTMIDEK", "mods": "", "mod_sites": "", "charge": 2, "frag_start_idx": 0, "frag_stop_idx": 8}
    return pd.DataFrame([{**base, **columns}])


@pytest.mark.parametrize(
    ("df", "words"),
    [
        (precursors(mods="Oxidation@M;Unheard@K", mod_sites="5;9"), "Unheard@K.*PEPTMIDEK"),
        (precursors(sequence="PEPTmIDEK"), "PEPTmIDEK"),
        (precursors().drop(columns="mod_sites"), "mod_sites"),
        (precursors(sequence="PEPXMIDEK"), "PEPXMIDEK"),
        (precursors(mods="Oxidation@M", mod_sites="12"), "a site of Oxidation@M .*PEPTMIDEK Oxidation@M 12"),
        (precursors().iloc[:0], "no precursor"),
    ],
)
def test_libraries_that_models_cannot_read_are_refused(df, words):
    with pytest.raises(LibraryError, match=words):
        checks.check_library(df)


def test_a_custom_modification_of_the_config_is_understood():
    from alphabase.constants.modification import add_new_modifications

    name = "MadeForThisTest@K"
    with pytest.raises(LibraryError, match=name):
        checks.check_library(precursors(mods=name, mod_sites="9"))
    add_new_modifications({name: {"composition": "C(2)H(2)O(1)"}})
    checks.check_library(precursors(mods=name, mod_sites="9"))


def test_precursors_of_a_given_library_that_cannot_be_are_told(caplog):
    odd = [precursors(), precursors(mods="Phospho@S", mod_sites="4")] * 2
    checks.check_library(pd.concat(odd, ignore_index=True))
    assert "2 precursors of the library cannot be" in caplog.text
    assert "Phospho@S where it cannot be: 2 (first: PEPTMIDEK Phospho@S 4)" in caplog.text
