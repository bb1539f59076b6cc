"""Renders a DIA run from any precursor table with retention times, abundances and fragment intensities.

All intensities are expected ion counts; counting is Poisson. Peaks closer than the resolution become one centroid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from numpy.typing import NDArray

from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.simulate.run_file import Acquisition, DiaRun

_NEEDED = [*PRECURSOR, "nAA", "precursor_mz", "rt", "abundance", "frag_start_idx"]
_ISOTOPE_DISTANCE = 1.0033548378
_PROTON = 1.007276467
_SHAPE_REACH = 3.2


@dataclass(frozen=True)
class _Peaks:
    """Peaks of spectra by number, m/z and counts, one entry each."""

    spectrum: NDArray[Any]
    mz: NDArray[Any]
    counts: NDArray[Any]


@dataclass(frozen=True)
class _Elution:
    """When precursors elute (apex and sigma in seconds), and where in the cycle their spectrum is, one entry each."""

    apex: NDArray[Any]
    sigma: NDArray[Any]
    slot: NDArray[Any]


def isotope_fractions(mass: NDArray[Any]) -> NDArray[Any]:
    """Return the isotope envelope of average peptides of neutral masses, shape (n, 4), relative to all isotopes.

    A compound Poisson approximation of averagine (Senko et al. 1995, J Am Soc Mass Spectrom 6, 229): 5.3e-4 heavy
    atoms of one extra neutron and 4.3e-5 of two per dalton.
    """
    one, two = 5.31e-4 * mass, 4.3e-5 * mass
    none = np.exp(-one - two)
    return np.stack([none, none * one, none * (one**2 / 2 + two), none * (one**3 / 6 + one * two)], axis=1)


def render_run(
    precursor_df: pd.DataFrame,
    fragment_intensity_df: pd.DataFrame,
    acquisition: Acquisition,
    generator: np.random.Generator,
) -> DiaRun:
    """Render a DIA run.

    ``precursor_df``, in any order: sequence, mods, mod_sites, charge, nAA, precursor_mz, rt (0 to 1), abundance,
    frag_start_idx. ``fragment_intensity_df``: dense intensities relative to the precursor's base peak, a column per
    charged fragment type.
    """
    _check(precursor_df, fragment_intensity_df)
    edges = acquisition.window_edges
    mz = precursor_df["precursor_mz"].to_numpy()
    df = precursor_df[(mz > edges[0]) & (mz < edges[-1])].reset_index(drop=True)
    fragment_mz = _fragment_mz(df, list(fragment_intensity_df.columns))
    intensity = fragment_intensity_df.to_numpy(dtype=np.float32)
    chunks = [_noise(acquisition, generator)]
    own_stop = np.cumsum(df["nAA"].to_numpy() - 1)
    for start in range(0, len(df), 2000):
        rows = df.iloc[start : start + 2000]
        own = slice(own_stop[start] - (rows["nAA"].iloc[0] - 1), own_stop[start + len(rows) - 1])
        batch_intensity = intensity[_ranges(rows["frag_start_idx"].to_numpy(), rows["nAA"].to_numpy() - 1)]
        chunks.extend(_precursor_peaks(rows, fragment_mz[own], batch_intensity, acquisition, generator))
    peaks = _Peaks(*(np.concatenate([getattr(c, f.name) for c in chunks]) for f in fields(_Peaks)))
    merged = _centroid(peaks, acquisition.resolution)
    return DiaRun.from_peaks(merged.spectrum, merged.mz, merged.counts, acquisition)


def _check(precursor_df: pd.DataFrame, fragment_intensity_df: pd.DataFrame) -> None:
    missing = [c for c in _NEEDED if c not in precursor_df.columns]
    if missing:
        raise DataError(f"The precursor table to render lacks the column '{missing[0]}'.", f"Needed: {_NEEDED}.")
    numbers = precursor_df[["precursor_mz", "rt", "abundance"]].to_numpy(dtype=float)
    if not np.isfinite(numbers).all() or not np.isfinite(fragment_intensity_df.to_numpy()).all():
        raise DataError("The precursor table to render holds values that are not finite.", "Drop those rows first.")


def _ranges(starts: NDArray[Any], lengths: NDArray[Any]) -> NDArray[Any]:
    """Concatenate ``arange(start, start + length)`` over all rows."""
    offsets = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum()) - np.repeat(offsets - starts, lengths))


def _fragment_mz(df: pd.DataFrame, types: list[str]) -> NDArray[Any]:
    """Fragment m/z, float64, in the row order of `df`, whatever that order is."""
    order = np.argsort(df["nAA"].to_numpy(), kind="stable")
    columns = [*PRECURSOR, "nAA"]
    ordered = df.loc[order, columns].reset_index(drop=True)
    values = create_fragment_mz_dataframe(ordered, types, dtype=np.float64).to_numpy()
    lengths = ordered["nAA"].to_numpy() - 1
    starts = np.empty(len(df), dtype=np.int64)
    starts[order] = np.cumsum(lengths) - lengths
    return np.asarray(values[_ranges(starts, df["nAA"].to_numpy() - 1)])


def _precursor_peaks(
    rows: pd.DataFrame,
    frag_mz: NDArray[Any],
    frag_intensity: NDArray[Any],
    a: Acquisition,
    generator: np.random.Generator,
) -> Iterator[_Peaks]:
    """Yield MS1 and MS2 peaks of one batch of precursors."""
    n = len(rows)
    charge = rows["charge"].to_numpy(dtype=float)
    precursor_mz = rows["precursor_mz"].to_numpy()
    window = np.clip(np.searchsorted(a.window_edges, precursor_mz, side="right") - 1, 0, a.n_windows - 1)
    apex = a.apex_seconds(rows["rt"].to_numpy())
    sigma = a.peak_sigma_seconds * np.exp(a.peak_sigma_spread * generator.standard_normal(n))
    envelope = isotope_fractions(precursor_mz * charge - charge * _PROTON)
    isotope_mz = precursor_mz[:, None] + _ISOTOPE_DISTANCE * np.arange(envelope.shape[1]) / charge[:, None]
    height = a.signal * rows["abundance"].to_numpy()

    survey = (np.arange(n).repeat(envelope.shape[1]), isotope_mz.ravel(), a.survey_gain * envelope.ravel())
    bond_row = np.repeat(np.arange(n), rows["nAA"].to_numpy() - 1)
    formed = (frag_intensity > 0) & (frag_mz > 0)
    fragment = (
        np.broadcast_to(bond_row[:, None], formed.shape)[formed],
        frag_mz[formed],
        frag_intensity[formed].astype(np.float64),
    )
    slots = (np.zeros(n, dtype=np.int64), window + 1)
    for (row, mz, share), slot, limits in zip((survey, fragment), slots, (a.survey_mz, a.fragment_mz), strict=True):
        ion_height = height[row] * share
        keep = (ion_height > 0.3 * a.detection_limit) & (mz > limits[0]) & (mz < limits[1])
        yield _chromatograms(row[keep], mz[keep], ion_height[keep], _Elution(apex, sigma, slot), a, generator)


def _chromatograms(
    row: NDArray[Any],
    mz: NDArray[Any],
    height: NDArray[Any],
    elution: _Elution,
    a: Acquisition,
    generator: np.random.Generator,
) -> _Peaks:
    """Spread ions, given by the row of their precursor, over the cycles of their chromatographic peaks, and count."""
    apex, sigma, slot = elution.apex, elution.sigma, elution.slot
    per_cycle = a.n_windows + 1
    delay = slot * a.cycle_seconds / per_cycle
    first = np.ceil((apex - _SHAPE_REACH * sigma - delay) / a.cycle_seconds).astype(np.int64)
    last = np.floor((apex + _SHAPE_REACH * a.peak_tailing * sigma - delay) / a.cycle_seconds).astype(np.int64)
    first, last = np.maximum(first, 0), np.minimum(last, a.n_cycles - 1)
    lengths = np.maximum(last - first + 1, 0)[row]
    ion = np.repeat(np.arange(len(row)), lengths)
    cycle = _ranges(first[row], lengths)
    parent = row[ion]
    distance = (cycle * a.cycle_seconds + delay[parent] - apex[parent]) / sigma[parent]
    distance = np.where(distance > 0, distance / a.peak_tailing, distance)
    counts = generator.poisson(height[ion] * np.exp(-0.5 * distance**2)).astype(np.float32)
    seen = counts >= a.detection_limit
    counts = counts[seen]
    ideal = mz[ion[seen]]
    ppm = a.ppm_offset + a.ppm_slope * (ideal - 500.0) / 1000.0
    ppm = ppm + a.ppm_sigma * np.sqrt(100.0 / np.clip(counts, 25.0, 400.0)) * generator.standard_normal(len(counts))
    spectrum = (cycle[seen] * per_cycle + slot[parent[seen]]).astype(np.int32)
    return _Peaks(spectrum, ideal * (1.0 + 1e-6 * ppm), counts)


def _noise(a: Acquisition, generator: np.random.Generator) -> _Peaks:
    """Draw chemical noise: peptide-like mass defects, log-normal counts, falling density towards high m/z."""
    per_cycle = a.n_windows + 1
    slot = np.tile(np.arange(per_cycle), a.n_cycles)
    number = generator.poisson(np.where(slot == 0, 0.5, 1.0) * a.noise_peaks)
    spectrum = np.repeat(np.arange(len(slot)), number).astype(np.int32)
    is_survey = np.repeat(slot == 0, number)
    position = generator.beta(1.3, 2.6, len(spectrum))
    low = np.where(is_survey, a.survey_mz[0], a.fragment_mz[0])
    high = np.where(is_survey, a.survey_mz[1], a.fragment_mz[1])
    charge = np.where(generator.random(len(spectrum)) < 0.7, 1.0, 2.0)
    nominal = np.round((low + position * (high - low)) * charge)
    mz = nominal * 1.00048 / charge + generator.normal(0.0, 0.06, len(spectrum))
    counts = a.noise_counts * np.exp(a.noise_spread * generator.standard_normal(len(spectrum)))
    seen = counts >= a.detection_limit
    return _Peaks(spectrum[seen], mz[seen], counts[seen].astype(np.float32))


def _centroid(peaks: _Peaks, resolution: float) -> _Peaks:
    """Sort by spectrum and m/z, and merge peaks that the analyser cannot tell apart."""
    order = np.lexsort((peaks.mz, peaks.spectrum))
    spectrum, mz, counts = peaks.spectrum[order], peaks.mz[order], peaks.counts[order].astype(np.float64)
    new = np.ones(len(mz), dtype=bool)
    new[1:] = (np.diff(spectrum) > 0) | (np.diff(mz) > mz[1:] / resolution)
    starts = np.flatnonzero(new)
    total = np.add.reduceat(counts, starts)
    centre = np.add.reduceat(counts * mz, starts) / total
    return _Peaks(spectrum[starts], centre, total)
