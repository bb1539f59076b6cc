"""Before training: do the pretrained model and the data belong together?

Whatever is wrong with both, a network learns it, and held-out peptides that are wrong in the same way approve of it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from alphadia_tl.errors import BaselineError
from alphadia_tl.tasks.base import Task, as_numpy
from alphadia_tl.tasks.metrics import FloatArray, spectral_similarity
from alphadia_tl.tasks.ms2 import Ms2Task
from alphadia_tl.tasks.predict import why_unusable
from alphadia_tl.training.epoch import infer
from alphadia_tl.training.examples import Examples

#: Below this median PCC, predictions say nothing about the spectra. Measured on 800 DIA spectra: 0.80 for weights that
#: know nothing of the experiment, -0.05 with b and y exchanged, 0.10 with intensities in random order.
MIN_CORRELATION = 0.1
#: By so many standard errors the predictions must fit better as they are than those of other peptides of that length
#: (median PCC up to 0.4), than with b and y exchanged, and than the mean of wrong orders of the rows. No single wrong
#: order may fit better, but one may fit nearly as well: a model of tryptic peptides and spectra of Glu-C ones gave
#: 0.32, 0.29 with all rows moved up by one, 0.16 reversed. Rows in random order fit all of them alike.
MIN_Z = 3.0
SAMPLE_ROWS = 1000
#: Where there are fewer validation rows, training rows are looked at as well: the model has learnt from neither. 84
#: spectra from which a model was far off had been too few, and a tuning that was needed was refused.
ENOUGH_ROWS = 500
ADVICE = (
    "Likely causes: fragment rows in another order than the precursors say, wrong fragment types or columns, "
    "or weights of another model."
)
REVERSED = "the rows of each spectrum in reverse order"
MOVED_DOWN = "the rows of each spectrum moved down by one"
MOVED_UP = "the rows of each spectrum moved up by one"
ORDERS = (REVERSED, MOVED_DOWN, MOVED_UP)
OTHER_PEPTIDES = "the spectra of other peptides of the same length"
OTHER_SERIES = dict(zip("abcxyz", "xyzabc", strict=True))


def rows_to_check(validation: NDArray[np.int64], training: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return up to 1,000 validation rows, and training rows where they are fewer than 500; both are taken evenly."""
    return np.concatenate([_evenly(validation, SAMPLE_ROWS), _evenly(training, ENOUGH_ROWS - validation.size)])


def _evenly(rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    chosen: NDArray[np.int64] = rows[np.linspace(0, rows.size - 1, min(max(0, n), rows.size)).astype(np.int64)]
    return chosen


def check_pretrained(
    task: Task,
    network: torch.nn.Module,
    examples: Examples,
    sequences: NDArray[np.object_],
    *,
    loss: float,
    dtype: torch.dtype | None = None,
) -> None:
    """Make sure that the pretrained network gives usable predictions and, for MS2, that they resemble the data.

    The examples are those of :func:`rows_to_check`, on the network's device, with their stripped sequences (n,); the
    loss is the mean over the validation rows. Autocast type None is fp32. Raises BaselineError where the predictions
    are not finite, all zero or all the same, the loss is not finite, or spectra and predictions do not match.
    """
    outputs, _ = infer(network, examples, task.forward, dtype=dtype)
    predictions = task.finish(outputs, examples)
    problem = why_unusable(predictions, sequences) or ("" if math.isfinite(loss) else "give a loss that is not finite")
    if problem:
        raise BaselineError(
            f"The predictions of the pretrained {task.title} model {problem}, before any training.",
            "Its weights are unusable: give others.",
        )
    if isinstance(task, Ms2Task):
        _check_spectra(task, predictions, examples, sequences)


def _check_spectra(task: Ms2Task, predictions: FloatArray, examples: Examples, sequences: NDArray[np.object_]) -> None:
    counts = as_numpy(examples.lengths).astype(np.int64) - 1
    target, mask = (as_numpy(examples.per_fragment[k]) for k in ("target", "mask"))

    def correlation(values: FloatArray) -> FloatArray:
        return np.nan_to_num(spectral_similarity(values, target, mask, counts, ["PCC"])["PCC"], nan=0.0)

    as_they_are = correlation(predictions)
    median = float(np.median(as_they_are))
    found = (
        f"The pretrained MS2 model does not explain the measured spectra: median PCC {median:.2f} of {len(counts)} "
        "precursors before any training"
    )
    z, medians = {}, {}
    orders = []
    for name, values in _misreadings(task, predictions, counts, sequences).items():
        compared = np.isfinite(values).all(axis=1)
        compared = np.logical_and.reduceat(compared, np.cumsum(counts) - counts)
        other = correlation(values)
        z[name] = _z((as_they_are - other)[compared])
        medians[name] = float(np.median(other[compared])) if compared.any() else math.nan
        if name in ORDERS:
            orders.append(other)
    needed = {name: 0.0 if name in ORDERS else MIN_Z for name in z}
    misread = min(z, key=lambda name: z[name] - needed[name])
    if z[misread] < needed[misread]:
        raise BaselineError(f"{found}, and {medians[misread]:.2f} with {misread}.", ADVICE)
    if _z(as_they_are - np.mean(orders, axis=0)) < MIN_Z:
        alike = float(np.median(np.mean(orders, axis=0)))
        raise BaselineError(f"{found}, and {alike:.2f} with their rows in wrong orders.", ADVICE)
    if median < MIN_CORRELATION:
        raise BaselineError(f"{found}, {MIN_CORRELATION} needed.", ADVICE)


def _z(differences: FloatArray) -> float:
    """Return the mean in standard errors; infinite where there is too little to tell."""
    if differences.size < 2:
        return math.inf
    error = float(differences.std(ddof=1)) / math.sqrt(differences.size)
    mean = float(differences.mean())
    return mean / error if error > 0 else math.copysign(math.inf, mean) if mean else 0.0


def _misreadings(
    task: Ms2Task, predictions: FloatArray, counts: NDArray[np.int64], sequences: NDArray[np.object_]
) -> dict[str, FloatArray]:
    """Return the predictions as they would be if something were mixed up; NaN where that cannot be done."""
    start = np.cumsum(counts) - counts
    first, number = np.repeat(start, counts), np.repeat(counts, counts)
    site = np.arange(number.size) - first
    readings = {
        REVERSED: predictions[first + number - 1 - site],
        MOVED_DOWN: predictions[first + (site - 1) % number],
        MOVED_UP: predictions[first + (site + 1) % number],
        OTHER_PEPTIDES: _of_other_peptides(predictions, counts, sequences),
    }
    types = task.charged_frag_types
    exchanged = [OTHER_SERIES.get(t[0], "") + t[1:] for t in types]
    if set(exchanged) == set(types):
        readings["N- and C-terminal fragments exchanged"] = predictions[:, [types.index(t) for t in exchanged]]
    return readings


def _of_other_peptides(
    predictions: FloatArray, counts: NDArray[np.int64], sequences: NDArray[np.object_]
) -> FloatArray:
    """Give each spectrum the prediction of one of another sequence and the same length, NaN where there is none."""
    order = np.lexsort((sequences.astype(str), counts))
    partner = np.arange(counts.size)
    for group in np.split(order, np.flatnonzero(np.diff(counts[order])) + 1):
        partner[group] = np.roll(group, group.size // 2)
    start = np.cumsum(counts) - counts
    shift = np.repeat(start[partner] - start, counts)
    values: FloatArray = predictions[np.arange(shift.size) + shift].astype(np.float32)
    values[np.repeat(sequences[partner] == sequences, counts)] = np.nan
    return values
