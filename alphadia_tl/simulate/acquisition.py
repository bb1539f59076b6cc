"""Settings of a rendered DIA run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Acquisition"]


@dataclass(frozen=True)
class Acquisition:
    """Settings of the rendered run.

    Attributes
    ----------
    gradient_minutes : float
        Length of the run; retention times 0 to 1 are spread over all of it except `margin` at both ends.
    margin : float
        Fraction of the run before the first and after the last possible apex.
    window_mz : tuple[float, float]
        Range that the isolation windows cover without overlap, in m/z.
    n_windows : int
        MS2 spectra per cycle; one MS1 spectrum precedes them.
    cycle_seconds : float
        Time of a cycle.
    fragment_mz, survey_mz : tuple[float, float]
        m/z range of the MS2 and MS1 spectra.
    peak_sigma_seconds : float
        Typical standard deviation of the leading half of a chromatographic peak.
    peak_sigma_spread, peak_tailing : float
        Standard deviation of ln(sigma) over precursors; ratio of the trailing to the leading half's sigma.
    signal : float
        Ion counts of the base peak in the apex spectrum for an abundance of 1.
    survey_gain : float
        MS1 counts relative to the MS2 base peak.
    noise_peaks : float
        Mean number of chemical noise peaks per MS2 spectrum (half of it per MS1 spectrum).
    noise_counts, noise_spread : float
        Median counts of a noise peak, and the standard deviation of its logarithm.
    detection_limit : float
        Peaks below this many counts are not written.
    ppm_offset, ppm_slope, ppm_sigma : float
        Systematic m/z error at m/z 500, its change per 1000 m/z, and the random error of a peak of 100 counts.
    resolution : float
        Peaks closer than m/z divided by this become one.
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
