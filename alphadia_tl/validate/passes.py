"""The error estimate that stands beside the number of identifications of a pass."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from alphadia_tl.settings import EntrapmentSettings
from alphadia_tl.validate.estimators import estimate_fdp, verdict
from alphadia_tl.validate.levels import Entrapment
from alphadia_tl.validate.marked import LEVELS, discoveries, read_left_out, read_twins
from alphadia_tl.validate.run_tables import read_run_rows, targets_at
from alphadia_tl.validate.search_files import CONFIG_FILE, read_mapping
from alphadia_tl.validate.tables import read_rows

logger = logging.getLogger(__name__)


PRECURSOR = ["sequence", "mods", "mod_sites", "charge"]


def count_before_protein_fdr(folder: Path, *, claimed_fdr: float) -> int | None:
    """Count the precursors that a pass finds at the precursor FDR, in any run; None where it has no tables of runs.

    With few proteins one decoy decides at the protein FDR about several of them: the number that is left says less of
    a library than this one.

    Raises
    ------
    QuantificationError
        If a table cannot be read.
    """
    rows = read_run_rows(folder)
    return None if rows is None else len(targets_at(rows, claimed_fdr).drop_duplicates(PRECURSOR))


def estimate_pass(folder: Path, settings: EntrapmentSettings, *, claimed_fdr: float) -> dict[str, Any]:
    """Estimate the false discovery proportion of the precursors that a pass finds at the precursor FDR.

    The precursors are those before the protein FDR. That takes away entrapment proteins, which have no true precursor
    to hold them, and leaves wrong precursors of true proteins: what is left has fewer entrapments than its error.

    Parameters
    ----------
    folder : Path
        Output folder of the pass.
    settings : EntrapmentSettings
        How entrapment is marked; without a prefix nothing is estimated.
    claimed_fdr : float
        ``fdr.fdr`` of the search.

    Returns
    -------
    dict
        ``fdp`` (paired estimate with twins, else the combined one), ``fdp_lower``, ``fdp_interval``, ``entrapment``
        (entrapment precursors), ``verdict`` and ``design``; empty without a prefix.

    Raises
    ------
    QuantificationError, DataError
        If the table of precursors or of twins cannot be read.
    """
    if settings.prefix is None:
        return {}
    twins = Path(settings.twins) if settings.twins else None
    target_of, k = read_twins(twins) if twins else ({}, 1)
    fastas = map(Path, read_mapping(folder / CONFIG_FILE).get("fasta_paths") or ())
    entrapment = Entrapment(
        settings.prefix,
        target_of,
        left_out=read_left_out(twins, fastas),
        design="shuffled" if target_of else "foreign",
        k=k,
        r=settings.ratio,
    )
    rows = read_run_rows(folder)
    if rows is None:
        rows = read_rows(folder)
        logger.info(f"Entrapment is counted after the protein FDR, and low for that: {folder} has no tables of runs.")
    found = discoveries(targets_at(rows, claimed_fdr), LEVELS[0], entrapment)
    estimate = estimate_fdp(found, r=entrapment.r, design=entrapment.design, k=k, generator=np.random.default_rng(0))
    said = verdict(estimate, claimed_fdr)
    logger.info(
        f"Entrapment ({settings.design}): {estimate.n_entrapment:,} of {estimate.n_entrapment + estimate.n_target:,} "
        f"precursors before the protein FDR; estimated FDP {estimate.upper:.2%} ({estimate.interval_low:.2%} to "
        f"{estimate.interval_high:.2%}), claimed {claimed_fdr:.2%}: {said}"
    )
    return {
        "fdp": estimate.upper,
        "fdp_lower": estimate.lower,
        "fdp_interval": [estimate.interval_low, estimate.interval_high],
        "entrapment": estimate.n_entrapment,
        "verdict": said,
        "design": settings.design,
    }
