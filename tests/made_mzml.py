"""Spectra as an mzML file, so that a search can be given one."""

import base64
import zlib

import numpy as np


def write_mzml(spectrum_df, peak_df, path):
    """Write tables as alphaRaw has them."""
    with path.open("w", encoding="utf-8") as handle:
        handle.write(_MZML_HEAD.format(n=len(spectrum_df)))
        handle.writelines(_spectra(spectrum_df, peak_df))
        handle.write("    </spectrumList>\n  </run>\n</mzML>\n")


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
