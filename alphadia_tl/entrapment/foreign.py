"""Entrapment by proteins of a species that is not in the sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from alphadia_tl.entrapment.digest import DigestSettings, i_as_l, searched_peptides
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
    """Compare the digests of targets and foreign proteins, whose sequences are given by name.

    Raises
    ------
    DataError
        If either digest has no peptide of its own.
    """
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
