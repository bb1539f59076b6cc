"""The command for real, its FASTA read and digested by alphabase."""

import pandas as pd
import pytest
import yaml
from alphabase.protein.fasta import SpecLibFasta, protease_dict

from alphadia_tl import cli
from alphadia_tl.entrapment.database import Entrapment
from alphadia_tl.entrapment.twins import shared_ladder
from alphadia_tl.host.fasta import read_proteins

FASTA = """>sp|P02769|ALBU_BOVIN Albumin OS=Bos taurus OX=9913 GN=ALB PE=1 SV=4
MKWVTFISLLLLFSSAYSRGVFRRDTHKSEIAHRFKDLGEEHFKGLVLIAFSQYLQQCPF
DEHVKLVNELTEFAKTCVADESHAGCEKSLHTLFGDELCKVASLRETYGDMADCCEKQEP
ERNECFLSHKDDSPDLPKLKPDPNTLCDEFKADEKKFWGKYLYEIARRHPYFYAPELLYY
>tr|Q00001-2|TEST_HUMAN Isoform OS=Homo sapiens OX=9606 GN=TST PE=1
AAAAAAAAKLVNELTEFAKPEPTIDESEQRPGGSSDDWWMMTTKIIIILLLLK
>plain_header something
MSDKIIHLTDDSFDTDVLKADGAILVDFWAEWCGPCKMIAPILDEIADEYQGKLTVAKLN
"""
FOREIGN = """>sp|P99999|CYC_HUMAN Cytochrome OS=Homo sapiens OX=9606 GN=CYCS PE=1 SV=2
MGDVEKGKKIFIMKCSQCHTVEKGGKHKTGPNLHGLFGRKTGQAPGYSYTAANKNKGIIWK
LVNELTEFAKLVNEITEFAKGEDTLMEYLENPKKYIPGTKMIFVGIKKKEERADLIAYLKKATNE
"""


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "in.fasta"
    path.write_text(FASTA)
    return path


def _digest(path, enzyme, missed=1, lengths=(7, 35)):
    """Digest as alphaDIA does: one row per peptide, with its proteins."""
    library = SpecLibFasta(
        protease=protease_dict.get(enzyme, enzyme),
        max_missed_cleavages=missed,
        peptide_length_min=lengths[0],
        peptide_length_max=lengths[1],
    )
    library.get_peptides_from_fasta_list([str(path)])
    names = library.protein_df["protein_id"].to_numpy()
    found = library.precursor_df.copy()
    found["proteins"] = [[names[int(i)] for i in text.split(";")] for text in found["protein_idxes"]]
    return found.set_index("sequence")


CASES = [
    ("trypsin", 1, (7, 35)),
    ("trypsin_not_p", 2, (7, 35)),
    ("lys-c", 1, (7, 35)),
    ("glu-c", 1, (7, 35)),
    ("arg-c", 1, (7, 40)),
    ("lys-n", 1, (7, 35)),
    ("asp-n", 1, (7, 35)),
    ("no-cleave", 0, (7, 300)),
    ("[KR](?=[^P])", 1, (6, 30)),
]


@pytest.mark.parametrize(("enzyme", "missed", "lengths"), CASES, ids=[c[0] for c in CASES])
def test_the_digest_of_the_output_has_all_targets_and_their_twins(fasta, tmp_path, capsys, enzyme, missed, lengths):
    out = tmp_path / "out.fasta"
    given = ["--enzyme", enzyme, "--missed-cleavages", missed, "--min-length", lengths[0], "--max-length", lengths[1]]
    assert cli.main(["entrapment", "--fasta", str(fasta), "-o", str(out), *map(str, given)]) == 0
    before, after = (_digest(path, enzyme, missed, lengths) for path in (fasta, out))
    twins = pd.read_csv(tmp_path / "out.twins.tsv", sep="\t")
    left_out = pd.read_csv(tmp_path / "out.left_out.tsv", sep="\t")
    marked = after["proteins"].map(lambda names: all(n.startswith("ENTRAPMENT_") for n in names))
    assert set(before.index) == set(after.index[~marked])
    assert set(twins["target_peptide"]) | set(left_out["target_peptide"]) == set(before.index)
    assert set(twins["twin_peptide"]) <= set(after.index[marked])
    assert set(after.index[marked]) <= set(twins["twin_peptide"]) | set(left_out["entrapment_peptide"])
    assert not {p.replace("I", "L") for p in twins["twin_peptide"]} & {p.replace("I", "L") for p in before.index}
    for target, twin in zip(twins["target_peptide"], twins["twin_peptide"], strict=True):
        assert sorted(target) == sorted(twin)
        assert shared_ladder(target, twin) <= 0.5
        for place in ("miss_cleavage", "is_prot_nterm", "is_prot_cterm"):
            assert before.loc[target, place] == after.loc[twin, place]
    assert f"Twins:               {len(twins)} " in capsys.readouterr().out
    assert len(twins) > 0


def test_the_headers_are_those_that_alphadia_reads(fasta, tmp_path):
    out = tmp_path / "out.fasta"
    cli.main(["entrapment", "-f", str(fasta), "-o", str(out), "--k", "2"])
    library = SpecLibFasta()
    library.get_peptides_from_fasta_list([str(out)])
    proteins = library.protein_df.set_index("protein_id")
    accessions = ["P02769", "Q00001-2", "plain_header"]
    twins = [f"ENTRAPMENT_{a}{suffix}" for suffix in ("", "_2") for a in accessions]
    assert proteins.index.tolist() == accessions + twins
    assert proteins.loc["P02769", "description"].endswith("OS=Bos taurus OX=9913 GN=ALB PE=1 SV=4")
    assert proteins.loc["ENTRAPMENT_P02769", "gene_name"] == "ENTRAPMENT_ALBU_BOVIN"
    assert proteins.loc["ENTRAPMENT_P02769_2", "gene_org"] == "ENTRAPMENT_ALBU_BOVIN_2"


def test_what_was_written_can_be_read_back(fasta, tmp_path):
    out = tmp_path / "out.fasta"
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"library_prediction": {"enzyme": "lys-c", "precursor_len": [6, 40]}}))
    cli.main(["entrapment", "-f", str(fasta), "-o", str(out), "-c", str(config), "--prefix", "TRAP_", "--k", "2"])
    entrapment = Entrapment.read(out)
    twins = pd.read_csv(tmp_path / "out.twins.tsv", sep="\t")
    assert (entrapment.prefix, entrapment.design, entrapment.k) == ("TRAP_", "shuffled", 2)
    n_targets = len(_digest(fasta, "lys-c", lengths=(6, 40)))
    assert entrapment.r == pytest.approx(len(twins) / n_targets)
    assert entrapment.target_of == dict(zip(twins["twin_peptide"], twins["target_peptide"], strict=True))
    assert "AAAAAAAAKLVNELTEFAK" not in entrapment.target_of.values()


def test_foreign_proteins_are_marked_and_shared_peptides_listed(fasta, tmp_path, capsys):
    foreign, out = tmp_path / "foreign.fasta", tmp_path / "out.fasta"
    foreign.write_text(FOREIGN)
    assert cli.main(["entrapment", "-f", str(fasta), "-o", str(out), "--foreign", str(foreign)]) == 0
    entrapment = Entrapment.read(out)
    before, after = (_digest(path, "trypsin") for path in (fasta, out))
    marked = after["proteins"].map(lambda names: all(n.startswith("ENTRAPMENT_") for n in names))
    assert set(before.index) == set(after.index[~marked])
    assert entrapment.left_out == {"LVNELTEFAK", "LVNEITEFAK"}
    assert (entrapment.design, entrapment.target_of) == ("foreign", {})
    assert entrapment.r == pytest.approx(len(set(after.index[marked]) - entrapment.left_out) / len(before))
    assert "foreign species" in capsys.readouterr().out


def _twice(path):
    path.write_text(FASTA + ">sp|P02769|ALBU_BOVIN again\nPEPTIDEK\n")


def _empty(path):
    path.write_text("")


def _marked(path):
    path.write_text(FASTA.replace("P02769", "ENTRAPMENT_P02769"))


def _no_sequence(path):
    path.write_text(">sp|P1|A x\n>sp|P2|B x\nPEPTIDEK\n")


BAD = [
    ("an accession twice", _twice, [], "twice"),
    ("an empty file", _empty, [], "no protein"),
    ("entrapment already", _marked, [], "begin with"),
    ("a protein without sequence", _no_sequence, [], "no sequence"),
    ("no file", lambda path: path.unlink(), [], "cannot be read"),
    ("an unknown enzyme", lambda path: None, ["--enzyme", "tripsin"], "Unknown enzyme"),
    ("a non-specific enzyme", lambda path: None, ["--enzyme", "non-specific", "--missed-cleavages", "34"], "--foreign"),
    ("a non-specific enzyme of few missed cleavages", lambda path: None, ["--enzyme", "non-specific"], "34, and"),
    ("an unusable prefix", lambda path: None, ["--prefix", "a|b"], "prefix"),
    ("k with foreign proteins", lambda path: None, ["--foreign", "x.fasta", "--k", "2"], "--k and --seed"),
]


@pytest.mark.parametrize(("spoil", "given", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_unusable_input_is_one_clear_line_and_no_file(fasta, tmp_path, capsys, spoil, given, message):
    spoil(fasta)
    out = tmp_path / "out.fasta"
    assert cli.main(["entrapment", "-f", str(fasta), "-o", str(out), *given]) == 1
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_proteins_of_several_files_are_searched_together(fasta, tmp_path):
    more, foreign, out = tmp_path / "more.fasta", tmp_path / "foreign.fasta", tmp_path / "out.fasta"
    more.write_text(">sp|C1|CONTA x\nMGSWYFLTANDEKPLVIQSGHTER\n" + FASTA.split(">", 2)[1].join([">", ""]))
    foreign.write_text(FOREIGN)
    accessions = ["P02769", "Q00001-2", "plain_header", "C1"]
    for given, made in (([], accessions), (["--foreign", foreign, "--foreign", foreign], ["P99999"])):
        assert cli.main(["entrapment", *map(str, ["-f", fasta, "--fasta", more, "-o", out, *given])]) == 0
        assert list(read_proteins([out])) == [*accessions, *(f"ENTRAPMENT_{name}" for name in made)]
    assert yaml.safe_load((tmp_path / "out.entrapment.yaml").read_text())["fasta"] == [str(fasta), str(more)]


def test_two_entrapment_proteins_of_one_name_are_refused(fasta, tmp_path, capsys):
    """alphaDIA would search the last of them only."""
    fasta.write_text(">P1\nMAEDLVNQSGKTYWFPLAEHNR\n>P1_2\nVVDSTALGEMQKLLDFNWTEVSGQR\n")
    assert cli.main(["entrapment", "-f", str(fasta), "-o", str(tmp_path / "out.fasta"), "--k", "2"]) == 1
    assert "Two proteins would be 'ENTRAPMENT_P1_2'" in capsys.readouterr().err
    assert not (tmp_path / "out.fasta").exists()


def test_the_input_is_never_overwritten(fasta, capsys):
    assert cli.main(["entrapment", "-f", str(fasta), "-o", str(fasta)]) == 1
    assert fasta.read_text() == FASTA
    assert "overwrite" in capsys.readouterr().err


def test_accessions_of_two_parts_stay_apart_and_pair(tmp_path):
    """alphabase takes such a header's first word whole: >lcl|NP_1."""
    path, out = tmp_path / "ncbi.fasta", tmp_path / "out.fasta"
    path.write_text(">lcl|NP_1 a protein\nMPEPTIDEKAAAGGGWWWR\n>lcl|NP_2 another\nMCDEFGHLNPRSAMPLEPEPTIDEK\n")
    cli.main(["entrapment", "-f", str(path), "-o", str(out)])
    library = SpecLibFasta()
    library.get_peptides_from_fasta_list([str(out)])
    names = ["lcl|NP_1", "lcl|NP_2"]
    assert library.protein_df["protein_id"].tolist() == [*names, *(f"ENTRAPMENT_{n}" for n in names)]
    assert library.protein_df["gene_org"].str.startswith("ENTRAPMENT_").tolist() == [False, False, True, True]
