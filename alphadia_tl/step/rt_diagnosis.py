"""The RT model along the gradient, and how far from its predictions the final pass looks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import poisson

from alphadia_tl.tasks.held_out import TuneResult

logger = logging.getLogger(__name__)

N_BINS = 10
MIN_HELD_OUT = 10
"""Held-out peptides that a bin needs before its error is judged: the median of fewer is a matter of single peptides."""
ERROR_RATIO = 2.0
CONFIDENCE = 0.95
N_BOOTSTRAP = 1000

FloatArray = NDArray[np.float64]


def by_retention_time(
    result: TuneResult, *, accepted: bool, fdr: float, generator: np.random.Generator
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Look at the RT model bin by bin: ten equal bins of ``rt_norm`` from 0 to 1.

    A bin is "not learnt" with no more training peptides than wrong identifications alone would put there: they fall
    anywhere, also where the first pass found nothing (95 % point of the Poisson distribution of their number). A bin is
    "inaccurate" where the lower bootstrap bound (95 %) of its held-out peptides' median error is above twice the median
    error of all: chance alone does not make ten peptides look like that. Rows of a peptide count as one, with their
    mean retention time and error. Errors are judged of the model in use: the tuned one if it is ``accepted``. ``fdr``
    is the highest q-value of the identifications.
    Returns one row per bin, errors after calibration (NaN without a held-out peptide), and a sentence per kind of note.
    """
    training = result.measured["train"].groupby(level=0).mean().to_numpy(dtype=float)
    test = result.measured["test"]
    held_out = pd.DataFrame(
        {"rt": test.to_numpy(dtype=float), "before": result.scores_before, "after": result.scores_after}
    )
    held_out = held_out.groupby(test.index.to_numpy()).mean()
    learnt = np.bincount(_bin(training), minlength=N_BINS)
    bins = _bin(held_out["rt"].to_numpy(dtype=float))
    errors = held_out[["before", "after"]].groupby(bins).median().reindex(range(N_BINS))
    edges = np.linspace(0, 1, N_BINS + 1)
    table = pd.DataFrame(
        {
            "rt_from": edges[:-1].round(6),
            "rt_to": edges[1:].round(6),
            "training_peptides": learnt,
            "held_out_peptides": np.bincount(bins, minlength=N_BINS),
            "median_abs_error_before": errors["before"].to_numpy(),
            "median_abs_error_after": errors["after"].to_numpy(),
            "note": "",
        }
    )
    by_chance = poisson.ppf(CONFIDENCE, fdr * training.size / N_BINS)
    in_use = held_out["after" if accepted else "before"].to_numpy(dtype=float)
    table.loc[_inaccurate(in_use, bins, generator), "note"] = "inaccurate"
    table.loc[learnt <= by_chance, "note"] = "not learnt"
    return table, _warnings(table, "tuned" if accepted else "pretrained", in_use)


def _bin(rt_norm: FloatArray) -> NDArray[np.int64]:
    return np.clip((rt_norm * N_BINS).astype(np.int64), 0, N_BINS - 1)


def _inaccurate(errors: FloatArray, bins: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.bool_]:
    found = np.zeros(N_BINS, dtype=bool)
    for number in range(N_BINS):
        own = errors[bins == number]
        if own.size >= MIN_HELD_OUT:
            drawn = own[generator.integers(0, own.size, (N_BOOTSTRAP, own.size))]
            low = np.quantile(np.median(drawn, axis=1), 1 - CONFIDENCE)
            found[number] = low > ERROR_RATIO * np.median(errors)
    return found


def _warnings(table: pd.DataFrame, model: str, errors: FloatArray) -> tuple[str, ...]:
    lines = []
    if (missing := _names(table, "not learnt")) != "":
        lines.append(
            f"RT: the first pass found no more training peptides than chance at normalised retention time {missing}: "
            f"peptides that elute there are predicted by a model that saw none of them, and stay hard to find."
        )
    if (bad := _names(table, "inaccurate")) != "":
        lines.append(
            f"RT: the {model} model's error of held-out peptides at normalised retention time {bad} is more than "
            f"{ERROR_RATIO:g} times the median of all ({np.median(errors):.4f})."
        )
    return tuple(lines)


def _names(table: pd.DataFrame, note: str) -> str:
    rows = table[table["note"] == note]
    return ", ".join(f"{a:.1f}-{b:.1f}" for a, b in zip(rows["rt_from"], rows["rt_to"], strict=True))


TIMES_THE_MEDIAN = 10.0
"""Errors of retention time fall off exponentially (95 % of held-out ones are within 3.6 to 4.9 times the median, on
four measured and five simulated data sets): ten times the median leaves one right precursor in a thousand outside."""
MIN_HELD_OUT_FOR_WINDOW = 30  # the median of fewer peptides is uncertain by more than a quarter
WIDEST = 0.25  # of the gradient; a window of half of it excludes so little that alphaDIA had better find its own


def choose_rt_tolerance(
    wanted: str | float | None, result: TuneResult | None, *, accepted: bool, predicted: bool = True
) -> float | None:
    """Return the RT tolerance of the final pass, as in ``search.target_rt_tolerance``.

    Up to 1 it is a share of the gradient on either side, above that seconds; with None alphaDIA optimises it. Wrong
    identifications shift a quantile in the tail, where they all are, but hardly the median. ``wanted`` is
    ``alphadia_tl.rt_tolerance``. ``result`` is that of the RT model, None where it was not tuned; without ``accepted``
    the pretrained model predicts the library. ``predicted`` is False where retention times that are not predicted again
    are a given library's own: nobody knows their errors.
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
    if errors.size < MIN_HELD_OUT_FOR_WINDOW or not 0 < tolerance <= WIDEST:
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

    A ``search.target_rt_tolerance`` above 0 that the user wrote is not touched. For the tolerance see
    `choose_rt_tolerance`.
    """
    written = [(c.get("search") or {}).get("target_rt_tolerance") or 0 for c in user_configs]
    own = max(written, default=0)
    if own > 0:
        logger.info(f"RT tolerance of the final pass: {own:g}, from search.target_rt_tolerance")
    return {} if tolerance is None or own > 0 else {"search": {"target_rt_tolerance": tolerance}}
