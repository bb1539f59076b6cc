"""Entrapment: sequences that cannot be in the sample, and what finding them says about the false discoveries."""

from alphadia_tl.validate.discoveries import Discoveries
from alphadia_tl.validate.estimators import FdpEstimate, combined, estimate_fdp, k_matched, lower_bound, paired, verdict
from alphadia_tl.validate.levels import Entrapment, discoveries_at

__all__ = [
    "Discoveries",
    "Entrapment",
    "FdpEstimate",
    "combined",
    "discoveries_at",
    "estimate_fdp",
    "k_matched",
    "lower_bound",
    "paired",
    "verdict",
]
