import pytest
from alphabase.protein.fasta import Digest

from alphadia_tl.entrapment.digest import DigestSettings
from alphadia_tl.errors import SettingsError


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
