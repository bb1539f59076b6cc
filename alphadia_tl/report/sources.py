"""Facts of a finished run, read from the files that it left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pandas as pd
import yaml

from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import ResultsError
from alphadia_tl.report.facts import Facts

KEYS: dict[str, type] = {
    "decisions": list, "training": dict, "identified": dict, "transfer_library": dict, "regeneration": dict,
    "warnings": list, "seconds": dict, "runs": list,
}  # fmt: skip
FROZEN_CONFIG = "frozen_config.yaml"
HELD_OUT_COLUMNS = {"model", "sequence", "mods", "charge", "observed", "before", "after", "score_before", "score_after"}
SPECTRUM_COLUMNS = HELD_OUT_COLUMNS - {"model"} | {"kind", "spectrum", "ion", "mz"}
HISTORY_COLUMNS = {"epoch", "property", "data_split", "metric_name", "value"}
RT_BIN_COLUMNS = {
    "rt_from", "rt_to", "training_peptides", "held_out_peptides", "median_abs_error_before", "median_abs_error_after",
    "note",
}  # fmt: skip
MODIFICATION_COLUMNS = {
    "model", "modification", "training_peptides", "learnt", "test_peptides", "metric", "before", "after",
}  # fmt: skip
ADVICE = "Give the output folder of a search with alphadia_tl: {enabled: true}, or its folder 'transfer'."


def find_bundle(folder: Path) -> Bundle:
    """Return the bundle of a run.

    Parameters
    ----------
    folder : Path
        Output folder of a search, or the bundle itself.

    Raises
    ------
    ResultsError
        If there is none.
    """
    for place in (folder / "transfer", folder):
        bundle = Bundle(place)
        if bundle.provenance.is_file() and "decisions" in _mapping(bundle.provenance):
            return bundle
    if not folder.is_dir():
        raise ResultsError(f"{folder} is no folder.", ADVICE)
    raise ResultsError(f"{folder} holds no results of transfer learning (transfer/alphadia_tl.yaml).", ADVICE)


def read_facts(bundle: Bundle) -> Facts:
    """Read everything that the report shows; files that are not there are left out.

    Parameters
    ----------
    bundle : Bundle
        Must have its provenance file.

    Raises
    ------
    ResultsError
        If a file cannot be read or lacks columns.
    """
    known = _mapping(bundle.provenance)
    facts: dict[str, Any] = {key: known.pop(key) for key in KEYS if known.get(key) is not None}
    if wrong := [key for key, value in facts.items() if not isinstance(value, KEYS[key])]:
        raise ResultsError(f"{bundle.provenance}: '{wrong[0]}' is not as the transfer-learning step writes it.")
    facts.setdefault("runs", (known.get("trained_on") or {}).get("runs", []))
    facts["nce"] = {
        "configured": known.get("library_prediction_nce", known.get("nce")),
        "used": known.get("nce"),
        "curve": known.pop("nce_curve", None),
    }
    facts["provenance"] = known
    tables: tuple[tuple[str, Path, set[str], Callable[[Path], pd.DataFrame]], ...] = (
        ("history", bundle.stats, HISTORY_COLUMNS, _read_tsv),
        ("rt_bins", bundle.rt_bins, RT_BIN_COLUMNS, _read_tsv),
        ("modifications", bundle.modifications, MODIFICATION_COLUMNS, _read_tsv),
        ("held_out", bundle.held_out, HELD_OUT_COLUMNS, pd.read_parquet),
        ("spectra", bundle.spectra, SPECTRUM_COLUMNS, pd.read_parquet),
    )
    for name, path, columns, read in tables:
        if path.is_file():
            facts[name] = _table(path, columns, read)
    for name in ("rt_bins", "modifications"):
        if name in facts:
            facts[name] = facts[name].fillna({"note": ""}).to_dict("records")
    configs = {"first pass": bundle.folder / FROZEN_CONFIG, "second pass": bundle.folder.parent / FROZEN_CONFIG}
    facts["configs"] = {name: _text(path) for name, path in configs.items() if path.is_file()}
    return cast(Facts, facts)


def _read_tsv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def _table(path: Path, columns: set[str], read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    try:
        table = read(path)
    except (OSError, ValueError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise ResultsError(f"{path} cannot be read: {error}.", "Delete it to get a report without it.") from error
    if missing := sorted(columns - set(table.columns)):
        raise ResultsError(f"{path} lacks the column(s) {', '.join(missing)}.", "Delete it to get a report without it.")
    return table


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read: {error}.") from error


def _mapping(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise ResultsError(f"{path} is no YAML: {error}.") from error
    if not isinstance(values, dict):
        raise ResultsError(f"{path} is no mapping of keys to values.")
    return values
