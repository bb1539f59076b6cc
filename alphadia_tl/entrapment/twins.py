"""Entrapment proteins: a shuffled twin for each peptide of a target protein, or proteins of another species."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from alphadia_tl.errors import DataError, SettingsError
from alphadia_tl.host.fasta import NON_SPECIFIC, DigestSettings, i_as_l, searched_peptides

#: A twin that shares more of its backbone cleavages with a target has nearly the target's spectrum.
MAX_SHARED_LADDER = 0.5
N_DRAWS = 20


def shared_ladder(first: str, second: str) -> float:
    """Return the share of backbone cleavages at which two permutations of one peptide give the same b and y ions.

    1 for equal sequences (I = L), ``(n - 2) / (n - 1)`` where two neighbours have changed places, 0 for sequences of
    another composition.
    """
    first, second = i_as_l(first), i_as_l(second)
    if len(first) < 2 or sorted(first) != sorted(second):
        return float(first == second)
    different: dict[str, int] = {}
    n_unequal = shared = 0
    for a, b in zip(first[:-1], second[:-1], strict=True):
        for aa, step in ((a, 1), (b, -1)):
            before = different.get(aa, 0)
            different[aa] = before + step
            n_unequal += (different[aa] != 0) - (before != 0)
        shared += n_unequal == 0
    return shared / (len(first) - 1)


def shuffle_piece(piece: str, classes: Mapping[str, int], *, key: tuple[int, ...]) -> str:
    """Shuffle the sequence between two neighbouring cleavage sites so that the enzyme does not notice.

    Of 20 random orders the first that shares at most half of its ladder with the piece, or the least alike. Residues
    change places within their class only (:attr:`DigestSettings.classes`); the first and the last residue stay where
    the enzyme knows them. The same key, a seed, and piece give the same twin, whatever else there is.
    """
    places = _places(piece, classes)
    if not any(len({piece[i] for i in group}) > 1 for group in places):
        return piece
    generator = np.random.default_rng([*key, *piece.encode()])
    best, least = piece, 2.0
    for _ in range(N_DRAWS):
        drawn = list(piece)
        for group in places:
            for place, source in zip(group, generator.permutation(group), strict=True):
                drawn[place] = piece[source]
        twin = "".join(drawn)
        alike = shared_ladder(piece, twin)
        if alike < least:
            best, least = twin, alike
        if alike <= MAX_SHARED_LADDER:
            break
    return best


def _places(piece: str, classes: Mapping[str, int]) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    last = len(piece) - 1
    for i, aa in enumerate(piece):
        group = classes.get(aa, -1)
        if group == 0 or (group > 0 and 0 < i < last):
            groups.setdefault(group, []).append(i)
    return list(groups.values())


def composition(peptide: str) -> str:
    """Return the residues in alphabetical order, I as L."""
    return "".join(sorted(i_as_l(peptide)))


N_ROUNDS = 5
TWIN_COLUMNS = ["target_peptide", "twin_peptide", "protein", "copy"]
LEFT_OUT_COLUMNS = ["target_peptide", "entrapment_peptide", "protein", "copy", "reason"]
#: Why a peptide has no twin that counts.
UNCHANGED = "the target peptide itself"
IS_TARGET = "equal to another target peptide"
NEAR = "nearly the spectrum of a target peptide or of another copy's twin"
REPEATED = "twin of two target peptides"
AMBIGUOUS = "target peptide with different twins in different proteins"
LOST_METHIONINE = "made by losing a first methionine that the target protein does not begin with"


@dataclass(frozen=True)
class Twins:
    """Entrapment proteins and how their peptides belong to the targets'.

    ``sequences`` has the entrapment protein of each target protein and copy (1 .. k); none where nothing could be
    shuffled. ``table`` has the `TWIN_COLUMNS`, a row per twin, target proteins joined by ";"; ``left_out`` the
    `LEFT_OUT_COLUMNS`: peptides of entrapment proteins that are no twins and must not be counted.
    """

    sequences: dict[tuple[str, int], str]
    table: pd.DataFrame
    left_out: pd.DataFrame
    n_target_peptides: int

    @property
    def r(self) -> float:
        """Twins per target peptide of the digest."""
        return len(self.table) / self.n_target_peptides


@dataclass(frozen=True)
class _Protein:
    sequence: str
    pieces: tuple[str, ...]

    def twin(self, twin_of: Mapping[str, str]) -> str:
        return "".join(twin_of[piece] for piece in self.pieces)

    def pieces_of(self, start: int, stop: int) -> list[str]:
        """Return the pieces between two positions that are cleavage sites."""
        found, position = [], 0
        for piece in self.pieces:
            if start <= position < stop:
                found.append(piece)
            position += len(piece)
        return found


def make_twins(proteins: Mapping[str, str], settings: DigestSettings, *, k: int = 1, seed: int = 1) -> Twins:
    """Shuffle a proteome, sequences by name, piece by piece: each residue stays between its two cleavage sites.

    Equal pieces get equal twins in all proteins, so a peptide has one twin per copy wherever it occurs, and a peptide
    with missed cleavages has the joined twins of its pieces. Pieces of twins that are equal or nearly equal (I = L) to
    any target peptide or another twin are drawn again, several times; else the same seed gives the same twin. Raises
    SettingsError if the enzyme is non-specific, cuts depend on more than residue sets, or ``k`` or ``seed`` is
    impossible; DataError if the digest has no peptide.
    """
    if settings.pattern in NON_SPECIFIC:
        raise SettingsError("Shuffled twins need an enzyme with cleavage sites.", "Use a foreign FASTA (--foreign).")
    if k < 1 or seed < 0:
        raise SettingsError(f"Entrapment with k {k} and seed {seed} is not possible.", "Use k >= 1 and seed >= 0.")
    split = _split(proteins, settings)
    targets = _Targets(split, settings)
    if not targets.places:
        raise DataError("The digest of the FASTA has no peptide.", "Check enzyme and peptide lengths.")
    sequences: dict[tuple[str, int], str] = {}
    good: list[tuple[str, str, str, int]] = []
    bad: list[tuple[str, str, str, int, str]] = []
    taken: set[str] = set()
    for copy in range(1, k + 1):
        twin_of = targets.draw((seed, copy), settings.classes, taken)
        sequences |= {(name, copy): twin for name, twin in _twin_proteins(split, twin_of, settings)}
        pairs = targets.pairs(twin_of)
        problems = targets.problems(pairs, taken)
        for peptide, found in pairs.items():
            names = ";".join(targets.names[peptide])
            rows = [(peptide, twin, names, copy) for twin in found]
            if peptide in problems:
                bad += [(*row, problems[peptide]) for row in rows]
            else:
                good += rows
            taken |= {i_as_l(twin) for twin in found}
        targets.remember(row[1] for row in good if row[3] == copy)
    known = {twin for _, twin, _, _ in good} | {row[1] for row in bad} | set(targets.places)
    bad += [row for row in _lost_methionines(split, sequences, settings) if row[1] not in known]
    return Twins(
        sequences=sequences,
        table=pd.DataFrame(good, columns=TWIN_COLUMNS),
        left_out=pd.DataFrame(bad, columns=LEFT_OUT_COLUMNS),
        n_target_peptides=len(targets.places),
    )


def _twin_proteins(
    split: Mapping[str, _Protein], twin_of: Mapping[str, str], settings: DigestSettings
) -> Iterator[tuple[str, str]]:
    """Yield name and sequence of each entrapment protein that differs from its target."""
    for name, protein in split.items():
        twin = protein.twin(twin_of)
        if settings.cuts(twin) != settings.cuts(protein.sequence):
            raise SettingsError(
                f"Shuffling changes where {settings.enzyme!r} cuts protein {name}.",
                "The pattern may use sets of residues and look-around only.",
            )
        if twin != protein.sequence:
            yield name, twin


def _lost_methionines(
    split: Mapping[str, _Protein], sequences: Mapping[tuple[str, int], str], settings: DigestSettings
) -> Iterator[tuple[str, str, str, int, str]]:
    """Yield peptides of twins that begin with M where their targets do not: alphabase digests them without M, too."""
    for (name, copy), twin in sequences.items():
        if twin.startswith("M") and not split[name].sequence.startswith("M"):
            for start, stop in settings.spans(twin):
                if start == 1:
                    yield ("", twin[start:stop], name, copy, LOST_METHIONINE)


def _split(proteins: Mapping[str, str], settings: DigestSettings) -> dict[str, _Protein]:
    """Cut proteins into pieces.

    A first methionine, which alphabase also digests as lost, is a piece of its own, wherever that piece occurs.
    """
    raw = {}
    for name, sequence in proteins.items():
        cuts = settings.cuts(sequence)
        raw[name] = [sequence[a:b] for a, b in pairwise(cuts) if b > a]
    heads = {pieces[0] for pieces in raw.values() if pieces and pieces[0].startswith("M")} - {"M"}
    return {name: _Protein(proteins[name], tuple(_without_heads(pieces, heads))) for name, pieces in raw.items()}


def _without_heads(pieces: list[str], heads: set[str]) -> Iterator[str]:
    for piece in pieces:
        rest = piece
        while rest in heads:
            yield "M"
            rest = rest[1:]
        yield rest


class _Targets:
    """The target peptides, where they are, and what is too much like them."""

    def __init__(self, split: dict[str, _Protein], settings: DigestSettings) -> None:
        self.split = split
        self.settings = settings
        self.places = searched_peptides({name: protein.sequence for name, protein in split.items()}, settings)
        self.names = {peptide: sorted({p[0] for p in places}) for peptide, places in self.places.items()}
        self.sequences = {i_as_l(peptide) for peptide in self.places}
        self.alike: dict[str, list[str]] = defaultdict(list)
        for sequence in sorted(self.sequences):
            self.alike[composition(sequence)].append(sequence)
        self.unlike: set[str] = set()

    def draw(self, key: tuple[int, ...], classes: Mapping[str, int], taken: set[str]) -> dict[str, str]:
        """Draw a twin of each piece, again where the peptides made of them have problems."""
        pieces = {piece for protein in self.split.values() for piece in protein.pieces}
        twin_of = {piece: shuffle_piece(piece, classes, key=(*key, 0)) for piece in pieces}
        draws: Counter[str] = Counter()
        for _ in range(N_ROUNDS):
            problems = self.problems(self.pairs(twin_of), taken)
            again = {max(self._pieces(peptide), key=len) for peptide in problems}
            if not again:
                return twin_of
            draws.update(again)
            twin_of |= {piece: shuffle_piece(piece, classes, key=(*key, draws[piece])) for piece in again}
        # Where a single piece has no good twin it stays as it is: a peptide of targets is no entrapment.
        hopeless = {p for p in self.problems(self.pairs(twin_of), taken) if self._pieces(p) == [p]}
        return twin_of | {piece: piece for piece in hopeless}

    def remember(self, twins: Iterable[str]) -> None:
        """Keep the next copies' twins away from these: one wrong spectrum must not find two twins of one target."""
        for twin in map(i_as_l, twins):
            self.alike[composition(twin)].append(twin)
        self.unlike.clear()

    def pairs(self, twin_of: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        """Return the twins of each target peptide."""
        twins = {name: protein.twin(twin_of) for name, protein in self.split.items()}
        return {
            peptide: tuple(sorted({twins[name][start:stop] for name, start, stop in places}))
            for peptide, places in self.places.items()
        }

    def problems(self, pairs: Mapping[str, tuple[str, ...]], taken: set[str]) -> dict[str, str]:
        """Return the target peptides whose twins do not count, with the reason."""
        uses = Counter(i_as_l(twin) for twins in pairs.values() for twin in twins)
        found = {}
        for peptide, twins in pairs.items():
            for twin in twins:
                reason = AMBIGUOUS if len(twins) > 1 else self._problem(peptide, twin, uses, taken)
                if reason:
                    found[peptide] = reason
        return found

    def _problem(self, peptide: str, twin: str, uses: Counter[str], taken: set[str]) -> str:
        same = i_as_l(twin)
        if twin == peptide:
            return UNCHANGED
        if same in self.sequences:
            return IS_TARGET
        if uses[same] > 1 or same in taken:
            return REPEATED
        return NEAR if self._is_near(same) else ""

    def _is_near(self, twin: str) -> bool:
        if twin in self.unlike:
            return False
        near = any(shared_ladder(twin, target) > MAX_SHARED_LADDER for target in self.alike[composition(twin)])
        if not near:
            self.unlike.add(twin)
        return near

    def _pieces(self, peptide: str) -> list[str]:
        name, start, stop = self.places[peptide][0]
        return self.split[name].pieces_of(start, stop)


SHARED = "shared with the targets"


@dataclass(frozen=True)
class ForeignPeptides:
    """What of a foreign digest can count as entrapment; peptides shared with the targets (I = L) are targets.

    ``shared`` has the foreign peptides that must not be counted, and their foreign proteins: the columns of
    :attr:`Twins.left_out`.
    """

    n_target_peptides: int
    n_entrapment_peptides: int
    shared: pd.DataFrame

    @property
    def r(self) -> float:
        """Entrapment peptides per target peptide of the digest."""
        return self.n_entrapment_peptides / self.n_target_peptides


def foreign_peptides(
    targets: Mapping[str, str], foreign: Mapping[str, str], settings: DigestSettings
) -> ForeignPeptides:
    """Compare the digests of targets and foreign proteins, whose sequences are given by name."""
    n_target = len(own := searched_peptides(targets, settings))
    target_of = {i_as_l(peptide): peptide for peptide in own}
    places = searched_peptides(foreign, settings)
    rows = [
        (target_of[i_as_l(peptide)], peptide, ";".join(sorted({name for name, _, _ in found})), 1, SHARED)
        for peptide, found in places.items()
        if i_as_l(peptide) in target_of
    ]
    n_entrapment = len(places) - len(rows)
    if not n_target or not n_entrapment:
        raise DataError(
            f"The digests have {n_target} target peptides and {n_entrapment} foreign ones that are not targets.",
            "Check both FASTA files, enzyme and peptide lengths.",
        )
    return ForeignPeptides(n_target, n_entrapment, pd.DataFrame(rows, columns=LEFT_OUT_COLUMNS))
