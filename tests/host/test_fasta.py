import gzip
import logging

import pytest
from alphabase.protein.fasta import Digest, load_all_proteins

from alphadia_tl.errors import DataError, SettingsError
from alphadia_tl.host.fasta import (
    DigestSettings,
    decoys_of_other_tools,
    note_on_letters,
    read_fasta,
    read_proteins,
    require_predictable,
    searched_peptides,
)

PLAIN = ">sp|P02769|ALBU_BOVIN Albumin OS=Bos taurus GN=ALB PE=1\nMKWVTFISLLLLFSSAYSR\nGVFRRDTHK\n"
READ = [
    ("UniProt", PLAIN, [("P02769", "ALBU_BOVIN", "MKWVTFISLLLLFSSAYSRGVFRRDTHK")]),
    ("line ends of Windows", PLAIN.replace("\n", "\r\n"), [("P02769", "ALBU_BOVIN", "MKWVTFISLLLLFSSAYSRGVFRRDTHK")]),
    ("line ends of old Macs", ">a b\rMK\rVR\r", [("a", "a", "MKVR")]),
    ("blank lines and blanks", ">a b\n\nMK W\n\nVT\n\n", [("a", "a", "MKWVT")]),
    ("UTF-8 in a header", ">a Größe µ\nMK\n", [("a", "a", "MK")]),
    ("no last line end", ">a\nMK", [("a", "a", "MK")]),
    ("two parts", ">lcl|NP_1 x\nMK\n", [("lcl|NP_1", "lcl|NP_1", "MK")]),
    ("five parts", ">gi|1|ref|NP_1.1| x\nMK\n", [("1", "ref", "MK")]),
    ("a record without sequence", ">a\n>b\nMK\n", [("a", "a", ""), ("b", "b", "MK")]),
    ("stops, gaps, lower case", ">a\nMK--*aaXBZ*\n", [("a", "a", "MK--*aaXBZ*")]),
]


@pytest.mark.parametrize(("text", "records"), [r[1:] for r in READ], ids=[r[0] for r in READ])
def test_records_are_read_as_alphabase_reads_them(tmp_path, text, records):
    path = tmp_path / "in.fasta"
    path.write_bytes(text.encode())
    found = read_fasta(path)
    assert [(p.accession, p.name, p.sequence) for p in found] == records
    as_alphabase = load_all_proteins([str(path)]).values()
    assert [(p.accession, p.sequence) for p in found] == [(r["protein_id"], r["sequence"]) for r in as_alphabase]
    path.write_text("".join(p.text for p in found), encoding="utf-8")
    assert read_fasta(path) == found


UNREADABLE = [
    ("no file", None, "No such file"),
    ("empty", b"", "is empty"),
    ("blank lines only", b"\n \n", "is empty"),
    ("packed", gzip.compress(PLAIN.encode()), "packed .gzip.*Unpack"),
    ("a zip", b"PK\x03\x04rest", "packed .zip"),
    ("UTF-16", PLAIN.encode("utf-16"), "UTF-16"),
    ("a byte order mark", PLAIN.encode("utf-8-sig"), "byte order mark"),
    ("Latin-1 in a header", ">a Größe\nMK\n".encode("latin-1"), "UTF-8"),
    ("no letter in a sequence", ">a\nMKé\n".encode(), "plain letters"),
    ("sequences only", b"MKWVTFISLL\n", "does not begin with a header line.*'MKWVTFISLL'"),
    ("a comment first", b"; made by hand\n>a\nMK\n", "does not begin with a header line"),
    ("a blank line first", b"\n>a\nMK\n", "does not begin with a header line"),
    ("another format", b"<?xml version='1.0'?>\n", "does not begin with a header line"),
    ("headers only", b">a\n>b\n", "no protein with a sequence"),
    ("a header without name", b">a\nMK\n>\nVTK\n", "no name"),
    ("an empty accession", b">sp||A_B x\nMK\n", "no name"),
]


@pytest.mark.parametrize(("content", "said"), [u[1:] for u in UNREADABLE], ids=[u[0] for u in UNREADABLE])
def test_what_is_wrong_with_a_file_is_told(tmp_path, content, said):
    path = tmp_path / "in.fasta"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"(?s)in\.fasta.*{said}"):
        read_fasta(path)


def test_a_folder_is_no_fasta(tmp_path):
    with pytest.raises(DataError, match="Is a directory"):
        read_fasta(tmp_path)


def test_files_are_read_one_after_the_other_and_the_same_protein_once(tmp_path):
    (tmp_path / "a.fasta").write_text(">sp|P1|A x\nMK\n>b\nVK\n")
    (tmp_path / "b.fasta").write_text(">c\nVK\n>sp|P1|A of another file\nMK\n")
    found = read_proteins([tmp_path / "a.fasta", tmp_path / "b.fasta"])
    assert [(name, protein.sequence) for name, protein in found.items()] == [("P1", "MK"), ("b", "VK"), ("c", "VK")]


REFUSED = [
    ("an accession with two sequences", ">sp|P1|A x\nMK\n>tr|P1|B x\nVK\n", "'P1' is there twice, with two sequences"),
    ("the sign that joins accessions", ">P1;P2 x\nMK\n", "';'"),
    ("a protein without sequence", ">a\n>b\nMK\n", "'a' has no sequence"),
]
DECOYS = ["rev_sp|P1|A", "REV__P1", "DECOY_P1", "decoy_sp|P1|A", "XXX_sp|P1|A", "##P1", "#DECOY#P1", "sp|rev_P1|A"]
REFUSED += [(word, f">sp|P9|A x\nMK\n>{word} y\nKM\n", "1 decoys") for word in DECOYS]


@pytest.mark.parametrize(("text", "said"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_proteins_that_alphadia_would_lose_or_take_for_others_are_refused(tmp_path, text, said):
    (tmp_path / "in.fasta").write_text(text)
    with pytest.raises(DataError, match=rf"in\.fasta.*{said}"):
        read_proteins([tmp_path / "in.fasta"])


def test_proteins_that_only_sound_like_decoys_are_none(tmp_path):
    (tmp_path / "in.fasta").write_text(">sp|P04618|REV_HV1H2 x\nMK\n>revertase x\nVK\n>CON__P00761 x\nLK\n")
    assert decoys_of_other_tools(read_fasta(tmp_path / "in.fasta")) == []


MASKED = "MAEDLVNQSGKTYWUFPLAEHNRVVDBSTALGEMQKaaassagtpaakLLDXFNWTEVSGQRSTTNEAVOGLDPKMTDLAE--NVGSKDPLNK*"
SEARCHED = {"enzyme": "trypsin", "missed_cleavages": 1, "precursor_len": [7, 35], "fixed_modifications": [],
            "variable_modifications": [], "precursor_mz": [50, 9000], "precursor_charge": [1, 1]}  # fmt: skip


@pytest.mark.parametrize(
    "sequence", [MASKED, MASKED[::-1], MASKED.lower(), MASKED.upper(), "MK*MAAAAAAAR*AAAAAAAK.", "MMMAAAAAAAK"]
)
def test_the_peptides_are_those_that_alphadia_searches(tmp_path, sequence, caplog):
    from alphadia.libtransform.fasta_digest import FastaDigest

    caplog.set_level(logging.ERROR)
    (tmp_path / "in.fasta").write_text(f">a\n{sequence}\n>b\nMAEDLVNQSGKTYWUFPLAEHNR\n")
    library = FastaDigest(**SEARCHED)([str(tmp_path / "in.fasta")])
    proteins = {name: p.sequence for name, p in read_proteins([tmp_path / "in.fasta"]).items()}
    found = searched_peptides(proteins, DigestSettings())
    assert set(found) == set(library.precursor_df["sequence"])


def test_letters_that_are_not_searched_are_told(tmp_path):
    (tmp_path / "in.fasta").write_text(">a\nMKaa*XUO\n>b\nMK*\n")
    assert note_on_letters(read_fasta(tmp_path / "in.fasta")).endswith("'*' 2, 'X' 1, lower case 2.")
    (tmp_path / "in.fasta").write_text(">a\nMKUO\n")
    assert note_on_letters(read_fasta(tmp_path / "in.fasta")) == ""


@pytest.mark.parametrize(("sequence", "dies"), [("MAEDLVNssGK", True), ("MAEDLVNaaGK", False), ("ssssK", False)])
def test_a_peptide_in_lower_case_that_prediction_dies_of_is_refused(tmp_path, sequence, dies):
    """Lower case s, t and y have a mass in alphabase, so that alphaDIA keeps them; peptdeep knows no such residue."""
    (tmp_path / "in.fasta").write_text(f">a\n{sequence}\n")
    proteins = read_fasta(tmp_path / "in.fasta")
    if dies:
        with pytest.raises(DataError, match="'a' has the peptide MAEDLVNssGK"):
            require_predictable(proteins, DigestSettings())
    else:
        require_predictable(proteins, DigestSettings())


def test_residues_that_the_enzyme_tells_apart():
    assert len(set(DigestSettings("trypsin").classes.values())) == 2
    rule = DigestSettings("trypsin_not_p").classes
    assert (rule["K"] == rule["R"]) and len({rule["K"], rule["P"], rule["A"]}) == 3
    assert set(DigestSettings("no-cleave").classes.values()) == {0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"missed_cleavages": "1"},
        {"enzyme": 3},
        {"enzyme": "tripsin"},
        {"enzyme": "[KR"},
        {"enzyme": ""},
        {"missed_cleavages": -1},
        {"min_length": 1},
        {"min_length": 40},
        {"enzyme": "non-specific", "missed_cleavages": 33},
    ],
    ids=str,
)
def test_impossible_digests_are_refused(wrong):
    with pytest.raises(SettingsError):
        DigestSettings(**wrong)


def test_the_digest_of_a_config_and_what_is_given_beside_it():
    config = {"library_prediction": {"enzyme": "lys-c", "missed_cleavages": 2, "precursor_len": [6, 30]}}
    assert DigestSettings.from_config(config) == DigestSettings("lys-c", 2, 6, 30)
    assert DigestSettings.from_config(config, enzyme="glu-c", min_length=None) == DigestSettings("glu-c", 2, 6, 30)
    assert DigestSettings.from_config({}) == DigestSettings("trypsin", 1, 7, 35)
    with pytest.raises(SettingsError):
        DigestSettings.from_config({"library_prediction": {"precursor_len": [7]}})


def test_spans_are_the_peptides_that_alphabase_digests():
    digest = DigestSettings(missed_cleavages=2, min_length=3, max_length=12)
    for protein in ("MAAKCCCRDDDDKEEEERFF", "MMKAAAR", "KKKRRRAAA", "MAAAAAAAAAAAAAAAAAAAAAK", "AAA"):
        spans = [protein[a:b] for a, b in digest.spans(protein)]
        assert set(spans) == set(Digest("trypsin", 2, 3, 12).cleave_sequence(protein)[0])
