import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_outputs import precursors, write_output

from alphadia_tl.entrapment.database import Entrapment, read_twins
from alphadia_tl.entrapment.estimate import estimate_fdp
from alphadia_tl.entrapment.levels import (
    LEVELS,
    PEPTIDES,
    PRECURSORS,
    PROTEIN_GROUPS,
    discoveries,
    discoveries_at,
    entrapment_rows,
    moved_sites,
    peptidoform,
    precursor_keys,
    twin_precursor_keys,
)
from alphadia_tl.errors import DataError
from alphadia_tl.host.search_tables import read_output

TWINS = {"MCGAMK": "AMGMCK", "EDITPEPK": "PEPTIDEK"}
SHUFFLED = Entrapment(target_of=TWINS, left_out=frozenset({"NEARK"}))
ROWS = [
    # sequence, mods, mod_sites, charge, proteins, score, q
    ("AMGMCK", "Oxidation@M", "4", 2, "P1", 0.9, 0.001),
    ("AMGMCK", "Oxidation@M", "4", 2, "P1", 0.7, 0.004),
    ("MCGAMK", "Oxidation@M", "5", 2, "ENTRAPMENT_P1", 0.95, 0.002),
    ("MCGAMK", "Oxidation@M", "1", 2, "ENTRAPMENT_P1", 0.8, 0.003),
    ("MCGAMK", "", "", 3, "ENTRAPMENT_P1", 0.5, 0.02),
    ("NEARK", "", "", 2, "ENTRAPMENT_P2", 0.99, 0.001),
    ("SHAREDK", "", "", 2, "ENTRAPMENT_P3;P3", 0.99, 0.001),
]
TABLE = pd.DataFrame(ROWS, columns=["sequence", "mods", "mod_sites", "charge", "proteins", "score", "q"])
ENTRAPMENT = Entrapment("ENTRAPMENT_", design="foreign")


def test_precursors_pair_by_peptidoform_and_charge():
    rows = discoveries_at(TABLE, PRECURSORS, SHUFFLED)
    assert (len(rows), int(rows.is_entrapment.sum())) == (5, 3)
    twins = dict(zip(rows.key, rows.twin_key, strict=True))
    target = "AMGMCK|4:Oxidation@M/2"
    assert twins["MCGAMK|5:Oxidation@M/2"] == target
    assert twins["MCGAMK|1:Oxidation@M/2"] not in rows.key
    assert twins["MCGAMK/3"] not in rows.key
    assert twins[target] == twins["SHAREDK/2"] == ""
    # One above its target, two alone: (3 + 2 + 2) / 5.
    assert estimate_fdp(rows, r=1, design="shuffled").paired == pytest.approx(7 / 5)


def test_the_best_row_of_a_key_counts():
    rows = discoveries_at(TABLE, PEPTIDES, SHUFFLED)
    found = pd.DataFrame({"score": rows.score, "q": rows.q, "twin": rows.twin_key}, index=rows.key)
    assert found.loc["AMGMCK", ["score", "q"]].tolist() == [0.9, 0.001]
    assert found.loc["MCGAMK"].tolist() == [0.95, 0.002, "AMGMCK"]
    assert sorted(found.index) == ["AMGMCK", "MCGAMK", "SHAREDK"]


def test_peptides_shared_with_a_target_protein_are_targets():
    rows = discoveries_at(TABLE, PEPTIDES, SHUFFLED)
    assert not rows.is_entrapment[rows.key == "SHAREDK"].any()


def test_protein_groups_pair_without_the_prefix():
    groups = pd.DataFrame({"proteins": ["P2;P1", "ENTRAPMENT_P1;ENTRAPMENT_P2", "P3"], "score": 1.0, "q": 0.0})
    rows = discoveries_at(groups, PROTEIN_GROUPS, SHUFFLED)
    assert dict(zip(rows.key, rows.twin_key, strict=True))["ENTRAPMENT_P1;ENTRAPMENT_P2"] == "P1;P2"
    assert "P1;P2" in rows.key
    assert discoveries_at(groups, PROTEIN_GROUPS, Entrapment(k=2)).twin_key is None


def test_the_foreign_design_has_no_twins_but_leaves_shared_peptides_out():
    rows = discoveries_at(TABLE, PRECURSORS, Entrapment(design="foreign", left_out=frozenset({"MCGAMK"}), r=0.5))
    assert rows.twin_key is None
    assert rows.key[rows.is_entrapment].tolist() == ["NEARK/2"]


def test_no_identifications_are_no_discoveries():
    assert len(discoveries_at(TABLE.iloc[:0], PRECURSORS, SHUFFLED)) == 0


@pytest.mark.parametrize(("level", "column"), zip(LEVELS, ("mod_sites", "sequence", "q"), strict=True))
def test_a_missing_column_is_named(level, column):
    with pytest.raises(DataError, match=column):
        discoveries_at(TABLE.drop(columns=column), level, SHUFFLED)


@pytest.mark.parametrize("level", LEVELS)
def test_missing_texts_are_empty_ones(level):
    """As pandas reads the unmodified peptides of a text table."""
    spoilt = TABLE.assign(mods=TABLE["mods"].replace("", np.nan), mod_sites=TABLE["mod_sites"].replace("", np.nan))
    one, two = (discoveries_at(table, level, SHUFFLED) for table in (TABLE, spoilt))
    assert sorted(one.key) == sorted(two.key)


def test_the_best_row_of_many_runs_counts_with_the_lowest_q_value():
    runs = pd.concat([TABLE.assign(score=TABLE["score"] - i, q=TABLE["q"] / (1 + i)) for i in range(3)])
    found, of_one = discoveries_at(runs, PRECURSORS, SHUFFLED), discoveries_at(TABLE, PRECURSORS, SHUFFLED)
    assert found.key.tolist() == of_one.key.tolist()
    assert found.score.tolist() == of_one.score.tolist()
    assert found.q == pytest.approx(of_one.q / 3)


def test_unknown_twins_make_no_pairs():
    assert discoveries_at(TABLE, PRECURSORS, Entrapment()).twin_key is None


@pytest.fixture
def rows(tmp_path):
    """Eight target and four entrapment precursors, the entrapments worse, all in two runs."""
    parts = [
        precursors(numbers, run=run, proteins=name)
        for run in ("run_1", "run_2")
        for numbers, name in ((range(8), "P{}"), (range(100, 104), "ENTRAPMENT_P{}"))
    ]
    return read_output(write_output(tmp_path, *parts), "x").rows


@pytest.mark.parametrize(
    ("level", "targets", "entrapments"), [(PRECURSORS, 8, 4), (PEPTIDES, 4, 2), (PROTEIN_GROUPS, 2, 1)]
)
def test_identifications_of_several_runs_are_counted_once_best_first(rows, level, targets, entrapments):
    found = discoveries(rows, level, ENTRAPMENT)
    assert found.is_entrapment.tolist() == [False] * targets + [True] * entrapments
    assert rows[level.key].nunique() == len(found)
    assert (found.score[:-1] >= found.score[1:]).all()


def test_what_a_target_explains_is_no_entrapment(rows):
    mixed = rows.assign(proteins=rows["proteins"].replace("ENTRAPMENT_P25", "P1;ENTRAPMENT_P25"))
    assert not entrapment_rows(mixed, PRECURSORS, ENTRAPMENT).any()


def test_protein_groups_named_by_genes_are_entrapments_where_all_their_precursors_are(rows):
    named = rows.assign(**{"protein group": rows["proteins"].map(lambda p: f"GENE{p[-1]}")})
    assert discoveries(named, PROTEIN_GROUPS, ENTRAPMENT).is_entrapment.tolist() == [False, False, True]


def test_twins_are_found_by_the_table_of_the_entrapment_command(rows, tmp_path):
    twin, target = rows["sequence"].iloc[8], rows["sequence"].iloc[0]
    pd.DataFrame({"target_peptide": [target], "twin_peptide": [twin], "protein": ["P0"], "copy": [1]}).to_csv(
        tmp_path / "x.twins.tsv", sep="\t", index=False
    )
    target_of, k = read_twins(tmp_path / "x.twins.tsv")
    assert (target_of, k) == ({twin: target}, 1)
    found = discoveries(rows, PEPTIDES, Entrapment("ENTRAPMENT_", target_of))
    assert found.twin_key[found.key == twin].tolist() == [target]


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
