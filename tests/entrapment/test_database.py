import pandas as pd
import pytest

from alphadia_tl.entrapment.database import Entrapment, entrapment_problems, read_twins
from alphadia_tl.errors import DataError, QuantificationError
from alphadia_tl.settings import EntrapmentSettings


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


FASTA = "".join(
    f">sp|{prefix}P{i}|{prefix}N{i}\nMK{'ACDEFGHIL'[i]}AEDFGR{'LNPQSTVWY'[i]}K\n"
    for prefix in ("", "TRAP_")
    for i in range(5)
)
TWINS = "target_peptide\ttwin_peptide\n"
OWN_TWIN, OTHER_TWIN = f"{TWINS}AAEDFGR\tCAEDFGR\n", f"{TWINS}AEDFGRLK\tWWWWWWK\n"
ALL_TRAPS = "".join(line for line in FASTA.splitlines(keepends=True)[10:])


@pytest.mark.parametrize(
    ("section", "fasta", "twins", "told"),
    [
        ({}, FASTA, None, []),
        ({"prefix": "TRAP_", "design": "foreign"}, FASTA, None, []),
        ({"prefix": "TARP_"}, FASTA, None, ["None of 10 accessions", "Is it 'TRAP_'?"]),
        ({"prefix": "[TRAP_"}, FASTA, None, ["None of 10 accessions"]),
        ({"prefix": "ENTRAPMENT"}, FASTA, None, ["None of 10 accessions"]),
        ({"prefix": "TRAP_"}, ALL_TRAPS, None, ["there is no target"]),
        ({"prefix": "P"}, FASTA.replace("TRAP_", "x"), None, []),
        ({"ratio": 0.5}, FASTA, None, ["has no prefix"]),
        ({"prefix": "TRAP_"}, FASTA, None, []),
        ({"prefix": "TRAP_", "twins": "no.tsv"}, FASTA, None, ["no.tsv cannot be read"]),
        ({"prefix": "TRAP_", "twins": "t.tsv"}, FASTA, TWINS, ["has no twins"]),
        (
            {"prefix": "TRAP_", "twins": "t.tsv"},
            FASTA,
            f"{TWINS}AEDFGRLK\tWWWWWWK\n",
            ["that of another FASTA", "WWWWWWK"],
        ),
        ({"prefix": "TRAP_", "twins": "t.tsv"}, FASTA, OWN_TWIN, []),
        ({"prefix": "TRAP_", "twins": "t.tsv", "design": "foreign"}, FASTA, OWN_TWIN, ["foreign"]),
        ({"prefix": "TARP_", "twins": "no.tsv"}, FASTA, None, ["None of 10", "no.tsv cannot be read"]),
    ],
)
def test_what_is_wrong_with_entrapment_is_told_before_a_search(tmp_path, monkeypatch, section, fasta, twins, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.fasta").write_text(fasta)
    if twins:
        (tmp_path / "t.tsv").write_text(twins)
    config = {"fasta_paths": [str(tmp_path / "p.fasta")]}
    found = entrapment_problems(config, EntrapmentSettings(**section))
    assert bool(found) == bool(told), found
    for text in told:
        assert any(text in problem for problem in found), found


@pytest.mark.parametrize(
    ("proteins", "marked"),
    [
        ("TRAP_P1", True),
        ("P1;TRAP_P1", False),
        ("TRAP_P1;TRAP_P2", True),
        ("P_TRAP_1", False),
        ("TRAP_P1;", True),
        ("", False),
    ],
)
def test_a_group_is_entrapment_where_nothing_else_explains_it(proteins, marked):
    assert Entrapment("TRAP_", design="foreign").marks(pd.Series([proteins])).tolist() == [marked]


def test_a_prefix_is_text_and_no_pattern():
    assert Entrapment("T.AP_", design="foreign").marks(pd.Series(["TRAP_P1", "T.AP_P1"])).tolist() == [False, True]
