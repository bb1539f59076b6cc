"""A rendered DIA run, and its two file formats: alphaRaw HDF5 and mzML."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from alpharaw.ms_data_base import MSData_Base
from numpy.typing import NDArray

from alphadia_tl.errors import OutputError


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
        """Write the run in the format of the file name's ending: ``.hdf`` (alphaRaw) or ``.mzML``."""
        if path.suffix.lower() == ".hdf":
            data = MSData_Base(centroided=True)
            data.spectrum_df, data.peak_df = self.spectrum_df, self.peak_df
            data.raw_file_path, data.file_type, data.instrument = path.name, "simulated", "simulated"
            data.save_hdf(str(path))
        elif path.suffix.lower() == ".mzml":
            with path.open("w", encoding="utf-8") as handle:
                handle.write(_MZML_HEAD.format(n=len(self.spectrum_df)))
                handle.writelines(self._mzml_spectra())
                handle.write("    </spectrumList>\n  </run>\n</mzML>\n")
        else:
            raise OutputError(f"A run cannot be written as '{path.name}'.", "Use a name that ends in .hdf or .mzML.")

    def _mzml_spectra(self) -> Iterator[str]:
        mz = self.peak_df["mz"].to_numpy()
        intensity = self.peak_df["intensity"].to_numpy()
        isolation = ["precursor_mz", "isolation_lower_mz", "isolation_upper_mz"]
        columns = ["peak_start_idx", "peak_stop_idx", "ms_level", "rt", *isolation]
        rows = zip(*(self.spectrum_df[c].tolist() for c in columns), strict=True)
        for index, (start, stop, level, rt, centre, lower, upper) in enumerate(rows):
            peaks = slice(start, stop)
            yield _MZML_SPECTRUM.format(
                index=index,
                number=index + 1,
                n=stop - start,
                level=level,
                kind='MS:1000579" name="MS1 spectrum' if level == 1 else 'MS:1000580" name="MSn spectrum',
                rt=rt,
                precursor=""
                if level == 1
                else _MZML_PRECURSOR.format(centre=centre, below=centre - lower, above=upper - centre),
                mz=_array(mz[peaks], 'MS:1000514" name="m/z array'),
                intensity=_array(intensity[peaks], 'MS:1000515" name="intensity array'),
            )


def _array(values: NDArray[Any], term: str) -> str:
    text = base64.b64encode(zlib.compress(np.ascontiguousarray(values, dtype="<f4").tobytes(), 1)).decode("ascii")
    return _MZML_ARRAY.format(length=len(text), term=term, text=text)


_MZML_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1.0">
  <cvList count="2">
    <cv id="MS" fullName="PSI-MS" version="4.1.0" URI="https://purl.obolibrary.org/obo/ms.obo"/>
    <cv id="UO" fullName="Unit Ontology" version="1" URI="https://purl.obolibrary.org/obo/uo.obo"/>
  </cvList>
  <fileDescription><fileContent>
    <cvParam cvRef="MS" accession="MS:1000580" name="MSn spectrum" value=""/>
  </fileContent></fileDescription>
  <softwareList count="1"><software id="simulator" version="1">
    <cvParam cvRef="MS" accession="MS:1000799" name="custom unreleased software tool" value="simulator"/>
  </software></softwareList>
  <instrumentConfigurationList count="1"><instrumentConfiguration id="IC1">
    <cvParam cvRef="MS" accession="MS:1000031" name="instrument model" value=""/>
  </instrumentConfiguration></instrumentConfigurationList>
  <dataProcessingList count="1"><dataProcessing id="made"><processingMethod order="0" softwareRef="simulator">
    <cvParam cvRef="MS" accession="MS:1000544" name="Conversion to mzML" value=""/>
  </processingMethod></dataProcessing></dataProcessingList>
  <run id="run" defaultInstrumentConfigurationRef="IC1">
    <spectrumList count="{n}" defaultDataProcessingRef="made">
"""
_MZML_SPECTRUM = """      <spectrum index="{index}" id="scan={number}" defaultArrayLength="{n}">
        <cvParam cvRef="MS" accession="MS:1000511" name="ms level" value="{level}"/>
        <cvParam cvRef="MS" accession="{kind}" value=""/>
        <cvParam cvRef="MS" accession="MS:1000127" name="centroid spectrum" value=""/>
        <scanList count="1">
          <cvParam cvRef="MS" accession="MS:1000795" name="no combination" value=""/>
          <scan><cvParam cvRef="MS" accession="MS:1000016" name="scan start time" value="{rt:.8f}" unitCvRef="UO" \
unitAccession="UO:0000031" unitName="minute"/></scan>
        </scanList>
{precursor}        <binaryDataArrayList count="2">
{mz}{intensity}        </binaryDataArrayList>
      </spectrum>
"""
_MZML_PRECURSOR = """        <precursorList count="1"><precursor>
          <isolationWindow>
            <cvParam cvRef="MS" accession="MS:1000827" name="isolation window target m/z" value="{centre:.6f}"/>
            <cvParam cvRef="MS" accession="MS:1000828" name="isolation window lower offset" value="{below:.6f}"/>
            <cvParam cvRef="MS" accession="MS:1000829" name="isolation window upper offset" value="{above:.6f}"/>
          </isolationWindow>
          <selectedIonList count="1"><selectedIon>
            <cvParam cvRef="MS" accession="MS:1000744" name="selected ion m/z" value="{centre:.6f}"/>
          </selectedIon></selectedIonList>
          <activation><cvParam cvRef="MS" accession="MS:1000422" \
name="beam-type collision-induced dissociation" value=""/></activation>
        </precursor></precursorList>
"""
_MZML_ARRAY = """          <binaryDataArray encodedLength="{length}">
            <cvParam cvRef="MS" accession="MS:1000521" name="32-bit float" value=""/>
            <cvParam cvRef="MS" accession="MS:1000574" name="zlib compression" value=""/>
            <cvParam cvRef="MS" accession="{term}" value=""/>
            <binary>{text}</binary>
          </binaryDataArray>
"""
