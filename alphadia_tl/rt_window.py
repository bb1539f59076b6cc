"""How far from the predicted retention time the final pass looks for a precursor."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from alphadia_tl.tasks import TuneResult

__all__ = ["choose_rt_tolerance", "window_config"]

logger = logging.getLogger(__name__)

TIMES_THE_MEDIAN = 10.0
"""Errors of retention time fall off exponentially (95 % of held-out ones are within 3.6 to 4.9 times the median, on
four measured and five simulated data sets): ten times the median leaves one right precursor in a thousand outside."""
MIN_HELD_OUT = 30
"""The median of fewer peptides is uncertain by more than a quarter."""
WIDEST = 0.25
"""Of the gradient; a window of half of it excludes so little that alphaDIA had better find its own."""


def choose_rt_tolerance(
    wanted: str | float | None, result: TuneResult | None, *, accepted: bool, predicted: bool = True
) -> float | None:
    """Return the RT tolerance of the final pass, as in ``search.target_rt_tolerance``.

    Wrong identifications shift a quantile in the tail, where they all are, but hardly the median.

    Parameters
    ----------
    wanted : str, float or None
        ``alphadia_tl.rt_tolerance``.
    result : TuneResult or None
        Of the RT model; None where it was not tuned.
    accepted : bool
        Whether the tuned model predicts the library; else the pretrained one does.
    predicted : bool, default True
        False where retention times that are not predicted again are a given library's own: nobody knows their errors.

    Returns
    -------
    float or None
        Up to 1: a share of the gradient on either side; above: seconds. None: alphaDIA optimises the tolerance.
    """
    if wanted != "auto":
        return None if wanted is None else float(wanted)
    if result is None:
        logger.info("RT tolerance of the final pass: alphaDIA's own optimisation, as the RT model was not tuned")
        return None
    if not (accepted or predicted):
        logger.info("RT tolerance of the final pass: alphaDIA's own optimisation, as the library's own times are kept")
        return None
    errors = result.scores_after if accepted else result.scores_before
    errors = errors[np.isfinite(errors)]
    median = float(np.median(errors)) if errors.size else np.nan
    tolerance = TIMES_THE_MEDIAN * median
    if errors.size < MIN_HELD_OUT or not 0 < tolerance <= WIDEST:
        logger.info(
            f"RT tolerance of the final pass: alphaDIA's own optimisation; the median error of {errors.size} held-out "
            f"precursors is {median:.4f} of the gradient"
        )
        return None
    logger.info(
        f"RT tolerance of the final pass: {tolerance:.4f} of the gradient on either side, {TIMES_THE_MEDIAN:g} times "
        f"the median error of {errors.size} held-out precursors (alphadia_tl.rt_tolerance)"
    )
    return tolerance


def window_config(tolerance: float | None, *user_configs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a pass that looks for precursors near their predicted retention time.

    Parameters
    ----------
    tolerance : float or None
        See `choose_rt_tolerance`.
    *user_configs : mapping
        What the user wrote: a ``search.target_rt_tolerance`` above 0 is not touched.
    """
    written = [(c.get("search") or {}).get("target_rt_tolerance") or 0 for c in user_configs]
    own = max(written, default=0)
    if own > 0:
        logger.info(f"RT tolerance of the final pass: {own:g}, from search.target_rt_tolerance")
    return {} if tolerance is None or own > 0 else {"search": {"target_rt_tolerance": tolerance}}
