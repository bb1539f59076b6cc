"""Observed fragments of other programs: ions by name or peaks by m/z, and libraries that are files of spectra."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from alphadia_tl.errors import DataError
from alphadia_tl.library import fragments
from alphadia_tl.library.fragments import Bools, Floats, Ints
from alphadia_tl.library.modified_sequences import insert_mods

logger = logging.getLogger(__name__)

TOLERANCE_PPM, TOLERANCE_TH = 20.0, 0.02
"""A peak is a fragment's within both of its theoretical m/z."""
SELECTED = 0.9
"""With a larger share of peaks that are fragments, a file holds fragments that were chosen, not whole spectra."""
_ION = re.compile(r"^([abcxyz])(\d+)(?:-([A-Za-z0-9]+))?(?:\((\d+)\+\)|\^(\d+))?")
_LOSSES = {**dict.fromkeys(("noloss", "unknown", "none", "0"), ""), "h3po4": "_modloss", "h2o": "_H2O", "nh3": "_NH3"}


@dataclass(frozen=True)
class Spectra:
    """Observed fragments of precursors.

    ``table`` has one row per fragment or peak: ``owner``, the row of the precursor, ``intensity``, and either
    ``column``, the place among the fragment types, and ``number``, the ordinal of the ion, or ``mz`` (Th) alone.
    ``whole`` tells that a fragment that is not there was looked for; None leaves it to the peaks.
    """

    table: pd.DataFrame
    whole: bool | None

    def of(self, rows: Ints) -> Spectra:
        """Return the fragments of these precursors, which are counted from 0 in this order; -1 has none."""
        owner = fragments.find(self.table["owner"].to_numpy(np.int64), rows)
        return Spectra(self.table[owner >= 0].assign(owner=owner[owner >= 0]), self.whole)

    def dense(self, precursor_df: pd.DataFrame, charged_frag_types: Sequence[str], mz: Floats) -> tuple[Floats, Bools]:
        """Lay the fragments out as intensities and their mask (rows, types).

        ``precursor_df`` has blocks in the order of its rows, ``mz`` (rows, types; Th) their theoretical m/z. What is
        there is trusted, but for a peak that may be several ions. What is not there is a trusted zero of a whole
        spectrum alone: of fragments that somebody chose, it may have been seen all the same.
        """
        start, length = precursor_df["frag_start_idx"].to_numpy(np.int64), precursor_df["nAA"].to_numpy(np.int64)
        if "mz" in self.table.columns:
            intensity, unclear, share = self._match(start, length, mz)
            logger.info(f"{share:.0%} of {len(self.table):,} peaks are fragments.")
        else:
            intensity, share = self._named(start, length, charged_frag_types), 1.0
            unclear = np.zeros(intensity.shape, dtype=bool)
        mask = intensity > 0
        if self.whole or (self.whole is None and share < SELECTED):
            seen = mask.any(axis=0)
            has_any = np.bincount(self.table["owner"].to_numpy(np.int64), minlength=len(length)) > 0
            mask = mask | (np.repeat(has_any, length - 1)[:, None] & seen)
        return intensity, mask & ~unclear & ((mz > 0) | (intensity == 0))

    def _named(self, start: Ints, length: Ints, types: Sequence[str]) -> Floats:
        owner, column, number = (self.table[c].to_numpy(np.int64) for c in ("owner", "column", "number"))
        value = self.table["intensity"].to_numpy(np.float32)
        from_c = np.array([name[0] in "xyz" for name in types])[column]
        place = np.where(from_c, length[owner] - 1 - number, number - 1)
        sound = (column >= 0) & (number > 0) & (number < length[owner]) & (value > 0)
        intensity = np.zeros((int((length - 1).sum()), len(types)), np.float32)
        np.maximum.at(intensity, (start[owner[sound]] + place[sound], column[sound]), value[sound])
        return intensity

    def _match(self, start: Ints, length: Ints, mz: Floats) -> tuple[Floats, Bools, float]:
        """Return the intensity of the peak nearest to each ion, where a peak may be several ions, and the share."""
        peaks = self.table[(self.table["intensity"] > 0) & (self.table["mz"] > 0)]
        apart = float(max(peaks["mz"].max(), mz.max(), 1.0)) + 1 if len(peaks) and mz.size else 1.0
        at = peaks["owner"].to_numpy(float) * apart + peaks["mz"].to_numpy(float)
        order = np.argsort(at, kind="stable")
        at, value = at[order], peaks["intensity"].to_numpy(np.float32)[order]
        owner = fragments.block_owner(start, start + length - 1)
        wanted = owner[:, None] * apart + mz.astype(float)
        intensity, unclear = np.zeros(mz.shape, np.float32), np.zeros(mz.shape, dtype=bool)
        if len(at) == 0:
            return intensity, unclear, 1.0
        right = np.searchsorted(at, wanted).clip(1 if len(at) > 1 else 0, len(at) - 1)
        left = (right - 1).clip(0)
        nearest = np.where(np.abs(at[left] - wanted) <= np.abs(at[right] - wanted), left, right)
        tolerance = np.minimum(mz * TOLERANCE_PPM * 1e-6, TOLERANCE_TH)
        matched = (np.abs(at[nearest] - wanted) <= tolerance) & (mz > 0)
        claims = np.bincount(nearest[matched], minlength=len(at))
        intensity[matched] = value[nearest[matched]]
        unclear[matched] = claims[nearest[matched]] > 1
        return intensity, unclear, float((claims > 0).mean())


def ion_columns(series: Any, charge: Any, loss: Any, charged_frag_types: Sequence[str]) -> Ints:
    """Return the place of each ion among the fragment types, -1 for none; of its three parts few differ."""
    parts = pd.DataFrame({"series": series, "charge": charge, "loss": loss}).fillna("")
    group = parts.groupby(list(parts), sort=False).ngroup().to_numpy()
    distinct: Any = parts.drop_duplicates()
    lost = distinct["loss"].astype(str).str.strip().str.lower().map(lambda text: _LOSSES.get(text, text))
    number = pd.to_numeric(distinct["charge"], errors="coerce").fillna(0).astype(int).astype(str)
    names = distinct["series"].astype(str).str.strip().str.lower() + lost + "_z" + number
    place = {name: i for i, name in enumerate(charged_frag_types)}
    columns: Ints = np.array([place.get(name, -1) for name in names], dtype=np.int64)[group]
    return columns


@dataclass(frozen=True)
class ListedIons:
    """Fragments as lists in the rows of a table, of which only those that are wanted are taken apart.

    ``lists`` are pairs of columns: ions such as ``y3;b5-H2O(2+)`` or ``y3^1/371.24``, and their intensities.
    """

    lists: list[tuple[Any, Any]]
    whole: bool
    charged_frag_types: Sequence[str]

    def of(self, rows: Ints) -> Spectra:
        """Return the fragments of these rows as `Spectra.of` does; rows whose two lists differ in length have none."""
        parts = [self._taken_apart(ions, values, np.flatnonzero(rows >= 0), rows) for ions, values in self.lists]
        return Spectra(pd.concat(parts, ignore_index=True), self.whole)

    def _taken_apart(self, ions: Any, values: Any, owner: Ints, rows: Ints) -> pd.DataFrame:
        texts = (column.iloc[rows[owner]].fillna("").astype(str).str.strip(" ;") for column in (ions, values))
        names, numbers = (text.str.split(";") for text in texts)
        counts = names.str.len().to_numpy(np.int64)
        fit = counts == numbers.str.len().to_numpy(np.int64)
        parts = names[fit].explode(ignore_index=True).str.strip().str.extract(_ION)
        charge = parts[3].fillna(parts[4]).fillna("1")
        value = pd.to_numeric(numbers[fit].explode(ignore_index=True), errors="coerce")
        return pd.DataFrame(
            {
                "owner": np.repeat(owner[fit], counts[fit]),
                "column": ion_columns(parts[0], charge, parts[2], self.charged_frag_types),
                "number": pd.to_numeric(parts[1]).fillna(0).astype(np.int64),
                "intensity": value.fillna(0).astype(np.float32),
            }
        )


def read_sqlite(path: Path) -> tuple[str, pd.DataFrame, Spectra]:
    """Read a BiblioSpec or EncyclopeDIA library: its kind, precursors and peaks.

    Raises DataError for another database or a broken one.
    """
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", uri=True)
        ) as database:
            tables = pd.read_sql_query("SELECT name FROM sqlite_master WHERE type = 'table'", database)
            names = set(tables["name"].str.lower())
            if "refspectra" in names:
                return ("BiblioSpec library", *_blib(database, names))
            if "entries" in names:
                return ("EncyclopeDIA library", *_dlib(database, names))
    except (sqlite3.Error, pd.errors.DatabaseError, zlib.error, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read as a spectral library ({reason}).", "Export it again.") from error
    raise DataError(
        f"{path} is a database, but no BiblioSpec or EncyclopeDIA library.", "Give a .blib, .dlib or .elib."
    )


def _unpacked(data: bytes | None, size: int) -> bytes:
    data = data or b""
    with contextlib.suppress(zlib.error):  # short arrays are stored as they are: their size tells
        data = zlib.decompress(data)
    if len(data) != size:
        raise ValueError("a spectrum is damaged")
    return data


def _peaks(mz: Iterable[bytes], intensity: Iterable[bytes], types: tuple[str, str], sizes: Iterable[int]) -> Spectra:
    """Unpack arrays of so many values."""
    counts = np.asarray([*sizes], dtype=np.int64)
    mz_values, values = (
        np.frombuffer(b"".join(map(_unpacked, column, (counts * np.dtype(kind).itemsize).tolist())), kind)
        for column, kind in zip((mz, intensity), types, strict=True)
    )
    owner = np.repeat(np.arange(len(counts)), counts)
    return Spectra(
        pd.DataFrame({"owner": owner, "mz": mz_values.astype(float), "intensity": values.astype("f4")}), None
    )


def _dlib(database: sqlite3.Connection, tables: set[str]) -> tuple[pd.DataFrame, Spectra]:
    df = pd.read_sql_query("SELECT * FROM entries", database)
    spectra = _peaks(df["MassArray"], df["IntensityArray"], (">f8", ">f4"), df["MassEncodedLength"] // 8)
    columns = {
        "PeptideModSeq": "modified", "PeptideSeq": "sequence", "PrecursorCharge": "charge", "RTInSeconds": "rt",
        "SourceFile": "run", "PrecursorMz": "mz", "IonMobility": "mobility",
    }  # fmt: skip
    df = df[[c for c in columns if c in df.columns]].rename(columns=columns)
    facts = {
        "peptidetoprotein": "PeptideSeq AS sequence, MIN(isDecoy) AS decoy FROM peptidetoprotein GROUP BY 1",
        "peptidescores": "PeptideModSeq AS modified, PrecursorCharge AS charge, MIN(QValue) AS q FROM peptidescores "
        "WHERE NOT IsDecoy GROUP BY 1, 2",
    }
    for table, query in facts.items():
        if table in tables and len(known := pd.read_sql_query(f"SELECT {query}", database)):
            df = df.merge(known, how="left")
    return df.drop(columns="sequence"), spectra


def _blib(database: sqlite3.Connection, tables: set[str]) -> tuple[pd.DataFrame, Spectra]:
    columns = pd.read_sql_query("SELECT * FROM RefSpectra LIMIT 0", database).columns
    wanted = {
        "id": "id", "peptideSeq": "modified", "precursorCharge": "charge", "precursorMZ": "mz", "retentionTime": "rt",
        "ionMobility": "mobility", "ionMobilityType": "_type", "collisionalCrossSectionSqA": "ccs", "fileID": "run",
        "numPeaks": "_peaks", "peptideModSeq": "_written",
    }  # fmt: skip
    chosen = ", ".join(f"{c} AS {name}" for c, name in wanted.items() if c in columns)
    joined = "RefSpectra LEFT JOIN RefSpectraPeaks ON RefSpectraID = id ORDER BY id"
    df = pd.read_sql_query(f"SELECT {chosen}, peakMZ AS _mz, peakIntensity AS _intensity FROM {joined}", database)
    spectra = _peaks(df["_mz"], df["_intensity"], ("<f8", "<f4"), df["_peaks"])
    if "modifications" in tables:
        mods = pd.read_sql_query("SELECT RefSpectraID, position, mass FROM Modifications ORDER BY id", database)
        exact = {key: list(zip(g["position"], g["mass"], strict=True)) for key, g in mods.groupby("RefSpectraID")}
        df["modified"] = [
            insert_mods(sequence, [(int(at), f"{mass:+.6f}") for at, mass in exact.get(key, [])])
            for key, sequence in zip(df["id"], df["modified"], strict=True)
        ]
    else:
        df["modified"] = df["_written"]
    if "spectrumsourcefiles" in tables and "run" in df.columns:
        files = pd.read_sql_query("SELECT id, fileName FROM SpectrumSourceFiles", database).set_index("id")["fileName"]
        df["run"] = df["run"].map(files).fillna("")
    if "mobility" in df.columns:
        df["mobility"] = df["mobility"].where(df["_type"] == 2) if "_type" in df.columns else np.nan
    if "rt" in df.columns:
        df["rt"] = df["rt"].astype(float) * 60
    return df.drop(columns=[c for c in df.columns if c == "id" or c[0] == "_"]), spectra


_TERMS = {
    "MS:1003169": "modified", "MS:1003270": "modified", "MS:1000041": "charge", "MS:1000744": "mz", "MS:1000894": "rt",
    "MS:1000896": "rt", "MS:1002815": "mobility", "MS:1003203": "run", "UO:0000000": "unit",
    "MS:1003072": "decoy",
}  # fmt: skip


def read_mzspeclib(lines: Iterable[str]) -> tuple[str, pd.DataFrame, Spectra]:
    """Read the text form of mzSpecLib: its kind, precursors and peaks.

    Times are in seconds unless their unit says minutes; of spectra of several analytes the first counts.
    """
    rows: list[dict[str, str]] = []
    peaks: list[tuple[int, str, str]] = []
    in_peaks, last = False, ""
    for text in map(str.strip, lines):
        if text.startswith("<Spectrum"):
            rows.append({})
        if text.startswith("<"):
            in_peaks = text == "<Peaks>"
        elif in_peaks and len(words := text.split()) > 1:
            peaks.append((len(rows) - 1, words[0], words[1]))
        elif rows and not in_peaks:
            key, _, value = re.sub(r"^\[\d+\]", "", text).partition("=")
            name = _TERMS.get(key.partition("|")[0], "")
            if name and (name != "unit" or last == "rt"):
                rows[-1].setdefault(name, value)
            last = name
    df: Any = pd.DataFrame(rows)
    table = pd.DataFrame(peaks, columns=["owner", "mz", "intensity"])
    if "modified" not in df.columns:
        raise ValueError("it names no peptidoforms, MS:1003169")
    if {"rt", "unit"} <= set(df.columns):
        minutes = df["unit"].astype(str).str.startswith("UO:0000031")
        df["rt"] = pd.to_numeric(df["rt"], errors="coerce") * np.where(minutes, 60.0, 1.0)
    if "decoy" in df.columns:
        df["decoy"] = df["decoy"].astype(str).str.contains("decoy")
    numbers = table[["mz", "intensity"]].apply(pd.to_numeric, errors="coerce").fillna(0.0)
    return "mzSpecLib library", df, Spectra(table.assign(**dict(numbers.items())), None)
