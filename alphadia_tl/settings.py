"""Settings of the plugin: frozen dataclasses, checked when they are made.

The plugin's own section of the alphaDIA config is ``alphadia_tl``. Keys that alphaDIA already
has (``transfer_learning``, ``transfer_library``, ``library_prediction``, ``general``) are read
from there and are not repeated. A key of ``transfer_learning`` counts only where the user wrote
it: the plugin's defaults differ from alphaDIA's where measurements say so.
"""

from __future__ import annotations

import dataclasses
import json
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from alphadia_tl.errors import SettingsError


def check(condition: bool, key: str, value: object, expected: str) -> None:
    """Raise a SettingsError that names the key and what is expected, unless the condition holds."""
    if not condition:
        raise SettingsError(
            f"Config key '{key}' has the impossible value {value!r}: expected {expected}.",
            "Correct it in the config file.",
        )


def _allowed_types(annotation: Any) -> tuple[type, ...]:
    if isinstance(annotation, types.UnionType):
        return tuple(t for arg in typing.get_args(annotation) for t in _allowed_types(arg))
    if annotation is None:
        return (types.NoneType,)
    origin = typing.get_origin(annotation)
    if origin is tuple:
        return (tuple, list)
    return (annotation,)


def _type_fits(value: Any, annotation: Any) -> bool:
    allowed = _allowed_types(annotation)
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int) and float in allowed:
        return True
    if not isinstance(value, allowed):
        return False
    if isinstance(value, tuple | list):
        inner = (
            next(
                typing.get_args(a)[0]
                for a in (typing.get_args(annotation) or (annotation,))
                if typing.get_origin(a) is tuple
            )
            if typing.get_origin(annotation) is not tuple
            else typing.get_args(annotation)[0]
        )
        return all(_type_fits(v, inner) for v in value)
    return True


class Section:
    """Construction from a mapping with the key names of the config, for frozen dataclasses."""

    section: typing.ClassVar[str] = ""
    #: What became of keys that earlier versions had.
    deleted: typing.ClassVar[Mapping[str, str]] = types.MappingProxyType({})
    #: Values of such keys that say what is done now: they are passed over.
    deleted_values: typing.ClassVar[Mapping[str, object]] = types.MappingProxyType({})

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any] | None, *, ignore_unknown: bool = False) -> Self:
        """Build the settings from a mapping of config keys.

        Parameters
        ----------
        values : Mapping[str, Any] or None
            Keys and values as in the YAML config; None stands for an empty section.
        ignore_unknown : bool, default False
            Leave unknown keys to somebody else (alphaDIA checks its own sections).

        Raises
        ------
        SettingsError
            For an unknown or deleted key, a value of the wrong type, or an impossible value.
        """
        if values is None:
            values = {}
        if not isinstance(values, Mapping):
            raise SettingsError(
                f"Config section '{cls.section}' must be a mapping of keys to values, not {type(values).__name__}.",
                f"Write for example '{cls.section}: {{enabled: true}}'.",
            )
        hints = typing.get_type_hints(cls)
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        for key, value in values.items():
            if key in cls.deleted and (key not in cls.deleted_values or value != cls.deleted_values[key]):
                raise SettingsError(f"Config key '{cls.section}.{key}' does not exist any more.", cls.deleted[key])
        unknown = sorted(str(k) for k in values if k not in known and k not in cls.deleted)
        if unknown and not ignore_unknown:
            raise SettingsError(
                f"Unknown config key '{cls.section}.{unknown[0]}'.",
                f"Known keys: {', '.join(sorted(known))}.",
            )
        kwargs: dict[str, Any] = {}
        for name in known:
            if name not in values:
                continue
            value = values[name]
            if isinstance(hints[name], type) and issubclass(hints[name], Section):
                kwargs[name] = hints[name].from_mapping(value)
                continue
            if hints[name] is bool and isinstance(value, str) and value.lower() in ("true", "false"):
                value = value.lower() == "true"  # as alphaDIA reads its own switches
            if not _type_fits(value, hints[name]):
                raise SettingsError(
                    f"Config key '{cls.section}.{name}' has the value {value!r} of type "
                    f"{type(value).__name__}: expected {describe_type(hints[name])}.",
                    "Correct it in the config file.",
                )
            kwargs[name] = tuple(value) if isinstance(value, list) else value
        return cls(**kwargs)

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as plain values that YAML can hold."""
        return {
            k: list(v) if isinstance(v, tuple) else v
            for k, v in dataclasses.asdict(self).items()  # type: ignore[call-overload]
        }


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
PRECISIONS = ("auto", "fp32", "bf16")
ENTRAPMENT_DESIGNS = ("shuffled", "foreign")


@dataclass(frozen=True)
class EntrapmentSettings(Section):
    """The section ``alphadia_tl.entrapment`` of the config."""

    section: typing.ClassVar[str] = "alphadia_tl.entrapment"
    deleted: typing.ClassVar[Mapping[str, str]] = types.MappingProxyType(
        {"train": "Leave it out: entrapment is treated as every target is, in training too."}
    )

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
        s = self.section
        check(self.prefix is None or bool(self.prefix.strip()), f"{s}.prefix", self.prefix, "text or null")
        check(self.design in ENTRAPMENT_DESIGNS, f"{s}.design", self.design, " or ".join(ENTRAPMENT_DESIGNS))
        check(0 < self.ratio <= 100, f"{s}.ratio", self.ratio, "above 0, at most 100")


@dataclass(frozen=True)
class PluginSettings(Section):
    """The section ``alphadia_tl`` of the config."""

    section: typing.ClassVar[str] = "alphadia_tl"
    deleted: typing.ClassVar[Mapping[str, str]] = types.MappingProxyType(
        {
            "cross_fit": "Leave it out: one model predicts every peptide.",
            "rounds": "Leave it out: the models are tuned once; further rounds found no more.",
            "tune_again": "Leave it out, and give the flag: alphadia-tl workflow --tune-again.",
        }
    )

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
        s = self.section
        check(self.tuning_runs is None or self.tuning_runs >= 1, f"{s}.tuning_runs", self.tuning_runs, "at least 1")
        unknown = [m for m in self.models if m not in MODEL_NAMES]
        check(not unknown, f"{s}.models", list(self.models), f"a list of {', '.join(MODEL_NAMES)}")
        check(len(set(self.models)) == len(self.models), f"{s}.models", list(self.models), "no repeated names")
        check(self.min_training_peptides >= 1, f"{s}.min_training_peptides", self.min_training_peptides, "at least 1")
        check(
            self.max_training_precursors >= self.min_training_peptides,
            f"{s}.max_training_precursors",
            self.max_training_precursors,
            f"at least min_training_peptides ({self.min_training_peptides})",
        )
        check(0.5 <= self.gate_confidence < 1, f"{s}.gate_confidence", self.gate_confidence, "0.5 up to below 1")
        check(
            0 < self.charge_filter_recall <= 1,
            f"{s}.charge_filter_recall",
            self.charge_filter_recall,
            "above 0, at most 1",
        )
        number = self.nce if not isinstance(self.nce, str) else None
        check(number is None or 0 < number <= 100, f"{s}.nce", self.nce, "above 0, at most 100")
        check(number == self.nce or self.nce == "auto", f"{s}.nce", self.nce, "auto, a number or null")
        number = self.rt_tolerance if not isinstance(self.rt_tolerance, str) else None
        check(number is None or number > 0, f"{s}.rt_tolerance", self.rt_tolerance, "above 0")
        check(
            number == self.rt_tolerance or self.rt_tolerance == "auto",
            f"{s}.rt_tolerance",
            self.rt_tolerance,
            "auto, a number or null",
        )
        check(self.precision in PRECISIONS, f"{s}.precision", self.precision, f"one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True)
class TrainingSettings(Section):
    """The section ``transfer_learning`` of the config, as far as the user wrote it."""

    section: typing.ClassVar[str] = "transfer_learning"
    deleted: typing.ClassVar[Mapping[str, str]] = types.MappingProxyType(
        {"test_interval": "Leave it out, or write 1: the models are validated after every epoch."}
    )
    deleted_values: typing.ClassVar[Mapping[str, object]] = types.MappingProxyType({"test_interval": 1})

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
        s = self.section
        if self.batch_size is not None:
            check(self.batch_size >= 1, f"{s}.batch_size", self.batch_size, "at least 1")
        if self.max_lr is not None:
            check(0 < self.max_lr < 1, f"{s}.max_lr", self.max_lr, "above 0 and below 1")
        for name in ("train_fraction", "validation_fraction", "test_fraction"):
            value = getattr(self, name)
            check(0 < value < 1, f"{s}.{name}", value, "above 0 and below 1")
        total = self.train_fraction + self.validation_fraction + self.test_fraction
        check(total <= 1 + 1e-9, f"{s}.*_fraction", round(total, 6), "a sum of at most 1")
        check(self.lr_patience >= 0, f"{s}.lr_patience", self.lr_patience, "at least 0")
        if self.epochs is not None:
            check(self.epochs >= 1, f"{s}.epochs", self.epochs, "at least 1")
        check(self.warmup_epochs >= 0, f"{s}.warmup_epochs", self.warmup_epochs, "at least 0")

    @property
    def stopping_patience(self) -> int:
        """Epochs without progress of the validation loss before training stops."""
        return max(1, 4 * self.lr_patience)


@dataclass(frozen=True)
class TransferLibrarySettings(Section):
    """The section ``transfer_library`` of the config."""

    section: typing.ClassVar[str] = "transfer_library"

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
        s = self.section
        check(len(self.fragment_types) > 0, f"{s}.fragment_types", list(self.fragment_types), "at least one type")
        check(self.max_charge >= 1, f"{s}.max_charge", self.max_charge, "at least 1")
        check(self.top_k_samples >= 1, f"{s}.top_k_samples", self.top_k_samples, "at least 1")
        check(
            -1 <= self.precursor_correlation_cutoff <= 1,
            f"{s}.precursor_correlation_cutoff",
            self.precursor_correlation_cutoff,
            "-1 to 1",
        )
        check(
            0 <= self.fragment_correlation_ratio <= 1,
            f"{s}.fragment_correlation_ratio",
            self.fragment_correlation_ratio,
            "0 to 1",
        )


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
