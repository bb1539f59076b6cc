"""A transfer library from what another program found: tables of identifications, libraries of observed spectra."""

from __future__ import annotations

import csv
import gzip
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from alphabase.peptide.fragment import get_charged_frag_types
from alphabase.peptide.mobility import ccs_to_mobility_bruker
from alphabase.peptide.precursor import update_precursor_mz

from alphadia_tl.errors import DataError
from alphadia_tl.files import HDF, read_yaml
from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR
from alphadia_tl.library import fragments, selection
from alphadia_tl.library.collect import BestObservations, Wanted, finish
from alphadia_tl.library.modified_sequences import assigned_mods, insert_mods, read_charges, read_peptidoforms
from alphadia_tl.library.observed_spectra import ListedIons, Spectra, ion_columns, read_mzspeclib, read_sqlite
from alphadia_tl.library.retention import RunTimes, run_times
from alphadia_tl.library.runs import MIN_MOBILITY, READ_ERRORS
from alphadia_tl.library.transfer_library import TransferLibrary
from alphadia_tl.settings import TransferLibrarySettings

logger = logging.getLogger(__name__)

MAX_MOBILITY = 3.0  # V s/cm²; larger ones are drift times in ms
MASS_OFF = 3.5  # Da between the given and the calculated mass: isotopes, but no label and no fixed modification
_GZIP = b"\x1f\x8b"
ADVICE = "Give a table of identifications (.tsv, .parquet) or a library (.blib, .dlib, .elib, mzSpecLib text)."
PROGRAMS = read_yaml(Path(__file__).with_name("psm_columns.yaml"))  # columns of tables, by what they mean
_SETTINGS = TransferLibrarySettings()
_WANTED = Wanted(tuple(get_charged_frag_types(list(_SETTINGS.fragment_types), _SETTINGS.max_charge)))
_TEXT = {"run", "file", "modified", "assigned", "sequence", "mods", "sites", "ions", "values", "decoy", "type", "loss"}
_DECOY = {"1", "1.0", "true", "+", "decoy"}
_SLOTS = [(f"Fr.{i}.Id", f"Fr.{i}.Quantity") for i in range(20)]  # fragments in reports of DIA-NN 2


@dataclass
class Observed:
    """What a file says: precursors, their fragments, and what there is to tell about it."""

    kind: str
    precursor_df: pd.DataFrame
    spectra: Spectra | ListedIons | None
    rt_has_unit: bool
    notes: list[str]


def read_psms(
    paths: str | Path | Sequence[str | Path],
    wanted: Wanted = _WANTED,
    settings: TransferLibrarySettings = _SETTINGS,
    *,
    library: str | Path | None = None,
    generator: np.random.Generator | None = None,
) -> TransferLibrary:
    """Make a transfer library of what other programs found.

    Parameters
    ----------
    paths : path or several
        Tables of DIA-NN, Spectronaut, MaxQuant, FragPipe, Sage or alphaDIA, tables with alphabase's columns, or
        libraries of observed spectra: BiblioSpec, EncyclopeDIA, mzSpecLib, long tables. A run is in one of them.
    wanted : Wanted
        The fragment types, the q-value up to which rows count where there are any, and bounds.
    settings : TransferLibrarySettings
        How many observations of a precursor are kept, and whether runs are aligned.
    library : path, optional
        A library of observed spectra, of which the precursors have theirs.
    generator : np.random.Generator, optional
        One number is drawn from it, for the sample where there are more precursors than wanted.

    Returns
    -------
    TransferLibrary
        What the files do not have is NaN (``rt_norm``) or not there (``mobility``, fragments); its ``notes`` say so.

    Raises
    ------
    DataError
        For a file that is no such table or library, and where no row can be learnt from.
    """
    files = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
    parts = [_read_sound(p, wanted) for p in files]
    owner: dict[str, Path] = {}
    for path, part in zip(files, parts, strict=True):
        for run in part.precursor_df["raw_name"].unique():
            if owner.setdefault(run, path) is not path:
                what = f"Run '{run}' is in {owner[run]} and in {path}."
                raise DataError(what, "Give one table per run: runs are told apart by their names.")
    observed = None if library is None else _read_sound(Path(library), wanted)
    salt = selection.draw_salt(generator or np.random.default_rng(0))
    best = BestObservations.empty(len(wanted.charged_frag_types))
    spans = [p.precursor_df.groupby("raw_name")["rt_observed"].agg(["min", "max"]) for p in parts]
    has_times = any((span["max"] > span["min"]).any() for span in spans)
    notes = [note for part in parts for note in part.notes]
    left_out: list[tuple[str, str]] = []
    for part in parts:
        df = _with_times(best, part.precursor_df, left_out) if has_times else part.precursor_df
        df = df.iloc[selection.top_observations(df, settings.top_k_samples)]
        if wanted.max_precursors is not None:
            df = df.iloc[selection.sample_peptides(df, wanted.max_precursors, salt)]
        df = df.sort_values("nAA", kind="stable")
        if observed is None:
            spectra, rows = part.spectra, df["_row"].to_numpy(np.int64)
        else:
            spectra, rows = observed.spectra, _rows_of(df, observed.precursor_df)
        if len(df):
            _add(best, df, None if spectra is None else spectra.of(rows), wanted.charged_frag_types)
    if len(best.precursor_df) == 0:
        told = "; ".join(f"run {run}: {reason}" for run, reason in left_out)
        raise DataError(f"No run of {', '.join(map(str, files))} can be learnt from: {told}", "Give more precursors.")
    if not has_times:
        best.precursor_df["rt_observed"] = np.nan
        best.times += [RunTimes.unknown(run) for run in best.precursor_df["raw_name"].unique()]
    made = finish(best, settings, wanted, tuple(left_out), salt)
    df = made.precursor_df
    no_unit = {run for part in parts if not part.rt_has_unit for run in part.precursor_df["raw_name"].unique()}
    df["rt_observed"] = df["rt_observed"].where(~df["raw_name"].isin(no_unit))
    absent = {
        "RT is not tuned: no run has retention times that differ": not has_times,
        f"charge is not tuned: all precursors have charge {df['charge'].iloc[0]}": len(set(df["charge"])) == 1,
        "CCS is not tuned: there is no ion mobility": "mobility" not in df.columns,
        f"MS2 is not tuned: no precursor has {fragments.MIN_TRUSTED_FRAGMENTS} fragments that are named or found"
        + (f" in {library}" if library else ""): not df["use_for_ms2"].any(),
    }
    notes += [note for note, holds in absent.items() if holds]
    for note in notes:
        logger.warning(note)
    return replace(made, notes=tuple(notes))


def _read_sound(path: Path, wanted: Wanted) -> Observed:
    """Read a file and leave the best row of each precursor and run, of those that can be learnt from."""
    observed = _read(path, wanted.charged_frag_types)
    df, where = observed.precursor_df, f"{observed.kind} {path}"
    total, levels = len(df), [c for c in df.columns if c.startswith("q:")]
    decoy: Any = df["decoy"].astype(str)
    target = ~decoy.str.strip().str.lower().isin(_DECOY)
    df = df[target & (df[levels] <= wanted.fdr).all(axis=1)]
    limit = f"targets with {' and '.join(c[2:] for c in levels)} up to {wanted.fdr:.2%}"
    limit = limit if levels else "targets; without q-values all of them count"
    logger.info(f"{where}: {len(df):,} of {total:,} rows are {limit}.")
    if df.empty:
        raise DataError(f"{where}: none of its {total:,} rows are {limit}.", "Give others, or set fdr.fdr.")
    if not levels:
        observed.notes.append(f"{path.name} has no q-values: all of its targets count as found")
    df = selection.learnable(df, where, selection.CHARGES).astype({"charge": np.int64})
    df = _with_mz(df.assign(nAA=df["sequence"].str.len().astype(np.int64)), where)
    missing = df["rt_observed"].isna()
    if missing.any() and not missing.all():
        logger.warning(f"{where}: {missing.sum():,} rows without a retention time are left out.")
        df = df[~missing]
    df = df.sort_values(["proba", "_row"], kind="stable").drop_duplicates(["raw_name", *PRECURSOR])
    logger.info(f"{where}: {len(df):,} precursors of {df['raw_name'].nunique():,} runs.")
    observed.precursor_df = df.sort_values("_row").reset_index(drop=True)
    return observed


def _with_mz(df: pd.DataFrame, where: str) -> pd.DataFrame:
    """Leave rows out whose m/z is not that of their peptidoform; add the mobility of a given CCS."""
    distinct = df[["nAA", *PRECURSOR]].drop_duplicates(PRECURSOR).reset_index(drop=True)
    df = df.merge(update_precursor_mz(distinct).drop(columns="nAA"), on=PRECURSOR, how="left")
    off = ((df["mz"] - df["precursor_mz"]).abs() * df["charge"] > MASS_OFF).to_numpy()
    if off.any():
        fault = np.where(off, "an m/z that its modifications do not explain", "").astype(object)
        told = f"{off.sum():,} of {len(df):,} rows of {where} have {selection.counted(df, fault, ['charge'])}."
        if off.all():
            raise DataError(told, "A label or a fixed modification may not be in its sequences.")
        logger.warning(f"{told} They are left out.")
    if df["mobility"].isna().all():
        columns = (df[c].to_numpy(float) for c in ("ccs", "charge", "precursor_mz"))
        df["mobility"] = ccs_to_mobility_bruker(*columns)
    df["mobility"] = df["mobility"].where(df["mobility"].between(MIN_MOBILITY, MAX_MOBILITY, inclusive="neither"))
    return df[~off]


def _with_times(best: BestObservations, df: pd.DataFrame, left_out: list[tuple[str, str]]) -> pd.DataFrame:
    """Note the times of runs; return the rows of those that have some, and add why others are left out."""
    without = []
    for run, rows in df.groupby("raw_name"):
        try:
            if len(rows) < 2 or rows["rt_observed"].isna().any():
                raise DataError("fewer than two precursors with a retention time")
            best.times.append(run_times(str(run), rows))
        except DataError as error:
            without.append(run)
            left_out.append((str(run), error.what))
            logger.warning(f"Run '{run}' is left out: {error.what}")
    return df[~df["raw_name"].isin(without)]


def _rows_of(df: pd.DataFrame, library_df: pd.DataFrame) -> fragments.Ints:
    """Return the row of a library with the spectrum of each precursor's best observation; -1 for all others."""
    wanted, known = (selection.precursor_keys(table).view(np.int64) for table in (df, library_df))
    best = df.reset_index(drop=True).sort_values("proba", kind="stable").drop_duplicates(PRECURSOR).index
    found = fragments.find(wanted, known)
    rows = library_df["_row"].to_numpy(np.int64)[found]
    return np.where((found >= 0) & np.isin(np.arange(len(df)), best), rows, -1)


def _add(best: BestObservations, df: pd.DataFrame, spectra: Spectra | None, types: Sequence[str]) -> None:
    """Add precursors, by length, and their fragments to the best observations."""
    columns = [*PRECURSOR, "nAA", "rt_observed", "proba", "mobility", "raw_name"]
    laid = fragments.with_blocks(df[columns].reset_index(drop=True))
    mz = fragments.theoretical_mz(laid, types)
    intensity, mask = np.zeros(mz.shape, np.float32), np.zeros(mz.shape, dtype=bool)
    if spectra is not None:
        intensity, mask = spectra.dense(laid, types, mz)
    bounds = laid["frag_start_idx"].to_numpy(), laid["frag_stop_idx"].to_numpy()
    signal = mask & (intensity > 0)
    row, column = np.nonzero(signal)
    runs = laid["raw_name"].to_numpy(object)[fragments.block_owner(*bounds)[row]]
    limits = pd.Series(mz[row, column]).groupby(runs).agg(["min", "max"])
    best.limits |= dict.fromkeys(laid["raw_name"].unique(), (0.0, np.inf))
    best.limits |= {str(run): (float(low), float(high)) for run, low, high in limits.itertuples()}
    best.add(laid.assign(use_for_ms2=fragments.enough_fragments(signal, *bounds)), intensity, mask)


def _read(path: Path, types: Sequence[str]) -> Observed:
    head = _head(path)
    try:
        if not head.startswith((b"SQLite", b"<mzSpecLib")):
            return _observed(*_read_table(path, head), path, types)
        if head.startswith(b"SQLite"):
            kind, df, spectra = read_sqlite(path)
        else:
            with _open(path) as file:
                kind, df, spectra = read_mzspeclib(file)
    except (*READ_ERRORS, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} cannot be read ({reason}).", "Export it again.") from error
    return Observed(kind, _canonical(df, path, 1.0, {}), spectra, True, [])


_NOT_TABLES = {
    b"": "empty", b"pk\x03\x04": "a zip archive or an Excel file", b"<!doctype": "a web page", b"<html": "a web page",
    b"<?xml": "XML", b"{": "JSON",
    HDF.lower(): "an HDF file: give it as --transfer-library, or a base library as --library",
}  # fmt: skip
_WITH_ZEROS = (b"SQLite", b"PAR1", b"\xff\xfe", b"\xfe\xff")


def _head(path: Path) -> bytes:
    """Return the beginning of a file, unpacked; raises DataError for what is no table."""
    try:
        with path.open("rb") as raw:
            head = raw.read(4096)
        if head.startswith(_GZIP):
            with gzip.open(path) as packed:
                head = packed.read(4096)
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}).", ADVICE) from error
    begin = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    kinds = [kind for magic, kind in _NOT_TABLES.items() if begin == magic or (magic and begin.startswith(magic))]
    if not kinds and b"\0" in head and not head.startswith(_WITH_ZEROS):
        kinds = ["a binary file"]
    if kinds:
        raise DataError(f"{path} is no table, but {kinds[0]}.", ADVICE)
    return head


@contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    """Open a text, unpacked where it is packed."""
    with path.open("rb") as raw:
        begin = raw.read(2)
        raw.seek(0)
        data: Any = gzip.GzipFile(fileobj=raw) if begin == _GZIP else raw
        yield io.TextIOWrapper(data, "utf-16" if begin in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "replace")


Chosen = dict[str, list[str]]


def _read_table(path: Path, head: bytes) -> tuple[Any, str, Chosen]:
    """Read the columns that are needed, and say what they mean."""
    slots = {name for pair in _SLOTS for name in pair}
    if head.startswith(b"PAR1"):
        names = pq.ParquetFile(path).schema_arrow.names
        program, chosen = _program(names, path)
        wanted = slots.union(*chosen.values())
        return pq.read_table(path, columns=[n for n in names if n in wanted]).to_pandas(), program, chosen
    with _open(path) as file:
        line = file.readline().rstrip("\r\n")
        separator = max("\t;,", key=line.count)
        names = [name.strip().strip('"') for name in line.split(separator)]
        names = [name if name not in names[:i] else f"{name}.{i}" for i, name in enumerate(names)]
        program, chosen = _program(names, path)
        text = slots.union(*(columns for name, columns in chosen.items() if name in _TEXT))
        wanted = slots.union(*chosen.values())
        table = pd.read_csv(
            file, sep=separator, header=None, names=names, usecols=[n for n in names if n in wanted], index_col=False,
            dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=[""], low_memory=False,
            quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,  # a lone quote would swallow lines
        )  # fmt: skip
    for name in text.intersection(table.columns):
        table[name] = table[name].str.strip('"')
    return table, program, chosen


def _program(names: Sequence[str], path: Path) -> tuple[str, Chosen]:
    """Return whose table it is, and its columns by what they mean."""
    lacking = []
    for program, known in PROGRAMS.items():
        columns = {name: [c for c in text.split("|") if c in names] for name, text in known["columns"].items()}
        chosen = {name: there if name == "q" else there[:1] for name, there in columns.items() if there}
        missing = [known["columns"][name].replace("|", " or ") for name in known["needs"] if name not in chosen]
        if not missing or (chosen.get("modified") == ["EG.PrecursorId"] and "run" in chosen):  # it has the charge
            return program, chosen
        lacking.append((len(missing) / len(known["needs"]), f"For a {program} it lacks {', '.join(missing)}."))
    share, told = min(lacking)
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    what = f"{path} is no table of a known program. {told if share < 1 else ''} Its columns are: {shown}."
    raise DataError(what, f"Known are: {', '.join(PROGRAMS)}.")


def _numbers(column: Any) -> Any:
    if not pd.api.types.is_numeric_dtype(column):
        column = column.astype(str).str.strip(' "').str.replace(",", ".", regex=False)
    return pd.to_numeric(column, errors="coerce").astype(float).replace([np.inf, -np.inf], np.nan)


def _observed(table: Any, program: str, chosen: Chosen, path: Path, types: Sequence[str]) -> Observed:
    """Put a table into columns by what they mean, and its fragments apart."""
    if table.empty:
        raise DataError(f"{path} is empty: it has columns, but no rows.", ADVICE)
    one_each = {name: table[columns[0]] for name, columns in chosen.items() if name != "q"}
    df: Any = pd.DataFrame({n: c.astype(object) if n in _TEXT else _numbers(c) for n, c in one_each.items()})
    df = df.assign(**{f"q:{c}": _numbers(table[c]) for c in chosen.get("q", ())})
    if chosen.get("decoy") == ["label"]:  # Sage's are 1 and -1
        df["decoy"] = _numbers(df["decoy"]) < 0
    notes, known = list[str](), PROGRAMS[program]
    if "assigned" in df.columns:
        df["run"] = df["run"].str.rsplit(".", n=3).str[0]
        code, pairs = pd.factorize(df["modified"].fillna("") + "\t" + df["assigned"].fillna(""))
        halves = [pair.split("\t") for pair in pairs]
        df["modified"] = np.array([insert_mods(s, assigned_mods(m)) for s, m in halves], dtype=object)[code]
    if "file" in df.columns and (of_run := df.groupby("run")["file"].nunique()).max() > 1:
        what = f"{path}: several files have the run name '{of_run.idxmax()}'."
        raise DataError(what, "Rename one and search again: runs are told apart by their names.")
    spectra: Spectra | ListedIons | None = None
    slots = [pair for pair in _SLOTS if set(pair) <= set(table.columns)]
    if "intensity" in df.columns:
        keys = [c for c in ("run", "modified", "charge") if c in df.columns]
        owner = df.groupby(keys, sort=False, dropna=False).ngroup().to_numpy(np.int64)
        ions = pd.DataFrame({"owner": owner, "intensity": df["intensity"].to_numpy(np.float32)})
        if {"type", "number", "ion_charge"} <= set(df.columns):
            columns = ion_columns(df["type"], df["ion_charge"], df.get("loss", ""), types)
            spectra = Spectra(ions.assign(column=columns, number=df["number"].fillna(0).to_numpy()), False)
        elif "ion_mz" in df.columns:
            spectra = Spectra(ions.assign(mz=df["ion_mz"].fillna(0.0).to_numpy()), None)
        df = df[~pd.Series(owner).duplicated().to_numpy()]
    elif slots or {"ions", "values"} <= set(df.columns):
        lists = [(table[a], table[b]) for a, b in slots] or [(df["ions"], df["values"])]
        spectra = ListedIons(lists, bool(known.get("whole")), types)
    elif "values" in df.columns:
        notes.append(f"{path.name} has fragment intensities, but not of which fragments (DIA-NN: --report-lib-info)")
    fixed, unit = {}, known["rt_unit"]
    if known.get("hides_c57") and not df["modified"].astype(str).str.contains(r"C[(\[]").any():
        fixed = {"C": "Carbamidomethyl"}
        notes.append(f"cysteines of {path.name} count as carbamidomethylated: where that is fixed, it is not written")
    return Observed(program, _canonical(df, path, unit or 1.0, fixed), spectra, unit is not None, notes)


def _canonical(df: Any, path: Path, rt_unit: float, fixed: Mapping[str, str]) -> pd.DataFrame:
    """Return the columns that are needed, by their usual names; what is missing is NaN."""
    df = df.reset_index(drop=True).rename(columns={"q": "q:QValue"})
    if "charge" not in df.columns:
        df["charge"] = read_charges(df["modified"])
    if "sequence" in df.columns:
        forms = df[["sequence", "mods", "sites"]].fillna("").astype(str).set_axis(PEPTIDOFORM, axis=1)
    else:
        forms = read_peptidoforms(df["modified"], fixed)
    levels = [c for c in df.columns if c.startswith("q:")]
    df = df.reindex(columns=[*df.columns, *{"run", "rt", "mobility", "ccs", "mz", "decoy"}.difference(df.columns)])
    score = next((c for c in ("score", *levels) if c in df.columns and df[c].notna().any()), "rt")
    runs = df["run"].fillna("").astype(str)
    names = {text: PureWindowsPath(text).name or path.name.split(".")[0] for text in runs.unique()}
    made: pd.DataFrame = forms.assign(
        **{c: _numbers(df[c]) for c in (*levels, "charge", "mz", "ccs", "mobility")},
        decoy=df["decoy"],
        rt_observed=_numbers(df["rt"]) * rt_unit,
        proba=1.0 if score == "rt" else _numbers(df[score]).fillna(1.0),
        raw_name=runs.map(names),
        _row=np.arange(len(df)),
    )
    return made
