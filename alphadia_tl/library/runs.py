"""Reads the output of one alphaDIA run: precursors, and fragments requantified for transfer learning.

alphaDIA writes one folder per run with ``psm.parquet`` (one row per precursor after FDR) and, with
``transfer_library.enabled``, ``frag.transfer.parquet`` (long table). Fragments belong to a precursor by
``precursor_idx`` and ``rank``; the psm's ``flat_frag_start_idx`` point into the search library, not into this table.
Fragments without signal have no row (both backends), so a fragment of a requantified precursor that is not in the table
was looked for and not found.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from alphadia_tl.errors import QuantificationError
from alphadia_tl.host.contract import PRECURSOR, PSM_FILE, TRANSFER_FRAGMENTS_FILE
from alphadia_tl.host.run_facts import run_name
from alphadia_tl.library.fragments import Bools, Floats, Ints, find, flat_codes, type_codes, with_blocks
from alphadia_tl.library.selection import CHARGES, learnable

logger = logging.getLogger(__name__)

READ_ERRORS = (OSError, pa.ArrowException, ValueError, TypeError)
_BATCH = 1_000_000


def open_table(path: Path, run: str, columns: Sequence[str], advice: str) -> pq.ParquetFile:
    """Open a parquet file that must exist and have these columns."""
    if not path.is_file():
        raise QuantificationError(f"Run '{run}': {path} is missing.", advice)
    try:
        file = pq.ParquetFile(path)
    except READ_ERRORS as error:
        raise unreadable(path, run, error) from error
    missing = [c for c in columns if c not in file.schema_arrow.names]
    if missing:
        raise QuantificationError(
            f"Run '{run}': {path} lacks the column(s) {', '.join(missing)}.", "Was it written by alphaDIA 2.3?"
        )
    return file


def batches(file: pq.ParquetFile, columns: Sequence[str], path: Path, run: str) -> Iterator[pd.DataFrame]:
    """Yield a table a million rows at a time; raises QuantificationError for a file that is corrupt inside."""
    parts = file.iter_batches(batch_size=_BATCH, columns=list(columns))
    while True:
        try:
            frame = next(parts).to_pandas()
        except StopIteration:
            return
        except READ_ERRORS as error:
            raise unreadable(path, run, error) from error
        yield frame


def unreadable(path: Path, run: str, error: Exception) -> QuantificationError:
    """Make the error for a corrupt file."""
    reason = " ".join(str(error).split())[:200]
    return QuantificationError(f"Run '{run}': {path} cannot be read ({reason}).", "Search this run again.")


PSM_COLUMNS = ("precursor_idx", "rank", *PRECURSOR, "rt_observed", "proba", "decoy")
OPTIONAL_PSM_COLUMNS = ("qval", "mobility_observed", "rt_library")
FRAGMENT_COLUMNS = ("precursor_idx", "rank", "intensity", "correlation", "position", "type", "charge", "loss_type")
MZ_COLUMNS = ("mz_library", "mz", "mz_observed")
MIN_MOBILITY = 1e-3
"""alphaDIA writes 0 or 1e-6 as mobility where the data has none; 1/K0 of peptides is 0.5 to 2 V s/cm²."""
_SEARCH_AGAIN = "Search this run again."
_REQUANTIFY = "Search it with transfer_library.enabled: true."


@dataclass(frozen=True)
class RunObservations:
    """What one run tells: its precursors and their dense fragments.

    ``precursor_df`` has one row per precursor: sequence, mods, mod_sites, charge, nAA, rt_observed (s), proba,
    rt_library (s, where the library expects it in the run; NaN where unknown), raw_name (the run), mobility (1/K0 in
    V s/cm², NaN where there is none), frag_start_idx, frag_stop_idx. ``intensity`` and ``correlation`` (rows,
    types) are as written, zero where the table has no row; intensities may be NaN or negative.
    ``quantified`` (n,) are the precursors, ``types_seen`` (types,) the fragment types that the table has at all, and
    ``fragment_mz`` the lowest and highest m/z (Th) of a fragment with signal, (0, inf) where unknown.
    """

    run: str
    precursor_df: pd.DataFrame
    intensity: Floats
    correlation: Floats
    quantified: Bools
    types_seen: Bools
    fragment_mz: tuple[float, float]


def read_precursors(folder: str | Path, *, fdr: float = 0.01) -> pd.DataFrame:
    """Read the target precursors of a run at ``qval <= fdr``, one row per peptidoform and charge.

    Repeated rows of a precursor leave only the one with the lowest ``proba``; rows without a retention time or score,
    or with a peptidoform or charge that cannot be, are dropped. Each is counted in the log. The columns are those of
    :class:`RunObservations` less the fragment blocks, and ``_candidate``, the key of the fragments. Raises
    QuantificationError for a missing or corrupt file or missing columns, DataError if no row can be learnt.
    """
    run = run_name(folder)
    path = Path(folder) / PSM_FILE
    file = open_table(path, run, PSM_COLUMNS, _SEARCH_AGAIN)
    columns = [*PSM_COLUMNS, *(c for c in OPTIONAL_PSM_COLUMNS if c in file.schema_arrow.names)]
    try:
        df = file.read(columns=columns).to_pandas()
        keep = df["decoy"].astype(float).to_numpy() == 0
        if "qval" in df.columns:
            keep &= df["qval"].to_numpy(dtype=float, na_value=np.nan) <= fdr
        df = df[keep].reset_index(drop=True)
        table = pd.DataFrame(
            {
                "sequence": df["sequence"].astype(object),
                "mods": _text(df["mods"]),
                "mod_sites": _text(df["mod_sites"]),
                "charge": df["charge"],
                "rt_observed": df["rt_observed"].astype(np.float64),
                "proba": df["proba"].astype(np.float64),
                "rt_library": df["rt_library"].astype(np.float64) if "rt_library" in df.columns else np.nan,
                "mobility": _mobility(df),
                "_candidate": _candidate(df),
            }
        )
    except READ_ERRORS as error:
        raise unreadable(path, run, error) from error
    table = learnable(table, f"run '{run}'", CHARGES).astype({"charge": np.int64})
    table.insert(4, "nAA", table["sequence"].str.len().astype(np.int64))
    table["raw_name"] = run
    return _drop_unusable(table, run)


def read_fragments(
    folder: str | Path, precursor_df: pd.DataFrame, charged_frag_types: Sequence[str]
) -> RunObservations:
    """Read the requantified fragments of some of the rows of :func:`read_precursors`, in any order."""
    run = run_name(folder)
    path = Path(folder) / TRANSFER_FRAGMENTS_FILE
    file = open_table(path, run, FRAGMENT_COLUMNS, _REQUANTIFY)
    mz_column = next((c for c in MZ_COLUMNS if c in file.schema_arrow.names), None)
    columns = [*FRAGMENT_COLUMNS, *([mz_column] if mz_column else [])]
    df = with_blocks(precursor_df.reset_index(drop=True))
    shape = (int(df["frag_stop_idx"].max()) if len(df) else 0, len(charged_frag_types))
    intensity, correlation = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    quantified, seen = np.zeros(len(df), dtype=bool), np.zeros(shape[1], dtype=bool)
    low, high = np.inf, -np.inf
    codes, keys = type_codes(charged_frag_types), df["_candidate"].to_numpy()
    start, bonds = df["frag_start_idx"].to_numpy(), df["nAA"].to_numpy() - 1
    for batch in batches(file, columns, path, run):
        value = batch["intensity"].to_numpy(np.float32)
        column = find(flat_codes(*(batch[c].to_numpy() for c in ("type", "loss_type", "charge"))), codes)
        seen[np.unique(column[column >= 0])] = True
        if mz_column and (value > 0).any():
            signal = batch[mz_column].to_numpy()[value > 0]
            low, high = min(low, float(signal.min())), max(high, float(signal.max()))
        owner = find(_candidate(batch), keys)
        mapped = (owner >= 0) & (column >= 0)
        owner, column, value = owner[mapped], column[mapped], value[mapped]
        position = batch["position"].to_numpy().astype(np.int64)[mapped]
        if ((position < 0) | (position >= bonds[owner])).any():
            raise QuantificationError(
                f"Run '{run}': {path} has fragment positions outside their peptides.",
                f"{PSM_FILE} and {TRANSFER_FRAGMENTS_FILE} do not belong together; search this run again.",
            )
        quantified[owner] = True
        intensity[start[owner] + position, column] = value
        correlation[start[owner] + position, column] = batch["correlation"].to_numpy(np.float32)[mapped]
    limits = (low, high) if low <= high else (0.0, np.inf)
    df = df.drop(columns="_candidate")
    return RunObservations(run, df, intensity, correlation, quantified, seen, limits)


def _candidate(df: pd.DataFrame) -> Ints:
    """Key of a candidate: precursor index in the lower 32 bits, rank above, as alphaDIA's own hash."""
    key: Ints = df["precursor_idx"].to_numpy().astype(np.int64) + (df["rank"].to_numpy().astype(np.int64) << 32)
    return key


def _text(column: pd.Series) -> pd.Series:
    text = column.astype(object).where(column.notna(), "").astype(str)
    return text.mask(text.isin(["nan", "None"]), "").astype(object)


def _mobility(df: pd.DataFrame) -> npt.NDArray[np.float64]:
    if "mobility_observed" not in df.columns:
        return np.full(len(df), np.nan)
    values = df["mobility_observed"].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(values > MIN_MOBILITY, values, np.nan)


def _drop_unusable(table: pd.DataFrame, run: str) -> pd.DataFrame:
    sound = np.isfinite(table["rt_observed"]) & np.isfinite(table["proba"])
    ordered = table[sound].sort_values(["proba", "_candidate"], kind="stable")
    distinct: pd.DataFrame = ordered.drop_duplicates(PRECURSOR)
    if (dropped := int((~sound).sum())) > 0:
        logger.warning(f"Run '{run}': {dropped:,} precursors without a retention time or score were dropped.")
    if (repeated := len(ordered) - len(distinct)) > 0:
        logger.warning(f"Run '{run}': {repeated:,} repeated rows of a precursor were dropped.")
    return distinct.sort_index().reset_index(drop=True)
