"""Estimates over a range of q values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from alphadia_tl.validate.discoveries import Discoveries
from alphadia_tl.validate.estimators import Design, estimate_fdp, verdict

#: q values of a curve, from a tenth of the usual threshold to ten times it.
THRESHOLDS = tuple(np.geomspace(0.001, 0.1, 21).round(6))


def fdp_curve(
    discoveries: Discoveries,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    r: float,
    design: Design,
    k: int = 1,
    confidence: float = 0.95,
    generator: np.random.Generator | None = None,
) -> pd.DataFrame:
    """Estimate the false discovery proportion at each q value threshold.

    Parameters
    ----------
    discoveries : Discoveries
        With all q values up to the largest threshold.
    thresholds : sequence of float
        Claimed FDRs.
    r, design, k, confidence, generator
        See :func:`alphadia_tl.validate.estimators.estimate_fdp`.

    Returns
    -------
    pandas.DataFrame
        One row per threshold: ``q``, the fields of :class:`FdpEstimate` (``paired`` is NaN without twins) and
        ``verdict``.
    """
    generator = np.random.default_rng(0) if generator is None else generator
    rows = []
    for threshold in thresholds:
        estimate = estimate_fdp(
            discoveries.at(threshold), r=r, design=design, k=k, confidence=confidence, generator=generator
        )
        rows.append({"q": float(threshold)} | asdict(estimate) | {"verdict": verdict(estimate, threshold)})
    return pd.DataFrame(rows).astype({"paired": float}) if rows else pd.DataFrame(columns=["q"])
