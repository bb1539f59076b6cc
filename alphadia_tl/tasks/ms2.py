"""Fragment intensities of a precursor: L1 and spectral distance of trusted fragments."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from peptdeep.model.featurize import parse_instrument_indices
from peptdeep.settings import global_settings
from torch import Tensor

from alphadia_tl.errors import DataError
from alphadia_tl.library.selection import CHARGES
from alphadia_tl.tasks.base import Evaluation, Headline, Prepared, Task, TaskData, as_numpy
from alphadia_tl.tasks.encode import encode_peptidoforms, number_column, require_columns
from alphadia_tl.tasks.metrics import Calibration, FloatArray, mean_and_median, spectral_similarity
from alphadia_tl.training.examples import Batch, Examples

logger = logging.getLogger(__name__)

DEFAULT_FRAG_TYPES = ("b_z1", "b_z2", "y_z1", "y_z2")
CHARGE_FACTOR = 0.1
NCE_FACTOR = 0.01
MIN_INTENSITY = 1e-4
DISTANCE_WEIGHT = 3.0
MAX_COSINE = 0.999999


UNKNOWN = "Lumos"
_GROUPS: dict[str, str] = global_settings["model_mgr"]["instrument_group"]
TOKENS = sorted(set(_GROUPS.values()))


def instrument_group(name: str) -> tuple[str, str]:
    """Return the instrument that the MS2 model is asked for, and a warning where it does not know the name."""
    if name.upper() in _GROUPS:
        return str(_GROUPS[name.upper()]), ""
    known = ", ".join(sorted({key.upper(): key for key in reversed(_GROUPS)}.values()))
    return UNKNOWN, (
        f"Unknown instrument '{name}': the MS2 model is tuned and predicts for {UNKNOWN}. Known names: {known}"
    )


class Ms2Task(Task):
    """Relative intensities of charged fragment types.

    ``charged_frag_types``, such as "b_z1", are predicted and learnt; ``supported`` are the columns of the network's
    output. Normalised collision energy and instrument are for rows without columns ``nce`` and ``instrument``.
    """

    name = "ms2"
    title = "MS2"
    headline = Headline("SA-median", higher_is_better=True)
    max_lr = 2e-4
    epochs = 12
    weight_decay = 0.3
    last_epochs = 5
    min_steps = 125
    dropout = False
    limits = {**CHARGES, "nce": (1, 100)}  # noqa: RUF012
    reduced_training = True

    def __init__(
        self, charged_frag_types: Sequence[str], supported: Sequence[str], nce: float, instrument: str
    ) -> None:
        self.charged_frag_types = list(charged_frag_types)
        self.columns = [list(supported).index(t) for t in charged_frag_types]
        self.nce = nce
        self.instrument = instrument

    def learnable(self, df: pd.DataFrame, **names: Sequence[str]) -> pd.DataFrame:
        """Return the rows that the model can learn from; DataError if there are none, or a column is missing."""
        known = {"instrument": list(_GROUPS)} if "instrument" in df.columns else {}
        return super().learnable(df, **known, **names)

    def inputs(self, df: pd.DataFrame) -> dict[str, Tensor]:
        """Return charge, collision energy (both (n, 1), scaled) and the instrument's index (n,)."""
        n = len(df)
        charge = number_column(df, "charge", "the MS2 model")
        nce = number_column(df, "nce", "the MS2 model") if "nce" in df.columns else np.full(n, float(self.nce))
        names = df["instrument"].astype(str) if "instrument" in df.columns else pd.Series([self.instrument] * n)
        codes, unique = pd.factorize(names)
        groups, warnings = zip(*map(instrument_group, unique), strict=True) if n else ((), ())
        for warning in filter(None, warnings):
            logger.warning(warning)
        instrument = np.array(parse_instrument_indices(list(groups)), dtype=np.int64)[codes]
        return {
            "charge": torch.from_numpy(charge.astype(np.float32))[:, None] * CHARGE_FACTOR,
            "nce": torch.from_numpy(nce.astype(np.float32))[:, None] * NCE_FACTOR,
            "instrument": torch.from_numpy(instrument),
        }

    def prepare(self, data: TaskData) -> Prepared:
        """Encode precursors that may be used for MS2, with the intensities of their trusted fragments."""
        df = data.precursor_df
        require_columns(df, ("sequence", "frag_start_idx", "frag_stop_idx"), "the MS2 model")
        if data.fragment_intensity_df is None:
            raise DataError("The MS2 model cannot be tuned without a table of fragment intensities.")
        if "use_for_ms2" in df.columns:
            df = df[df["use_for_ms2"].astype(bool)]
        df = df.reset_index(drop=True)
        target, mask = self._targets(df, data.fragment_intensity_df, data.fragment_mask_df)
        counts = df["sequence"].str.len().to_numpy() - 1
        base_peak = _row_max(target * mask, counts)
        keep = base_peak > 0
        kept = np.repeat(keep, counts)
        df, counts = df[keep].reset_index(drop=True), counts[keep]
        target = target[kept] / np.repeat(base_peak[keep], counts)[:, None]
        per_fragment = {"target": torch.from_numpy(target), "mask": torch.from_numpy(mask[kept])}
        examples = encode_peptidoforms(df, self.inputs(df), per_fragment)
        return Prepared.of(examples, df)

    def _targets(
        self, df: pd.DataFrame, intensities: pd.DataFrame, trusted: pd.DataFrame | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        measured = [t for t in self.charged_frag_types if t in intensities.columns]
        if not measured:
            raise DataError(f"The fragment table has none of the columns {', '.join(self.charged_frag_types)}.")
        position = fragment_positions(df, len(intensities))
        target = np.zeros((position.size, len(self.columns)), dtype=np.float32)
        mask = np.zeros(target.shape, dtype=bool)
        where = [self.charged_frag_types.index(t) for t in measured]
        target[:, where] = intensities[measured].to_numpy(dtype=np.float32)[position]
        mask[:, where] = True if trusted is None else trusted[measured].to_numpy(dtype=bool)[position]
        if not np.isfinite(target[mask]).all():
            raise DataError("The fragment table holds intensities that are not finite numbers.")
        return np.where(mask, np.maximum(target, 0), 0), mask

    def forward(self, network: torch.nn.Module, batch: Batch) -> Tensor:
        """Return (b, length - 1, types) raw intensities of the wanted columns."""
        with _without_unused_losses(network, self.columns):
            output: Tensor = network(
                batch["residues"], batch["modifications"], batch["charge"], batch["nce"], batch["instrument"]
            )
        return output[:, :, self.columns]

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean over spectra of L1 plus three times the spectral distance, over trusted fragments.

        The distance ``2 arccos(cosine) / pi`` is what decides, but leaves the scale free. L1 holds it;
        alone it rewards leaving small fragments out, and spectra with few fragments get worse. Measured
        spectra are relative to their highest trusted fragment; what the network gives is taken as it is,
        in training and validation.
        """
        mask, target = batch["mask"].flatten(1), batch["target"].flatten(1)
        trusted = output.flatten(1) * mask
        l1 = (trusted - target).abs().sum(dim=1) / mask.sum(dim=1)
        cosine = torch.nn.functional.cosine_similarity(trusted, target, dim=1, eps=1e-6)
        distance = 2 / math.pi * torch.arccos(cosine.clamp(-MAX_COSINE, MAX_COSINE))
        return (l1 + DISTANCE_WEIGHT * distance).mean()

    def finish(self, outputs: Tensor, examples: Examples) -> FloatArray:
        """Return (sum of positions, types) intensities relative to the spectrum's highest; below 1e-4 is 0."""
        counts = _positions(examples)
        intensities = np.maximum(as_numpy(outputs), 0)
        relative: FloatArray = intensities / np.repeat(_at_least_tiny(_row_max(intensities, counts)), counts)[:, None]
        relative[relative < MIN_INTENSITY] = 0
        return relative

    def evaluate(self, predictions: FloatArray, examples: Examples, calibration: Calibration | None) -> Evaluation:
        """Score predictions over trusted fragments; the scores are spectral angles."""
        counts = _positions(examples)
        mask = as_numpy(examples.per_fragment["mask"])
        trusted = predictions * mask
        relative = trusted / np.repeat(_at_least_tiny(_row_max(trusted, counts)), counts)[:, None]
        similarity = spectral_similarity(relative, as_numpy(examples.per_fragment["target"]), mask, counts)
        return Evaluation(mean_and_median(similarity), np.nan_to_num(similarity["SA"], nan=0.0), relative)


@contextlib.contextmanager
def _without_unused_losses(network: torch.nn.Module, columns: Sequence[int]) -> Iterator[None]:
    """Skip the network's separate layers for modification losses where no such column is wanted."""
    n_types = network._num_modloss_types
    if max(columns) < int(network._num_non_modloss):  # type: ignore[arg-type]
        network._num_modloss_types = 0  # type: ignore[assignment]
    try:
        yield
    finally:
        network._num_modloss_types = n_types


def _positions(examples: Examples) -> NDArray[np.int64]:
    return np.asarray(examples.lengths.cpu().numpy(), dtype=np.int64) - 1


def _row_max(values: FloatArray, counts: NDArray[np.int64]) -> FloatArray:
    if counts.size == 0:
        return np.zeros(0, dtype=values.dtype)
    return np.asarray(np.maximum.reduceat(values.max(axis=1), np.cumsum(counts) - counts))


def _at_least_tiny(values: FloatArray) -> FloatArray:
    return np.where(values > 0, values, 1).astype(np.float32)


def fragment_positions(df: pd.DataFrame, n_fragments: int) -> NDArray[np.int64]:
    """Return the fragment table's rows of all precursors, one after the other; DataError where they do not fit."""
    start = df["frag_start_idx"].to_numpy(dtype=np.int64)
    counts = df["frag_stop_idx"].to_numpy(dtype=np.int64) - start
    if (counts != df["sequence"].str.len().to_numpy() - 1).any():
        raise DataError("frag_start_idx and frag_stop_idx do not span one row per cleavage site of the sequence.")
    if len(df) and (start.min() < 0 or (start + counts).max() > n_fragments):
        raise DataError("frag_start_idx or frag_stop_idx point outside the fragment table.")
    shift = start - (np.cumsum(counts) - counts)
    return np.asarray(np.repeat(shift, counts) + np.arange(counts.sum()))
