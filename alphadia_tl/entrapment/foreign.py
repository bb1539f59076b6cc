"""Entrapment by proteins of a species that is not in the sample."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from alphadia_tl.entrapment.digest import DigestSettings, i_as_l, is_searched
from alphadia_tl.entrapment.twins import LEFT_OUT_COLUMNS
from alphadia_tl.errors import DataError

SHARED = "shared with the targets"


@dataclass(frozen=True)
class ForeignPeptides:
    """What of a foreign digest can count as entrapment.

    Attributes
    ----------
    n_target_peptides, n_entrapment_peptides : int
        Distinct peptides; those shared with the targets (I = L) are targets.
    shared : pandas.DataFrame
        Foreign peptides that must not be counted, and the foreign proteins that they are in: the columns of
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
    """Compare the digests of targets and foreign proteins.

    Parameters
    ----------
    targets, foreign : mapping of str to str
        Protein sequences by name.
    settings : DigestSettings
        The digest of the search.

    Raises
    ------
    DataError
        If either digest has no peptide of its own.
    """
    own = _peptides(targets, settings)
    target_of = {i_as_l(peptide): peptide for peptide in own}
    places = _peptides(foreign, settings)
    rows = [
        (target_of[i_as_l(peptide)], peptide, ";".join(names), 1, SHARED)
        for peptide, names in places.items()
        if i_as_l(peptide) in target_of
    ]
    n_entrapment = len(places) - len(rows)
    n_target = len(own)
    if not n_target or not n_entrapment:
        raise DataError(
            f"The digests have {n_target} target peptides and {n_entrapment} foreign ones that are not targets.",
            "Check both FASTA files, enzyme and peptide lengths.",
        )
    return ForeignPeptides(n_target, n_entrapment, pd.DataFrame(rows, columns=LEFT_OUT_COLUMNS))


def _peptides(proteins: Mapping[str, str], settings: DigestSettings) -> dict[str, list[str]]:
    places: dict[str, set[str]] = defaultdict(set)
    for name, sequence in proteins.items():
        for peptide in settings.peptides(sequence):
            if is_searched(peptide):
                places[peptide].add(name)
    return {peptide: sorted(names) for peptide, names in places.items()}
