"""A library read in parts: some precursors at a time with their fragments, one after the other, and their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
from alphabase.constants.modification import MOD_DF
from alphabase.peptide.fragment import FRAGMENT_TYPES
from alphabase.peptide.precursor import update_precursor_mz
from numpy.typing import NDArray

from alphadia_tl.errors import LibraryError
from alphadia_tl.host.contract import PEPTIDOFORM, PRECURSOR
from alphadia_tl.library.fragments import Floats, Ints, block_rows, type_codes
from alphadia_tl.speclib.fragments import fragment_bounds
from alphadia_tl.speclib.storage import MOBILITY_COLUMNS, ROWS_AT_ONCE, RT_COLUMNS

PRECURSORS_AT_ONCE = 10_000
NORMALISED = (-1.0, 2.0)  # retention times of a library that lie in it are on the models' scale
IRT_PER_NORM = 100.0
IDENTIFIED = ("proteins", "uniprot_ids"), ("genes",)
_FORM = "It must hold precursor_df, fragment_mz_df and fragment_intensity_df, as SpecLibBase.save_hdf writes them."
_MISSING = ("", "nan", "None", "<NA>")
_NO_SUCH_COLUMN = ""


@dataclass(frozen=True)
class IonType:
    """A kind of fragment: a column of a dense library.

    ``change`` is what its neutral loss does to its formula, such as ``-H2O``; that of ``modloss`` is the precursor's.
    """

    series: str
    charge: int
    change: str
    modloss: bool

    def loss(self, of_precursor: str) -> str:
        """Return the change of formula for a precursor whose modification loses ``of_precursor``."""
        return f"-{of_precursor}" if self.modloss and of_precursor else self.change


def ion_types(charged_frag_types: list[str]) -> list[IonType]:
    """Return what columns of a dense library hold; raises DataError for a name that alphabase does not know."""
    type_codes(charged_frag_types)
    found = []
    for name in charged_frag_types:
        kind, _, charge = name.rpartition("_z")
        series, _, loss = kind.partition("_")
        change = {"": "", "addH": "+H", "lossH": "-H"}.get(loss, f"-{loss}")
        found.append(IonType(series, int(charge), change, FRAGMENT_TYPES[kind].modloss))
    return found


def plain_formula(composition: str) -> str:
    """Return a formula such as ``H3PO4`` of a composition as alphabase writes it, oxygen last."""
    atoms = re.findall(r"(\d*[A-Z][a-z]?)\((-?\d+)\)", composition)
    return "".join(name + (n if n != "1" else "") for name, n in sorted(atoms, key=lambda atom: atom[0] == "O"))


@dataclass(frozen=True)
class Chunk:
    """Some precursors of a library, and their fragments with an intensity.

    ``precursors`` has, with a fresh RangeIndex, sequence, mods, mod_sites, charge, precursor_mz, time (iRT; NaN: none),
    mobility (1/K0; NaN: none), decoy, proteins, genes (texts; empty: none), is_prot_nterm, is_prot_cterm. Of the m
    fragments, in the order of precursors and m/z: ``owner``, the row of their precursor, ``mz``, ``intensity``,
    ``kind``, a number in ``ions``, and ``number`` in their series. ``has_mobility``: any
    precursor of the library has one.
    """

    precursors: pd.DataFrame
    ions: list[IonType]
    owner: Ints
    mz: Floats
    intensity: Floats
    kind: Ints
    number: Ints
    has_mobility: bool

    @cached_property
    def bounds(self) -> Ints:
        """Where the fragments of each precursor begin, (n + 1,)."""
        return np.append(0, np.cumsum(np.bincount(self.owner, minlength=len(self.precursors))))

    @cached_property
    def forms(self) -> tuple[Ints, pd.DataFrame]:
        """The peptidoform of each precursor, (n,), and the table of peptidoforms."""
        groups = self.precursors.groupby(PEPTIDOFORM, sort=False)
        first = self.precursors.loc[~self.precursors.duplicated(PEPTIDOFORM), PEPTIDOFORM]
        return np.asarray(groups.ngroup(), dtype=np.int64), first.reset_index(drop=True)

    @cached_property
    def modifications(self) -> pd.DataFrame:
        """The modifications of peptidoforms: form, site (0: N-terminus, -1: C-terminus), name, mass, unimod, loss."""
        table = self.forms[1][self.forms[1]["mods"] != ""]
        names, sites = (table[column].str.split(";").explode() for column in ("mods", "mod_sites"))
        if not names.index.equals(sites.index):
            raise LibraryError("A precursor has more modifications than sites.", "Make the library again.")
        if unknown := sorted(set(names) - set(MOD_DF.index)):
            raise LibraryError(
                f"The library has modifications that are not known: {', '.join(unknown[:5])}.",
                "Give the config with its custom_modifications as --config.",
            )
        facts = MOD_DF.loc[names, ["mass", "unimod_id", "modloss_composition"]].to_numpy()
        weight = MOD_DF.loc[names, "modloss_importance"].where(MOD_DF.loc[names, "modloss"] > 0, 0).to_numpy()
        return pd.DataFrame(
            {
                "form": names.index.to_numpy(np.int64),
                "site": sites.to_numpy().astype(np.int64),
                "name": names.to_numpy(),
                "mass": facts[:, 0].astype(float),
                "unimod": facts[:, 1].astype(np.int64),
                "loss": facts[:, 2],
                "importance": weight,
            }
        )

    def sequences(self, label: Callable[[str, int, float], str], *, ends: tuple[str, str] = ("", "")) -> NDArray[Any]:
        """Return the modified sequence of each precursor (n,).

        ``label`` makes the text of a modification of its name without site, UniMod number (0: none) and mass; those of
        the termini stand before and after, ``ends`` between them and the residues.
        """
        mods = self.modifications
        known = mods[["name", "unimod", "mass"]].drop_duplicates("name").set_index("name")
        labels = {n: label(n.rpartition("@")[0], int(u), m) for n, u, m in known.itertuples()}
        return self._inserted(mods["form"], mods["site"], mods["name"].map(labels), ends)

    def residue_masses(self) -> pd.DataFrame:
        """Return the mass that modifications add to residues, those of the termini on the outer ones.

        A table of form, site (from 1) and mass.
        """
        mods, last = self.modifications, self.forms[1]["sequence"].str.len().to_numpy()
        site = np.select([mods["site"] == 0, mods["site"] == -1], [1, last[mods["form"]]], mods["site"])
        return mods.assign(site=site).groupby(["form", "site"])["mass"].sum().reset_index()

    def mass_sequences(self, digits: int) -> NDArray[Any]:
        """Return sequences with the masses of modified residues, such as ``C[+57.0]`` (n,)."""
        masses = self.residue_masses()
        return self._inserted(masses["form"], masses["site"], masses["mass"].map(f"[{{:+.{digits}f}}]".format))

    def _inserted(self, form: Any, site: Any, label: Any, ends: tuple[str, str] = ("", "")) -> NDArray[Any]:
        form_of, forms = self.forms
        lengths = forms["sequence"].str.len().to_numpy()
        stop = np.cumsum(lengths)
        letters = np.array(list("".join(forms["sequence"])), dtype=object)
        form, site, label = form.to_numpy(np.int64), site.to_numpy(), label.to_numpy(object)
        inner, first, last = site > 0, site == 0, site == -1
        np.add.at(letters, (stop - lengths)[form[inner]] + site[inner] - 1, label[inner])
        begin = (stop - lengths)[form[first]]
        letters[begin] = label[first] + ends[0] + letters[begin]
        np.add.at(letters, stop[form[last]] - 1, ends[1] + label[last])
        texts = ["".join(letters[b:e]) for b, e in zip(stop - lengths, stop, strict=True)]
        return np.asarray(texts, dtype=object)[form_of]

    @cached_property
    def losses(self) -> tuple[Ints, list[str]]:
        """What the modifications of each precursor lose, as a number (n,) of a list of formulas, of which 0 is none."""
        mods = self.modifications
        mods = (
            mods[mods["importance"] > 0].sort_values("importance", kind="stable").drop_duplicates("form", keep="last")
        )
        codes, names = pd.factorize(mods["loss"].map(plain_formula), sort=True)
        of_form = np.zeros(len(self.forms[1]), dtype=np.int64)
        of_form[mods["form"]] = codes + 1
        return of_form[self.forms[0]], ["", *names]

    def labels(self, text: Callable[[IonType, str, int], str]) -> pa.Array:
        """Return the text of each fragment (m,), made of its kind, change of formula and number."""
        code, formulas = self.losses
        size = int(self.number.max(initial=0)) + 1
        table = [text(ion, ion.loss(f), n) for ion in self.ions for f in formulas for n in range(size)]
        return pa.array(table).take(pa.array((self.kind * len(formulas) + code[self.owner]) * size + self.number))


def _one_line(texts: NDArray[Any]) -> NDArray[Any]:
    """Return texts without what ends a field of a table."""
    if not any(mark in "".join(texts) for mark in '\t\r\n"'):
        return texts
    return pd.Series(texts).str.replace(r'[\t\r\n"]', " ", regex=True).to_numpy(object)


class LibraryFile:
    """An alphabase library in a file, of which parts are read.

    While it is read, ``left_out`` counts what is not handed on, and ``unnumbered`` has the masses of modifications that
    UniMod has no number for; ``times`` says what its retention times become.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        self.unnumbered: dict[str, float] = {}
        try:
            self._columns = dict(file["library/precursor_df"])
            self._mz, self._intensity = (dict(file[f"library/fragment_{n}_df"]) for n in ("mz", "intensity"))
        except (KeyError, TypeError, ValueError) as error:
            raise LibraryError(f"'{path}' cannot be read as an alphabase library ({error}).", _FORM) from error
        needed = {*PRECURSOR, "frag_start_idx", "frag_stop_idx"}
        if missing := sorted(needed - set(self._columns)):
            raise LibraryError(f"The library '{path}' lacks the precursor columns {', '.join(missing)}.", _FORM)
        self._types = sorted(self._intensity)
        if missing := sorted(set(self._types) - set(self._mz)):
            raise LibraryError(f"The library '{path}' lacks the fragment m/z of {', '.join(missing)}.", _FORM)
        lengths = {len(column) for column in (*self._mz.values(), *self._intensity.values())}
        if len(lengths) > 1:
            raise LibraryError(f"Fragment columns of '{path}' differ in length.", "The file is damaged; make it again.")
        self._n_rows = max(lengths, default=0) if self._types else 0
        self.ions = ion_types(self._types)
        self.n_precursors = len(self._columns["sequence"])
        if not self.n_precursors or not self._n_rows:
            what = "fragment" if self.n_precursors else "precursor"
            raise LibraryError(f"The library '{path}' holds no {what}.", "Give one with precursors and fragments.")
        self._time, self._factor, self.times = self._time_scale()
        self._mobility = self._first(MOBILITY_COLUMNS, lambda values: values > 0)
        self.has_mobility = self._mobility != _NO_SUCH_COLUMN

    def _read(self, name: str, rows: slice, default: Any) -> Any:
        """Return rows of a column of precursors as texts or numbers, by the type of the default for one not there."""
        column = self._columns.get(name)
        if column is None:
            return np.full(rows.stop - rows.start, default, dtype=object if isinstance(default, str) else None)
        is_text = h5py.check_string_dtype(column.dtype) is not None
        values = column.asstr()[rows] if is_text else column[rows]
        if isinstance(default, str):
            texts = pd.Series(values, dtype=object)
            texts = texts if is_text else texts.astype(str)
            return texts.where(~texts.isin(_MISSING), "").to_numpy(object)
        return pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(float)

    def _first(self, names: tuple[str, ...], known: Callable[[Any], Any]) -> str:
        """Return the first of the columns that says anything."""
        whole = slice(0, self.n_precursors)
        with np.errstate(invalid="ignore"):
            found = (n for n in names if n in self._columns and known(self._read(n, whole, np.nan)).any())
            return next(found, _NO_SUCH_COLUMN)

    def _time_scale(self) -> tuple[str, float, str]:
        name = self._first(RT_COLUMNS, np.isfinite)
        if name == _NO_SUCH_COLUMN:
            return name, 1.0, "none in the library"
        values = self._read(name, slice(0, self.n_precursors), np.nan)
        values = values[np.isfinite(values)]
        if name != "irt" and NORMALISED[0] <= values.min() and values.max() <= NORMALISED[1]:
            return name, IRT_PER_NORM, f"{IRT_PER_NORM:g} x {name}"
        return name, 1.0, f"{name}, as the library has it"

    def expected_fragments(self) -> int:
        """Estimate how many fragments there are, from the middle of the library: it is sorted by length."""
        middle = slice(self._n_rows // 2, self._n_rows // 2 + ROWS_AT_ONCE)
        return int(self._n_rows * sum(float((column[middle] > 0).mean()) for column in self._intensity.values()))

    def chunks(self, *, decoys: bool, untimed: bool, size: int = PRECURSORS_AT_ONCE) -> Iterator[Chunk]:
        """Read precursors that have a fragment; those without a retention time, and decoys, where they are wanted."""
        self.left_out.clear()
        for begin in range(0, self.n_precursors, size):
            df = self._precursors(slice(begin, min(begin + size, self.n_precursors)))
            keep = self._keep(df, "decoys", ~df["decoy"] | decoys)
            keep &= self._keep(df, "precursors without a retention time", df["time"].notna() | untimed, keep)
            whole = (df["charge"] > 0) & (df["charge"] % 1 == 0)
            keep &= self._keep(df, "precursors without a charge", whole, keep)
            df = df[keep].reset_index(drop=True)
            if len(df) and (chunk := self._chunk(df)) is not None:
                yield chunk

    def _keep(self, df: pd.DataFrame, what: str, good: pd.Series, among: Any = True) -> NDArray[np.bool_]:
        if n := int((~good & among).sum()):
            self.left_out[what] += n
        return good.to_numpy()

    def _precursors(self, rows: slice) -> pd.DataFrame:
        df = pd.DataFrame({name: self._read(name, rows, "") for name in PEPTIDOFORM})
        for name in ("charge", "precursor_mz"):
            df[name] = self._read(name, rows, np.nan)
        df["time"] = self._read(self._time, rows, np.nan) * self._factor
        df["time"] = df["time"].where(np.isfinite(df["time"]))
        mobility = pd.Series(self._read(self._mobility, rows, np.nan))
        df["mobility"] = mobility.where(np.isfinite(mobility) & (mobility > 0))
        mark = self._read("decoy", rows, "")
        df["decoy"] = ~pd.Series(mark).str.lower().isin(["", "0", "0.0", "false"]).to_numpy()
        for names in IDENTIFIED:
            found = next((n for n in names if n in self._columns), names[0])
            df[names[0]] = _one_line(self._read(found, rows, ""))
        for name in ("is_prot_nterm", "is_prot_cterm"):
            df[name] = np.nan_to_num(self._read(name, rows, 0)).astype(np.int64)
        for name in ("frag_start_idx", "frag_stop_idx"):
            df[name] = self._read(name, rows, -1).astype(np.int64)
        return df.assign(nAA=df["sequence"].str.len())

    def _chunk(self, df: pd.DataFrame) -> Chunk | None:
        start, stop = fragment_bounds(df, self._n_rows)
        df["charge"] = df["charge"].astype(np.int64)
        at = slice(int(start.min()), int(stop.max()))
        rows = block_rows(start - at.start, stop - at.start)
        intensity, mz = (np.column_stack([c[t][at] for t in self._types])[rows] for c in (self._intensity, self._mz))
        unsound = ~(np.isfinite(intensity) & (intensity >= 0))
        if unsound.any():
            self.left_out["fragments whose intensity is not 0 or above"] += int(unsound.sum())
        with np.errstate(invalid="ignore"):
            row, kind = np.nonzero((intensity > 0) & ~unsound & np.isfinite(mz) & (mz > 0))
        owner_of_row = np.repeat(np.arange(len(df)), stop - start)
        has = np.bincount(owner_of_row[row], minlength=len(df)) > 0
        if n := int((~has).sum()):
            self.left_out["precursors without a fragment"] += n
        if not has.any():
            return None
        mz, intensity = mz[row, kind].astype(np.float32), intensity[row, kind].astype(np.float32)
        owner = owner_of_row[row]
        # By owner, then m/z: the bits of numbers above 0 are in the order of the numbers.
        order = np.argsort((owner.astype(np.uint64) << np.uint64(32)) | mz.view(np.uint32))
        row, kind, owner = row[order], kind[order], owner[order]
        bond = row - (np.cumsum(stop - start) - (stop - start))[owner]
        from_n = np.array([ion.series in "abc" for ion in self.ions])[kind]
        number = np.where(from_n, bond + 1, (stop - start)[owner] - bond)
        owner = (np.cumsum(has) - 1)[owner]
        df = df[has].drop(columns=["frag_start_idx", "frag_stop_idx"]).reset_index(drop=True)
        chunk = Chunk(df, self.ions, owner, mz[order], intensity[order], kind, number, self.has_mobility)
        custom = chunk.modifications[chunk.modifications["unimod"] <= 0]
        self.unnumbered.update(zip(custom["name"], custom["mass"], strict=True))
        lost = ~(np.isfinite(df["precursor_mz"]) & (df["precursor_mz"] > 0))
        if lost.any():
            calculated = update_precursor_mz(df.loc[lost, [*PRECURSOR, "nAA"]].reset_index(drop=True))
            df.loc[lost, "precursor_mz"] = calculated["precursor_mz"].to_numpy()
        return chunk
