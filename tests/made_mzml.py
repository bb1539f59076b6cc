"""Spectra as an mzML file, so that a search can be given one."""

import base64
import re
import zlib

import numpy as np
import pandas as pd


def write_mzml(spectrum_df, peak_df, path):
    """Write tables as alphaRaw has them."""
    with path.open("w", encoding="utf-8") as handle:
        handle.write(_MZML_HEAD.format(n=len(spectrum_df)))
        handle.writelines(_spectra(spectrum_df, peak_df))
        handle.write("    </spectrumList>\n  </run>\n</mzML>\n")


def write_cycles(path, cycles=10, windows=5):
    """Write a small file of DIA: cycles of one MS1 spectrum and MS2 spectra, each with five peaks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    n = cycles * (windows + 1)
    place = np.arange(n) % (windows + 1)
    centre = np.where(place > 0, 400.0 + 20 * place, -1.0)
    width = np.where(place > 0, 10.0, 0.0)
    spectra = {
        "ms_level": np.where(place > 0, 2, 1),
        "rt": np.arange(n) / 100,
        "precursor_mz": centre,
        "isolation_lower_mz": centre - width,
        "isolation_upper_mz": centre + width,
        "peak_start_idx": 5 * np.arange(n),
        "peak_stop_idx": 5 * np.arange(n) + 5,
    }
    peaks = {"mz": np.tile(np.linspace(200, 900, 5), n), "intensity": np.arange(5 * n) + 1.0}
    write_mzml(pd.DataFrame(spectra), pd.DataFrame(peaks), path)


def in_seconds(text):
    """Return the text of an mzML file with its times in seconds."""
    text = re.sub(r'(scan start time" value=)"([^"]*)"', lambda m: f'{m[1]}"{60 * float(m[2])!r}"', text)
    return text.replace('UO:0000031" unitName="minute"', 'UO:0000010" unitName="second"')


def without(text, pattern, count=0):
    """Return the text of an mzML file without what matches; all of it, or so many times."""
    return re.sub(pattern, "", text, count=count, flags=re.DOTALL)


def _spectra(spectrum_df, peak_df):
    mz = peak_df["mz"].to_numpy()
    intensity = peak_df["intensity"].to_numpy()
    isolation = ["precursor_mz", "isolation_lower_mz", "isolation_upper_mz"]
    columns = ["peak_start_idx", "peak_stop_idx", "ms_level", "rt", *isolation]
    rows = zip(*(spectrum_df[c].tolist() for c in columns), strict=True)
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


def _array(values, term):
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
