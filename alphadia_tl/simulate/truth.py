"""Scores a search of a simulated run against what was in the sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.entrapment.searches import classes, searched_in_first
from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.host.search_output import first_pass_folders, read_tables, run_tables
from alphadia_tl.simulate.sample import ABSENT_PREFIX

_COLUMNS = {f"precursor.{c}": c for c in [*PRECURSOR, "qval", "rt.observed"]} | {"pg.proteins": "proteins"}
_RUN_COLUMNS = {c: f"precursor.{c}" for c in [*PRECURSOR, "qval"]}
_RUN_COLUMNS |= {"rt_observed": "precursor.rt.observed", "proteins": "pg.proteins"}


@dataclass(frozen=True)
class Score:
    """Outcome of a search, counted against the truth.

    Of the reported precursors at the q-value limit, in all runs together, `true` ones are in the sample and near their
    true apex. The others are `unrelated` (the sample has no such peptide), `relative` (another peptidoform or charge
    state of a peptide of the sample, at the time of one that is in it) or `misplaced` (a peptide of the sample, found
    elsewhere in the run). `entrapment` are those from absent proteins only, `fdp` is the true false discovery
    proportion. Protein groups are true with one protein of the sample.
    """

    reported: int
    true: int
    unrelated: int
    relative: int
    misplaced: int
    entrapment: int
    fdp: float
    proteins: int
    true_proteins: int


def score_precursors(
    found_df: pd.DataFrame, truth_df: pd.DataFrame, *, tolerance_seconds: float = 6.0, max_q_value: float = 0.01
) -> Score:
    """Compare reported precursors with the truth.

    ``found_df`` is alphaDIA's precursors table. ``truth_df`` has sequence, mods, mod_sites, charge, rt_seconds (true
    apex), one row per precursor in the sample. Precursors with a greater q-value are not counted, and a true one may be
    so far from the true apex.
    """
    missing = [c for c in _COLUMNS if c not in found_df.columns]
    if missing:
        raise DataError(f"The precursors table lacks the column '{missing[0]}'.", "Is it from alphaDIA 2.3?")
    if truth_df.duplicated(PRECURSOR).any():
        raise DataError("The truth holds a precursor twice.", "Give one row per precursor.")
    found = found_df[list(_COLUMNS)].rename(columns=_COLUMNS)
    found = found[found["qval"] <= max_q_value].astype({"charge": np.int64})
    found[["mods", "mod_sites"]] = found[["mods", "mod_sites"]].fillna("")
    truth = truth_df[[*PRECURSOR, "rt_seconds"]].astype({"charge": np.int64})
    kinds = error_classes(found, truth, tolerance_seconds)
    groups = pd.Series(found["proteins"].unique(), dtype=object)
    counts = {name: int((kinds == name).sum()) for name in ("true", "unrelated", "relative", "misplaced")}
    reported = len(found)
    return Score(
        reported=reported,
        **counts,
        entrapment=int((~_has_present(found["proteins"])).sum()),
        fdp=float(1.0 - counts["true"] / reported) if reported else 0.0,
        proteins=len(groups),
        true_proteins=int(_has_present(groups).sum()),
    )


def error_classes(found: pd.DataFrame, truth: pd.DataFrame, tolerance_seconds: float) -> NDArray[Any]:
    """Return for each precursor "true" or what is wrong with it, as in `Score`."""

    def near(columns: list[str]) -> NDArray[Any]:
        both = found[[*columns, "rt.observed"]].assign(row=np.arange(len(found))).merge(truth, on=columns)
        hit = (both["rt.observed"] - both["rt_seconds"]).abs() <= tolerance_seconds
        return np.isin(np.arange(len(found)), both.loc[hit, "row"])

    in_sample = found[PRECURSOR].merge(truth, on=PRECURSOR, how="left")["rt_seconds"].notna().to_numpy()
    known = found["sequence"].isin(truth["sequence"]).to_numpy()
    choices = [near(PRECURSOR), near(["sequence"]) & ~in_sample, known]
    return np.asarray(np.select(choices, ["true", "relative", "misplaced"], "unrelated"), dtype=object)


def _has_present(proteins: pd.Series) -> NDArray[Any]:
    return np.array([any(not p.startswith(ABSENT_PREFIX) for p in str(g).split(";")) for g in proteins], dtype=bool)


def score_search(output: Path, truth_df: pd.DataFrame) -> Score:
    """Score the ``precursors.parquet`` of an alphaDIA output folder; see :func:`score_precursors`."""
    path = output / "precursors.parquet"
    if not path.is_file():
        raise DataError(f"No precursors table at '{path}'.", "Did the search end without an error?")
    return score_precursors(pd.read_parquet(path), truth_df)


def score_runs(output: Path, truth_df: pd.DataFrame, run: str | None = None) -> Score:
    """Score the precursors of an output folder, or of one run, before the protein FDR; see :func:`score_precursors`.

    With some sixty proteins one decoy protein decides whether a dozen proteins and their precursors are reported.
    """
    return score_precursors(_precursors_of_runs(output, run).rename(columns=_RUN_COLUMNS), truth_df)


def score_classes(first: Path, second: Path, truth_df: pd.DataFrame) -> dict[str, Score]:
    """Score what a second search kept, gained and lost of a first one, run by run, before the protein FDR.

    Where the first searched a part of the library, that is of its precursors.
    """
    before = pd.concat([_precursors_of_runs(folder) for folder in first_pass_folders(first)], ignore_index=True)
    found = classes(before, searched_in_first(first, _precursors_of_runs(second)))
    return {name: score_precursors(rows.rename(columns=_RUN_COLUMNS), truth_df) for name, rows in found.items()}


def _precursors_of_runs(output: Path, run: str | None = None) -> pd.DataFrame:
    tables = {name: path for name, path in run_tables(output).items() if run in (None, name)}
    if not tables:
        raise DataError(f"No tables of runs in '{output / 'quant'}'.", "Did the search end without an error?")
    found = read_tables(tables, [*_RUN_COLUMNS, "decoy"])
    found[["mods", "mod_sites"]] = found[["mods", "mod_sites"]].fillna("")
    return found[found["decoy"] == 0]
