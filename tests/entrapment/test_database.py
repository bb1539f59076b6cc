import pytest

from alphadia_tl.entrapment.database import Entrapment, read_twins
from alphadia_tl.errors import DataError, QuantificationError


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
    with pytest.raises(QuantificationError, match=r"out\.twins\.tsv"):
        Entrapment.read(tmp_path / "out.fasta")


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
