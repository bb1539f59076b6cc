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
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from alphadia_tl.errors import SettingsError
from alphadia_tl.files import absolute_path


def _type_fits(value: Any, annotation: Any) -> bool:
    if isinstance(annotation, types.UnionType):
        return any(_type_fits(value, a) for a in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        inner = typing.get_args(annotation)[0]
        return isinstance(value, tuple | list) and all(_type_fits(v, inner) for v in value)
    if isinstance(value, bool):
        return annotation is bool
    return isinstance(value, int | float if annotation is float else annotation)


def _number_as_yaml(value: Any) -> str:
    """Say how a number is written that YAML takes for text: in quotes, or with an exponent and no point."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    text = str(int(number) if number.is_integer() else number)
    return f"Write {text if '.' in text else text.replace('e', '.0e')}."


class Section:
    """Construction from a mapping with the key names of the config, for frozen dataclasses."""

    section: ClassVar[str] = ""
    #: What became of keys that earlier versions had.
    deleted: ClassVar[Mapping[str, str]] = {}
    #: Values of such keys that say what is done now: they are passed over.
    deleted_values: ClassVar[Mapping[str, object]] = {}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any] | None, *, ignore_unknown: bool = False) -> Self:
        """Build the settings from a mapping of config keys.

        None stands for an empty section. ``ignore_unknown`` leaves unknown keys to somebody else (alphaDIA checks its
        own sections). Raises SettingsError for an unknown or deleted key, a wrong type, or an impossible value.
        """
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            raise SettingsError(
                f"Config section '{cls.section}' must be a mapping of keys to values, not {type(values).__name__}.",
                f"Write for example '{cls.section}: {{enabled: true}}'.",
            )
        hints = typing.get_type_hints(cls)
        known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
        for key, value in values.items():
            if key in cls.deleted and (key not in cls.deleted_values or value != cls.deleted_values[key]):
                raise SettingsError(f"Config key '{cls.section}.{key}' does not exist any more.", cls.deleted[key])
        unknown = sorted(str(k) for k in values if k not in known and k not in cls.deleted)
        if unknown and not ignore_unknown:
            raise SettingsError(
                f"Unknown config key '{cls.section}.{unknown[0]}'.", f"Known keys: {', '.join(sorted(known))}."
            )
        return cls(**{name: cls._value(name, values[name], hints[name]) for name in known if name in values})

    @classmethod
    def _value(cls, name: str, value: Any, hint: Any) -> Any:
        if isinstance(hint, type) and issubclass(hint, Section):
            return hint.from_mapping(value)
        if hint is bool and isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"  # as alphaDIA reads its own switches
        if not _type_fits(value, hint):
            raise SettingsError(
                f"Config key '{cls.section}.{name}' has the value {value!r} of type "
                f"{type(value).__name__}: expected {describe_type(hint)}.",
                _number_as_yaml(value) or "Correct it in the config file.",
            )
        return tuple(value) if isinstance(value, list) else value

    def expect(self, condition: bool, key: str, expected: str, value: object = None) -> None:
        """Raise a SettingsError that names the key, its value and what is expected, unless the condition holds."""
        if not condition:
            value = getattr(self, key) if value is None else value
            raise SettingsError(
                f"Config key '{self.section}.{key}' has the impossible value "
                f"{list(value) if isinstance(value, tuple) else value!r}: expected {expected}.",
                "Correct it in the config file.",
            )

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as plain values that YAML can hold."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def describe_type(annotation: Any) -> str:
    """Name a type annotation in words a user of a config file knows."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if isinstance(annotation, types.UnionType):
        return " or ".join(describe_type(a) for a in typing.get_args(annotation))
    if annotation in (None, types.NoneType):
        return "null"
    if typing.get_origin(annotation) is tuple:
        return f"a list ({describe_type(typing.get_args(annotation)[0])} each)"
    return words.get(annotation, str(annotation))


def documented(default: Any, text: str) -> Any:
    """Return a dataclass field with its text for the configuration reference."""
    return field(default=default, metadata={"doc": text})


MODEL_NAMES = ("rt", "charge", "ms2", "ccs")


@dataclass(frozen=True)
class EntrapmentSettings(Section):
    """The section ``alphadia_tl.entrapment`` of the config."""

    section: ClassVar[str] = "alphadia_tl.entrapment"
    deleted: ClassVar[Mapping[str, str]] = {
        "train": "Leave it out: entrapment is treated as every target is, in training too."
    }

    prefix: str | None = documented(
        None,
        "What the accessions of entrapment proteins begin with. null: as alphadia-tl entrapment wrote beside a FASTA "
        "of the search (prefix, design, ratio and twins); where there is nothing, no error can be estimated.",
    )
    design: str = documented(
        "shuffled", "How the entrapment was made: shuffled (a twin per target peptide), or foreign (other species)."
    )
    ratio: float = documented(
        1.0, "Entrapment peptides per target peptide in the searched database (r); known for alphadia-tl entrapment's."
    )
    twins: str | None = documented(
        None,
        "Table of the twins of a shuffled entrapment, with which the paired estimate is given; known for alphadia-tl "
        "entrapment's.",
    )

    def __post_init__(self) -> None:
        self.expect(self.prefix is None or bool(self.prefix.strip()), "prefix", "text or null")
        self.expect(self.design in ("shuffled", "foreign"), "design", "shuffled or foreign")
        self.expect(0 < self.ratio <= 100, "ratio", "above 0, at most 100")
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

    enabled: bool = documented(False, "Switch: search, tune the models, predict the library again, search again.")
    tune: bool = documented(
        True,
        "false: the models of library_prediction.peptdeep_model_path predict the library as they are; one search, "
        "nothing is tuned.",
    )
    tuning_runs: int | None = documented(
        None,
        "The first pass searches, and the models are tuned on, this many runs only, spread evenly over the raw files; "
        "the final pass searches all. null: all runs.",
    )
    models: tuple[str, ...] = documented(
        MODEL_NAMES, "Models that may be tuned. CCS is tuned only where the data has ion mobility."
    )
    min_training_peptides: int = documented(
        100, "A model with fewer distinct peptides to train on keeps its pretrained weights."
    )
    max_training_precursors: int = documented(
        20_000,
        "At most this many precursors are collected for training, validation and test, so that tuning does not "
        "grow with the number of runs.",
    )
    gate_confidence: float = documented(
        0.95, "A tuned model is used only if it beats the pretrained one on held-out peptides with this confidence."
    )
    charge_filter_recall: float = documented(
        0.995,
        "Charge states that the charge model rules out leave the library only where at least this fraction "
        "of the held-out observed ones is kept. 1.0 switches the filter off.",
    )
    nce: str | float | None = documented(
        "auto",
        "Collision energy that the MS2 model is tuned and predicts with: auto (the one that fits the training peptides "
        "best; library_prediction.nce unless another is better with confidence), a number, or null for "
        "library_prediction.nce.",
    )
    rt_tolerance: str | float | None = documented(
        "auto",
        "How far from its predicted retention time the final pass looks for a precursor: auto (ten times the median "
        "error of the RT model on held-out peptides), a number (as search.target_rt_tolerance: seconds above 1, else "
        "a share of the gradient), or null for alphaDIA's own optimisation. A search.target_rt_tolerance of the user "
        "is used in both passes instead.",
    )
    entrapment: EntrapmentSettings = field(
        default_factory=EntrapmentSettings,
        metadata={"doc": "Proteins that cannot be in the sample, searched to estimate the error."},
    )
    precision: str = documented(
        "auto",
        "Arithmetic of training and prediction: auto (bf16 on GPUs and CPUs that calculate with it, where a check "
        "against fp32 passes), fp32 or bf16.",
    )

    def __post_init__(self) -> None:
        self.expect(self.tuning_runs is None or self.tuning_runs >= 1, "tuning_runs", "at least 1")
        self.expect(set(self.models) <= set(MODEL_NAMES), "models", f"a list of {', '.join(MODEL_NAMES)}")
        self.expect(len(set(self.models)) == len(self.models), "models", "no repeated names")
        least = self.min_training_peptides
        self.expect(least >= 1, "min_training_peptides", "at least 1")
        enough = f"at least min_training_peptides ({least})"
        self.expect(self.max_training_precursors >= least, "max_training_precursors", enough)
        self.expect(0.5 <= self.gate_confidence < 1, "gate_confidence", "0.5 up to below 1")
        self.expect(0 < self.charge_filter_recall <= 1, "charge_filter_recall", "above 0, at most 1")
        self._expect_auto_or("nce", "above 0, at most 100", most=100)
        self._expect_auto_or("rt_tolerance", "above 0")
        self.expect(self.precision in ("auto", "fp32", "bf16"), "precision", "one of auto, fp32, bf16")

    def _expect_auto_or(self, key: str, expected: str, most: float = math.inf) -> None:
        value = getattr(self, key)
        if isinstance(value, str):
            self.expect(value == "auto", key, "auto, a number or null")
        else:
            self.expect(value is None or 0 < value <= most, key, expected)


@dataclass(frozen=True)
class TrainingSettings(Section):
    """The section ``transfer_learning`` of the config, as far as the user wrote it."""

    section: ClassVar[str] = "transfer_learning"
    deleted: ClassVar[Mapping[str, str]] = {
        "test_interval": "Leave it out, or write 1: the models are validated after every epoch."
    }
    deleted_values: ClassVar[Mapping[str, object]] = {"test_interval": 1}

    batch_size: int | None = documented(
        None,
        "Precursors per batch. null: chosen from the number of rows, so that an epoch has at least 30 steps (MS2 125).",
    )
    max_lr: float | None = documented(
        None, "Highest learning rate, reached after the warm-up. null: the model's own default."
    )
    train_fraction: float = documented(0.7, "Fraction of the peptides to train on.")
    validation_fraction: float = documented(0.2, "Fraction of the peptides that steer early stopping.")
    test_fraction: float = documented(0.1, "Fraction of the peptides scored once, before and after.")
    lr_patience: int = documented(
        1,
        "Epochs without progress of the training loss before the learning rate is halved; four times as many without "
        "progress of the validation loss end the training.",
    )
    epochs: int | None = documented(
        None,
        "At most this many epochs. null: the model's own: RT 18, CCS 12, charge 15, MS2 12; with a max_lr below the "
        "model's own up to three times as many.",
    )
    warmup_epochs: int = documented(2, "Epochs over which the learning rate grows to max_lr.")

    def __post_init__(self) -> None:
        self.expect(self.batch_size is None or self.batch_size >= 1, "batch_size", "at least 1")
        self.expect(self.max_lr is None or 0 < self.max_lr < 1, "max_lr", "above 0 and below 1")
        for name in ("train_fraction", "validation_fraction", "test_fraction"):
            self.expect(0 < getattr(self, name) < 1, name, "above 0 and below 1")
        total = self.train_fraction + self.validation_fraction + self.test_fraction
        self.expect(total <= 1 + 1e-9, "*_fraction", "a sum of at most 1", value=round(total, 6))
        self.expect(self.lr_patience >= 0, "lr_patience", "at least 0")
        self.expect(self.epochs is None or self.epochs >= 1, "epochs", "at least 1")
        self.expect(self.warmup_epochs >= 0, "warmup_epochs", "at least 0")

    @property
    def stopping_patience(self) -> int:
        """Epochs without progress of the validation loss before training stops."""
        return max(1, 4 * self.lr_patience)


@dataclass(frozen=True)
class TransferLibrarySettings(Section):
    """The section ``transfer_library`` of the config."""

    section: ClassVar[str] = "transfer_library"

    fragment_types: tuple[str, ...] = documented(("b", "y"), "Fragment types that are quantified and learnt.")
    max_charge: int = documented(2, "Highest fragment charge.")
    top_k_samples: int = documented(3, "Best observations kept per peptidoform and charge.")
    norm_delta_max: bool = documented(
        True, "Align the retention times of several runs on the peptides they share, beside scaling each run."
    )
    precursor_correlation_cutoff: float = documented(
        0.5, "Precursors whose median fragment correlation is not above this are not used for MS2."
    )
    fragment_correlation_ratio: float = documented(
        0.75, "Fragments correlating less than this fraction of their precursor's median are masked."
    )

    def __post_init__(self) -> None:
        self.expect(len(self.fragment_types) > 0, "fragment_types", "at least one type")
        self.expect(self.max_charge >= 1, "max_charge", "at least 1")
        self.expect(self.top_k_samples >= 1, "top_k_samples", "at least 1")
        self.expect(-1 <= self.precursor_correlation_cutoff <= 1, "precursor_correlation_cutoff", "-1 to 1")
        self.expect(0 <= self.fragment_correlation_ratio <= 1, "fragment_correlation_ratio", "0 to 1")


HEADER = """\
# Transfer learning between the two search passes (alphadia_tl).
# Put this section into your alphaDIA config; every key but 'enabled' may be left out.
"""


def _yaml_value(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def section_template() -> str:
    """Return the section ``alphadia_tl``, switched on, as YAML text with one comment per key."""
    lines = [HEADER + f"{PluginSettings.section}:", *_lines(PluginSettings(enabled=True), indent="  ")]
    return "\n".join(lines).rstrip() + "\n"


def _lines(section: Section, indent: str) -> list[str]:
    lines = []
    for setting in fields(section):  # type: ignore[arg-type]
        lines += [f"{indent}# {line}" for line in textwrap.wrap(setting.metadata["doc"], 100)]
        value = getattr(section, setting.name)
        if isinstance(value, Section):
            lines += [f"{indent}{setting.name}:", *_lines(value, indent + "  ")]
        else:
            lines += [f"{indent}{setting.name}: {_yaml_value(value)}", ""]
    return lines


REFERENCE_INTRODUCTION = """\
# Configuration reference

Made from the settings' own documentation (`alphadia_tl.settings.reference`); a test keeps it up to date.

The switch and the plugin's own keys are in the section `alphadia_tl` of the alphaDIA config. Keys that alphaDIA already
has keep their place: `transfer_library.*` is read from alphaDIA's effective config; a key of `transfer_learning` counts
only where you wrote it, because the plugin's defaults differ from alphaDIA's. `library_prediction.nce`, `instrument`,
`peptdeep_model_path`, `peptdeep_model_type` and the limits of the library, and `general.thread_count`, `use_gpu`,
`random_state` and `fail_fast` mean what they mean in alphaDIA.
"""


def reference() -> str:
    """Return the configuration reference as Markdown."""
    parts = [REFERENCE_INTRODUCTION]
    for cls in (PluginSettings, EntrapmentSettings, TrainingSettings, TransferLibrarySettings):
        hints = typing.get_type_hints(cls)
        defaults = cls()
        parts += [f"\n## `{cls.section}`\n", "| key | type | default | meaning |", "|---|---|---|---|"]
        for setting in fields(defaults):
            if isinstance(getattr(defaults, setting.name), Section):
                parts.append(f"| `{setting.name}` | section | see below | {setting.metadata['doc']} |")
                continue
            value = _yaml_value(getattr(defaults, setting.name))
            kind = describe_type(hints[setting.name]).replace("|", "\\|")
            parts.append(f"| `{setting.name}` | {kind} | `{value}` | {setting.metadata['doc']} |")
    return "\n".join(parts) + "\n"
