import numpy as np
import pandas as pd
import pytest

from alphadia_tl.entrapment.estimate import estimate_fdp
from alphadia_tl.entrapment.levels import Entrapment, discoveries_at
from alphadia_tl.errors import DataError

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


def test_precursors_pair_by_peptidoform_and_charge():
    rows = discoveries_at(TABLE, "precursor", SHUFFLED)
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
    rows = discoveries_at(TABLE, "peptide", SHUFFLED)
    found = pd.DataFrame({"score": rows.score, "q": rows.q, "twin": rows.twin_key}, index=rows.key)
    assert found.loc["AMGMCK", ["score", "q"]].tolist() == [0.9, 0.001]
    assert found.loc["MCGAMK"].tolist() == [0.95, 0.002, "AMGMCK"]
    assert sorted(found.index) == ["AMGMCK", "MCGAMK", "SHAREDK"]


def test_peptides_shared_with_a_target_protein_are_targets():
    rows = discoveries_at(TABLE, "peptide", SHUFFLED)
    assert not rows.is_entrapment[rows.key == "SHAREDK"].any()


def test_protein_groups_pair_without_the_prefix():
    groups = pd.DataFrame({"proteins": ["P2;P1", "ENTRAPMENT_P1;ENTRAPMENT_P2", "P3"], "score": 1.0, "q": 0.0})
    rows = discoveries_at(groups, "protein", SHUFFLED)
    assert dict(zip(rows.key, rows.twin_key, strict=True))["ENTRAPMENT_P1;ENTRAPMENT_P2"] == "P1;P2"
    assert "P1;P2" in rows.key
    assert discoveries_at(groups, "protein", Entrapment(k=2)).twin_key is None


def test_the_foreign_design_has_no_twins_but_leaves_shared_peptides_out():
    rows = discoveries_at(TABLE, "precursor", Entrapment(design="foreign", left_out=frozenset({"MCGAMK"}), r=0.5))
    assert rows.twin_key is None
    assert rows.key[rows.is_entrapment].tolist() == ["NEARK/2"]


def test_no_identifications_are_no_discoveries():
    assert len(discoveries_at(TABLE.iloc[:0], "precursor", SHUFFLED)) == 0


@pytest.mark.parametrize("level", ["precursor", "peptide", "protein"])
def test_a_missing_column_is_named(level):
    column = {"precursor": "mod_sites", "peptide": "sequence", "protein": "q"}[level]
    with pytest.raises(DataError, match=column):
        discoveries_at(TABLE.drop(columns=column), level, SHUFFLED)


@pytest.mark.parametrize("wrong", [{"prefix": ""}, {"design": "sample"}, {"k": 0}, {"r": 0.0}], ids=str)
def test_impossible_entrapment_is_refused(wrong):
    with pytest.raises(DataError):
        Entrapment(**wrong)


@pytest.mark.parametrize("text", [None, "", "prefix: X_", "[1"], ids=["missing", "empty", "incomplete", "no YAML"])
def test_unreadable_facts_are_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "out.entrapment.yaml").write_text(text)
    with pytest.raises(DataError, match="Make it again"):
        Entrapment.read(tmp_path / "out.fasta")


def test_a_missing_table_is_refused(tmp_path):
    (tmp_path / "out.entrapment.yaml").write_text("{prefix: X_, design: shuffled, k: 1, r: 1.0}")
    with pytest.raises(DataError, match=r"out\.twins\.tsv"):
        Entrapment.read(tmp_path / "out.fasta")


@pytest.mark.parametrize("level", ["precursor", "peptide", "protein"])
def test_missing_texts_are_empty_ones(level):
    """As pandas reads the unmodified peptides of a text table."""
    spoilt = TABLE.assign(mods=TABLE["mods"].replace("", np.nan), mod_sites=TABLE["mod_sites"].replace("", np.nan))
    one, two = (discoveries_at(table, level, SHUFFLED) for table in (TABLE, spoilt))
    assert sorted(one.key) == sorted(two.key)


def test_the_best_row_of_many_runs_counts_with_the_lowest_q_value():
    runs = pd.concat([TABLE.assign(score=TABLE["score"] - i, q=TABLE["q"] / (1 + i)) for i in range(3)])
    found, of_one = discoveries_at(runs, "precursor", SHUFFLED), discoveries_at(TABLE, "precursor", SHUFFLED)
    assert found.key.tolist() == of_one.key.tolist()
    assert found.score.tolist() == of_one.score.tolist()
    assert found.q == pytest.approx(of_one.q / 3)


def test_unknown_twins_make_no_pairs():
    assert discoveries_at(TABLE, "precursor", Entrapment()).twin_key is None
