"""Which part of a library is searched first, which observations are kept, and which of them are trained on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from alphabase.constants.modification import MOD_DF

from alphadia_tl.errors import DataError
from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR, PSM_FILE
from alphadia_tl.host.search_output import read_tables

logger = logging.getLogger(__name__)

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.intp]
Text: TypeAlias = "pd.Series[str]"

KEY_COLUMN = "_key"
"""Holds :func:`precursor_keys` in tables that are compared again and again."""


def peptidoform_keys(precursor_df: pd.DataFrame) -> Keys:
    """Hash sequence, modifications and their sites; stable between processes and machines."""
    return _hash(_peptidoforms(precursor_df))


def precursor_keys(precursor_df: pd.DataFrame) -> Keys:
    """Hash peptidoform and charge, or take the hash from the column ``_key``."""
    if KEY_COLUMN in precursor_df.columns:
        known: Keys = precursor_df[KEY_COLUMN].to_numpy(np.uint64)
        return known
    return _hash(_peptidoforms(precursor_df) + "|" + precursor_df["charge"].astype(str).to_numpy(dtype=object))


def peptidoform_groups(precursor_df: pd.DataFrame) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the first row of each peptidoform, and for each row the number of its peptidoform."""
    group = precursor_df.groupby(PEPTIDOFORM, sort=False).ngroup().to_numpy()
    return np.unique(group, return_index=True)[1], group


#: Column and range of charge states that models know.
CHARGES = {"charge": (1, 10)}
_READABLE = "[AC-WY]{2,198}"  # B, X and Z have no mass
_TOLD_AT_MOST = 8
MISPLACED = " where it cannot be"


def impossible_peptidoforms(precursor_df: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Say for each row (n,) what cannot be true of its sequence, modifications and sites; empty where all can be.

    Sites are alphabase's: 0 and -1 are the termini, 1 the first residue.
    """
    sequences, mods, sites = (cast(Text, precursor_df[c].astype(object).fillna("").astype(str)) for c in PEPTIDOFORM)
    fault = np.full(len(precursor_df), "", dtype=object)
    count, site_count = (((t.str.count(";") + 1) * (t != "")).to_numpy(np.int64) for t in (mods, sites))
    fault[count != site_count] = "numbers of mods and mod_sites that differ"
    fault[~sequences.str.fullmatch(_READABLE).to_numpy(bool)] = "no sequence of 2 to 198 residues A to Z but B, X, Z"
    rows = np.flatnonzero((fault == "") & (count > 0))
    if rows.size == 0:
        return fault
    row = np.repeat(rows, count[rows])
    code, names = pd.factorize(np.array(";".join(mods.iloc[rows]).split(";"), dtype=object))
    texts = pd.Series(";".join(sites.iloc[rows]).split(";"))
    site = pd.to_numeric(texts.where(texts.str.fullmatch(r"-?\d{1,4}"))).to_numpy(float)
    length = sequences.str.len().to_numpy()
    places = [str(name).rpartition("@")[2] for name in names]
    letter = np.array([p[:1] if p[1:2] in ("", "^") else "" for p in places], dtype=object)[code]
    at_n, at_c = (np.array([p.endswith(end) for p in places])[code] for end in ("N-term", "C-term"))
    inside = (site >= -1) & (site <= length[row])
    index = np.where(site < 0, length[row] - 1, np.maximum(site - 1, 0))
    start = (length[rows].cumsum() - length[rows]).repeat(count[rows])
    residues = np.array(list("".join(sequences.iloc[rows])))
    found = residues[(start + np.where(inside, index, 0)).astype(np.int64)]
    named = letter != ""
    wrong = named & (found != letter) | (at_n & (site > named)) | (at_c & (site >= 0) & (site < length[row] + ~named))
    wrong |= (at_n & (site < 0)) | (named & ~at_n & ~at_c & (site < 1))
    repeated = pd.DataFrame({"row": row, "site": site, "code": code}).duplicated().to_numpy()
    known = np.isin(names.astype(str), MOD_DF.index.to_numpy(str))[code]
    each = np.full(len(row), "", dtype=object)
    for hit, reason in (
        (repeated, "{} twice" + MISPLACED),
        (wrong, "{}" + MISPLACED),
        (~inside, "a site of {} that the peptide does not have"),
        (~known, "unknown modification {}"),
    ):
        each[hit] = np.array([reason.format(name) for name in names], dtype=object)[code[hit]]
    fault[row[each != ""]] = each[each != ""]
    return fault


def counted(precursor_df: pd.DataFrame, fault: npt.NDArray[np.object_], columns: Iterable[str] = ()) -> str:
    """Name the faults of rows (n,), how many there are, and the first, with columns beside its peptidoform."""
    counts = pd.Series(fault[fault != ""]).value_counts()
    reasons = []
    for reason, number in counts.head(_TOLD_AT_MOST).items():
        row = precursor_df.iloc[int(np.argmax(fault == reason))]
        shown = " ".join(str(row[c]) for c in (*PEPTIDOFORM, *columns) if str(row[c]))
        reasons.append(f"{reason}: {number:,} (first: {shown})")
    more = f"; and {len(counts) - _TOLD_AT_MOST} more reasons" if len(counts) > _TOLD_AT_MOST else ""
    return "; ".join(reasons) + more


def within(column: pd.Series, low: float, high: float) -> npt.NDArray[np.bool_]:
    """Return which values are numbers from ``low`` to ``high``; charges are whole ones."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
    whole = (column.name != "charge") | (values % 1 == 0)
    return np.asarray(np.isfinite(values) & (values >= low) & (values <= high) & whole)


def learnable(
    precursor_df: pd.DataFrame, where: str, limits: Mapping[str, tuple[float, float]], **names: Sequence[str]
) -> pd.DataFrame:
    """Return the rows that can be learnt from; the log tells how many others there are, why, and the first.

    They are peptidoforms that can be, with values ``within`` the limits of columns and, upper case, among ``names``.
    Raises DataError if none of the rows is left.
    """
    fault = impossible_peptidoforms(precursor_df)
    for column, (low, high) in limits.items():
        bad = ~within(precursor_df[column], low, high) & (fault == "")
        text = f"other than {low:g} to {high:g}" if np.isfinite(high - low) else "that is no number"
        fault[bad] = f"{column} {text}"
    for column, known in names.items():
        values = cast(Text, precursor_df[column].astype(str))
        bad = ~values.str.upper().isin(known).to_numpy() & (fault == "")
        fault[bad] = f"unknown {column} " + values[bad]
    bad = fault != ""
    if not bad.any():
        return precursor_df
    told = f"{bad.sum():,} of {len(bad):,} rows for {where} cannot be learnt: {counted(precursor_df, fault, limits)}."
    if bad.all():
        raise DataError(told, "Correct them; a modification that is not known goes under custom_modifications.")
    logger.warning(told)
    return cast(pd.DataFrame, precursor_df[~bad])


def draw_salt(generator: np.random.Generator) -> str:
    """Draw the salt of :func:`peptide_priority`: one number from the generator, 16 characters."""
    return format(int(generator.integers(1 << 62)), "016x")


def peptide_priority(sequences: pd.Series, salt: str) -> Keys:
    """Give every stripped sequence its place in a random order that depends on the salt alone.

    The first k peptides of that order are a uniform sample of k, whatever the order in which they are met.
    """
    return pd.util.hash_array(sequences.to_numpy(dtype=object), hash_key=salt, categorize=False)


def _peptidoforms(precursor_df: pd.DataFrame) -> npt.NDArray[Any]:
    sequence, mods, sites = (precursor_df[c].to_numpy(dtype=object) for c in PEPTIDOFORM)
    joined: npt.NDArray[Any] = sequence + "|" + mods + "|" + sites
    return joined


def _hash(values: npt.NDArray[Any]) -> Keys:
    return pd.util.hash_array(values, categorize=False)


def top_observations(precursor_df: pd.DataFrame, top_k: int) -> Rows:
    """Return the rows, ascending, of the `top_k` lowest ``proba`` per peptidoform and charge; ties go by run name."""
    keys = precursor_keys(precursor_df)
    runs = pd.factorize(precursor_df["raw_name"], sort=True)[0]
    order = np.lexsort((runs, precursor_df["proba"].to_numpy(), keys))
    ordered, place = keys[order], np.arange(len(order))
    first = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] ^ np.uint64(1)))
    in_group = place - np.repeat(first, np.diff(first, append=len(order)))
    return np.sort(order[in_group < top_k])


def sample_peptides(precursor_df: pd.DataFrame, max_precursors: int, salt: str) -> Rows:
    """Return the rows of randomly chosen whole peptides with at most `max_precursors` distinct precursors in all."""
    if len(precursor_df) <= max_precursors:
        return np.arange(len(precursor_df), dtype=np.intp)
    table = pd.DataFrame({"peptide": peptide_priority(precursor_df["sequence"], salt)})
    table["precursor"] = precursor_keys(precursor_df)
    sizes = table.groupby("peptide", sort=True)["precursor"].nunique()
    chosen = sizes.index[(sizes.cumsum() <= max_precursors).to_numpy()]
    return np.flatnonzero(table["peptide"].isin(chosen))


def possible_rows(precursor_df: pd.DataFrame, max_precursors: int, salt: str) -> Rows:
    """Return the rows of peptides that :func:`sample_peptides` may still choose when more runs have come.

    Every peptide has at least one precursor, so these are the first `max_precursors` peptides of the random order.
    """
    priority = peptide_priority(precursor_df["sequence"], salt)
    distinct = np.unique(priority)
    if len(distinct) <= max_precursors:
        return np.arange(len(precursor_df), dtype=np.intp)
    return np.flatnonzero(priority <= distinct[max_precursors - 1])


TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, -1


def split_by_peptide(
    sequences: Sequence[str] | npt.NDArray[np.object_],
    fractions: tuple[float, float, float] = (0.7, 0.2, 0.1),
    *,
    generator: np.random.Generator,
    fold: int = 0,
) -> npt.NDArray[np.int8]:
    """Label every row as training (0), validation (1) or test (2); a peptide never straddles.

    Rows of one stripped sequence (other charges, modifications or runs) get the same label. The fractions are of the
    *distinct sequences*: where they add up to less than 1, the rest is -1 (unused), and with at least as many peptides
    as positive fractions, no such split is empty. The generator is called once, on the sorted distinct sequences, so
    that neither the order of the rows nor how often a sequence occurs changes anything. Other folds of the same shuffle
    have other test peptides, as long as there are any left.
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.shape != (3,) or not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() > 1 + 1e-9:
        raise DataError(f"Impossible split fractions {tuple(fractions)}.", "Use three that add up to at most 1.")
    values = np.asarray(sequences, dtype=object)
    if values.size == 0:
        return np.zeros(0, dtype=np.int8)
    if not all(isinstance(s, str) for s in values):
        raise DataError("The sequence column has missing or non-text values, so it cannot be split by peptide.")
    distinct, inverse = np.unique(values.astype(str), return_inverse=True)
    labels = np.full(len(distinct), UNUSED, dtype=np.int8)
    counts = _counts(shares, len(distinct))
    bounds = np.concatenate([[0], np.cumsum(counts)])
    order = np.roll(generator.permutation(len(distinct)), fold * int(counts[TEST]))
    for label in (TRAIN, VALIDATION, TEST):
        labels[order[bounds[label] : bounds[label + 1]]] = label
    per_row: npt.NDArray[np.int8] = labels[inverse.reshape(-1)]
    return per_row


@dataclass(frozen=True)
class Slice:
    """A part of the stripped sequences of any library: those whose random number, from 0 to 1, is in a range.

    All charge states and peptidoforms of a sequence are in one slice. ``key`` is of the search's random state: slices
    of one key that do not overlap have no sequence in common.
    """

    key: int
    start: float
    stop: float

    def __contains__(self, sequence: str) -> bool:
        return bool(self.rows([sequence])[0])

    def rows(self, sequences: Sequence[str] | npt.NDArray[Any] | pd.Series) -> npt.NDArray[np.bool_]:
        """Return which of the sequences are in the slice, shape (n,)."""
        names = np.asarray(sequences, dtype=object)
        number = pd.util.hash_array(names, hash_key=f"{self.key % 10**16:016d}", categorize=True) / 2.0**64
        return np.asarray((number >= self.start) & (number < self.stop))


ONE_OF = 20
MOST_IN_LOCKBOX = 500
FEWEST_IN_LOCKBOX = 10  # fewer peptides say nothing: all are tuned on then


def lockbox_rows(
    sequences: Sequence[str] | npt.NDArray[np.object_], generator: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return the rows of the peptides that neither tuning nor any choice may see, to score what is shipped.

    They are one in twenty of the distinct sequences, at most 500; none where these would be fewer than ten.
    """
    distinct = len(set(sequences))
    wanted = min(MOST_IN_LOCKBOX, distinct // ONE_OF)
    if wanted < FEWEST_IN_LOCKBOX:
        return np.zeros(len(sequences), dtype=bool)
    return np.asarray(split_by_peptide(sequences, (0, 0, wanted / distinct), generator=generator) == TEST)


def _counts(shares: npt.NDArray[np.float64], total: int) -> npt.NDArray[np.int64]:
    """Whole numbers of peptides per split: rounded bounds, then no positive share left empty."""
    bounds = np.minimum(np.floor(np.cumsum(shares) * total + 0.5 + 1e-9), total).astype(np.int64)
    counts = np.diff(bounds, prepend=0)
    for empty in np.flatnonzero((counts == 0) & (shares > 0)):
        largest = int(np.argmax(counts))
        unused = total - int(counts.sum())
        if unused > 0 or counts[largest] > 1:
            counts[largest] -= unused == 0
            counts[empty] = 1
    return counts


#: Share of a library that is expected to be found, before anything is known.
EXPECTED_RATE = 0.03
#: Precursors that a part has at least; a library of less than twice as many is searched whole.
FEWEST_PRECURSORS = 5_000
#: Of what is wanted, so much will do: a further search would cost more than it brings.
ENOUGH = 0.8
#: A further part is to bring what is missing, and some more.
MORE = 1.25


def count_found(quant_folders: Sequence[Path], fdr: float) -> int:
    """Return how many target precursors were found, in any run; raises QuantificationError for a table it cannot read.

    A run that found none has no table.
    """
    tables = {str(folder): folder / PSM_FILE for folder in quant_folders if (folder / PSM_FILE).is_file()}
    if not tables:
        return 0
    found = read_tables(tables, [*PRECURSOR, "decoy", "qval"])
    return len(found[(found["decoy"] == 0) & (found["qval"] <= fdr)].drop_duplicates(PRECURSOR))


def first_slice(n_precursors: int, wanted: int, key: int) -> Slice | None:
    """Return the part of a library of so many precursors that is searched first, half of it at most; None for all."""
    if n_precursors < 2 * FEWEST_PRECURSORS:
        return None
    return Slice(key, 0.0, min(0.5, max(wanted / EXPECTED_RATE, FEWEST_PRECURSORS) / n_precursors))


def next_slice(last: Slice, n_precursors: int, found: int, wanted: int) -> Slice | None:
    """Return a further part where so many precursors were found up to the end of the last one; None where that will do.

    It is to bring what is missing at the rate so far; what would leave less than a tenth of the library takes it all.
    """
    if found >= ENOUGH * wanted or last.stop >= 1:
        return None
    missing = (wanted - found) * MORE * last.stop / max(found, 1)
    share = max(missing, FEWEST_PRECURSORS / n_precursors)
    return Slice(last.key, last.stop, last.stop + share if last.stop + share < 0.9 else 1.0)


@dataclass(frozen=True)
class Scouting:
    """A first pass over a part of a library of ``size`` precursors: up to the end of ``part``, in so many searches."""

    part: Slice
    size: int
    wanted: int
    searches: int = 1

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Scouting:
        """Return what ``asdict`` has described."""
        return cls(**{**values, "part": Slice(**values["part"])})

    def next(self, quant_folders: Sequence[Path], fdr: float) -> Slice | None:
        """Return the part to search next, where the ones before brought too few precursors to tune on."""
        found = count_found(quant_folders, fdr)
        part = next_slice(self.part, self.size, found, self.wanted)
        then = "that will do" if part is None else f"{part.stop - part.start:.0%} more of it are searched"
        logger.info(f"{found:,} precursors to tune on in {self.part.stop:.0%} of the library: {then}.")
        return part

    def extended(self, part: Slice) -> Scouting:
        """Return what was searched once a further part has been, too."""
        return replace(self, part=replace(part, start=0.0), searches=self.searches + 1)
