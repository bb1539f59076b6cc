from itertools import pairwise

import pytest
from alphabase.protein.fasta import Digest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphadia_tl.entrapment.digest import DigestSettings
from alphadia_tl.entrapment.twins import MAX_SHARED_LADDER, shared_ladder, shuffle_piece
from alphadia_tl.errors import SettingsError

PEPTIDES = st.text("ACDEFGHIKLMNPQRSTVWY", min_size=2, max_size=30)
LADDERS = [
    ("equal", "PEPTIDEK", "PEPTIDEK", 1),
    ("isoleucine for leucine", "PEPTIDEK", "PEPTLDEK", 1),
    ("two neighbours changed", "PEPTIDEK", "PEPTDIEK", 6 / 7),
    ("first and last changed", "AGGGGGV", "VGGGGGA", 0),
    ("only the last in place", "AEVSGK", "SGAEVK", 1 / 5),
    ("other residues", "AAAAK", "GGGGK", 0),
    ("other length", "AAAAK", "AAAK", 0),
]


@pytest.mark.parametrize(("a", "b", "shared"), [x[1:] for x in LADDERS], ids=[x[0] for x in LADDERS])
def test_share_of_equal_fragments(a, b, shared):
    assert shared_ladder(a, b) == pytest.approx(shared)
    assert shared_ladder(b, a) == pytest.approx(shared)


@given(PEPTIDES, st.randoms(use_true_random=False))
def test_shared_ladder_counts_equal_prefix_compositions(peptide, random):
    other = "".join(random.sample(peptide, len(peptide)))
    a, b = peptide.replace("I", "L"), other.replace("I", "L")
    same = sum(sorted(a[:i]) == sorted(b[:i]) for i in range(1, len(a)))
    assert shared_ladder(peptide, other) == pytest.approx(same / (len(a) - 1))


ENZYMES = [
    "trypsin",
    "trypsin_not_p",
    "lys-c",
    "lys-n",
    "glu-c",
    "arg-c",
    "chymotrypsin",
    "pepsin ph1.3",
    "thermolysin",
]
ENZYMES += ["trypsin_full", "caspase 3", "thrombin", "no-cleave", "[KR](?=[^P])", "[DE]"]


@pytest.mark.parametrize("enzyme", ENZYMES)
@settings(max_examples=25, deadline=None)
@given(protein=st.text("ACDEFGHIKLMNPQRSTVWYX", min_size=1, max_size=80), seed=st.integers(0, 99))
def test_shuffled_pieces_are_cut_where_the_protein_is(enzyme, protein, seed):
    digest = DigestSettings(enzyme=enzyme)
    cuts = digest.cuts(protein)
    pieces = [protein[a:b] for a, b in pairwise(cuts)]
    twins = [shuffle_piece(piece, digest.classes, key=(seed,)) for piece in pieces]
    assert digest.cuts("".join(twins)) == cuts
    assert [sorted(t) for t in twins] == [sorted(p) for p in pieces]


def test_a_twin_depends_on_its_key_and_piece_alone():
    classes = DigestSettings().classes
    assert shuffle_piece("PEPTIDESEQENCEK", classes, key=(1,)) == shuffle_piece("PEPTIDESEQENCEK", classes, key=(1,))
    assert shuffle_piece("PEPTIDESEQENCEK", classes, key=(1,)) != shuffle_piece("PEPTIDESEQENCEK", classes, key=(2,))


@pytest.mark.parametrize("piece", ["PEPTIDEK", "AAAAAAGK", "GGGGGSR", "ACDEFGHK"])
def test_a_twin_is_unlike_its_target_where_that_can_be_had(piece):
    assert shared_ladder(piece, shuffle_piece(piece, DigestSettings().classes, key=(1,))) <= MAX_SHARED_LADDER


@pytest.mark.parametrize("piece", ["AAAAAAAK", "K", "AK", ""])
def test_what_cannot_be_shuffled_stays(piece):
    assert shuffle_piece(piece, DigestSettings().classes, key=(1,)) == piece


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
