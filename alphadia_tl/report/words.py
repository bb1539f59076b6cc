"""Numbers and names as people read them. Pure functions, used as filters of the template."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

DASH = "–"
MODELS = {"rt": "Retention time", "charge": "Charge states", "ms2": "Fragment intensities", "ccs": "Ion mobility (CCS)"}
METRICS = {
    "median_abs_error_calibrated": "median error of normalised RT",
    "median_relative_abs_error": "median relative error of CCS",
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
    return DASH if value is None or math.isnan(value) else f"{100 * value:.2g} %"


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


def model(name: str) -> str:
    """Name a model in words."""
    return MODELS.get(name, name)


def metric(name: str) -> str:
    """Name a metric in words."""
    return METRICS.get(name, name)


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
    return str(yaml.safe_dump(_plain(values), sort_keys=False, allow_unicode=True, width=110))


def _plain(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {str(k): _plain(v) for k, v in item.items()}
    if isinstance(item, list | tuple | set | frozenset):
        return [_plain(v) for v in item]
    return item if isinstance(item, bool | int | float | str) or item is None else str(item)


FILTERS = {f.__name__: f for f in (count, number, together, percent, duration, model, metric, label, value, as_yaml)}
