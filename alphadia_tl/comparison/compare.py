"""Finished searches beside each other: what each found, how much of it is wrong, where they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from alphadia_tl.comparison.errors import (
    ALL_RUNS,
    Row,
    between_searches,
    class_rows_of,
    count_verdicts,
    entrapments_of,
    error_rows,
    error_verdicts,
    errors_in,
    have_run_in_common,
    judged_rows,
    matched_targets,
    notes_on_errors,
    versus,
)
from alphadia_tl.entrapment.database import UNKNOWN, Entrapment
from alphadia_tl.entrapment.levels import LEVELS, PRECURSORS, Level, entrapment_rows
from alphadia_tl.errors import SettingsError
from alphadia_tl.host.search_tables import SearchOutput

MIN_PAIRS = 3  # fewer give no correlation


def shared_table(first: pd.DataFrame, second: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return what both searches (`SearchOutput.rows`) found in the same run, one row per run and identification.

    The key is the column that tells identifications apart; their quantity is in ``<key>_intensity``. Gives columns
    ``rt_first``, ``rt_second`` (seconds), ``intensity_first``, ``intensity_second``.
    """
    columns = {"rt": "rt", f"{key}_intensity": "intensity"}
    tables = [
        rows.sort_values(["q", "proba"], kind="stable")
        .drop_duplicates(["run", key])[["run", key, *columns]]
        .rename(columns=columns)
        for rows in (first, second)
    ]
    return tables[0].merge(tables[1], on=["run", key], suffixes=("_first", "_second"))


def rt_agreement(shared: pd.DataFrame) -> dict[str, float]:
    """Return the median absolute difference (seconds) and Pearson correlation of retention times."""
    first, second = shared["rt_first"].to_numpy(float), shared["rt_second"].to_numpy(float)
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    return {"rt_median_abs_difference": _median(np.abs(second - first)), "rt_correlation": _correlation(first, second)}


def quantity_agreement(shared: pd.DataFrame) -> dict[str, float]:
    """Compare quantities, on the log2 scale, where both are above zero.

    Gives ``quantity_log2_correlation`` (Pearson), ``quantity_median_ratio`` (second / first), ``quantity_log2_mad``
    (median absolute deviation of the log2 ratio from its median) and ``quantity_pairs``.
    """
    first, second = shared["intensity_first"].to_numpy(float), shared["intensity_second"].to_numpy(float)
    known = np.isfinite(first) & np.isfinite(second) & (first > 0) & (second > 0)
    one, two = np.log2(first[known]), np.log2(second[known])
    ratio = two - one
    middle = _median(ratio)
    return {
        "quantity_log2_correlation": _correlation(one, two),
        "quantity_median_ratio": 2.0**middle,
        "quantity_log2_mad": _median(np.abs(ratio - middle)),
        "quantity_pairs": float(len(ratio)),
    }


def variation(rows: pd.DataFrame, key: str) -> pd.Series[float]:
    """Return the coefficient of variation over runs (replicates) of what has a quantity above zero in every run."""
    quantity = f"{key}_intensity"
    wide = rows[rows[quantity] > 0].pivot_table(index=key, columns="run", values=quantity, aggfunc="max")
    if rows["run"].nunique() < 2 or wide.shape[1] < rows["run"].nunique():
        return pd.Series(dtype=float)
    wide = wide.dropna().astype(float)
    return wide.std(axis=1, ddof=1) / wide.mean(axis=1)


def _median(values: NDArray[Any]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    if len(first) < MIN_PAIRS or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


#: Keys, or sections, that say where results are, how fast they come, or that belong to transfer learning itself:
#: alphaDIA writes the config of the last step, whose library and tolerances come from the step before.
EXPECTED = (
    "output_directory", "raw_paths", "workflow_name", "library_path", "quant_directory",
    "general.transfer_step_enabled", "general.thread_count", "general.log_level", "general.use_gpu",
    "general.save_", "general.reuse_", "library_prediction.enabled", "library_prediction.peptdeep_model_path",
    "library_multiplexing.enabled", "search.target_ms1_tolerance", "search.target_ms2_tolerance",
    "transfer_library", "transfer_learning",
)  # fmt: skip
SHOWN = 10


def _leaves(settings: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{start}{key}.")
        else:
            yield f"{start}{key}", value


def settings_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return the differing settings of two frozen configs in words, at most ten of them."""
    one, two = dict(_leaves(first)), dict(_leaves(second))
    found = [
        f"{key} {one.get(key)!r} / {two.get(key)!r}"
        for key in sorted(one.keys() | two.keys())
        if one.get(key) != two.get(key) and not key.startswith(EXPECTED)
    ]
    more = len(found) - SHOWN
    return found[:SHOWN] + ([f"and {more} more"] if more > 0 else [])


COLUMNS = ("level", "run", "arm", "metric", "value")
SEARCH_LEVEL = "search"


@dataclass(frozen=True)
class Comparison:
    """Searches beside each other: names, of which the others are compared with the first, and their claimed FDRs.

    ``table`` is long: ``level, run, arm, metric, value``, an arm being a search. Run "all" counts each identification
    once. Arm "B vs A" holds what two searches have to do with each other; level "search" holds seconds. ``verdicts``
    say what the figures say, ``notes`` what to know before believing them. ``measured`` tells whether errors were
    estimated with entrapment. ``between`` tells, by arm, what was kept, gained and lost (`compare_found`).
    """

    searches: tuple[str, ...]
    claimed_fdr: tuple[float, ...]
    table: pd.DataFrame
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]
    measured: bool
    between: Mapping[str, Mapping[str, Any]]

    def value(self, level: str, search: str, metric: str, run: str = ALL_RUNS) -> float | None:
        """Return one value, None where it was not measured."""
        t = self.table
        found = t.loc[(t.level == level) & (t.run == run) & (t.arm == search) & (t.metric == metric), "value"]
        return None if found.empty or pd.isna(found.iloc[0]) else float(found.iloc[0])


def compare(
    outputs: Sequence[SearchOutput],
    entrapment: Entrapment | Mapping[str, Entrapment] | None = None,
    *,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compare finished searches with the first of them."""
    names = [o.name for o in outputs]
    if len(names) < 2 or len(set(names)) < len(names):
        raise SettingsError(f"A comparison needs at least two searches of different names, not {names}.")
    marked, unknown = entrapments_of(outputs, entrapment)
    rows: list[Row] = []
    verdicts: list[str] = []
    runs = sorted({run for o in outputs for run in o.runs})
    if ALL_RUNS in runs:
        raise SettingsError(f"A run is named '{ALL_RUNS}', as all runs together are.", "Rename its file, and search.")
    by_run = [_by_run(o.rows) for o in outputs]
    for level in LEVELS:
        judged = [_by_run(part) for part in judged_rows(outputs, level)]
        errors = {run: errors_in(run, judged, level, marked) for run in [ALL_RUNS, *runs]}
        for run, of_run in errors.items():
            numbers = [part[run][level.key].nunique() if run in part else 0 for part in by_run]
            rows += [(level.name, run, n, "identified", float(found)) for n, found in zip(names, numbers, strict=True)]
            matched = matched_targets(of_run)
            rows += error_rows(level, run, names, of_run, matched)
            if run == ALL_RUNS:
                verdicts += error_verdicts(level, outputs, errors)
                verdicts += count_verdicts(level, outputs, numbers, matched)
        rows += _pairs(level, outputs, by_run, marked)
        rows += _variations(level, outputs, marked)
    between = between_searches(outputs, marked)
    rows += [row for arm, told in between.items() for row in class_rows_of(arm, told)]
    why = [
        f"{arm}, errors by decoys: {UNKNOWN}, {told['unknown']['decoys']}."
        for arm, told in between.items()
        if "decoys" in told["unknown"]
    ]
    rows += [(SEARCH_LEVEL, ALL_RUNS, o.name, f"seconds: {k}", float(v)) for o in outputs for k, v in o.seconds.items()]
    return Comparison(
        searches=tuple(names),
        claimed_fdr=tuple(o.claimed_fdr for o in outputs),
        table=pd.DataFrame(rows, columns=list(COLUMNS)),
        verdicts=tuple(verdicts),
        notes=(*notes, *_notes(outputs), *unknown, *notes_on_errors(outputs, marked), *why),
        measured=any(e is not None for e in marked),
        between=between,
    )


def _by_run(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split rows by run, once: a search of many runs has millions."""
    return {ALL_RUNS: rows} | {str(run): part for run, part in rows.groupby("run", sort=True)}


def _targets(rows: pd.DataFrame, level: Level, entrapment: Entrapment | None) -> pd.DataFrame:
    if entrapment is None:
        return rows
    return rows[~entrapment_rows(rows, level, entrapment)]


def _pairs(
    level: Level,
    outputs: Sequence[SearchOutput],
    by_run: Sequence[Mapping[str, pd.DataFrame]],
    marked: Sequence[Entrapment | None],
) -> Iterator[Row]:
    base = outputs[0]
    for other, of_run, e in zip(outputs[1:], by_run[1:], marked[1:], strict=True):
        if not have_run_in_common(base, other):
            continue
        for run in [ALL_RUNS, *sorted(set(base.runs) & set(other.runs))]:
            one, two = _targets(by_run[0][run], level, marked[0]), _targets(of_run[run], level, e)
            first, second = set(one[level.key]), set(two[level.key])
            shared = shared_table(one, two, level.quantified)
            counts = {"shared": first & second, "gained": second - first, "lost": first - second}
            values = {name: float(len(found)) for name, found in counts.items()}
            values |= rt_agreement(shared) if level == PRECURSORS else {}
            values |= quantity_agreement(shared)
            for metric, value in values.items():
                yield (level.name, run, versus(other.name, base.name), metric, value)


def _variations(level: Level, outputs: Sequence[SearchOutput], marked: Sequence[Entrapment | None]) -> Iterator[Row]:
    spread = [variation(_targets(o.rows, level, e), level.quantified) for o, e in zip(outputs, marked, strict=True)]
    common = set.intersection(*(set(s.index) for s in spread))
    for output, one in zip(outputs, spread, strict=True):
        if len(one):
            yield (level.name, ALL_RUNS, output.name, "cv_median", float(one.median()))
            yield (level.name, ALL_RUNS, output.name, "cv_identifications", float(len(one)))
        if common:
            of_common = one[one.index.isin(common)]
            yield (level.name, ALL_RUNS, output.name, "cv_median_of_common", float(of_common.median()))


def _notes(outputs: Sequence[SearchOutput]) -> Iterator[str]:
    files = {o.name: [Path(path) for path in o.settings.get("raw_paths") or ()] for o in outputs}
    for name, paths in files.items():
        if twice := [run for run, number in Counter(p.stem for p in paths).items() if number > 1]:
            yield f"{name}: several raw files are named {twice[0]}; their results are told apart by nothing."
    base, *others = outputs
    for other in others:
        one, two = ({p.stem: p for p in files[o.name]} for o in (base, other))
        if moved := [run for run in sorted(one.keys() & two.keys()) if one[run] != two[run]]:
            yield (
                f"{versus(other.name, base.name)}: runs are matched by their names; {moved[0]} is {two[moved[0]]} in "
                f"one search and {one[moved[0]]} in the other ({len(moved)} such runs)."
            )
        if base.runs != other.runs:
            runs = ", ".join(sorted(set(base.runs) ^ set(other.runs)))
            yield f"{versus(other.name, base.name)}: the runs differ ({runs})."
        differ = settings_differences(base.settings, other.settings)
        if differ:
            yield f"{versus(other.name, base.name)}: other settings differ too: {'; '.join(differ)}."
