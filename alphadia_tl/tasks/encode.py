"""Peptidoforms as tensors: residues of all rows in one flat array, modifications sparse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from peptdeep.model.building_block import SeqCNN
from peptdeep.settings import MOD_TO_FEATURE, mod_feature_size
from torch import Tensor
from torch.nn.functional import linear, pad

from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PEPTIDOFORM
from alphadia_tl.training.examples import Examples, SparseSites


def convolved(module: SeqCNN, x: Tensor) -> Tensor:
    """Return what the module's three convolutions of ``x``, (b, residues, channels), return, up to rounding."""
    convolutions = (module.cnn_short, module.cnn_medium, module.cnn_long)
    reach = max(c.padding[0] for c in convolutions)
    weights = torch.cat([pad(c.weight, (reach - c.padding[0],) * 2) for c in convolutions])
    bias = torch.cat([c.bias for c in convolutions])
    residues, padded = x.shape[1], pad(x, (0, 0, reach, reach))
    shifted = torch.cat([padded[:, i : i + residues] for i in range(2 * reach + 1)], dim=2)
    return torch.cat([x, linear(shifted, weights.permute(0, 2, 1).flatten(1), bias)], dim=2)


@contextlib.contextmanager
def as_one_product(network: torch.nn.Module) -> Iterator[None]:
    """Compute the network's convolutions with `convolved` for the duration, where it is on a CPU."""
    modules = [m for m in network.modules() if isinstance(m, SeqCNN) and next(m.parameters()).device.type == "cpu"]
    for module in modules:
        module.forward = partial(convolved, module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


MAX_RESIDUES = 198


def in_length_order(df: pd.DataFrame) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """Return the row order by length, and a copy in it with ``nAA``, as alphabase needs it."""
    lengths = df["sequence"].str.len().to_numpy()
    order = np.argsort(lengths, kind="stable")
    return order, df.iloc[order].assign(nAA=lengths[order]).reset_index(drop=True)


def require_columns(df: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Raise DataError when a column is missing."""
    missing = [c for c in columns if c not in df.columns]
    if missing:
        raise DataError(f"The table for {what} has no column '{missing[0]}'.", f"It needs {', '.join(columns)}.")


def number_column(df: pd.DataFrame, column: str, what: str) -> NDArray[np.float64]:
    """Return a column as (n,) finite float64; DataError where it is missing or holds something else."""
    require_columns(df, (column,), what)
    values = pd.to_numeric(df[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"Column '{column}' for {what} holds {bad.size} values that are not finite numbers "
            f"(the first in row {bad[0]}: {df['sequence'].iloc[bad[0]]}).",
            "Remove these rows.",
        )
    return values


def encode_peptidoforms(
    df: pd.DataFrame, per_row: Mapping[str, Tensor] | None = None, per_fragment: Mapping[str, Tensor] | None = None
) -> Examples:
    """Encode the columns ``sequence``, ``mods`` and ``mod_sites``, in any row order."""
    require_columns(df, PEPTIDOFORM, "the models")
    sequences = df["sequence"].to_numpy(dtype=object)
    lengths = _lengths(sequences)
    residues = np.frombuffer("".join(sequences).encode("ascii", errors="replace"), dtype=np.int8) - (ord("A") - 1)
    wrong = np.flatnonzero((residues < 1) | (residues > 26))
    if wrong.size:
        row = int(np.searchsorted(lengths.cumsum(), wrong[0], side="right"))
        raise DataError(f"Sequence '{sequences[row]}' has a residue that is not a capital letter A to Z.")
    return Examples(
        lengths=torch.from_numpy(lengths),
        residues=torch.from_numpy(residues.astype(np.int8)),
        sites=_encode_modifications(df, lengths),
        per_row=per_row or {},
        per_fragment=per_fragment or {},
    )


def _lengths(sequences: NDArray[np.object_]) -> NDArray[np.int64]:
    if not all(isinstance(s, str) for s in sequences):
        raise DataError("Column 'sequence' holds values that are not text.")
    lengths = np.fromiter((len(s) for s in sequences), dtype=np.int64, count=len(sequences))
    bad = np.flatnonzero((lengths < 2) | (lengths > MAX_RESIDUES))
    if bad.size:
        raise DataError(
            f"Sequence '{sequences[bad[0]]}' has {lengths[bad[0]]} residues: the models take 2 to {MAX_RESIDUES}."
        )
    return lengths


def _encode_modifications(df: pd.DataFrame, lengths: NDArray[np.int64]) -> SparseSites:
    mods = df["mods"].fillna("").astype(str).to_numpy(dtype=object)
    sites = df["mod_sites"].fillna("").astype(str).to_numpy(dtype=object)
    modified = np.flatnonzero(mods != "")
    counts = np.zeros(len(mods), dtype=np.int64)
    counts[modified] = [m.count(";") + 1 for m in mods[modified]]
    site_counts = np.fromiter((s.count(";") + 1 if s else 0 for s in sites), dtype=np.int64, count=len(sites))
    if (counts != site_counts).any():
        row = int(np.flatnonzero(counts != site_counts)[0])
        raise DataError(f"Row {row}: mods '{mods[row]}' and mod_sites '{sites[row]}' do not have the same number.")
    names = ";".join(mods[modified]).split(";") if modified.size else []
    unique, kind = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    pointer = np.concatenate([[0], counts.cumsum()])
    return SparseSites(
        pointer=torch.from_numpy(pointer),
        site=torch.from_numpy(_sites(sites[modified], np.repeat(lengths, counts))),
        kind=torch.from_numpy(kind.astype(np.int64)),
        table=_feature_table(unique.tolist()),
    )


def _sites(sites: NDArray[np.object_], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    texts = ";".join(sites).split(";") if sites.size else []
    try:
        values = np.array(texts, dtype=object).astype(np.int64)
    except ValueError as e:
        raise DataError(f"Column 'mod_sites' holds something else than whole numbers: {e}.") from e
    wrong = np.flatnonzero((values < -1) | (values > lengths))
    if wrong.size:
        raise DataError(
            f"Modification site {values[wrong[0]]} lies outside a peptide of {lengths[wrong[0]]} residues.",
            "0 is the N-terminus, 1 the first residue, -1 the C-terminus.",
        )
    return values


def _feature_table(names: list[str]) -> Tensor:
    unknown = [name for name in names if name not in MOD_TO_FEATURE]
    if unknown:
        raise DataError(
            f"The models do not know the modification '{unknown[0]}'.",
            "Use a name of alphabase's modification table, or add it to custom_modifications.",
        )
    table = np.zeros((max(1, len(names)), mod_feature_size), dtype=np.float32)
    for i, name in enumerate(names):
        table[i] = MOD_TO_FEATURE[name]
    return torch.from_numpy(table)
