"""What is known of a search: read from its files, and told in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

import pandas as pd
import yaml

from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import ResultsError

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


def model_name(name: str) -> str:
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


_WORDS = (count, number, together, percent, duration, model_name, metric, label, value, as_yaml)
FILTERS = {f.__name__: f for f in _WORDS}


class DecisionFacts(TypedDict, total=False):
    """What was decided for one model; the mapping of a gate decision fits.

    ``interval`` is the bootstrap interval of the improvement (positive: better); ``before`` and ``after`` are the
    headline metric on the same held-out peptides.
    """

    model: str
    accepted: bool
    reason: str
    headline: str
    higher_is_better: bool
    before: float | None
    after: float | None
    interval: Sequence[float] | None
    n_peptides: Mapping[str, int] | None


class TrainingFacts(TypedDict, total=False):
    """How the training of one model went. ``best_epoch`` is -1 where the start weights were restored."""

    stop_reason: str
    best_epoch: int
    epochs: int
    seconds: float
    n_rows: Mapping[str, int]


class PassFacts(TypedDict, total=False):
    """What one search pass found at the claimed FDR; ``fdp`` estimates the true false discovery proportion, 0 to 1."""

    precursors: int
    precursors_before_protein_fdr: int
    proteins: int
    fdp: float | None
    fdp_interval: list[float]
    verdict: str


class NceFacts(TypedDict, total=False):
    """Collision energies; ``curve`` is the median spectral angle by energy, None where none was searched for."""

    configured: float | None
    used: float | None
    curve: Mapping[float, float] | None


class ModificationFacts(TypedDict, total=False):
    """What one model learnt about one modification; ``before`` and ``after`` as in a decision, NaN without peptides."""

    modification: str
    model: str
    training_peptides: int
    learnt: bool
    test_peptides: int
    metric: str
    before: float
    after: float


class Facts(TypedDict, total=False):
    """Input of the report; every key may be missing.

    Attributes
    ----------
    decisions : sequence of DecisionFacts
        One per model, in the order to show.
    training : mapping of str to TrainingFacts
        By model name; models that were not trained are missing.
    history : pandas.DataFrame
        Long table ``epoch, property, data_split, metric_name, value``; the curves are the rows ``train_loss`` and
        ``lr`` of split "train" and ``val_loss`` of split "validation"; epoch -1 is before training.
    identified : mapping
        ``first_pass`` and ``second_pass``: PassFacts or None where there is no table.
    runs : sequence of str
        Names of the runs.
    transfer_library : mapping
        Counts by name, shown as they are.
    regeneration : mapping or None
        Summary of the library regeneration; None where no library was written.
    modifications : sequence of ModificationFacts
        One per modification and tuned model.
    seconds : mapping of str to float
        Wall time per stage; a stage whose name continues another's ("tuning rt" after "tuning") is part of it.
    rt_bins : sequence of mapping
        Rows along the gradient: ``rt_from``, ``rt_to``, ``training_peptides``, ``held_out_peptides``,
        ``median_abs_error_before``, ``median_abs_error_after``, ``note``; empty where there are none.
    nce : NceFacts
        Collision energies.
    held_out : pandas.DataFrame
        Held-out rows of all models, columns as in ``tasks.held_out.ROW_COLUMNS``.
    spectra : pandas.DataFrame
        A few held-out spectra, columns as in ``tasks.held_out.SPECTRUM_COLUMNS``.
    warnings : sequence of str
        What a user should know.
    provenance : mapping
        Versions, seeds, weight hashes and effective settings, nested as for YAML.
    configs : mapping of str to str
        Text of alphaDIA's effective config by name of the pass.
    """

    decisions: Sequence[DecisionFacts]
    training: Mapping[str, TrainingFacts]
    history: pd.DataFrame
    identified: Mapping[str, PassFacts | None]
    runs: Sequence[str]
    transfer_library: Mapping[str, Any]
    regeneration: Mapping[str, Any] | None
    modifications: Sequence[ModificationFacts]
    seconds: Mapping[str, float]
    rt_bins: Sequence[Mapping[str, Any]]
    nce: NceFacts
    held_out: pd.DataFrame
    spectra: pd.DataFrame
    warnings: Sequence[str]
    provenance: Mapping[str, Any]
    configs: Mapping[str, str]


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
