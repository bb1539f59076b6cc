import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphadia_tl.entrapment.levels import moved_sites, peptidoform, precursor_keys, twin_precursor_keys
from alphadia_tl.errors import DataError

MOVES = [
    ("a modification goes with its residue", "PEMTIDEK", "MEPDTIEK", "3", "1"),
    ("the second of two stays the second", "MAMGK", "GMMAK", "3", "3"),
    ("the first of two stays the first", "MAMGK", "GMMAK", "1", "2"),
    ("termini stay", "MAMGK", "GMMAK", "0;1;-1", "0;2;-1"),
    ("order is kept", "CAMK", "MACK", "3;1", "1;3"),
    ("nothing to move", "MAMGK", "GMMAK", "", ""),
]


@pytest.mark.parametrize(("sequence", "twin", "sites", "moved"), [m[1:] for m in MOVES], ids=[m[0] for m in MOVES])
def test_where_modifications_go(sequence, twin, sites, moved):
    assert moved_sites(sequence, twin, sites) == moved


@given(st.text("ACMSTK", min_size=1, max_size=12), st.randoms(use_true_random=False), st.data())
def test_sites_keep_their_residue_and_come_back(sequence, random, data):
    twin = "".join(random.sample(sequence, len(sequence)))
    sites = data.draw(st.lists(st.integers(-1, len(sequence)), unique=True))
    text = ";".join(map(str, sites))
    moved = moved_sites(sequence, twin, text)
    assert moved_sites(twin, sequence, moved) == text
    for old, new in zip(sites, map(int, moved.split(";") if moved else []), strict=True):
        assert new == old if old <= 0 else sequence[old - 1] == twin[new - 1]


@pytest.mark.parametrize(("twin", "sites"), [("AAAK", "1"), ("MAG", "1"), ("MAGK", "9"), ("MAGK", "-2")])
def test_what_is_no_twin_or_no_site_is_refused(twin, sites):
    with pytest.raises(DataError):
        moved_sites("GAMK", twin, sites)


def test_the_order_in_which_modifications_are_listed_does_not_matter():
    assert peptidoform("AMCK", "Oxidation@M;Carbamidomethyl@C", "2;3") == peptidoform(
        "AMCK", "Carbamidomethyl@C;Oxidation@M", "3;2"
    )
    assert peptidoform("MMK", "Oxidation@M", "1") != peptidoform("MMK", "Oxidation@M", "2")
    with pytest.raises(DataError):
        peptidoform("MMK", "Oxidation@M", "1;2")


def test_twins_pair_by_exact_peptidoform_and_charge():
    precursors = pd.DataFrame(
        {
            "sequence": ["AMGMCK", "MCGAMK", "MCGAMK", "MCGAMK", "WWWWK"],
            "mods": ["Oxidation@M;Carbamidomethyl@C", *["Carbamidomethyl@C;Oxidation@M"] * 3, ""],
            "mod_sites": ["4;5", "2;5", "2;1", "2;5", ""],
            "charge": [2, 2, 2, 3, 2],
        }
    )
    keys = precursor_keys(precursors)
    twins = twin_precursor_keys(precursors, {"MCGAMK": "AMGMCK"})
    assert len(set(keys)) == 5
    assert twins[1] == keys[0]
    assert twins[2] != keys[0]
    assert twins[3] != keys[0]
    assert twins[0] == twins[4] == ""
    assert keys.dtype == np.dtype(object)
