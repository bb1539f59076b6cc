"""What is known of a search: read from its files, and told in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import pandas as pd
import yaml

from alphadia_tl.bundle import Bundle
from alphadia_tl.entrapment.database import UNKNOWN
from alphadia_tl.entrapment.searches import CLASSES
from alphadia_tl.errors import ResultsError
from alphadia_tl.files import read_yaml
from alphadia_tl.host.contract import CONFIG_FILE

DASH = "–"
MODELS = {"rt": "Retention time", "charge": "Charge states", "ms2": "Fragment intensities", "ccs": "Ion mobility (CCS)"}
METRICS = {
    "median_abs_error_calibrated": "median error of normalised RT",
    "median_relative_abs_error_calibrated": "median relative error of CCS",
    "ce_loss": "cross-entropy of charge states",
    "SA-median": "median spectral angle similarity",
    "PCC-median": "median Pearson correlation of spectra",
}


def count(value: Any) -> str:
    """Write a whole number with thousands separators."""
    return DASH if value is None else f"{int(value):,}"


def number(value: Any) -> str:
    """Write a measured value with four significant digits, a large one as a whole number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def together(values: Sequence[Any], between: str) -> str:
    """Write values that are read side by side, with decimals that give the largest three digits, five at most."""
    known = [abs(v) for v in values if v is not None and math.isfinite(v)]
    largest = max(known, default=0.0)
    decimals = min(5, max(0, 2 - math.floor(math.log10(largest)))) if largest > 0 else 0
    return between.join(DASH if v is None or not math.isfinite(v) else f"{v:,.{decimals}f}" for v in values)


def percent(value: Any) -> str:
    """Write a fraction as a percentage."""
    return DASH if value is None or math.isnan(value) else f"{100 * value:{'.2g' if value < 0.995 else '.0f'}} %"


def estimate(found: Mapping[str, Any], name: str) -> str:
    """Write an estimate with its interval, the value and that of the name with ``_interval``; say where it is missing.

    The upper end of an interval of a share is one at most.
    """
    if found.get(name) is None:
        return UNKNOWN
    interval = found.get(f"{name}_interval")
    ends = f" ({percent(interval[0])} to {percent(min(interval[1], 1.0))})" if interval else ""
    return percent(found[name]) + ends


def class_rows(between: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return what was kept, gained and lost: name, number, and the error by decoys and by entrapment in words."""
    errors = between.get("errors") or {}
    known = [(name, errors.get(name) or {}) for name in CLASSES]
    return [(name, count(between.get(name)), estimate(of, "fdp_decoys"), estimate(of, "fdp")) for name, of in known]


def change(before: Any, after: Any) -> str:
    """Write the relative change of a count with its sign; a dash where there is nothing to compare."""
    if before is None or after is None or before == 0:
        return DASH
    difference = after - before
    return f"{difference:+,} ({100 * difference / before:+.1f} %)"


def duration(seconds: Any) -> str:
    """Write seconds in the unit people think in."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{minutes} min {rest:02d} s" if hours == 0 else f"{hours} h {minutes:02d} min"


def model_name(name: str) -> str:
    """Name a model in words."""
    return MODELS.get(name, name)


def label(name: Any) -> str:
    """Turn a key into words."""
    return str(name).replace("_", " ")


def value(item: Any) -> str:
    """Write any value of a small table."""
    if isinstance(item, bool) or item is None:
        return {True: "yes", False: "no", None: DASH}[item]
    if isinstance(item, Mapping):
        return ", ".join(f"{label(k)}: {value(v)}" for k, v in item.items()) or DASH
    if isinstance(item, Sequence) and not isinstance(item, str):
        return ", ".join(value(v) for v in item) or DASH
    if isinstance(item, int):
        return count(item)
    return number(item) if isinstance(item, float) else str(item)


def as_yaml(values: Any) -> str:
    """Write nested values as YAML, anything it does not know as text."""
    return str(yaml.safe_dump(plain(values), sort_keys=False, allow_unicode=True, width=110))


def plain(item: Any) -> Any:
    """Turn nested values into what YAML and JSON know: numbers that are not finite become null, other things text."""
    if isinstance(item, Mapping):
        return {str(k): plain(v) for k, v in item.items()}
    if isinstance(item, list | tuple | set | frozenset):
        return [plain(v) for v in item]
    if isinstance(item, np.generic):
        item = item.item()
    if isinstance(item, float):
        return item if math.isfinite(item) else None
    return item if isinstance(item, bool | int | str) or item is None else str(item)


_WORDS = (count, number, together, percent, duration, model_name, label, value, as_yaml)
FILTERS = {f.__name__: f for f in _WORDS} | {"metric": lambda name: METRICS.get(name, name)}


class Facts(TypedDict, total=False):
    """Input of the report; every key may be missing."""

    decisions: Sequence[Mapping[str, Any]]  # gate decisions in the order to show
    training: Mapping[str, Mapping[str, Any]]  # how it went, by model; those that were not trained are missing
    history: pd.DataFrame  # epoch, property, data_split, metric_name, value; epoch -1 is before training
    identified: Mapping[str, Mapping[str, Any] | None]  # first_pass and second_pass; None where there is no table
    between_passes: Mapping[str, Any]  # as `entrapment.searches.compare_found` gives it
    runs: Sequence[str]
    transfer_library: Mapping[str, Any]  # counts, shown as they are
    regeneration: Mapping[str, Any] | None  # None where no library was written
    modifications: Sequence[Mapping[str, Any]]  # rows, keys as in TABLES["modifications"]
    seconds: Mapping[str, float]  # a stage whose name continues another's ("tuning rt", "tuning") is part of it
    rt_bins: Sequence[Mapping[str, Any]]  # rows along the gradient, keys as in TABLES["rt_bins"]
    nce: Mapping[str, Any]  # configured, used; curve: median spectral angle by energy, None where none was searched
    held_out: pd.DataFrame  # columns as in tasks.held_out.ROW_COLUMNS
    spectra: pd.DataFrame  # columns as in tasks.held_out.SPECTRUM_COLUMNS
    warnings: Sequence[str]
    provenance: Mapping[str, Any]  # versions, seeds, hashes and settings, nested as for YAML
    configs: Mapping[str, str]  # text of alphaDIA's effective config by pass


KEYS: dict[str, type] = {
    "decisions": list, "training": dict, "identified": dict, "transfer_library": dict, "regeneration": dict,
    "warnings": list, "seconds": dict, "runs": list, "between_passes": dict,
}  # fmt: skip
SPECTRUM = {"sequence", "mods", "charge", "observed", "before", "after", "score_before", "score_after"}
TABLES = {
    "history": {"epoch", "property", "data_split", "metric_name", "value"},
    "rt_bins": {
        "rt_from", "rt_to", "training_peptides", "held_out_peptides", "median_abs_error_before",
        "median_abs_error_after", "note",
    },
    "modifications": {
        "model", "modification", "training_peptides", "learnt", "test_peptides", "metric", "before", "after",
    },
    "held_out": SPECTRUM | {"model"},
    "spectra": SPECTRUM | {"kind", "spectrum", "ion", "mz"},
}  # fmt: skip
"""Columns that each table must have."""


def read_facts(bundle: Bundle) -> Facts:
    """Read everything that the report shows; files but the provenance that are not there are left out."""
    known = read_yaml(bundle.provenance, error=ResultsError)
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
    for name, columns in TABLES.items():
        path: Path = bundle.stats if name == "history" else getattr(bundle, name)
        if path.is_file():
            facts[name] = _table(path, columns)
    for name in ("rt_bins", "modifications"):
        if name in facts:
            facts[name] = facts[name].fillna({"note": ""}).to_dict("records")
    configs = {"first pass": bundle.folder / CONFIG_FILE, "second pass": bundle.folder.parent / CONFIG_FILE}
    facts["configs"] = {name: _text(path) for name, path in configs.items() if path.is_file()}
    return cast(Facts, facts)


def _table(path: Path, columns: set[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, sep="\t") if path.suffix == ".tsv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise ResultsError(f"{path} cannot be read: {error}.", "Delete it to get a report without it.") from error
    if missing := sorted(columns - set(table.columns)):
        raise ResultsError(f"{path} lacks the column(s) {', '.join(missing)}.", "Delete it to get a report without it.")
    return table


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read: {error}.", "Delete it to get a report without it.") from error
