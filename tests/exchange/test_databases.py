"""What SQLite and other readers find in the databases, value by value."""

from __future__ import annotations

import sqlite3
import zlib

import mzspeclib
import numpy as np
import pytest

from alphadia_tl.exchange.export import export_library

from .conftest import CUSTOM, ROWS, fragments, make

SEQUENCES = {
    "blib": [
        "A[+42.0]C[+57.0]DEK", "LKSMAR", "LKSM[+16.0]AR", "LKSM[+16.0]AR", "GAVLS[+80.0]PEK", "GAVLS[+80.0]PEK[-1.0]",
    ],
    "dlib": [
        "A[+42.010565]C[+57.021464]DEK", "KEDC[+57.021464]A", "LKSMAR", "LKSM[+15.994915]AR", "LKSM[+15.994915]AR",
        "GAVLS[+79.966331]PEK", "GAVLS[+79.966331]PEK[-0.984016]",
    ],
}  # fmt: skip
ROWS_OF = {"blib": [0, 2, 3, 4, 5, 6], "dlib": list(range(len(ROWS)))}


@pytest.fixture
def opened(tmp_path, saved):
    """Export a library, and return the connection to what was written."""

    def export(library, name):
        path = tmp_path / f"out.{name}"
        export_library(saved(library), path, name)
        connection = sqlite3.connect(path)
        connection.row_factory = sqlite3.Row
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return connection

    return export


def peaks(library, row):
    return np.array(sorted(fragments(library, row).values())).T


def test_a_blib_file_has_the_spectra_of_the_targets(library, opened):
    file = opened(library, "blib")
    spectra = file.execute("SELECT * FROM RefSpectra JOIN RefSpectraPeaks ON id = RefSpectraID ORDER BY id").fetchall()
    assert [s["peptideModSeq"] for s in spectra] == SEQUENCES["blib"]
    for spectrum, i in zip(spectra, ROWS_OF["blib"], strict=True):
        row, df = ROWS[i], library._precursor_df.iloc[i]
        assert (spectrum["peptideSeq"], spectrum["precursorCharge"]) == (row[0], row[3])
        assert spectrum["precursorMZ"] == pytest.approx(df.precursor_mz)
        assert spectrum["retentionTime"] == pytest.approx(100 * df.rt_norm)
        missing = row[4] != row[4]
        assert spectrum["ionMobility"] == (None if missing else pytest.approx(row[4]))
        assert spectrum["ionMobilityType"] == (0 if missing else 2)
        mz, values = peaks(library, i)
        assert spectrum["numPeaks"] == len(mz)
        for column, kind, expected in (("peakMZ", "<f8", mz), ("peakIntensity", "<f4", values)):
            blob, size = spectrum[column], len(mz) * int(kind[2])
            assert len(blob) <= size
            data = blob if len(blob) == size else zlib.decompress(blob)
            np.testing.assert_allclose(np.frombuffer(data, kind), expected, rtol=1e-6)


def test_a_blib_file_has_modifications_proteins_times_and_facts(library, opened):
    file = opened(library, "blib")
    found = file.execute("SELECT RefSpectraID, position, mass FROM Modifications ORDER BY 1, 2").fetchall()
    masses = [(1, 1, 42.010565), (1, 2, 57.021464), (3, 4, 15.994915), (4, 4, 15.994915)]
    masses += [(5, 5, 79.966331), (6, 5, 79.966331), (6, 8, -0.984016)]
    np.testing.assert_allclose([tuple(r) for r in found], masses, atol=1e-6)
    links = "SELECT RefSpectraId, accession FROM RefSpectraProteins JOIN Proteins ON ProteinId = id ORDER BY 1, 2"
    both = [(i, f"P{n}") for i in (2, 3, 4) for n in (1, 2)]
    assert [tuple(r) for r in file.execute(links)] == [(1, "P1"), *both, (6, "P3")]
    info = file.execute("SELECT * FROM LibInfo").fetchone()
    assert (info["numSpecs"], info["minorVersion"]) == (6, 11)
    assert info["libLSID"].endswith(":bibliospec:nr:made")
    times = file.execute("SELECT RefSpectraID, retentionTime, bestSpectrum FROM RetentionTimes").fetchall()
    expected = [(n + 1, 100 * library._precursor_df["rt_norm"][i], 1) for n, i in enumerate(ROWS_OF["blib"])]
    np.testing.assert_allclose([tuple(r) for r in times], expected)
    mobility = "SELECT ionMobilityType FROM IonMobilityTypes WHERE id = 2"
    assert file.execute(mobility).fetchone()[0] == "inverseK0(Vsec/cm^2)"


def test_a_dlib_file_has_all_spectra_and_marks_decoys(library, opened):
    file = opened(library, "dlib")
    entries = file.execute("SELECT * FROM entries ORDER BY rowid").fetchall()
    assert [e["PeptideModSeq"] for e in entries] == SEQUENCES["dlib"]
    for i, (entry, row) in enumerate(zip(entries, ROWS, strict=True)):
        df = library._precursor_df.iloc[i]
        assert (entry["PeptideSeq"], entry["PrecursorCharge"]) == (row[0], row[3])
        assert entry["PrecursorMz"] == pytest.approx(df.precursor_mz)
        assert entry["RTInSeconds"] == pytest.approx(6000 * df.rt_norm)
        for column, kind, expected in zip(("Mass", "Intensity"), (">f8", ">f4"), peaks(library, i), strict=True):
            data = zlib.decompress(entry[f"{column}Array"])
            assert entry[f"{column}EncodedLength"] == len(data)
            np.testing.assert_allclose(np.frombuffer(data, kind), expected, rtol=1e-6)
    proteins = file.execute("SELECT * FROM peptidetoprotein ORDER BY 1, 3").fetchall()
    expected = [("ACDEK", 0, "P1"), ("GAVLSPEK", 0, "P3"), ("KEDCA", 1, "P1"), ("LKSMAR", 0, "P1"), ("LKSMAR", 0, "P2")]
    assert [tuple(r) for r in proteins] == expected


def test_a_dlib_file_marks_a_decoy_of_an_unknown_protein(opened):
    file = opened(make([(*ROWS[1][:6], "", ""), ROWS[2]]), "dlib")
    marked = "SELECT isDecoy FROM peptidetoprotein WHERE PeptideSeq = 'KEDCA'"
    assert [tuple(r) for r in file.execute(marked)] == [(1,)]


def test_a_dlib_file_has_the_schema_of_encyclopedia(library, opened):
    file = opened(library, "dlib")
    columns = [r["name"] for r in file.execute("PRAGMA table_info(entries)")]
    assert " ".join(columns) == (
        "PrecursorMz PrecursorCharge PeptideModSeq PeptideSeq Copies RTInSeconds Score MassEncodedLength MassArray "
        "IntensityEncodedLength IntensityArray CorrelationEncodedLength CorrelationArray RTInSecondsStart "
        "RTInSecondsStop MedianChromatogramEncodedLength MedianChromatogramArray SourceFile"
    )
    assert dict(file.execute("SELECT * FROM metadata").fetchall())["version"] == "0.1.14"


@pytest.mark.parametrize("name", ["blib", "dlib"])
def test_mzspeclib_reads_the_databases(library, opened, name):
    opened(library, name)
    path = opened(library, name).execute("PRAGMA database_list").fetchone()["file"]
    spectra = list(mzspeclib.SpectrumLibrary(filename=path))
    for spectrum, i in zip(spectra, ROWS_OF[name], strict=True):
        mz, values = peaks(library, i)
        np.testing.assert_allclose([p[0] for p in spectrum.peak_list], mz, rtol=1e-6)
        np.testing.assert_allclose([p[1] for p in spectrum.peak_list], values, rtol=1e-6)
        analyte = spectrum.analytes[1 if 1 in spectrum.analytes else "1"]
        df = library._precursor_df.iloc[i]
        assert analyte.mass == pytest.approx((df.precursor_mz - 1.00727646688) * df.charge, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "text"), [("blib", "G[+40.1]AVLTPEK[+40.1]"), ("dlib", "G[+40.103874]AVLTPEK[+40.103874]")]
)
def test_a_custom_modification_has_its_mass(opened, name, text):
    table, column = ("RefSpectra", "peptideModSeq") if name == "blib" else ("entries", "PeptideModSeq")
    assert opened(make([CUSTOM]), name).execute(f"SELECT {column} FROM {table}").fetchone()[0] == text
