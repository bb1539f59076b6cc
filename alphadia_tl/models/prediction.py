"""What models answer: as peptdeep's tables, and in chunks that other jobs may have predicted already."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from alphabase.peptide.precursor import refine_precursor_df
from numpy.typing import NDArray

from alphadia_tl.errors import PredictionError
from alphadia_tl.files import write_whole
from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR
from alphadia_tl.library.selection import peptidoform_groups
from alphadia_tl.tasks.metrics import FloatArray
from alphadia_tl.tasks.ms2 import fragment_positions
from alphadia_tl.tasks.scalar import mobility_per_ccs
from alphadia_tl.training.state import identity_of

CHUNK_ROWS = 50_000
# What the models predict from, and the types by which equal values are recognised; other columns do not count.
_TYPES = {**dict.fromkeys(PEPTIDOFORM, "str"), "charge": "int64", "nce": "float64", "instrument": "str"}
MODEL_COLUMNS: dict[str, tuple[str, ...]] = {
    "rt": tuple(PEPTIDOFORM),
    "charge": tuple(PEPTIDOFORM),
    "ccs": tuple(PRECURSOR),
    "ms2": (*PRECURSOR, "nce", "instrument"),
}


def model_inputs(model: str, df: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a table that a model predicts from, those that it has, with fixed types."""
    columns = [c for c in MODEL_COLUMNS[model] if c in df.columns]
    return df[columns].astype({c: _TYPES[c] for c in columns}).reset_index(drop=True)


class PredictedChunks:
    """Predictions of chunks, as files in a folder that are found by model and input."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = 0
        self.missing = 0

    def path(self, model: str, fingerprint: str, chunk: pd.DataFrame) -> Path:
        """Return the file of a chunk's predictions; other rows, another order or another model give another file."""
        table = model_inputs(model, chunk)
        rows = pd.util.hash_pandas_object(table, index=False).to_numpy()
        key = hashlib.sha256(rows.tobytes() + repr((fingerprint, list(table.columns))).encode()).hexdigest()
        return self.folder / f"{model}.{key[:24]}.npy"

    def read(self, path: Path) -> FloatArray | None:
        """Return predictions made beforehand, None where there are none; raises PredictionError for a damaged file."""
        if not path.is_file():
            self.missing += 1
            return None
        try:
            values: FloatArray = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise PredictionError(f"{path} cannot be read: {error}.", "Remove it and run the command again.") from error
        self.found += 1
        return values

    def write(self, path: Path, values: FloatArray) -> None:
        """Write predictions, whole or not at all."""

        def save(part: Path) -> None:
            with part.open("wb") as file:
                np.save(file, values, allow_pickle=False)

        write_whole(path, save)


def network_fingerprint(network: torch.nn.Module, settings: Mapping[str, object]) -> str:
    """Return a hash of weights and of what else decides about the predictions of a model."""
    return identity_of({name: values.cpu() for name, values in network.state_dict().items()}, settings)


def in_chunks(df: pd.DataFrame, predict: Callable[[pd.DataFrame], FloatArray], *, rows: int = CHUNK_ROWS) -> FloatArray:
    """Predict consecutive chunks of a table, one after the other, and return the outputs in the order of the rows.

    Chunks have a RangeIndex; ``predict`` returns one output per row, or one per fragment position (length - 1 per row).
    """
    if len(df) <= rows:
        return predict(df.reset_index(drop=True))
    positions = df["sequence"].str.len().to_numpy() - 1
    result: FloatArray | None = None
    done = 0
    for start in range(0, len(df), rows):
        chunk = df.iloc[start : start + rows].reset_index(drop=True)
        values = predict(chunk)
        if result is None:
            per_row = len(values) == len(chunk)
            size = len(df) if per_row else int(positions.sum())
            result = np.empty((size, *values.shape[1:]), dtype=values.dtype)
        result[done : done + len(values)] = values
        done += len(values)
    if result is None or done != len(result):
        raise PredictionError(f"{done:,} outputs were predicted for {len(df):,} rows.")
    return result


Float32Array = NDArray[np.float32]


class PredictionMixin:
    """Prediction methods of a manager of the four models."""

    charged_frag_types: list[str]
    charge_prob_cutoff: float
    set_default_nce_instrument: Callable[[pd.DataFrame], None]

    @abstractmethod
    def _predict(self, name: str, df: pd.DataFrame) -> NDArray[Any]:
        """Predict with one model, in row order."""

    def predict_rt_array(self, df: pd.DataFrame) -> Float32Array:
        """Return (n,) normalised retention times in the row order of ``df``."""
        return self._predict("rt", df)

    def predict_ccs_array(self, df: pd.DataFrame) -> Float32Array:
        """Return (n,) collision cross sections in Å² in the row order of ``df``."""
        return self._predict("ccs", df)

    def predict_charge_probabilities(self, df: pd.DataFrame) -> Float32Array:
        """Return (n, 10) probabilities, column j for charge j + 1, in the row order of ``df``."""
        return self._predict("charge", df)

    def predict_ms2_array(self, df: pd.DataFrame) -> Float32Array:
        """Return (sum of nAA - 1, types) relative intensities in the row order of ``df``.

        The columns are ``charged_frag_types``; the highest fragment of a precursor is 1, and
        intensities below 1e-4 are 0.
        """
        return self._predict("ms2", df)

    def tables_to_predict(self, precursor_df: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Return what `predict_all` asks each model for precursors, which it sorts by length in place as that does."""
        refine_precursor_df(precursor_df)
        first, _ = peptidoform_groups(precursor_df)
        tables = {"rt": model_inputs("rt", precursor_df.iloc[first]), "ccs": model_inputs("ccs", precursor_df)}
        self.set_default_nce_instrument(precursor_df)
        return {**tables, "ms2": model_inputs("ms2", precursor_df)}

    def predict_rt(self, precursor_df: pd.DataFrame, *, batch_size: int = 1024) -> pd.DataFrame:
        """Add ``rt_pred`` and ``rt_norm_pred`` to ``precursor_df`` in place; every peptidoform is predicted once."""
        first, peptidoform = peptidoform_groups(precursor_df)
        precursor_df["rt_pred"] = self.predict_rt_array(precursor_df.iloc[first])[peptidoform]
        precursor_df["rt_norm_pred"] = precursor_df["rt_pred"]
        return precursor_df

    def predict_mobility(self, precursor_df: pd.DataFrame, *, batch_size: int = 1024) -> pd.DataFrame:
        """Add ``ccs_pred`` and ``mobility_pred`` to ``precursor_df`` in place, keeping its row order."""
        precursor_df["ccs_pred"] = ccs = self.predict_ccs_array(precursor_df)
        precursor_df["mobility_pred"] = ccs * mobility_per_ccs(precursor_df)
        return precursor_df

    def predict_charge(
        self,
        psm_df: pd.DataFrame,
        min_precursor_charge: int,
        max_precursor_charge: int,
        charge_prob_cutoff: float | None = None,
    ) -> pd.DataFrame:
        """Return one row per peptidoform and charge in the range with a probability above the cut-off."""
        cutoff = self.charge_prob_cutoff if charge_prob_cutoff is None else charge_prob_cutoff
        probabilities = self.predict_charge_probabilities(psm_df)
        charges = np.arange(1, probabilities.shape[1] + 1)
        wanted = (charges >= min_precursor_charge) & (charges <= max_precursor_charge)
        row, column = np.nonzero((probabilities > cutoff) & wanted)
        chosen = psm_df.iloc[row].reset_index(drop=True)
        return chosen.assign(charge=charges[column].astype(np.int8), charge_prob=probabilities[row, column])

    def predict_ms2(
        self, precursor_df: pd.DataFrame, *, batch_size: int = 512, reference_frag_df: pd.DataFrame | None = None
    ) -> pd.DataFrame:
        """Return predicted fragment intensities, one column per fragment type.

        With ``reference_frag_df`` the result has its rows, and ``frag_start_idx`` of ``precursor_df``
        points into it. Otherwise ``frag_start_idx`` and ``frag_stop_idx`` are set in place.
        """
        self.set_default_nce_instrument(precursor_df)
        values = self.predict_ms2_array(precursor_df)
        if reference_frag_df is not None:
            n_rows, predicted = len(reference_frag_df), values
            values = np.zeros((n_rows, len(self.charged_frag_types)), dtype=np.float32)
            values[fragment_positions(precursor_df, n_rows)] = predicted
        else:
            counts = precursor_df["sequence"].str.len().to_numpy() - 1
            precursor_df["frag_stop_idx"] = np.cumsum(counts)
            precursor_df["frag_start_idx"] = precursor_df["frag_stop_idx"] - counts
        return pd.DataFrame(values, columns=self.charged_frag_types)
