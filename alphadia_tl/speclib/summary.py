"""What a regeneration did, for the log, the report and the provenance file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class RegenerationSummary:
    """What the regeneration did.

    Attributes
    ----------
    library_path, output_path : str
        File read and file written.
    accepted : tuple of str
        Models whose predictions were put in.
    precursors_before, precursors_after : int
        Rows of ``precursor_df``, decoys included.
    fragments_before, fragments_after : int
        Fragments with an intensity above zero.
    charge_cutoff : float or None
        Probability below which charge states were dropped.
    dropped_charge_states : dict of int to int
        Number of precursors dropped per charge.
    correlation : dict of str to float
        Correlation with the values replaced: Spearman's for ``rt`` and ``ccs``, the median over precursors of
        Pearson's for ``ms2``; NaN where the old values say nothing.
    precursors_without_fragments : int
        Precursors for which the MS2 model predicted nothing.
    seconds : dict of str to float
        Wall time per stage.
    rates : dict of str to float
        Library precursors per second of prediction, per model.
    """

    library_path: str
    output_path: str
    accepted: tuple[str, ...]
    precursors_before: int
    precursors_after: int
    fragments_before: int
    fragments_after: int
    charge_cutoff: float | None
    dropped_charge_states: dict[int, int] = field(default_factory=dict)
    correlation: dict[str, float] = field(default_factory=dict)
    precursors_without_fragments: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values that YAML can hold."""
        return {**asdict(self), "accepted": list(self.accepted)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> RegenerationSummary:
        """Return the summary that `to_mapping` described."""
        return cls(**{**values, "accepted": tuple(values["accepted"])})
