"""Renders a DIA run, alphaRaw HDF5, from a precursor table with retention times, abundances, fragment intensities.

All intensities are expected ion counts; counting is Poisson. Peaks closer than the resolution become one centroid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alpharaw.ms_data_base import MSData_Base
from numpy.typing import NDArray

from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PRECURSOR
from alphadia_tl.library.fragments import block_bounds, block_rows

_NEEDED = [*PRECURSOR, "nAA", "precursor_mz", "rt", "abundance", "frag_start_idx"]
_ISOTOPE_DISTANCE = 1.0033548378
_PROTON = 1.007276467
_SHAPE_REACH = 3.2


@dataclass(frozen=True)
class Acquisition:
    """Settings of the rendered run.

    Retention times 0 to 1 are spread over the gradient except for a fraction ``margin`` at both ends. The isolation
    windows of a cycle cover ``window_mz`` without overlap; an MS1 spectrum precedes them. The leading half of a
    chromatographic peak has a typical standard deviation of ``peak_sigma_seconds``; ``peak_sigma_spread`` is that of
    its logarithm over precursors, ``peak_tailing`` the trailing half's relative to it. ``signal`` are the ion counts
    of the base peak in the apex spectrum for an abundance of 1, ``survey_gain`` MS1 counts relative to it.

    ``noise_peaks`` is the mean number of chemical noise peaks per MS2 spectrum (half of it per MS1 spectrum), with the
    median ``noise_counts`` and ``noise_spread``, the standard deviation of their logarithm. Peaks below
    ``detection_limit`` counts are not written. ``ppm_offset`` is the m/z error at m/z 500, ``ppm_slope`` its change per
    1000 m/z, ``ppm_sigma`` the random error of a peak of 100 counts. Peaks closer than m/z divided by ``resolution``
    become one.
    """

    gradient_minutes: float = 8.0
    margin: float = 0.04
    window_mz: tuple[float, float] = (400.0, 1000.0)
    n_windows: int = 12
    cycle_seconds: float = 1.2
    fragment_mz: tuple[float, float] = (150.0, 1800.0)
    survey_mz: tuple[float, float] = (390.0, 1100.0)
    peak_sigma_seconds: float = 2.2
    peak_sigma_spread: float = 0.15
    peak_tailing: float = 1.25
    signal: float = 600.0
    survey_gain: float = 2.0
    noise_peaks: float = 300.0
    noise_counts: float = 12.0
    noise_spread: float = 0.9
    detection_limit: float = 3.0
    ppm_offset: float = 2.5
    ppm_slope: float = -1.5
    ppm_sigma: float = 2.0
    resolution: float = 25_000.0

    @property
    def n_cycles(self) -> int:
        """Number of complete cycles."""
        return int(self.gradient_minutes * 60.0 / self.cycle_seconds)

    @property
    def window_edges(self) -> NDArray[Any]:
        """Edges of the isolation windows in m/z, shape (n_windows + 1,)."""
        return np.linspace(*self.window_mz, self.n_windows + 1)

    def apex_seconds(self, rt: NDArray[Any]) -> NDArray[Any]:
        """Translate retention times in [0, 1] to seconds of the run."""
        return np.asarray((self.margin + (1.0 - 2.0 * self.margin) * rt) * self.gradient_minutes * 60.0)


@dataclass(frozen=True)
class DiaRun:
    """Spectra of a DIA run in acquisition order: one MS1 spectrum and then all windows, cycle by cycle.

    ``spectrum_df`` has columns as alphaRaw has them, ``rt`` in minutes; ``peak_df`` has ``mz`` and ``intensity``,
    float32, sorted by spectrum and m/z.
    """

    spectrum_df: pd.DataFrame
    peak_df: pd.DataFrame

    @classmethod
    def from_peaks(
        cls, spectrum: NDArray[Any], mz: NDArray[Any], intensity: NDArray[Any], acquisition: Acquisition
    ) -> DiaRun:
        """Build the tables from peaks that are sorted by spectrum number and m/z."""
        n_cycles, window_edges = acquisition.n_cycles, acquisition.window_edges
        per_cycle = len(window_edges)
        n_spectra = n_cycles * per_cycle
        stops = np.searchsorted(spectrum, np.arange(n_spectra), side="right")
        lower = np.concatenate([[-1.0], window_edges[:-1]])
        upper = np.concatenate([[-1.0], window_edges[1:]])
        spectrum_df = pd.DataFrame(
            {
                "spec_idx": np.arange(n_spectra, dtype=np.int64),
                "peak_start_idx": np.concatenate([[0], stops[:-1]]).astype(np.int64),
                "peak_stop_idx": stops.astype(np.int64),
                "rt": np.arange(n_spectra) * acquisition.cycle_seconds / per_cycle / 60.0,
                "precursor_mz": np.tile((lower + upper) / 2.0, n_cycles),
                "precursor_charge": np.zeros(n_spectra, dtype=np.int8),
                "isolation_lower_mz": np.tile(lower, n_cycles),
                "isolation_upper_mz": np.tile(upper, n_cycles),
                "ms_level": np.tile(np.where(lower < 0, 1, 2), n_cycles).astype(np.int8),
            }
        )
        peak_df = pd.DataFrame({"mz": mz.astype(np.float32), "intensity": intensity.astype(np.float32)})
        return cls(spectrum_df, peak_df)

    def save(self, path: Path) -> None:
        """Write the run as alphaRaw HDF5."""
        data = MSData_Base(centroided=True)
        data.spectrum_df, data.peak_df = self.spectrum_df, self.peak_df
        data.raw_file_path, data.file_type, data.instrument = path.name, "simulated", "simulated"
        data.save_hdf(str(path))


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
        starts = rows["frag_start_idx"].to_numpy()
        batch_intensity = intensity[block_rows(starts, starts + rows["nAA"].to_numpy() - 1)]
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


def _fragment_mz(df: pd.DataFrame, types: list[str]) -> NDArray[Any]:
    """Fragment m/z, float64, in the row order of `df`, whatever that order is."""
    order = np.argsort(df["nAA"].to_numpy(), kind="stable")
    columns = [*PRECURSOR, "nAA"]
    ordered = df.loc[order, columns].reset_index(drop=True)
    values = create_fragment_mz_dataframe(ordered, types, dtype=np.float64).to_numpy()
    starts = np.empty(len(df), dtype=np.int64)
    starts[order], _ = block_bounds(ordered["nAA"])
    return np.asarray(values[block_rows(starts, starts + df["nAA"].to_numpy() - 1)])


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
    cycle = block_rows(first[row], first[row] + lengths)
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
