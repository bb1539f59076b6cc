"""What came of tuning: held-out rows before and after, a few spectra to look at, what each modification taught."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from numpy.typing import NDArray

from alphadia_tl.tasks.base import Evaluation, Headline, Task, TaskData, as_numpy
from alphadia_tl.tasks.metrics import FloatArray
from alphadia_tl.tasks.ms2 import Ms2Task
from alphadia_tl.training.examples import Examples
from alphadia_tl.training.loop import FitResult
from alphadia_tl.training.schedule import StopReason

KINDS = ("typical", "best gained", "worst")
SPECTRA_PER_KIND = 2
PEPTIDE_COLUMNS = ("sequence", "mods", "charge")
SCORE_COLUMNS = ("score_before", "score_after")
ROW_COLUMNS = ("model", *PEPTIDE_COLUMNS, "raw_name", "observed", "before", "after", *SCORE_COLUMNS)
SPECTRUM_COLUMNS = (
    "kind", "spectrum", *PEPTIDE_COLUMNS, *SCORE_COLUMNS, "ion", "mz", "observed", "before", "after",
)  # fmt: skip


@dataclass(frozen=True)
class HeldOut:
    """What became of the held-out rows of one model.

    ``rows`` has one row per held-out row, in the order of the scores; for the charge model one per peptidoform and
    charge state that could have been observed. Charge and run are missing where they are not known. ``observed``,
    ``before`` and ``after`` are ``rt_norm`` for RT (predictions after the calibration that the headline uses), Å² for
    CCS, 1 or 0 and its probability for charge, missing for MS2. ``score_before`` and ``score_after``, contributions to
    the headline, are missing for the charge model, whose scores are not those of single states. ``spectra``, MS2 only,
    has the trusted fragments of a few spectra, numbered within their kind: scores are spectral angles, intensities
    relative to the highest trusted fragment.
    """

    rows: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(ROW_COLUMNS)))
    spectra: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SPECTRUM_COLUMNS)))

    @classmethod
    def pooled(cls, parts: Sequence[HeldOut]) -> HeldOut:
        """Join the rows of several folds, and choose again among their spectra."""
        rows = pd.concat([p.rows for p in parts], ignore_index=True)
        candidates = [p.spectra.assign(fold=fold) for fold, p in enumerate(parts) if len(p.spectra)]
        if not candidates:
            return cls(rows)
        fragments = pd.concat(candidates, ignore_index=True)
        heads = fragments.drop_duplicates(["fold", "kind", "spectrum"]).reset_index(drop=True)
        chosen = choose_spectra(heads, float(rows["score_after"].median()))
        spectra = [
            fragments.merge(heads.loc[[index], ["fold", "kind", "spectrum"]]).assign(kind=kind, spectrum=number)
            for kind, number, index in chosen
        ]
        return cls(rows, pd.concat(spectra, ignore_index=True)[list(SPECTRUM_COLUMNS)])


def held_out_rows(
    task: Task, examples: Examples, precursors: pd.DataFrame, before: Evaluation, after: Evaluation
) -> HeldOut:
    """Put predictions of the pretrained and the tuned model beside the measurements of the same n held-out rows.

    ``precursors`` has the rows of ``examples`` in their order: sequence, mods, mod_sites, charge, raw_name.
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
    """Choose spectra to look at, two of each kind, of different peptides, as (kind, number within the kind, row).

    Typical: closest to the median score after tuning; best gained: highest gain; worst: lowest score after tuning.
    ``scores`` has sequence, score_before, score_after, and index 0, 1, ….
    """
    after = scores["score_after"]
    orders = {"typical": (after - median).abs(), "best gained": scores["score_before"] - after, "worst": after}
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


@dataclass(frozen=True)
class TuneResult:
    """What came out of tuning one model.

    Scores (each row's contribution to the headline), stripped sequences (``test_groups``) and modifications (joined by
    semicolons) are those of the held-out test rows, in one order. With several ``folds`` the history is the first's.
    """

    name: str
    history: pd.DataFrame  # long: epoch, property, data_split, metric_name, value
    before: dict[str, float]  # metrics of the pretrained and the tuned model on the same test rows
    after: dict[str, float]
    headline: Headline
    scores_before: FloatArray
    scores_after: FloatArray
    test_groups: NDArray[np.object_]
    test_mods: NDArray[np.object_] = field(default_factory=lambda: np.zeros(0, dtype=object))
    training_mods: dict[str, int] = field(default_factory=dict)  # distinct stripped sequences per modification
    sequences: dict[str, NDArray[np.object_]] = field(default_factory=dict)  # distinct stripped ones of each split
    n_peptides: dict[str, int] = field(default_factory=dict)
    n_rows: dict[str, int] = field(default_factory=dict)
    stop_reason: StopReason = StopReason.MAX_EPOCHS
    best_epoch: int = -1  # restored; -1: the start weights
    epochs: int = 0
    last_epochs: int = 0  # of annealing on training and validation rows after those
    fitted: FitResult | None = None  # what further folds are trained by
    seconds: float = 0.0
    folds: int = 1  # how often the model was tuned, each time with other test peptides, to score it
    # Charge: probabilities of the states observed in the validation rows, from the weights of the best epoch, which had
    # not learnt from them, and in the test rows. Models of one number per row: each split's values by sequence.
    observed: dict[str, FloatArray] = field(default_factory=dict)
    measured: dict[str, pd.Series] = field(default_factory=dict)
    held_out: HeldOut = field(default_factory=HeldOut)


#: From sequence, mods, mod_sites, charge of n rows to (n,) values or, for MS2, one row per bond of each; NaN: unknown.
Values = Callable[[pd.DataFrame], FloatArray]
#: With fewer other rows the calibration is fitted on the held-out ones, in favour of the library's values.
MIN_CALIBRATION_ROWS = 50


@dataclass(frozen=True)
class PairedScores:
    """Scores of two predictions of the same n rows or peptides, the second the tuned model's, and the headlines.

    ``peptides`` (n,) are stripped sequences.
    """

    peptides: NDArray[np.object_]
    before: FloatArray
    after: FloatArray
    metric_before: float
    metric_after: float

    @classmethod
    def none(cls) -> PairedScores:
        """Return the scores of no rows."""
        return cls(np.zeros(0, dtype=object), np.zeros(0), np.zeros(0), float("nan"), float("nan"))


def score_library_values(task: Task, data: TaskData, result: TuneResult, values: Values) -> PairedScores:
    """Score the library's values of RT, CCS or MS2 as the tuned model was scored.

    The same rows, the same metric, a calibration of their own. The scores, first the library's, are means of each
    held-out peptide's rows; peptides for which the library has no value are left out.
    """
    prepared = task.prepare(data)
    library = np.asarray(values(prepared.precursors))
    counts = np.ones(len(prepared.sequences), dtype=np.int64)
    if library.ndim == 2:
        counts = prepared.examples.lengths.cpu().numpy().astype(np.int64) - 1
    owner = np.repeat(np.arange(len(counts)), counts)
    unknown = np.zeros(len(counts), dtype=bool)
    unknown[owner[~np.isfinite(library.reshape(len(owner), -1)).all(axis=1)]] = True
    held_out = np.isin(prepared.sequences, np.unique(result.test_groups))
    test, rest = np.flatnonzero(held_out & ~unknown), np.flatnonzero(~held_out & ~unknown)
    if len(test) == 0:
        return PairedScores.none()
    if len(rest) < MIN_CALIBRATION_ROWS:
        rest = test
    of_test, of_rest = (library[np.isin(owner, rows)] for rows in (test, rest))
    calibration = task.calibrate(of_rest, prepared.examples.select(torch.from_numpy(rest)))
    evaluation = task.evaluate(of_test, prepared.examples.select(torch.from_numpy(test)), calibration)
    own = pd.Series(evaluation.scores, index=prepared.sequences[test], dtype=float)
    tuned = pd.Series(np.asarray(result.scores_after), index=result.test_groups, dtype=float)
    tuned = tuned[tuned.index.isin(own.index)]
    average = np.median if task.headline.use_median else np.mean
    both = pd.DataFrame({"library": own.groupby(level=0).mean(), "tuned": tuned.groupby(level=0).mean()}).dropna()
    return PairedScores(
        peptides=both.index.to_numpy(dtype=object),
        before=both["library"].to_numpy(),
        after=both["tuned"].to_numpy(),
        metric_before=float(average(own)),
        metric_after=float(average(tuned)),
    )


MIN_PEPTIDES = 50  # a modification with fewer distinct training peptides counts as not learnt
MODIFICATION_COLUMNS = (
    "modification", "model", "training_peptides", "learnt", "test_peptides", "metric", "before", "after",
)  # fmt: skip
Texts = NDArray[np.object_]


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
    return pd.DataFrame(rows, columns=list(MODIFICATION_COLUMNS))


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
    rows = table.set_index("model").groupby("modification")["training_peptides"]
    return {str(name): {str(model): int(n) for model, n in of_model.items()} for name, of_model in rows}
