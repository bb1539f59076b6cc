"""What was learnt about each modification: training peptides, and held-out peptides before and after tuning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.tasks.held_out import TuneResult

MIN_PEPTIDES = 50
"""A modification with fewer distinct training peptides counts as not learnt."""
COLUMNS = ("modification", "model", "training_peptides", "learnt", "test_peptides", "metric", "before", "after")
Texts = NDArray[np.object_]


def split_names(joined: str) -> list[str]:
    """Split names joined by semicolons, as in the column ``mods`` and in alphaDIA's config."""
    return [name.strip() for name in joined.split(";") if name.strip()]


def count_peptides(sequences: Texts, mods: Texts) -> dict[str, int]:
    """Count the distinct stripped sequences that carry each modification, in alphabetical order.

    Each of the n rows has its modifications joined by semicolons.
    """
    table = pd.DataFrame({"sequence": sequences, "mods": mods}).drop_duplicates()
    table = table[table["mods"] != ""]
    single = table.assign(mods=table["mods"].str.split(";")).explode("mods")
    counts = single.groupby("mods")["sequence"].nunique()
    return {str(name): int(n) for name, n in counts.sort_index().items()}


def modification_table(results: Mapping[str, TuneResult], searched: Iterable[str] = ()) -> pd.DataFrame:
    """Tell for each modification and tuned model what it could learn, and how well it predicts held-out peptides.

    ``searched`` are the library's modifications, also those that no training peptide carries. ``before`` and ``after``
    are the model's deciding metric over the test rows that carry the modification, NaN where there are none.
    """
    names = set(searched).union(*(r.training_mods for r in results.values()))
    rows = [_row(name, model, result) for name in sorted(names) for model, result in results.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(name: str, model: str, result: TuneResult) -> tuple[Any, ...]:
    carries = {mods: name in mods.split(";") for mods in set(result.test_mods)}
    rows = np.array([carries[mods] for mods in result.test_mods], dtype=bool)
    training = result.training_mods.get(name, 0)
    peptides = len(set(result.test_groups[rows]))
    statistic = np.median if result.headline.use_median else np.mean
    before, after = (
        float(statistic(np.asarray(scores)[rows])) if rows.any() else float("nan")
        for scores in (result.scores_before, result.scores_after)
    )
    return name, model, training, training >= MIN_PEPTIDES, peptides, result.headline.name, before, after


def not_learnt(table: pd.DataFrame) -> list[str]:
    """Name the modifications of :func:`modification_table` with too few training peptides, one line each."""
    lines = []
    for name, rows in table[~table["learnt"].astype(bool)].groupby("modification"):
        low, high = rows["training_peptides"].min(), rows["training_peptides"].max()
        number = f"{low}" if low == high else f"{low} to {high}"
        lines.append(
            f"modification {name}: {number} training peptides, fewer than {MIN_PEPTIDES}: not learnt by "
            f"{', '.join(rows['model'])}; peptides that carry it are predicted from what the models knew before"
        )
    return lines


def training_counts(table: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return the training peptides per modification and model, as plain values."""
    counts: dict[str, dict[str, int]] = {}
    for name, model, number in table[["modification", "model", "training_peptides"]].itertuples(index=False):
        counts.setdefault(str(name), {})[str(model)] = int(number)
    return counts
