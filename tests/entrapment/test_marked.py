import pandas as pd
import pytest
from made_outputs import precursors, write_output

from alphadia_tl.entrapment.levels import Entrapment
from alphadia_tl.entrapment.searches import LEVELS, best_rows, discoveries, entrapment_rows, read_twins
from alphadia_tl.errors import QuantificationError
from alphadia_tl.host.search_tables import read_output

PRECURSOR, PEPTIDE, PROTEIN = LEVELS
ENTRAPMENT = Entrapment("ENTRAPMENT_", design="foreign")


@pytest.fixture
def rows(tmp_path):
    """Eight target and four entrapment precursors, the entrapments worse, all in two runs."""
    parts = [
        precursors(numbers, run=run, proteins=name)
        for run in ("run_1", "run_2")
        for numbers, name in ((range(8), "P{}"), (range(100, 104), "ENTRAPMENT_P{}"))
    ]
    return read_output(write_output(tmp_path, *parts), "x").rows


@pytest.mark.parametrize(("level", "targets", "entrapments"), [(PRECURSOR, 8, 4), (PEPTIDE, 4, 2), (PROTEIN, 2, 1)])
def test_identifications_of_several_runs_are_counted_once_best_first(rows, level, targets, entrapments):
    found = discoveries(rows, level, ENTRAPMENT)
    assert found.is_entrapment.tolist() == [False] * targets + [True] * entrapments
    assert len(best_rows(rows, level)) == len(found)
    assert (found.score[:-1] >= found.score[1:]).all()


def test_what_a_target_explains_is_no_entrapment(rows):
    mixed = rows.assign(proteins=rows["proteins"].replace("ENTRAPMENT_P25", "P1;ENTRAPMENT_P25"))
    assert not entrapment_rows(mixed, PRECURSOR, ENTRAPMENT).any()


def test_protein_groups_named_by_genes_are_entrapments_where_all_their_precursors_are(rows):
    named = rows.assign(**{"protein group": rows["proteins"].map(lambda p: f"GENE{p[-1]}")})
    assert discoveries(named, PROTEIN, ENTRAPMENT).is_entrapment.tolist() == [False, False, True]


def test_twins_are_found_by_the_table_of_the_entrapment_command(rows, tmp_path):
    twin, target = rows["sequence"].iloc[8], rows["sequence"].iloc[0]
    pd.DataFrame({"target_peptide": [target], "twin_peptide": [twin], "protein": ["P0"], "copy": [1]}).to_csv(
        tmp_path / "x.twins.tsv", sep="\t", index=False
    )
    target_of, k = read_twins(tmp_path / "x.twins.tsv")
    assert (target_of, k) == ({twin: target}, 1)
    found = discoveries(rows, PEPTIDE, Entrapment("ENTRAPMENT_", target_of))
    assert found.twin_key[found.key == twin].tolist() == [target]


def test_several_twins_of_a_target_are_counted(tmp_path):
    (tmp_path / "t.tsv").write_text("target_peptide\ttwin_peptide\nAC\tCA\nAC\tAA\nDE\tED\n")
    assert read_twins(tmp_path / "t.tsv")[1] == 2


@pytest.mark.parametrize("content", [None, "a\tb\n1\t2\n"], ids=["missing", "other columns"])
def test_a_table_of_twins_that_cannot_be_read_is_one_clear_error(tmp_path, content):
    path = tmp_path / "twins.tsv"
    if content:
        path.write_text(content)
    with pytest.raises(QuantificationError, match="alphadia-tl entrapment"):
        read_twins(path)
