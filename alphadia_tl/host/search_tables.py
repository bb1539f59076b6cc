"""What a finished alphaDIA search left in its output folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from alphadia_tl.errors import DataError, QuantificationError
from alphadia_tl.host.contract import CONFIG_FILE, LIBRARY_STEP, PRECURSORS_STEM
from alphadia_tl.host.search_output import (
    ADVICE,
    read_frozen_config,
    read_mapping,
    read_precursors,
    read_provenance,
    read_run_rows,
    stage_seconds,
    targets_at,
)

#: alphaDIA's columns and the names used here; what tells precursors apart is made of them (`_with_keys`).
REQUIRED = {
    "raw.name": "run", "pg.name": "protein group", "pg.proteins": "proteins", "precursor.sequence": "sequence",
    "precursor.mods": "mods", "precursor.mod_sites": "mod_sites", "precursor.charge": "charge",
    "precursor.decoy": "decoy", "precursor.qval": "q", "pg.qval": "pg_q", "precursor.proba": "proba",
    "precursor.rt.observed": "rt",
}  # fmt: skip
#: Missing where label-free quantification was off or had nothing to do.
OPTIONAL = {
    "precursor.intensity": "precursor_intensity",
    "peptide.intensity": "peptidoform_intensity",
    "pg.intensity": "protein group_intensity",
}
TEXT = ("raw.name", "pg.name", "pg.proteins", "precursor.sequence", "precursor.mods", "precursor.mod_sites")
SEPARATOR = ";"


@dataclass(frozen=True)
class SearchOutput:
    """A finished search, as the comparison needs it.

    ``rows`` are one per run and precursor at the claimed FDR, without decoys: the values of `REQUIRED` but ``decoy``,
    of `OPTIONAL` (NaN where there was no column), and the keys ``precursor`` and ``peptidoform``; ``rt`` in seconds,
    ``proba`` lower is better.
    """

    name: str
    folder: Path
    rows: pd.DataFrame
    run_rows: pd.DataFrame | None  # the same before the protein FDR; None where the tables of the runs are gone
    run_decoys: pd.DataFrame | None  # the decoys that pass with them
    claimed_fdr: float
    mbr: bool  # match between runs was on in the search, whatever step the rows are from
    settings: Mapping[str, Any]  # frozen config of that step
    provenance: Mapping[str, Any]  # what the plugin wrote down; empty without it
    seconds: Mapping[str, float]  # of each stage

    def __post_init__(self) -> None:
        if not 0 < self.claimed_fdr < 1:
            raise QuantificationError(f"{self.folder}: fdr.fdr is {self.claimed_fdr}, not between 0 and 1.", ADVICE)

    @property
    def judged(self) -> pd.DataFrame:
        """Precursors before the protein FDR, or after it where the tables of the runs are gone."""
        return self.rows if self.run_rows is None else self.run_rows

    @property
    def runs(self) -> list[str]:
        """Names of the runs with at least one precursor, sorted."""
        return sorted(self.rows["run"].unique())


def read_output(folder: Path, name: str, *, without_mbr: bool = False) -> SearchOutput:
    """Read a finished search; ``without_mbr`` takes the step before match between runs, where the search had one."""
    mbr = had_mbr(read_mapping(_there(folder / CONFIG_FILE)))
    where = folder / LIBRARY_STEP if mbr and without_mbr else folder
    settings = read_frozen_config(_there(where / CONFIG_FILE).parent)
    rows = read_rows(where)
    fdr = _number(settings, where)
    run_rows = read_run_rows(where)
    return SearchOutput(
        name=name,
        folder=folder,
        rows=targets_at(rows, fdr, ("q", "pg_q")),
        run_rows=None if run_rows is None else targets_at(run_rows, fdr),
        run_decoys=None if run_rows is None else run_rows[run_rows["decoy"].eq(1) & run_rows["q"].le(fdr)],
        claimed_fdr=fdr,
        mbr=mbr,
        settings=settings,
        provenance=read_provenance(folder),
        seconds=stage_seconds(folder),
    )


def had_mbr(settings: Mapping[str, Any]) -> bool:
    """Return whether a frozen config has match between runs."""
    return bool((settings.get("general") or {}).get("mbr_step_enabled"))


def read_rows(folder: Path) -> pd.DataFrame:
    """Read the precursor table of an output folder, decoys included, under the names used here."""
    rows = read_precursors(folder, list(REQUIRED), list(OPTIONAL), TEXT)
    if rows is None:
        raise QuantificationError(f"{folder / PRECURSORS_STEM}.parquet does not exist.", ADVICE)
    for name in OPTIONAL.keys() - set(rows.columns):
        rows[name] = float("nan")
    rows = rows.fillna(dict.fromkeys(TEXT, "")).astype(dict.fromkeys(TEXT, "str"))
    return _with_keys(rows.rename(columns=REQUIRED | OPTIONAL))


def peptidoform(sequence: str, mods: str, mod_sites: str) -> str:
    """Return a name that does not depend on the order in which modifications are listed."""
    if not mods:
        return sequence
    names, sites = mods.split(SEPARATOR), mod_sites.split(SEPARATOR)
    if len(names) != len(sites):
        raise DataError(f"{sequence} has {len(names)} modifications but {len(sites)} sites.", ADVICE)
    ordered = sorted(zip((int(site) for site in sites), names, strict=True))
    return sequence + "|" + SEPARATOR.join(f"{site}:{name}" for site, name in ordered)


def _with_keys(rows: pd.DataFrame) -> pd.DataFrame:
    """Tell precursors and protein groups apart in one way: searches list modifications and proteins in any order."""
    for name in ("protein group", "proteins"):
        texts = {text: SEPARATOR.join(sorted(set(text.split(SEPARATOR)))) for text in rows[name].unique()}
        rows[name] = rows[name].map(texts).astype("str")
    forms = list(zip(*(rows[name] for name in ("sequence", "mods", "mod_sites")), strict=True))
    known = {form: peptidoform(*form) for form in set(forms)}
    names = pd.Series([known[form] for form in forms], index=rows.index, dtype="str")
    keys = {"peptidoform": names, "precursor": names + "/" + rows["charge"].astype(int).astype("str")}
    return rows.assign(**{name: pd.util.hash_array(key.to_numpy(object)) for name, key in keys.items()})


def _there(path: Path) -> Path:
    if not path.is_file():
        raise QuantificationError(f"{path} does not exist.", ADVICE)
    return path


def _number(settings: Mapping[str, Any], folder: Path) -> float:
    value = (settings.get("fdr") or {}).get("fdr")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise QuantificationError(f"{folder / CONFIG_FILE}: 'fdr.fdr' is {value!r}, not a number.", ADVICE)
    return float(value)


def read_outputs(folders: Mapping[str, Path]) -> tuple[list[SearchOutput], list[str]]:
    """Read the searches of a comparison, in order, so that match between runs cannot be mistaken for anything else.

    Where one of them had it on, all are compared by the step before it, and notes tell what came after it. Raises
    QuantificationError as `read_output` does.
    """
    with_mbr = [n for n, f in folders.items() if had_mbr(read_mapping(_there(f / CONFIG_FILE)))]
    outputs = [read_output(folder, name, without_mbr=bool(with_mbr)) for name, folder in folders.items()]
    if not with_mbr:
        return outputs, []
    after = {name: read_output(folders[name], name).rows["precursor"].nunique() for name in with_mbr}
    counts = ", ".join(f"{name} {count:,}" for name, count in after.items())
    where = "all of them" if len(with_mbr) == len(folders) else ", ".join(with_mbr) + " only"
    return outputs, [
        f"Match between runs was on in {where}. The step before it is compared, so that its effect is not mixed with "
        f"that of transfer learning. Precursors after it: {counts}."
    ]
