"""Collects the transfer library from the run folders of a first pass, one run in memory at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from alphabase.peptide.mobility import mobility_to_ccs_bruker
from alphabase.peptide.precursor import update_precursor_mz

from alphadia_tl.errors import DataError, QuantificationError, TransferLearningError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.host.run_facts import read_run_facts, run_name
from alphadia_tl.library import fragments, runs, selection
from alphadia_tl.library.fragments import Bools, Floats
from alphadia_tl.library.retention import RunTimes, normalize, run_times, to_unit
from alphadia_tl.library.sites import without_ambiguous
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.settings import TransferLibrarySettings

logger = logging.getLogger(__name__)


@dataclass
class BestObservations:
    """Best observations so far, and the little that stays of every run.

    The fragment blocks of ``precursor_df`` lie in the order of its rows in the dense ``intensity`` and ``mask`` (rows,
    types; True = trusted). ``limits`` are the m/z (Th) of each run's fragments with signal; ``sampled`` tells that
    peptides were left out to stay within a bound.
    """

    precursor_df: pd.DataFrame
    intensity: Floats
    mask: Bools
    times: list[RunTimes] = field(default_factory=list)
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    sampled: bool = False

    @classmethod
    def empty(cls, n_types: int) -> BestObservations:
        """Return one without observations."""
        return cls(pd.DataFrame(), np.zeros((0, n_types), np.float32), np.zeros((0, n_types), bool))

    def add(self, new_df: pd.DataFrame, intensity: Floats, mask: Bools) -> None:
        """Append observations whose blocks lie in order."""
        parts = [self.precursor_df, new_df] if len(self.precursor_df) else [new_df]
        self.precursor_df = fragments.with_blocks(pd.concat(parts, ignore_index=True))
        self.intensity = np.concatenate([self.intensity, intensity])
        self.mask = np.concatenate([self.mask, mask])

    def take(self, rows: selection.Rows) -> None:
        """Keep only these rows, in this order."""
        chosen = self.precursor_df.iloc[rows]
        gather = fragments.block_rows(chosen["frag_start_idx"].to_numpy(), chosen["frag_stop_idx"].to_numpy())
        self.precursor_df = fragments.with_blocks(chosen.reset_index(drop=True))
        self.intensity, self.mask = self.intensity[gather], self.mask[gather]


_ORDER = ["nAA", *PRECURSOR, "proba", "raw_name"]


@dataclass(frozen=True)
class Wanted:
    """What is collected of a first pass: columns of fragments, such as ``b_z1``, and precursors up to a q-value.

    Beyond ``max_precursors`` distinct ones, whole peptides (stripped sequences) are sampled, so that charges and
    modified forms of one stay together. A fragment without signal outside the range ``fragment_mz`` (Th), or outside
    that in which its run has any signal, is masked, as it could not be seen.
    """

    charged_frag_types: Sequence[str]
    fdr: float = 0.01
    max_precursors: int | None = None
    fragment_mz: tuple[float, float] | None = None


def collect(
    folders: Sequence[str | Path],
    settings: TransferLibrarySettings,
    wanted: Wanted,
    *,
    fail_fast: bool,
    generator: np.random.Generator,
) -> TransferLibrary:
    """Collect the best observations of every peptidoform and charge from the runs of a first pass.

    Each folder holds a run, alphaDIA's ``psm.parquet`` and ``frag.transfer.parquet``; their order changes nothing. With
    ``fail_fast`` a run that cannot be used ends it, otherwise it is left out as long as another remains. The result is
    empty where runs have no identifications. One number is drawn from the generator. Raises QuantificationError for a
    run that cannot be read, and for no folders at all; DataError for one of which no precursor can be learnt, or whose
    retention times are all the same.
    """
    ordered = _distinct(folders)
    salt = selection.draw_salt(generator)
    best = BestObservations.empty(len(wanted.charged_frag_types))
    left_out: list[tuple[str, str]] = []
    failures: list[TransferLearningError] = []
    for folder in ordered:
        name = run_name(folder)
        try:
            reason = _add_run(best, folder, settings, wanted, salt)
        except TransferLearningError as error:
            if fail_fast:
                raise
            failures.append(error)
            reason = str(error)
        if reason:
            logger.warning(f"Run '{name}' is left out of the transfer library: {reason}")
            left_out.append((name, reason))
    if len(failures) == len(ordered):
        raise QuantificationError(
            f"No run can be used for transfer learning: {' | '.join(str(f) for f in failures)}",
            "Search the runs again.",
        )
    return finish(best, settings, wanted, tuple(left_out), salt)


def _distinct(folders: Sequence[str | Path]) -> list[Path]:
    paths = sorted({Path(f).resolve(): Path(f).absolute() for f in folders}.values())  # a link's own name is the run's
    if not paths:
        raise QuantificationError("There are no run folders to collect a transfer library from.", "Search a run first.")
    known: dict[str, Path] = {}
    for path in paths:
        name = run_name(path)
        if known.setdefault(name, path) is not path:
            raise QuantificationError(
                f"Two folders hold a run named '{name}': {known[name]} and {path}.",
                "Rename one of the folders: runs are told apart by their names.",
            )
    return paths


def _add_run(best: BestObservations, folder: Path, settings: TransferLibrarySettings, wanted: Wanted, salt: str) -> str:
    """Merge one run; return why it was left out, or an empty text."""
    new_df = without_ambiguous(runs.read_precursors(folder, fdr=wanted.fdr), folder)
    new_df[selection.KEY_COLUMN] = selection.precursor_keys(new_df)
    if len(new_df) < 2:
        found = "only one precursor" if len(new_df) else "no precursor"
        return f"{found} at {wanted.fdr:.2%} FDR, too few to scale retention times."
    facts = read_run_facts([folder])[run_name(folder)]
    times = run_times(run_name(folder), new_df, facts.rt_limits if facts else None)
    new_df = new_df.drop(columns="rt_library")
    candidates = pd.concat([best.precursor_df, new_df], ignore_index=True) if best.times else new_df
    rows = selection.top_observations(candidates, settings.top_k_samples)
    if wanted.max_precursors is not None:
        possible = selection.possible_rows(candidates.iloc[rows], wanted.max_precursors, salt)
        best.sampled |= len(possible) < len(rows)
        rows = rows[possible]
    n_kept = len(best.precursor_df)
    observations = runs.read_fragments(folder, new_df.iloc[rows[rows >= n_kept] - n_kept], wanted.charged_frag_types)
    intensity, mask, use = _quality(observations, settings)
    still = rows[rows < n_kept]
    if len(still) < n_kept:
        best.take(still)
    best.add(observations.precursor_df.assign(use_for_ms2=use), intensity, mask)
    best.times.append(times)
    best.limits[observations.run] = observations.fragment_mz
    logger.info(
        f"Run '{observations.run}': {len(new_df):,} precursors, {len(observations.precursor_df):,} kept so far."
    )
    return ""


def _quality(observations: runs.RunObservations, settings: TransferLibrarySettings) -> tuple[Floats, Bools, Bools]:
    df = observations.precursor_df
    start, stop = df["frag_start_idx"].to_numpy(), df["frag_stop_idx"].to_numpy()
    mask, use = fragments.interference_mask(
        observations.intensity,
        observations.correlation,
        start,
        stop,
        precursor_correlation_cutoff=settings.precursor_correlation_cutoff,
        fragment_correlation_ratio=settings.fragment_correlation_ratio,
    )
    intensity, _ = fragments.clean_intensity(observations.intensity)
    measured = observations.quantified[fragments.block_owner(start, stop)]
    return intensity, mask & measured[:, None] & observations.types_seen, use


def finish(
    best: BestObservations,
    settings: TransferLibrarySettings,
    wanted: Wanted,
    left_out: tuple[tuple[str, str], ...],
    salt: str,
) -> TransferLibrary:
    """Make the transfer library of the best observations of all runs; the salt is of the random sample of peptides."""
    charged_frag_types, max_precursors = wanted.charged_frag_types, wanted.max_precursors
    if len(best.precursor_df) == 0:
        return TransferLibrary.empty(charged_frag_types, left_out)
    if max_precursors is not None:
        rows = selection.sample_peptides(best.precursor_df, max_precursors, salt)
        if best.sampled or len(rows) < len(best.precursor_df):
            peptides = best.precursor_df["sequence"].iloc[rows].nunique()
            logger.info(f"More than {max_precursors:,} precursors: a random sample of {peptides:,} peptides is best.")
        best.take(rows)
    best.take(best.precursor_df.sort_values(_ORDER, kind="stable").index.to_numpy())
    precursor_mz, fragment_mz = _mz(best.precursor_df, charged_frag_types)
    df = best.precursor_df.drop(columns=["_candidate", selection.KEY_COLUMN], errors="ignore")
    df["rt_norm"] = _rt_norm(df, best.times, align=settings.norm_delta_max)
    df = _with_mobility(df.assign(precursor_mz=precursor_mz))
    lower, upper = _limits(df, best.limits, wanted.fragment_mz)
    mask = best.mask & fragments.observable(best.intensity, fragment_mz, lower, upper)
    columns = list(charged_frag_types)
    library = TransferLibrary(
        df, pd.DataFrame(best.intensity, columns=columns), pd.DataFrame(mask, columns=columns), left_out
    )
    logger.info(
        f"Transfer library: {len(df):,} observations of {df['sequence'].nunique():,} peptides from "
        f"{df['raw_name'].nunique():,} runs, {int(df['use_for_ms2'].sum()):,} used for MS2."
    )
    return library


def _rt_norm(df: pd.DataFrame, times: Sequence[RunTimes], *, align: bool) -> npt.NDArray[np.float64]:
    maps = normalize(times, align=align)
    values = np.zeros(len(df))
    for run, rows in df.groupby("raw_name").indices.items():
        values[rows] = maps[str(run)](df["rt_observed"].to_numpy()[rows])
    return to_unit(values)


def _mz(df: pd.DataFrame, charged_frag_types: Sequence[str]) -> tuple[npt.NDArray[np.float64], Floats]:
    """Return the m/z (Th) of precursors and fragments; each precursor is calculated once, however often observed."""
    keys = selection.precursor_keys(df)
    new = ~pd.Series(keys).duplicated().to_numpy()
    number = pd.factorize(keys)[0]
    distinct_df = update_precursor_mz(df.loc[new, ["nAA", *PRECURSOR]].reset_index(drop=True))
    if not np.isfinite(distinct_df["precursor_mz"]).all():
        raise DataError("Some precursors have no finite m/z.", "Check their sequences and modifications.")
    start, stop = fragments.block_bounds(distinct_df["nAA"].to_numpy())
    rows = fragments.block_rows(start[number], stop[number])
    fragment_mz = fragments.theoretical_mz(distinct_df, charged_frag_types)
    return distinct_df["precursor_mz"].to_numpy()[number], fragment_mz[rows]


def _with_mobility(df: pd.DataFrame) -> pd.DataFrame:
    if df["mobility"].notna().any():
        columns = (df[c].to_numpy(float) for c in ("mobility", "charge", "precursor_mz"))
        return df.assign(ccs=mobility_to_ccs_bruker(*columns))  # keeps NaN; mobility_to_ccs_for_df makes it 0
    return df.drop(columns="mobility")


def _limits(
    df: pd.DataFrame, per_run: dict[str, tuple[float, float]], given: tuple[float, float] | None
) -> tuple[Floats, Floats]:
    low, high = given if given is not None else (0.0, np.inf)
    length = (df["frag_stop_idx"] - df["frag_start_idx"]).to_numpy()
    lower = np.maximum(df["raw_name"].map({r: v[0] for r, v in per_run.items()}).to_numpy(float), low)
    upper = np.minimum(df["raw_name"].map({r: v[1] for r, v in per_run.items()}).to_numpy(float), high)
    return np.repeat(lower, length).astype(np.float32), np.repeat(upper, length).astype(np.float32)
