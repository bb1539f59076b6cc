from itertools import pairwise

import numpy as np
import pytest
from alphabase.protein.fasta import Digest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphadia_tl.entrapment import twins as twins_module
from alphadia_tl.entrapment.twins import MAX_SHARED_LADDER, foreign_peptides, make_twins, shared_ladder, shuffle_piece
from alphadia_tl.errors import DataError, SettingsError
from alphadia_tl.host.fasta import DigestSettings, i_as_l
from alphadia_tl.simulate.sample import random_proteome

PROTEOME = random_proteome(40, np.random.default_rng(3))
PROTEINS = dict(zip(PROTEOME.accessions, PROTEOME.sequences, strict=True))
DIGEST = DigestSettings()


def _peptides(proteins, digest=DIGEST):
    """Digest as alphabase does."""
    cut = Digest(digest.pattern, digest.missed_cleavages, digest.min_length, digest.max_length)
    return {peptide for sequence in proteins for peptide in cut.cleave_sequence(sequence)[0]}


@pytest.mark.parametrize(("k", "most_without"), [(1, 0.03), (3, 0.12)])
def test_every_peptide_has_k_twins_or_is_named_as_left_out(k, most_without):
    """Short peptides have no four orders that are unlike each other."""
    twins = make_twins(PROTEINS, DIGEST, k=k)
    targets = _peptides(PROTEINS.values())
    assert twins.n_target_peptides == len(targets)
    with_twin = twins.table.groupby("target_peptide")["copy"].nunique()
    without = twins.left_out.groupby("target_peptide")["copy"].nunique()
    assert (with_twin.add(without, fill_value=0) == k).all()
    assert set(with_twin.index) | set(without.index) == targets
    assert len(without) < most_without * len(targets)
    assert twins.r == pytest.approx(len(twins.table) / len(targets))
    found = _peptides(twins.sequences.values())
    assert found == set(twins.table["twin_peptide"]) | set(twins.left_out["entrapment_peptide"])


def test_no_twin_is_like_a_target_or_another_twin():
    twins = make_twins(PROTEINS, DIGEST, k=2).table
    same = [i_as_l(t) for t in twins["twin_peptide"]]
    targets = {i_as_l(p) for p in _peptides(PROTEINS.values())}
    assert len(set(same)) == len(same)
    assert not set(same) & targets
    for target, twin in zip(twins["target_peptide"], twins["twin_peptide"], strict=True):
        assert sorted(target) == sorted(twin)
        assert target[-1] == twin[-1] or target[-1] not in "KR"
        assert shared_ladder(target, twin) <= MAX_SHARED_LADDER


def test_the_copies_twins_of_a_target_are_not_alike():
    """One wrong spectrum would find two twins of one target at once."""
    twins = make_twins(PROTEINS, DIGEST, k=4).table
    for _, found in twins.groupby("target_peptide")["twin_peptide"]:
        for i, one in enumerate(found):
            assert all(shared_ladder(one, other) <= MAX_SHARED_LADDER for other in found[:i])


def test_peptides_without_a_methionine_that_only_the_twin_begins_with_are_left_out():
    """alphabase digests every protein that begins with M without it as well."""
    proteins = {"P": "AMMMMMMMMMGGGGGEKSAMPLEPEPTIDER"}
    twins = next(t for t in (make_twins(proteins, DIGEST, seed=s) for s in range(50)) if t.sequences["P", 1][0] == "M")
    listed = set(twins.table["twin_peptide"]) | set(twins.left_out["entrapment_peptide"])
    assert _peptides(twins.sequences.values()) == listed


def test_a_twin_that_hits_another_target_is_drawn_again(monkeypatch):
    """Without the rounds of drawing again, a proteome made of permutations of one peptide has collisions."""
    proteins = {f"P{i}": "".join(np.random.default_rng(i).permutation(list("AAAGGGSS"))) + "K" for i in range(20)}
    digest = DigestSettings(missed_cleavages=0)
    repaired = make_twins(proteins, digest)
    monkeypatch.setattr(twins_module, "N_ROUNDS", 0)
    assert len(make_twins(proteins, digest).table) < len(repaired.table)
    assert not {i_as_l(t) for t in repaired.table["twin_peptide"]} & set(proteins.values())


HOPELESS = [
    ("all residues equal", {"P1": "AAAAAAAAK", "P2": "PEPTIDESEQK"}, "AAAAAAAAK", "the target peptide itself"),
    ("only isoleucine and leucine", {"P1": "ILILILILK", "P2": "PEPTIDESEQK"}, "ILILILILK", None),
]


@pytest.mark.parametrize(("proteins", "peptide", "reason"), [h[1:] for h in HOPELESS], ids=[h[0] for h in HOPELESS])
def test_peptides_without_a_possible_twin_are_reported(proteins, peptide, reason):
    twins = make_twins(proteins, DIGEST)
    assert twins.table["target_peptide"].tolist() == ["PEPTIDESEQK"]
    left_out = twins.left_out.set_index("target_peptide")
    assert left_out.loc[peptide, "protein"] == "P1"
    assert reason is None or left_out.loc[peptide, "reason"] == reason
    assert ("P1", 1) not in twins.sequences


def test_equal_peptides_have_equal_twins_in_all_proteins():
    shared = "SHAREDPEPTIDEK"
    twins = make_twins({"P1": shared + "AAAGGGWWWR", "P2": "MCDEFGHLNPR" + shared, "P3": "M" + shared}, DIGEST)
    row = twins.table.set_index("target_peptide").loc[shared]
    assert row["protein"] == "P1;P2;P3"
    assert all(row["twin_peptide"] in twins.sequences[name, 1] for name in ("P1", "P2", "P3"))


def test_a_first_methionine_stays_first_so_that_it_can_be_lost():
    twins = make_twins({"P1": "MASDFGHLKCCDDEEFFR", "P2": "WWWWDDRMASDFGHLK"}, DIGEST)
    assert twins.sequences["P1", 1].startswith("M")
    table = twins.table.set_index("target_peptide")["twin_peptide"]
    assert table["MASDFGHLK"] == "M" + table["ASDFGHLK"]


def test_seeds_repeat_and_differ():
    first, again, other = (make_twins(PROTEINS, DIGEST, seed=seed).sequences for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("digest", "given"),
    [
        (DigestSettings("non-specific", 34), {}),
        (DIGEST, {"k": 0}),
        (DIGEST, {"seed": -1}),
        (DigestSettings(r"(\w)\1"), {}),
    ],
    ids=["non-specific enzyme", "no twins", "negative seed", "pattern with memory"],
)
def test_impossible_entrapment_is_refused(digest, given):
    with pytest.raises(SettingsError):
        make_twins(PROTEINS, digest, **given)


def test_a_digest_without_peptides_is_refused():
    with pytest.raises(DataError):
        make_twins({"P1": "AAK"}, DIGEST)


def test_peptides_that_alphadia_drops_do_not_count():
    assert make_twins({"P1": "PEPTIDESEQKPEPXIDESEQK"}, DigestSettings(missed_cleavages=0)).n_target_peptides == 1


def test_foreign_peptides_shared_with_targets_are_not_counted():
    targets = {"P1": "PEPTIDESEQKAAASDFGK"}
    foreign = {"F1": "PEPTLDESEQKCCCSDFGKWWWSDFGK", "F2": "AAASDFGK"}
    found = foreign_peptides(targets, foreign, DigestSettings(missed_cleavages=0))
    assert (found.n_target_peptides, found.n_entrapment_peptides, found.r) == (2, 2, 1.0)
    shared = found.shared.set_index("entrapment_peptide")
    assert shared["target_peptide"].to_dict() == {"PEPTLDESEQK": "PEPTIDESEQK", "AAASDFGK": "AAASDFGK"}
    assert shared["protein"].to_dict() == {"PEPTLDESEQK": "F1", "AAASDFGK": "F2"}
    with pytest.raises(DataError):
        foreign_peptides(targets, targets, DIGEST)


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
