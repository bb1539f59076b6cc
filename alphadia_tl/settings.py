"""Settings of the plugin: frozen dataclasses, checked when they are made.

The plugin's own section of the alphaDIA config is ``alphadia_tl``. Keys that alphaDIA already
has (``transfer_learning``, ``transfer_library``, ``library_prediction``, ``general``) are read
from there and are not repeated. A key of ``transfer_learning`` counts only where the user wrote
it: the plugin's defaults differ from alphaDIA's where measurements say so.
"""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml

from alphadia_tl.errors import Found, SettingsError, noted, raise_all
from alphadia_tl.files import absolute_path, read_yaml

Rule = Mapping[str, Any]
#: Meaning and rule of each key of the plugin, by section; under "alphaDIA", rules for its keys.
KEYS: Mapping[str, Mapping[str, Any]] = read_yaml(Path(__file__).with_suffix(".yaml"))
SCOUTED, SCOUTED_RUNS = 3_000, 6  # precursors to tune on, in at most so many runs
LIMITS = {
    "least": (operator.ge, "at least"), "above": (operator.gt, "above"),
    "most": (operator.le, "at most"), "below": (operator.lt, "below"),
}  # fmt: skip


def expected(default: object, rule: Rule) -> str:
    """Say in words what a value must be: of the kind of its default, and within the limits of its rule."""
    number = "whole number" if "whole" in rule or "exact" in rule else "number"
    limits = " and ".join(f"{words} {rule[key]}" for key, (_, words) in LIMITS.items() if key in rule)
    limits = f", {limits}" if limits else ""
    if "of" in rule:
        text = f"one of {', '.join(rule['of'])}"
    elif isinstance(default, bool):
        text = "true or false"
    elif "pair" in rule:
        text = f"two {number}s{limits}, the first {'below' if 'apart' in rule else 'not above'} the second"
    elif _is_number(default, rule):
        text = f"{', '.join(rule.get('or', ()))}, a {number}{limits}".removeprefix(", ")
    elif isinstance(default, list | tuple):
        text = f"a list of {', '.join(rule['each'])}, none twice" if "each" in rule else "a list"
    else:
        text = "text"
    text += ", not empty" if "filled" in rule else ""
    return f"{text} or null" if fits(None, default, rule) else text


def _is_number(default: object, rule: Rule) -> bool:
    return isinstance(default, int | float) or bool({"exact", *LIMITS} & rule.keys())


def fits(value: Any, default: object, rule: Rule) -> bool:
    """Return whether a value is of the kind of its default, and within the limits of its rule."""
    if value is None:
        return default is None or "empty" in rule
    if "of" in rule:
        return isinstance(value, str) and (value.lower() if "any_case" in rule else value) in rule["of"]
    if isinstance(default, bool):
        return isinstance(value, bool)
    if "pair" in rule:
        single = {key: limit for key, limit in rule.items() if key != "pair"}
        if not isinstance(value, list) or len(value) != 2 or not all(fits(v, 0, single) for v in value):
            return False
        return bool(value[0] < value[1] or ("apart" not in rule and value[0] == value[1]))
    if isinstance(default, list | tuple):
        if not isinstance(value, list | tuple) or ("filled" in rule and not value):
            return False
        return "each" not in rule or (all(v in rule["each"] for v in value) and len(set(value)) == len(value))
    if not _is_number(default, rule):
        return isinstance(value, str) and ("filled" not in rule or bool(value.strip()))
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return value in rule.get("or", ())
    if ("exact" in rule and not isinstance(value, int)) or ("whole" in rule and value % 1):
        return False
    return all(within(value, rule[key]) for key, (within, _) in LIMITS.items() if key in rule)


def _as_yaml(value: object) -> str:
    value = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("...\n").strip()


def _instead(value: Any, default: object, rule: Rule) -> str:
    """Say what to write: what is near to what was written and fits, else that there is a default."""
    near: list[Any] = [name for name in rule.get("of", ()) if name.lower() == str(value).lower()]
    if isinstance(value, str):
        for kind in (int, float):
            with suppress(ValueError):
                near.append(kind(value))
        near.append([value])
    elif isinstance(value, float) and math.isfinite(value):
        near.append(int(value))
    elif isinstance(value, list) and all(isinstance(v, int | float) for v in value):
        near.append(sorted(value))
    for other in near:
        if fits(other, default, rule):
            return f"Write {_as_yaml(other)}."
    return f"Correct it{'' if default is None else f', or leave it out for its default, {_as_yaml(default)}'}."


def check_value(key: str, value: Any, default: object, rule: Rule) -> None:
    """Raise a SettingsError that says what a value must be, unless it is."""
    if not fits(value, default, rule):
        shown = list(value) if isinstance(value, tuple) else value
        what = f"Config key '{key}' is {shown!r}: expected {expected(default, rule)}."
        raise SettingsError(what, _instead(shown, default, rule))


class Section:
    """Construction from a mapping with the key names of the config, for frozen dataclasses."""

    section: ClassVar[str] = ""
    #: What became of keys that earlier versions had.
    deleted: ClassVar[Mapping[str, str]] = {}
    #: Values of such keys that say what is done now: they are passed over.
    deleted_values: ClassVar[Mapping[str, object]] = {}

    @classmethod
    def from_mapping(cls, values: Any, *, ignore_unknown: bool = False) -> Self:
        """Build the settings from a mapping of config keys.

        None stands for an empty section. ``ignore_unknown`` leaves unknown keys to somebody else (alphaDIA checks its
        own sections). Raises SettingsError for an unknown or deleted key, a wrong type, or an impossible value.
        """
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            what = f"Config section '{cls.section}' must be a mapping of keys to values, not {type(values).__name__}."
            raise SettingsError(what, f"Write for example '{cls.section}: {{enabled: true}}'.")
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        found: Found = []
        for key, value in values.items():
            if key in cls.deleted and (key not in cls.deleted_values or value != cls.deleted_values[key]):
                what = f"Config key '{cls.section}.{key}' does not exist any more."
                found.append(SettingsError(what, cls.deleted[key]))
            elif key not in known and key not in cls.deleted and not ignore_unknown:
                advice = f"Known keys: {', '.join(sorted(known))}."
                found.append(SettingsError(f"Unknown config key '{cls.section}.{key}'.", advice))
        given = {}
        for name in values.keys() & known.keys():
            with noted(found):
                given[name] = cls._value(values[name], known[name].default_factory, known[name].default)
        with noted(found):
            made = cls(**given)
        raise_all(found)
        return made

    @classmethod
    def _value(cls, value: Any, section: Any, default: Any) -> Any:
        if isinstance(section, type) and issubclass(section, Section):
            return section.from_mapping(value)
        if isinstance(default, bool) and isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"  # as alphaDIA reads its own switches
        return tuple(value) if isinstance(value, list) else value

    def __post_init__(self) -> None:
        found: Found = []
        for setting in fields(self):  # type: ignore[arg-type]
            if not isinstance(value := getattr(self, setting.name), Section):
                with noted(found):
                    rule = KEYS[self.section][setting.name].get("rule", {})
                    check_value(f"{self.section}.{setting.name}", value, setting.default, rule)
        raise_all(found)

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as plain values that YAML can hold."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


MODEL_NAMES = ("rt", "charge", "ms2", "ccs")


@dataclass(frozen=True)
class EntrapmentSettings(Section):
    """The section ``alphadia_tl.entrapment`` of the config."""

    section: ClassVar[str] = "alphadia_tl.entrapment"
    deleted: ClassVar[Mapping[str, str]] = {
        "train": "Leave it out: entrapment is treated as every target is, in training too."
    }

    prefix: str | None = None
    design: str = "shuffled"
    ratio: float = 1.0
    twins: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.twins:  # what is written down is read from other folders, too
            object.__setattr__(self, "twins", str(absolute_path(self.twins)))


@dataclass(frozen=True)
class PluginSettings(Section):
    """The section ``alphadia_tl`` of the config."""

    section: ClassVar[str] = "alphadia_tl"
    deleted: ClassVar[Mapping[str, str]] = {
        "cross_fit": "Leave it out: one model predicts every peptide.",
        "rounds": "Leave it out: the models are tuned once; further rounds found no more.",
        "tune_again": "Leave it out, and give the flag: alphadia-tl workflow --tune-again.",
    }

    enabled: bool = False
    tune: bool = True
    tuning_runs: str | int | None = "auto"
    scout: str | int = "auto"
    models: tuple[str, ...] = MODEL_NAMES
    min_training_peptides: int = 100
    max_training_precursors: int = 20_000
    gate_confidence: float = 0.95
    charge_filter_recall: float = 0.995
    nce: str | float | None = "auto"
    rt_tolerance: str | float | None = "auto"
    entrapment: EntrapmentSettings = field(default_factory=EntrapmentSettings)
    precision: str = "auto"

    @property
    def first_pass_runs(self) -> int | None:
        """Runs that the first pass searches; None for all."""
        if self.tuning_runs == "auto":
            return None if self.scout == "all" else SCOUTED_RUNS
        return None if self.tuning_runs is None else int(self.tuning_runs)

    @property
    def scout_precursors(self) -> int | None:
        """Precursors that the first pass is to find in a part of the library; None where it searches all of it."""
        return None if self.scout == "all" else SCOUTED if self.scout == "auto" else int(self.scout)

    def __post_init__(self) -> None:
        super().__post_init__()
        key = "alphadia_tl.max_training_precursors' (against 'min_training_peptides"
        check_value(key, self.max_training_precursors, 20_000, {"least": self.min_training_peptides})


@dataclass(frozen=True)
class TrainingSettings(Section):
    """The section ``transfer_learning`` of the config, as far as the user wrote it."""

    section: ClassVar[str] = "transfer_learning"
    deleted: ClassVar[Mapping[str, str]] = {
        "test_interval": "Leave it out, or write 1: the models are validated after every epoch."
    }
    deleted_values: ClassVar[Mapping[str, object]] = {"test_interval": 1}

    batch_size: int | None = None
    max_lr: float | None = None
    train_fraction: float = 0.7
    validation_fraction: float = 0.2
    test_fraction: float = 0.1
    lr_patience: int = 1
    epochs: int | None = None
    warmup_epochs: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        total = round(self.train_fraction + self.validation_fraction + self.test_fraction, 6)
        if total > 1:
            what = f"Config keys 'transfer_learning.*_fraction' are {total} in sum: expected a sum of at most 1."
            raise SettingsError(what, "Correct them.")

    @property
    def stopping_patience(self) -> int:
        """Epochs without progress of the validation loss before training stops."""
        return max(1, 4 * self.lr_patience)


@dataclass(frozen=True)
class TransferLibrarySettings(Section):
    """The section ``transfer_library`` of the config."""

    section: ClassVar[str] = "transfer_library"

    fragment_types: tuple[str, ...] = ("b", "y")
    max_charge: int = 2
    top_k_samples: int = 3
    norm_delta_max: bool = True
    precursor_correlation_cutoff: float = 0.5
    fragment_correlation_ratio: float = 0.75


def _yaml_value(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, default=str)


def section_template() -> str:
    """Return the section ``alphadia_tl``, switched on, as YAML text with one comment per key."""
    lines = [
        KEYS["introductions"]["template"] + f"{PluginSettings.section}:",
        *_lines(PluginSettings(enabled=True), indent="  "),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _lines(section: Section, indent: str) -> list[str]:
    lines = []
    for setting in fields(section):  # type: ignore[arg-type]
        lines += [f"{indent}# {line}" for line in textwrap.wrap(KEYS[section.section][setting.name]["doc"], 100)]
        value = getattr(section, setting.name)
        if isinstance(value, Section):
            lines += [f"{indent}{setting.name}:", *_lines(value, indent + "  ")]
        else:
            lines += [f"{indent}{setting.name}: {_yaml_value(value)}", ""]
    return lines


def reference() -> str:
    """Return the configuration reference as Markdown."""
    parts = [KEYS["introductions"]["reference"]]
    for cls in (PluginSettings, EntrapmentSettings, TrainingSettings, TransferLibrarySettings):
        parts += [f"\n## `{cls.section}`\n", "| key | what | default | meaning |", "|---|---|---|---|"]
        for setting in fields(cls):
            about = KEYS[cls.section][setting.name]
            what, value = expected(setting.default, about.get("rule", {})), f"`{_yaml_value(setting.default)}`"
            if setting.name == "entrapment":
                what, value = "section", "see below"
            parts.append(f"| `{setting.name}` | {what} | {value} | {about['doc']} |")
    return "\n".join(parts) + "\n"
