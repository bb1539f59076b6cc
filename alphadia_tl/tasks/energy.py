"""Collision energy and instrument that the MS2 model is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from peptdeep.model.featurize import parse_instrument_indices

from alphadia_tl.tasks.base import TaskData
from alphadia_tl.tasks.metrics import FloatArray
from alphadia_tl.tasks.ms2 import NCE_FACTOR, Ms2Task
from alphadia_tl.tasks.predict import choose_dtype
from alphadia_tl.tasks.tuning import TuneSettings, split_rows
from alphadia_tl.training.epoch import infer
from alphadia_tl.training.examples import Examples

logger = logging.getLogger(__name__)

Better = Callable[[FloatArray, FloatArray, NDArray[np.object_], int], bool]
"""``better(before, after, groups, comparisons)``: whether scores ``after`` are higher than ``before`` for more than
chance, for rows of the peptides ``groups`` and the best of so many comparisons."""

GRID = tuple(np.arange(20.0, 40.1, 2.5).tolist())
SAMPLE_ROWS = 300
#: A collision energy is not worth changing for less, be it ever so certain.
MIN_GAIN = 0.002


@dataclass(frozen=True)
class NceSearch:
    """Result of a search: collision energy before it, and the one to use, with the instrument to use.

    ``curve`` is the median spectral angle at each collision energy, ascending, of ``n_rows`` precursors with that
    instrument; ``by_instrument`` the highest one of each instrument.
    """

    configured: float
    chosen: float
    curve: dict[float, float]
    n_rows: int
    instrument: str
    by_instrument: dict[str, float]

    @property
    def line(self) -> str:
        """Say what was chosen, in one line."""
        old, new = self.configured, self.chosen
        if new != old:
            return f"NCE {old:.1f} -> {new:.1f}: median spectral angle {self.curve[old]:.4f} -> {self.curve[new]:.4f}"
        best = max(self.curve, key=lambda nce: self.curve[nce])
        return (
            f"NCE {old:.1f} kept: median spectral angle {self.curve[old]:.4f}, "
            f"no other is better by {MIN_GAIN} and with confidence (highest {self.curve[best]:.4f} at {best:.1f})"
        )


def with_nce(examples: Examples, nce: float, instrument: str | None = None) -> Examples:
    """Return the examples with another collision energy, and another instrument where one is given."""
    # in the order of `Ms2Task.encode`, to the last bit
    values = torch.full_like(examples.per_row["nce"], nce) * NCE_FACTOR
    known = examples.per_row["instrument"]
    index = known if instrument is None else torch.full_like(known, parse_instrument_indices([instrument])[0])
    return replace(examples, per_row={**examples.per_row, "nce": values, "instrument": index})


def search_nce(
    task: Ms2Task,
    network: torch.nn.Module,
    data: TaskData,
    settings: TuneSettings,
    better: Better | None,
    candidates: Iterable[tuple[float, str]],
) -> NceSearch:
    """Score the pretrained network at collision energies, with instruments, on training peptides, and choose one.

    The configured energy is ``task.nce``; columns of the data are ignored. Up to `SAMPLE_ROWS` precursors are scored,
    of the split that `tune` makes with the same settings, so that no held-out peptide is looked at.
    """
    if better is None:
        raise ValueError("a search needs `better`, which tells whether an improvement is more than chance")
    prepared = task.prepare(data)
    rows = split_rows(task, prepared.sequences, settings)["train"]
    rows = np.sort(np.random.default_rng([settings.seed, 1]).permutation(rows)[:SAMPLE_ROWS])
    examples = prepared.examples.select(torch.from_numpy(rows)).to(next(network.parameters()).device)
    dtype = choose_dtype(task, network, examples, settings.precision)
    scores: dict[tuple[float, str], FloatArray] = {}
    wanted = set(candidates)
    chosen = configured = (task.nce, task.instrument)
    for nce, instrument in sorted({*wanted, configured, *((task.nce, known) for _, known in wanted)}):
        outputs, _ = infer(network, with_nce(examples, nce, instrument), task.forward, dtype=dtype)
        scores[nce, instrument] = task.evaluate(task.finish(outputs, examples), examples, None).scores
    medians = {key: float(np.median(s)) for key, s in scores.items()}
    best = max(medians, key=lambda key: medians[key])
    if medians[best] > medians[configured] + MIN_GAIN and better(
        scores[configured], scores[best], prepared.sequences[rows], len(medians) - 1
    ):
        chosen = best
    curve = {nce: angle for (nce, name), angle in medians.items() if name == chosen[1]}
    by_instrument = {name: max(a for (_, n), a in medians.items() if n == name) for _, name in medians}
    result = NceSearch(task.nce, chosen[0], curve, len(rows), chosen[1], by_instrument)
    if len(by_instrument) > 1:
        told = ", ".join(f"{name} {angle:.4f}" for name, angle in by_instrument.items())
        logger.info(f"Instrument {task.instrument} -> {chosen[1]}; highest median spectral angles: {told}")
    points = ", ".join(f"{nce:.1f}: {angle:.4f}" for nce, angle in curve.items())
    logger.info("Median spectral angle of %d training precursors by NCE: %s", len(rows), points)
    logger.info(result.line)
    return result
