"""The transfer library: observations to learn from, as alphaDIA stores them, with a mask of what can be trusted."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alphabase.spectral_library.base import SpecLibBase

from alphadia_tl.errors import LibraryError
from alphadia_tl.files import write_whole
from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR
from alphadia_tl.library.fragments import Ints, block_rows, enough_fragments, with_blocks
from alphadia_tl.library.selection import CHARGES, learnable

logger = logging.getLogger(__name__)

BLOCK = ["frag_start_idx", "frag_stop_idx"]
REQUIRED_COLUMNS = (*PRECURSOR, "nAA", "rt_norm", "rt_observed", "proba", "raw_name", *BLOCK)
"""Columns that must be in a file. One without use_for_ms2 is taken as selected already: all rows are used."""
_GROUP = "alphadia_tl"
"""Group of the file beside alphabase's own ``library``; alphabase does not look at it."""
_EMPTY = pd.DataFrame({"mod_seq_hash": np.zeros(0, np.int64), "mod_seq_charge_hash": np.zeros(0, np.int64)})
"""Precursors of an empty library: alphabase cannot write empty text columns."""


@dataclass(frozen=True)
class TransferLibrary:
    """Observations of precursors with their fragments.

    ``precursor_df`` has one row per observation, sorted by nAA, with a RangeIndex: sequence, mods, mod_sites, charge,
    nAA, precursor_mz (Th), rt_norm (0 to 1), rt_observed (s), proba (lower is better), raw_name, frag_start_idx,
    frag_stop_idx, use_for_ms2; where the data has ion mobility also mobility (1/K0 in V s/cm²) and ccs (Å²), NaN for
    observations of runs without. Rows ``frag_start_idx:frag_stop_idx`` of the fragment tables (float32 and bool, types
    as columns) belong to it, in its order; the mask is true for signal that fits the precursor, or a zero where the
    fragment would have been seen. ``left_out`` names runs that could not be used, and why; ``run_facts`` is what is
    known of the acquisition (``run_facts.RunFacts.to_mapping``); ``notes`` tell what the observations do not have.
    """

    precursor_df: pd.DataFrame
    fragment_intensity_df: pd.DataFrame
    fragment_mask_df: pd.DataFrame
    left_out: tuple[tuple[str, str], ...] = field(default=())
    run_facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.fragment_intensity_df.shape != self.fragment_mask_df.shape:
            raise LibraryError("Fragment intensities and their mask differ in shape.", "Collect the library again.")
        missing = [c for c in REQUIRED_COLUMNS if c not in self.precursor_df.columns]
        if missing:
            raise LibraryError(f"The transfer library lacks the column(s) {', '.join(missing)}.")

    def __len__(self) -> int:
        return len(self.precursor_df)

    @classmethod
    def empty(cls, charged_frag_types: Sequence[str], left_out: tuple[tuple[str, str], ...] = ()) -> TransferLibrary:
        """Return a library without observations, with all columns."""
        text = pd.Series(dtype=object)
        columns = dict.fromkeys((*PEPTIDOFORM, "raw_name"), text)
        columns |= {c: pd.Series(dtype=np.int64) for c in ("charge", "nAA", "frag_start_idx", "frag_stop_idx")}
        columns |= {c: pd.Series(dtype=float) for c in ("precursor_mz", "rt_norm", "rt_observed", "proba")}
        df = pd.DataFrame({**columns, "use_for_ms2": pd.Series(dtype=bool)})
        values = np.zeros((0, len(charged_frag_types)))
        intensity = pd.DataFrame(values.astype(np.float32), columns=list(charged_frag_types))
        return cls(df, intensity, intensity.astype(bool), left_out)

    def save(self, path: str | Path) -> None:
        """Write the library as alphabase HDF, with the mask in a group of its own.

        It is written under a temporary name and renamed, so that a broken file never carries the right name. Raises
        OutputError if it cannot be written.
        """
        types = list(self.fragment_intensity_df.columns)
        library = SpecLibBase()
        library._precursor_df = self.precursor_df.copy() if len(self) else _EMPTY.copy()
        library.charged_frag_types = types
        library._fragment_intensity_df = self.fragment_intensity_df
        library._fragment_mz_df = self.fragment_intensity_df.copy()
        if len(self):
            precursors = self.precursor_df[[*PRECURSOR, "nAA", *BLOCK]].copy()
            library._fragment_mz_df = create_fragment_mz_dataframe(
                precursors, types, reference_fragment_df=self.fragment_intensity_df
            )

        def write(part: Path) -> None:
            library.save_hdf(str(part))
            with h5py.File(part, "a") as file:
                group = file.create_group(_GROUP)
                mask = self.fragment_mask_df.to_numpy(bool)
                group.create_dataset("fragment_mask", data=mask, compression="lzf" if mask.size else None)
                group.attrs["charged_frag_types"] = json.dumps(types)
                group.attrs["left_out"] = json.dumps(self.left_out)
                group.attrs["notes"] = json.dumps(self.notes)
                group.create_dataset("run_facts", data=json.dumps(self.run_facts))

        write_whole(Path(path), write)

    @classmethod
    def load(cls, path: str | Path) -> TransferLibrary:
        """Read a transfer library written by :meth:`save` or by alphaDIA itself.

        alphaDIA's own has no mask, and zeros where it removed interference: zeros are then not trusted. Raises
        LibraryError if the file is missing or corrupt, or lacks columns; DataError if no row can be learnt.
        """
        path = Path(path)
        if not path.is_file():
            raise LibraryError(f"The transfer library {path} does not exist.", "Check the path.")
        library = SpecLibBase()
        try:
            library.load_hdf(str(path), load_mod_seq=True)
            mask, types, left_out, facts, notes = _read_extras(path)
        except (OSError, KeyError, AttributeError, ValueError, TypeError) as error:
            raise LibraryError(
                f"The transfer library {path} cannot be read ({error}).", "Collect it again from the quant folders."
            ) from error
        if mask is not None and len(mask) == 0:
            return replace(cls.empty(types, left_out), run_facts=facts)
        df, intensity = library._precursor_df, library._fragment_intensity_df
        missing = [c for c in REQUIRED_COLUMNS if c not in df.columns]
        if missing:
            raise LibraryError(
                f"{path} is no transfer library: it lacks the column(s) {', '.join(missing)}.",
                "Give the speclib.transfer.hdf of a search, not a search library.",
            )
        times = {"rt_norm": (-np.inf, np.inf)} if df["rt_norm"].notna().any() else {}
        df = learnable(df, path.name, {**CHARGES, **times})
        if mask is None:
            logger.warning(f"{path} has no fragment mask (written by alphaDIA itself): zero intensities are not used.")
            mask = intensity > 0
        else:
            if len(mask) != len(intensity) or set(types) != set(intensity.columns):
                raise LibraryError(
                    f"{path} is corrupt: mask and intensities do not fit.", "Collect it again from the quant folders."
                )
            intensity, mask = intensity[types], pd.DataFrame(mask, columns=types)
        return cls(*_in_order(df, intensity, mask), left_out, facts, notes)


def describe(library: TransferLibrary) -> dict[str, Any]:
    """Count what a transfer library holds, for logs and reports.

    ``fragments`` are values of the matrix, ``masked_fraction`` is of all of them, ``masked_signal_fraction`` of those
    with signal (interference); ``charges`` and ``modifications`` are numbers of observations.
    """
    df = library.precursor_df
    intensity, mask = library.fragment_intensity_df.to_numpy(), library.fragment_mask_df.to_numpy(bool)
    signal = intensity > 0
    names = Counter(name for mods in df["mods"] for name in set(mods.split(";")) if name)
    return {
        "runs": int(df["raw_name"].nunique()),
        "runs_left_out": len(library.left_out),
        "observations": len(df),
        "precursors": len(df.drop_duplicates(PRECURSOR)),
        "peptidoforms": len(df.drop_duplicates(PEPTIDOFORM)),
        "peptides": int(df["sequence"].nunique()),
        "used_for_ms2": int(df["use_for_ms2"].sum()),
        "fragments": int(mask.size),
        "fragments_with_signal": int(signal.sum()),
        "masked_fraction": _fraction(~mask),
        "masked_signal_fraction": _fraction(~mask[signal]),
        "observations_with_mobility": int(df["mobility"].notna().sum()) if "mobility" in df.columns else 0,
        "charges": {int(str(c)): int(n) for c, n in df["charge"].value_counts().sort_index().items()},
        "modifications": dict(sorted(names.items())),
    }


def _fraction(values: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    return float(values.mean()) if values.size else 0.0


def _read_extras(path: Path) -> tuple[Any, list[str], tuple[tuple[str, str], ...], dict[str, Any], tuple[str, ...]]:
    with h5py.File(path, "r") as file:
        if _GROUP not in file:
            return None, [], (), {}, ()
        group = file[_GROUP]
        left_out = tuple((str(run), str(reason)) for run, reason in json.loads(group.attrs["left_out"]))
        types = json.loads(group.attrs["charged_frag_types"])
        facts = json.loads(group["run_facts"][()]) if "run_facts" in group else {}
        notes = tuple(json.loads(group.attrs.get("notes", "[]")))
        return group["fragment_mask"][:].astype(bool), types, left_out, facts, notes


def _in_order(
    df: pd.DataFrame, intensity: pd.DataFrame, mask: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Sort by nAA (stable), lay the fragment blocks out in that order."""
    df = df.sort_values("nAA", kind="stable").reset_index(drop=True)
    start: Ints = df["frag_start_idx"].to_numpy(np.int64)
    stop: Ints = df["frag_stop_idx"].to_numpy(np.int64)
    if len(df) and ((stop - start != df["nAA"].to_numpy() - 1).any() or start.min() < 0 or stop.max() > len(intensity)):
        raise LibraryError("The transfer library is corrupt: fragments do not fit sequences.", "Collect it again.")
    rows = block_rows(start, stop)
    df = with_blocks(df)
    intensity = intensity.iloc[rows].reset_index(drop=True).astype(np.float32)
    mask = mask.iloc[rows].reset_index(drop=True).astype(bool)
    use = df["use_for_ms2"].to_numpy(bool) if "use_for_ms2" in df.columns else np.ones(len(df), dtype=bool)
    trusted = mask.to_numpy() & (intensity.to_numpy() > 0)
    bounds = df["frag_start_idx"].to_numpy(), df["frag_stop_idx"].to_numpy()
    return df.assign(use_for_ms2=use & enough_fragments(trusted, *bounds)), intensity, mask
