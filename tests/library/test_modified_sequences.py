import pandas as pd
import pytest

from alphadia_tl.library.modified_sequences import assigned_mods, insert_mods, read_charges, read_peptidoforms
from alphadia_tl.library.selection import impossible_peptidoforms

ACETYL, CAM, OX = "Acetyl@Protein_N-term", "Carbamidomethyl@C", "Oxidation@M"
FORMS = {
    "PEPTIDE": ("PEPTIDE", "", ""),
    "(UniMod:1)ADC(UniMod:4)K": ("ADCK", f"{ACETYL};{CAM}", "0;3"),
    ".(UniMod:1)ADC(UniMod:4)K": ("ADCK", f"{ACETYL};{CAM}", "0;3"),
    "_[Acetyl (Protein N-term)]AC[Carbamidomethyl (C)]K_.2": ("ACK", f"{ACETYL};{CAM}", "0;2"),
    "_(Acetyl (Protein N-term))AM(Oxidation (M))K_": ("AMK", f"{ACETYL};{OX}", "0;2"),
    "_(ac)AM(ox)S(ph)K_": ("AMSK", f"{ACETYL};{OX};Phospho@S", "0;2;3"),
    "[Acetyl]-PM[Oxidation]K/2": ("PMK", f"{ACETYL};{OX}", "0;2"),
    "[UNIMOD:1]-PM[U:Oxidation]K": ("PMK", f"{ACETYL};{OX}", "0;2"),
    "n[42.0106]PM[15.9949]K": ("PMK", f"{ACETYL};{OX}", "0;2"),
    "S[+42.0106]PK": ("SPK", ACETYL, "0"),
    "K[+42.0106]PK": ("KPK", "Acetyl@K", "1"),
    "[+42.0106]-K[+42.0106]PK": ("KPK", f"{ACETYL};Acetyl@K", "0;1"),
    "C[+57.0]PM[+16]S[+80.0]K": ("CPMSK", f"{CAM};{OX};Phospho@S", "1;3;4"),
    "Q[-17.026549]PK": ("QPK", "Gln->pyro-Glu@Q^Any_N-term", "0"),
    "E(UniMod:27)PK": ("EPK", "Glu->pyro-Glu@E^Any_N-term", "0"),
    "K[GlyGly (K)]PN[Deamidation (NQ)]E": ("KPNE", "GG@K;Deamidated@N", "1;3"),
    "[TMT6plex]-AK[+229.162932]": ("AK", "TMT6plex@Any_N-term;TMT6plex@K", "0;2"),
    "PEK-[Amidated]": ("PEK", "Amidated@Any_C-term", "-1"),
    "AK(UniMod:259)": ("AK", "Label:13C(6)15N(2)@K", "2"),
    "D[Cation:Fe[III] (DE)]A": ("DA", "Cation:Fe[III]@D", "1"),
}


@pytest.mark.parametrize("text", FORMS)
def test_peptidoforms_are_read_as_programs_write_them(text):
    made = read_peptidoforms(pd.Series([text], index=[7]))
    assert tuple(made.loc[7]) == FORMS[text]
    assert impossible_peptidoforms(made).tolist() == [""]


@pytest.mark.parametrize(
    ("text", "fault"),
    {
        "AS(Foo)K": "unknown modification Foo@S",
        "AS[+1.23]K": "unknown modification +1.23@S",
        "AV(UniMod:4)": "unknown modification UniMod:4@V",
        "(UniMod:35)AK": "unknown modification UniMod:35@Any_N-term",
        "pep": "no sequence of 2 to 198 residues A to Z but B, X, Z",
        "A*K": "no sequence of 2 to 198 residues A to Z but B, X, Z",
        "AC(unclosed": "no sequence of 2 to 198 residues A to Z but B, X, Z",
    }.items(),
)
def test_what_nobody_knows_keeps_its_text_and_is_no_peptidoform(text, fault):
    assert impossible_peptidoforms(read_peptidoforms(pd.Series([text]))).tolist() == [fault]


def test_missing_sequences_and_modifications_that_are_not_written():
    made = read_peptidoforms(pd.Series([None, "_ACM(ox)_", "_C(Carbamidomethyl (C))C_"]), {"C": "Carbamidomethyl"})
    assert made["sequence"].tolist() == ["", "ACM", "CC"]
    assert made["mods"].tolist() == ["", f"{CAM};{OX}", f"{CAM};{CAM}"]
    assert made["mod_sites"].tolist() == ["", "2;3", "1;2"]


def test_modifications_beside_a_sequence_are_put_into_it():
    mods = assigned_mods("N-term(42.0106), 3C(57.0215),5M(15.9949), C-term(-0.9840)")
    assert insert_mods("ABCDM", mods) == "[42.0106]ABC[57.0215]DM[15.9949]-[-0.9840]"
    assert insert_mods("AB", assigned_mods("")) == "AB"


def test_charges_behind_sequences():
    assert read_charges(pd.Series(["_AK_.2", "AK/3", "AK"])).tolist()[:2] == [2, 3]
