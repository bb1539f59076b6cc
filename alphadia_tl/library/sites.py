"""Says of which identified precursors another positional isomer explains the same peak about as well.

Isomers are peptidoforms of one sequence and charge with the same modifications at other sites. Neither decoys nor
entrapment see that one is reported where another is in the sample.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from alphadia_tl.files import write_stats
from alphadia_tl.host.contract import ISOMERS_FILE, PRECURSOR
from alphadia_tl.host.search_output import COLUMNS, read_tables, run_tables, targets_at
from alphadia_tl.host.search_tables import peptidoform
from alphadia_tl.library.runs import batches, open_table

logger = logging.getLogger(__name__)

LEAST_MARGIN = 1.0
"""Margin below which sites are ambiguous: a difference of log odds, measured with simulated phosphopeptides."""
PEAK_WIDTHS = 1.0  # how many widths at half height apart two candidates are of one peak
CANDIDATE_COLUMNS = (*PRECURSOR, "group", "rt_observed", "fwhm_rt", "proba")
_SMALLEST = 1e-30


def judge_sites(found_df: pd.DataFrame, candidates_df: pd.DataFrame) -> pd.DataFrame:
    """Return what speaks against the sites of precursors that were found in one run.

    Parameters
    ----------
    found_df : pd.DataFrame
        sequence, mods, mod_sites, charge, rt_observed (s) and proba (low is good) of a run's precursors.
    candidates_df : pd.DataFrame
        The columns `CANDIDATE_COLUMNS` of all candidates of those that have isomers in the library, and of the isomers;
        ``group`` is one number for all isomers.

    Returns
    -------
    pd.DataFrame
        The rows that have isomers in the library, with their index: ``site_isomer``, the sites of the one that explains
        the same peak best, ``site_margin``, by how much its log odds are worse (NaN where no isomer was seen there),
        and ``site_ambiguous``, whether that is too little. Without a probability of its own, a precursor beside an
        isomer is ambiguous.
    """
    candidates = candidates_df.assign(form=_forms(candidates_df))
    groups = candidates[["form", "charge", "group"]].drop_duplicates(["form", "charge"])
    found = found_df[["charge", "rt_observed", "proba"]].assign(form=_forms(found_df), row=found_df.index)
    found = found.merge(groups, on=["form", "charge"])
    width = candidates.groupby(["form", "group"])["fwhm_rt"].median().rename("width")
    found = found.merge(width, left_on=["form", "group"], right_index=True)
    pairs = found.merge(candidates, on="group", suffixes=("", "_isomer"))
    apart = (pairs["rt_observed"] - pairs["rt_observed_isomer"]).abs()
    reach = PEAK_WIDTHS * pairs[["width", "fwhm_rt"]].max(axis=1)
    rivals = pairs[(pairs["form"] != pairs["form_isomer"]) & (apart <= reach)].dropna(subset=["proba_isomer"])
    best = rivals.sort_values(["proba_isomer", "form_isomer"]).drop_duplicates("row").set_index("row")
    margin = _log_odds(best["proba"]) - _log_odds(best["proba_isomer"])
    judged = pd.DataFrame(index=pd.Index(found["row"], name=found_df.index.name))
    judged["site_isomer"] = best["mod_sites"].reindex(judged.index).fillna("")
    judged["site_margin"] = margin.reindex(judged.index)
    judged["site_ambiguous"] = judged.index.isin(best.index[~(margin >= LEAST_MARGIN)])
    return judged.sort_index()


def _forms(precursor_df: pd.DataFrame) -> list[str]:
    columns = (precursor_df[c] for c in PRECURSOR[:3])
    return [peptidoform(*form) for form in zip(*columns, strict=True)]


def _log_odds(proba: pd.Series) -> pd.Series:
    values = proba.clip(_SMALLEST, 1 - 1e-7)
    return cast(pd.Series, -np.log(values / (1 - values)))


def read_candidates(folder: Path) -> pd.DataFrame | None:
    """Return what a run's search noted of isomers; None where the library has none, or nothing was noted.

    Raises QuantificationError if the table cannot be read.
    """
    path = folder / ISOMERS_FILE
    if not path.is_file():
        return None
    file = open_table(path, folder.name, CANDIDATE_COLUMNS, "Search this run again.")
    noted = [*batches(file, CANDIDATE_COLUMNS, path, folder.name)]  # none of a table without rows
    return pd.concat(noted, ignore_index=True) if noted else None


def without_ambiguous(found_df: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Leave out the precursors of a run whose sites are ambiguous; the log tells how many."""
    candidates = read_candidates(folder)
    if candidates is None:
        return found_df
    judged = judge_sites(found_df, candidates)
    ambiguous = judged.index[judged["site_ambiguous"]]
    logger.info(
        f"Run '{folder.name}': {len(ambiguous):,} of {len(judged):,} precursors with positional isomers in the library "
        "have ambiguous sites and are not learnt from."
    )
    return found_df.drop(index=ambiguous).reset_index(drop=True)


def read_sites(folder: Path, fdr: float) -> pd.DataFrame | None:
    """Return the target precursors of a search's runs that have isomers, with the columns of `judge_sites`.

    None where no run has noted any. Raises QuantificationError if a table cannot be read.
    """
    tables = run_tables(folder)
    noted = {run: known for run, path in tables.items() if (known := read_candidates(path.parent)) is not None}
    parts = []
    for run, candidates in noted.items():
        rows = read_tables({run: tables[run]}, [*COLUMNS, "rt_observed"]).rename(columns={"qval": "q"})
        rows = targets_at(rows.fillna({"mods": "", "mod_sites": ""}), fdr)
        columns = ["run", *PRECURSOR, "rt_observed", "proba", "q"]
        parts.append(rows[columns].join(judge_sites(rows, candidates), how="inner"))
    return pd.concat(parts, ignore_index=True) if parts else None


def write_sites(path: Path, sites_df: pd.DataFrame | None) -> None:
    """Write what `read_sites` returned as tab-separated text; without any, a table of an earlier call is removed."""
    if sites_df is None:
        path.unlink(missing_ok=True)
    else:
        write_stats(path, sites_df)
