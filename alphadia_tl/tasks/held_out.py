"""Held-out rows with what was predicted for them before and after tuning, and a few spectra to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from numpy.typing import NDArray

from alphadia_tl.tasks.base import Evaluation, Task
from alphadia_tl.tasks.ms2 import Ms2Task
from alphadia_tl.tasks.scalar import as_numpy
from alphadia_tl.training import Examples

__all__ = ["KINDS", "ROW_COLUMNS", "SPECTRUM_COLUMNS", "HeldOut", "choose_spectra", "held_out_rows"]

FloatArray = NDArray[np.floating[Any]]
KINDS = ("typical", "best gained", "worst")
SPECTRA_PER_KIND = 2
PEPTIDE_COLUMNS = ("sequence", "mods", "charge")
SCORE_COLUMNS = ("score_before", "score_after")
ROW_COLUMNS = ("model", *PEPTIDE_COLUMNS, "observed", "before", "after", *SCORE_COLUMNS)
SPECTRUM_COLUMNS = (
    "kind", "spectrum", *PEPTIDE_COLUMNS, *SCORE_COLUMNS, "ion", "mz", "observed", "before", "after",
)  # fmt: skip


@dataclass(frozen=True)
class HeldOut:
    """What became of the held-out rows of one model.

    Parameters
    ----------
    rows : pd.DataFrame
        One row per held-out row, in the order of the scores; for the charge model one per peptidoform and charge
        state that could have been observed. Columns: model, sequence, mods, charge (missing where the model knows
        none), observed, before, after (RT: ``rt_norm``, predictions after the calibration that the headline uses;
        CCS: Å²; charge: 1 or 0, and its probability; MS2: missing), score_before, score_after (contribution to the
        headline; missing for the charge model, whose scores are not those of single states).
    spectra : pd.DataFrame
        MS2 only: trusted fragments of a few spectra. Columns: kind, spectrum (number within the kind), sequence,
        mods, charge, score_before, score_after (spectral angle), ion, mz, observed, before, after (relative to the
        highest trusted fragment).
    """

    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(ROW_COLUMNS)))
    spectra: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SPECTRUM_COLUMNS)))

    @classmethod
    def pooled(cls, parts: Sequence[HeldOut]) -> HeldOut:
        """Join the rows of several turns, and choose again among their spectra."""
        rows = pd.concat([p.rows for p in parts], ignore_index=True)
        candidates = [p.spectra.assign(turn=turn) for turn, p in enumerate(parts) if len(p.spectra)]
        if not candidates:
            return cls(rows)
        fragments = pd.concat(candidates, ignore_index=True)
        heads = fragments.drop_duplicates(["turn", "kind", "spectrum"]).reset_index(drop=True)
        chosen = choose_spectra(heads, float(rows["score_after"].median()))
        spectra = [
            fragments.merge(heads.loc[[index], ["turn", "kind", "spectrum"]]).assign(kind=kind, spectrum=number)
            for kind, number, index in chosen
        ]
        return cls(rows, pd.concat(spectra, ignore_index=True)[list(SPECTRUM_COLUMNS)])


def held_out_rows(
    task: Task, examples: Examples, precursors: pd.DataFrame, before: Evaluation, after: Evaluation
) -> HeldOut:
    """Put predictions and measurements of the same rows side by side.

    Parameters
    ----------
    task : Task
        Which model it is.
    examples : Examples
        The held-out rows, n of them, with their targets.
    precursors : pd.DataFrame
        n rows with sequence, mods, mod_sites, charge.
    before, after : Evaluation
        Of the pretrained and the tuned model on these rows.
    """
    rows = precursors.reset_index(drop=True)
    if isinstance(task, Ms2Task):
        table = rows.assign(score_before=before.scores, score_after=after.scores)
        return HeldOut(_table(task, table), _spectra(task, examples, table, before, after))
    target = as_numpy(examples.per_row["target"])
    if target.ndim == 1:
        scores = {"score_before": before.scores, "score_after": after.scores}
        table = rows.assign(observed=target, before=before.predictions, after=after.predictions, **scores)
        return HeldOut(_table(task, table))
    row, state = np.nonzero(as_numpy(examples.per_row["observable"]))
    values = {"observed": target, "before": before.predictions, "after": after.predictions}
    states = rows.iloc[row].assign(charge=state + 1, **{k: v[row, state] for k, v in values.items()})
    return HeldOut(_table(task, states))


def _table(task: Task, table: pd.DataFrame) -> pd.DataFrame:
    result = table.assign(model=task.name).reindex(columns=list(ROW_COLUMNS)).reset_index(drop=True)
    numbers = dict.fromkeys(("observed", "before", "after", *SCORE_COLUMNS), "float32")
    return result.astype(numbers | {"charge": "float32"})


def choose_spectra(scores: pd.DataFrame, median: float) -> list[tuple[str, int, int]]:
    """Choose spectra to look at, two of each kind, of different peptides.

    Parameters
    ----------
    scores : pd.DataFrame
        sequence, score_before, score_after; index 0, 1, ….
    median : float
        Score after tuning that is typical.

    Returns
    -------
    list of (kind, number within the kind, row)
        Typical: closest to the median; best gained: highest gain; worst: lowest score after tuning.
    """
    after = scores["score_after"]
    orders = {
        "typical": (after - median).abs(),
        "best gained": scores["score_before"] - after,
        "worst": after,
    }
    chosen: list[tuple[str, int, int]] = []
    used: set[str] = set()
    for kind in KINDS:
        number = 0
        for row in np.argsort(orders[kind].to_numpy(), kind="stable"):
            sequence = str(scores["sequence"].iloc[row])
            if number < SPECTRA_PER_KIND and sequence not in used:
                chosen.append((kind, number, int(row)))
                used.add(sequence)
                number += 1
    return chosen


def _spectra(
    task: Ms2Task, examples: Examples, table: pd.DataFrame, before: Evaluation, after: Evaluation
) -> pd.DataFrame:
    chosen = choose_spectra(table, float(table["score_after"].median()))
    start = as_numpy(examples.fragment_start())
    mask, target = (as_numpy(examples.per_fragment[k]) for k in ("mask", "target"))
    parts = []
    for kind, number, row in chosen:
        peptide = table.iloc[[row]]
        length = len(str(peptide["sequence"].iloc[0]))
        span = slice(int(start[row]), int(start[row]) + length - 1)
        position, column = np.nonzero(mask[span])
        values = {"observed": target, "before": before.predictions, "after": after.predictions}
        fragments = pd.DataFrame({k: v[span][position, column] for k, v in values.items()})
        fragments["mz"] = _fragment_mz(task, peptide)[position, column]
        fragments["ion"] = [_ion(task.charged_frag_types[c], p, length) for p, c in zip(position, column, strict=True)]
        head = {name: peptide[name].iloc[0] for name in (*PEPTIDE_COLUMNS, *SCORE_COLUMNS)}
        parts.append(fragments.assign(kind=kind, spectrum=number, **head))
    return pd.concat(parts, ignore_index=True).reindex(columns=list(SPECTRUM_COLUMNS))


def _fragment_mz(task: Ms2Task, peptide: pd.DataFrame) -> FloatArray:
    precursor = peptide.fillna({"mods": "", "mod_sites": ""}).assign(nAA=peptide["sequence"].str.len())
    table = create_fragment_mz_dataframe(precursor.reset_index(drop=True), task.charged_frag_types)
    return np.asarray(table[task.charged_frag_types].to_numpy())


def _ion(charged_type: str, position: int, length: int) -> str:
    """Name a fragment: "y_z2" at the first of seven bonds is "y7++"."""
    kind, _, charge = charged_type.rpartition("_z")
    series, _, loss = kind.partition("_")
    number = position + 1 if series in "abc" else length - 1 - position
    return f"{series}{number}{'+' * int(charge)}{f' ({loss})' if loss else ''}"
