"""A rendered DIA run, and its file: alphaRaw HDF5."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from alpharaw.ms_data_base import MSData_Base
from numpy.typing import NDArray


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
