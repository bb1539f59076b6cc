"""Libraries as SQLite files: BiblioSpec's for Skyline, and EncyclopeDIA's."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alphadia_tl.exchange.chunks import Chunk

INVERSE_K0 = 2
_BLIB = """
CREATE TABLE LibInfo (libLSID TEXT, createTime TEXT, numSpecs INTEGER, majorVersion INTEGER, minorVersion INTEGER);
CREATE TABLE RefSpectra (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, peptideSeq VARCHAR(150), precursorMZ REAL,
    precursorCharge INTEGER, peptideModSeq VARCHAR(200), prevAA CHAR(1), nextAA CHAR(1), copies INTEGER,
    numPeaks INTEGER, ionMobility REAL, collisionalCrossSectionSqA REAL, ionMobilityHighEnergyOffset REAL,
    ionMobilityType TINYINT, retentionTime REAL, startTime REAL, endTime REAL, totalIonCurrent REAL,
    moleculeName VARCHAR(128), chemicalFormula VARCHAR(128), precursorAdduct VARCHAR(128), inchiKey VARCHAR(128),
    otherKeys VARCHAR(128), fileID INTEGER, SpecIDinFile VARCHAR(256), score REAL, scoreType TINYINT);
CREATE TABLE Modifications (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, RefSpectraID INTEGER, position INTEGER,
    mass REAL);
CREATE TABLE RefSpectraPeaks (RefSpectraID INTEGER, peakMZ BLOB, peakIntensity BLOB);
CREATE TABLE RefSpectraPeakAnnotations (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, RefSpectraID INTEGER NOT NULL,
    peakIndex INTEGER NOT NULL, name VARCHAR(256), formula VARCHAR(256), inchiKey VARCHAR(256), otherKeys VARCHAR(256),
    charge INTEGER, adduct VARCHAR(256), comment VARCHAR(256), mzTheoretical REAL NOT NULL, mzObserved REAL NOT NULL);
CREATE TABLE RetentionTimes (RefSpectraID INTEGER, RedundantRefSpectraID INTEGER, SpectrumSourceID INTEGER,
    ionMobility REAL, collisionalCrossSectionSqA REAL, ionMobilityHighEnergyOffset REAL, ionMobilityType TINYINT,
    retentionTime REAL, startTime REAL, endTime REAL, score REAL, bestSpectrum INTEGER);
CREATE TABLE Proteins (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, accession VARCHAR(200));
CREATE TABLE RefSpectraProteins (RefSpectraId INTEGER NOT NULL, ProteinId INTEGER NOT NULL);
CREATE TABLE SpectrumSourceFiles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, fileName VARCHAR(512),
    idFileName VARCHAR(512), cutoffScore REAL, workflowType TINYINT);
CREATE TABLE ScoreTypes (id INTEGER PRIMARY KEY, scoreType VARCHAR(128), probabilityType VARCHAR(128));
CREATE TABLE IonMobilityTypes (id INTEGER PRIMARY KEY, ionMobilityType VARCHAR(128));
INSERT INTO ScoreTypes VALUES (0, 'UNKNOWN', 'NOT_A_PROBABILITY_VALUE');
INSERT INTO IonMobilityTypes VALUES (0, 'none'), (1, 'driftTime(msec)'), (2, 'inverseK0(Vsec/cm^2)'),
    (3, 'compensation(V)');
"""
_BLIB_INDICES = """
CREATE INDEX idxPeptide ON RefSpectra (peptideSeq, precursorCharge);
CREATE INDEX idxPeptideMod ON RefSpectra (peptideModSeq, precursorCharge);
CREATE INDEX idxRefIdPeaks ON RefSpectraPeaks (RefSpectraID);
CREATE INDEX idxRefIdPeakAnnotations ON RefSpectraPeakAnnotations (RefSpectraID);
"""
_DLIB = """
CREATE TABLE metadata (Key string not null, Value string not null);
CREATE TABLE entries (PrecursorMz double not null, PrecursorCharge int not null, PeptideModSeq string not null,
    PeptideSeq string not null, Copies int not null, RTInSeconds double not null, Score double not null,
    MassEncodedLength int not null, MassArray blob not null, IntensityEncodedLength int not null,
    IntensityArray blob not null, CorrelationEncodedLength int, CorrelationArray blob, RTInSecondsStart double,
    RTInSecondsStop double, MedianChromatogramEncodedLength int, MedianChromatogramArray blob,
    SourceFile string not null);
CREATE TABLE peptidetoprotein (PeptideSeq string not null, isDecoy boolean, ProteinAccession string not null);
CREATE TEMP TABLE links (sequence string, decoy boolean, accession string);
INSERT INTO metadata VALUES ('version', '0.1.14');
"""
_DLIB_INDICES = """
INSERT INTO peptidetoprotein SELECT DISTINCT * FROM links;
CREATE INDEX Key_Metadata_index ON metadata (Key ASC);
CREATE INDEX PeptideModSeq_PrecursorCharge_SourceFile_Entries_index
    ON entries (PeptideModSeq ASC, PrecursorCharge ASC, SourceFile ASC);
CREATE INDEX PeptideSeq_Entries_index ON entries (PeptideSeq ASC);
CREATE INDEX PrecursorMz_Entries_index ON entries (PrecursorMz ASC);
CREATE INDEX ProteinAccession_PeptideToProtein_index ON peptidetoprotein (ProteinAccession ASC);
CREATE INDEX PeptideSeq_PeptideToProtein_index ON peptidetoprotein (PeptideSeq ASC);
"""


@contextmanager
def _database(path: Path, tables: str, indices: str) -> Iterator[sqlite3.Connection]:
    """Make a database that nothing else reads before it is complete; what SQLite cannot write is an OSError."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + tables + "BEGIN;")
            yield connection
            connection.execute("COMMIT")
            connection.executescript(indices)
    except sqlite3.Error as error:
        raise OSError(str(error)) from error


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> None:
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)


def _compressed(data: bytes, level: int = 1) -> bytes:
    """Compress quickly: a short block needs no large tables."""
    deflate = zlib.compressobj(level, wbits=10, memLevel=4)
    return deflate.compress(data) + deflate.flush()


def _smaller(data: bytes) -> bytes:
    """Compress where that makes data smaller, which is how BiblioSpec tells what it reads."""
    return min(_compressed(data), data, key=len)


def _blobs(chunk: Chunk, order: str) -> tuple[list[bytes], list[bytes]]:
    """Return m/z (float64) and intensities (float32) of each precursor, in a byte order.

    Intensities that are not rounded take no less room when they are compressed, and nine tenths of the time.
    """
    found = []
    for values, kind in ((chunk.mz, "f8"), (chunk.intensity, "f4")):
        data, ends = values.astype(f"{order}{kind}").tobytes(), (chunk.bounds * int(kind[1])).tolist()
        found.append([data[b:e] for b, e in pairwise(ends)])
    return found[0], found[1]


def _or_none(values: Any) -> list[Any]:
    return [None if v != v else v for v in values.tolist()]


def write_blib(path: Path, chunks: Iterable[Chunk], name: str) -> None:
    """Write a library as BiblioSpec does for Skyline; the time, in its minutes, is iRT."""
    with _database(path, _BLIB, _BLIB_INDICES) as connection:
        source = ["id", "fileName", "idFileName", "workflowType"]
        _insert(connection, "SpectrumSourceFiles", [(1, name, name, 1)], source)
        proteins: dict[str, int] = {}
        done = 0
        for chunk in chunks:
            df = chunk.precursors
            ids = range(done + 1, done + len(df) + 1)
            mobility, times = _or_none(df["mobility"]), _or_none(df["time"])
            kinds = [0 if m is None else INVERSE_K0 for m in mobility]
            rows = zip(
                ids, df["sequence"], df["precursor_mz"].tolist(), df["charge"].tolist(), chunk.mass_sequences(1),
                np.diff(chunk.bounds).tolist(), mobility, kinds, times, strict=True,
            )  # fmt: skip
            columns = ["id", "peptideSeq", "precursorMZ", "precursorCharge", "peptideModSeq", "numPeaks"]
            columns += ["ionMobility", "ionMobilityType", "retentionTime"]
            same = {"prevAA": "-", "nextAA": "-", "copies": 1, "fileID": 1, "SpecIDinFile": "", "scoreType": 0}
            _insert(connection, "RefSpectra", ((*r, *same.values()) for r in rows), [*columns, *same])
            masses, intensities = _blobs(chunk, "<")
            peaks = zip(ids, map(_smaller, masses), intensities, strict=True)
            _insert(connection, "RefSpectraPeaks", peaks, ["RefSpectraID", "peakMZ", "peakIntensity"])
            columns = ["RefSpectraID", "SpectrumSourceID", "ionMobility", "ionMobilityType", "retentionTime"]
            rows = zip(ids, [1] * len(df), mobility, kinds, times, ids, [1] * len(df), strict=True)
            _insert(connection, "RetentionTimes", rows, [*columns, "RedundantRefSpectraID", "bestSpectrum"])
            precursors = pd.DataFrame({"form": chunk.forms[0], "id": ids})
            found = precursors.merge(chunk.residue_masses(), on="form")
            sites = zip(*(found[c].tolist() for c in ("id", "site", "mass")), strict=True)
            _insert(connection, "Modifications", sites, ["RefSpectraID", "position", "mass"])
            named = zip(ids, df["proteins"], strict=True)
            links = ((i, text) for i, texts in named for text in dict.fromkeys(texts.split(";")) if text)
            numbers = ((i, proteins.setdefault(text, len(proteins) + 1)) for i, text in links)
            _insert(connection, "RefSpectraProteins", numbers, ["RefSpectraId", "ProteinId"])
            done += len(df)
        _insert(connection, "Proteins", ((n, text) for text, n in proteins.items()), ["id", "accession"])
        about = (f"urn:lsid:alphadia_tl:spectral_library:bibliospec:nr:{name}", time.ctime(), done, 1, 11)
        connection.execute("INSERT INTO LibInfo VALUES (?, ?, ?, ?, ?)", about)


def write_dlib(path: Path, chunks: Iterable[Chunk], name: str) -> None:
    """Write a library as EncyclopeDIA does; the time, in seconds, is 60 x iRT."""
    with _database(path, _DLIB, _DLIB_INDICES) as connection:
        for chunk in chunks:
            df = chunk.precursors
            masses, intensities = _blobs(chunk, ">")
            rows = zip(
                df["precursor_mz"].tolist(), df["charge"].tolist(), chunk.mass_sequences(6), df["sequence"],
                (df["time"] * 60).tolist(), map(len, masses), map(_compressed, masses), map(len, intensities),
                (_compressed(values, 0) for values in intensities), strict=True,
            )  # fmt: skip
            columns = ["PrecursorMz", "PrecursorCharge", "PeptideModSeq", "PeptideSeq", "RTInSeconds"]
            columns += ["MassEncodedLength", "MassArray", "IntensityEncodedLength", "IntensityArray"]
            same = {"Copies": 1, "Score": 0.0, "SourceFile": name}
            _insert(connection, "entries", ((*r, *same.values()) for r in rows), [*columns, *same])
            # Where nothing is known of a decoy's protein, this is where it is marked as one.
            proteins = df["proteins"].mask(df["decoy"] & (df["proteins"] == ""), "DECOY")
            table = zip(df["sequence"], df["decoy"].astype(int).tolist(), proteins, strict=True)
            links = dict.fromkeys((s, decoy, text) for s, decoy, texts in table for text in texts.split(";") if text)
            _insert(connection, "temp.links", links, ["sequence", "decoy", "accession"])
