"""Settings of the plugin: frozen dataclasses, checked when they are made.

The plugin's own section of the alphaDIA config is ``alphadia_tl``. Keys that alphaDIA already
has (``transfer_learning``, ``transfer_library``, ``library_prediction``, ``general``) are read
from there and are not repeated. A key of ``transfer_learning`` counts only where the user wrote
it: the plugin's defaults differ from alphaDIA's where measurements say so.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from alphadia_tl.errors import SettingsError

MODEL_NAMES = ("rt", "charge", "ms2", "ccs")
PRECISIONS = ("auto", "fp32", "bf16")
MAX_ROUNDS = 3


def _check(condition: bool, key: str, value: object, expected: str) -> None:
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


class _Section:
    """Construction from a mapping with the key names of the config, for frozen dataclasses."""

    section: typing.ClassVar[str] = ""

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
            For an unknown key, a value of the wrong type, or an impossible value.
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
        unknown = sorted(str(k) for k in values if k not in known)
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


def _doc(default: Any, text: str) -> Any:
    return field(default=default, metadata={"doc": text})


@dataclass(frozen=True)
class PluginSettings(_Section):
    """The section ``alphadia_tl`` of the config."""

    section: typing.ClassVar[str] = "alphadia_tl"

    enabled: bool = _doc(False, "Switch: search, tune the models, predict the library again, search again.")
    tune: bool = _doc(
        True,
        "false: the models of library_prediction.peptdeep_model_path predict the library as they are; one search, "
        "nothing is tuned.",
    )
    rounds: int = _doc(
        1,
        f"Rounds of searching and tuning before the final pass, 1 to {MAX_ROUNDS}. Each further round searches all "
        "files once more, with the library of the round before, and tunes the pretrained models on what it found.",
    )
    models: tuple[str, ...] = _doc(
        MODEL_NAMES, "Models that may be tuned. CCS is tuned only where the data has ion mobility."
    )
    min_training_peptides: int = _doc(
        100, "A model with fewer distinct peptides to train on keeps its pretrained weights."
    )
    max_training_precursors: int = _doc(
        20_000,
        "At most this many precursors are collected for training, validation and test, so that tuning does not "
        "grow with the number of runs.",
    )
    gate_confidence: float = _doc(
        0.95, "A tuned model is used only if it beats the pretrained one on held-out peptides with this confidence."
    )
    charge_filter_recall: float = _doc(
        0.995,
        "Charge states that the charge model rules out leave the library only where at least this fraction "
        "of the held-out observed ones is kept. 1.0 switches the filter off.",
    )
    nce: str | float | None = _doc(
        "auto",
        "Collision energy that the MS2 model is tuned and predicts with: auto (the one that fits the training peptides "
        "best; library_prediction.nce unless another is better with confidence), a number, or null for "
        "library_prediction.nce.",
    )
    precision: str = _doc(
        "auto", "Arithmetic of training and prediction: auto (bf16 where the hardware has it), fp32 or bf16."
    )

    def __post_init__(self) -> None:
        s = self.section
        _check(1 <= self.rounds <= MAX_ROUNDS, f"{s}.rounds", self.rounds, f"1 to {MAX_ROUNDS}")
        unknown = [m for m in self.models if m not in MODEL_NAMES]
        _check(not unknown, f"{s}.models", list(self.models), f"a list of {', '.join(MODEL_NAMES)}")
        _check(len(set(self.models)) == len(self.models), f"{s}.models", list(self.models), "no repeated names")
        _check(self.min_training_peptides >= 1, f"{s}.min_training_peptides", self.min_training_peptides, "at least 1")
        _check(
            self.max_training_precursors >= self.min_training_peptides,
            f"{s}.max_training_precursors",
            self.max_training_precursors,
            f"at least min_training_peptides ({self.min_training_peptides})",
        )
        _check(0.5 <= self.gate_confidence < 1, f"{s}.gate_confidence", self.gate_confidence, "0.5 up to below 1")
        _check(
            0 < self.charge_filter_recall <= 1,
            f"{s}.charge_filter_recall",
            self.charge_filter_recall,
            "above 0, at most 1",
        )
        number = self.nce if not isinstance(self.nce, str) else None
        _check(number is None or 0 < number <= 100, f"{s}.nce", self.nce, "above 0, at most 100")
        _check(number == self.nce or self.nce == "auto", f"{s}.nce", self.nce, "auto, a number or null")
        _check(self.precision in PRECISIONS, f"{s}.precision", self.precision, f"one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True)
class TrainingSettings(_Section):
    """The section ``transfer_learning`` of the config, as far as the user wrote it."""

    section: typing.ClassVar[str] = "transfer_learning"

    batch_size: int | None = _doc(
        None, "Precursors per batch. null: chosen from the number of rows, so that an epoch has at least 30 steps."
    )
    max_lr: float | None = _doc(
        None, "Highest learning rate, reached after the warm-up. null: the model's own default."
    )
    train_fraction: float = _doc(0.7, "Fraction of the peptides to train on.")
    validation_fraction: float = _doc(0.2, "Fraction of the peptides that steer early stopping.")
    test_fraction: float = _doc(0.1, "Fraction of the peptides scored once, before and after.")
    test_interval: int = _doc(1, "Validate every n epochs.")
    lr_patience: int = _doc(3, "Epochs without progress of the training loss before the learning rate is halved.")
    epochs: int = _doc(50, "At most this many epochs.")
    warmup_epochs: int = _doc(5, "Epochs over which the learning rate grows to max_lr.")

    def __post_init__(self) -> None:
        s = self.section
        if self.batch_size is not None:
            _check(self.batch_size >= 1, f"{s}.batch_size", self.batch_size, "at least 1")
        if self.max_lr is not None:
            _check(0 < self.max_lr < 1, f"{s}.max_lr", self.max_lr, "above 0 and below 1")
        for name in ("train_fraction", "validation_fraction", "test_fraction"):
            value = getattr(self, name)
            _check(0 < value < 1, f"{s}.{name}", value, "above 0 and below 1")
        total = self.train_fraction + self.validation_fraction + self.test_fraction
        _check(total <= 1 + 1e-9, f"{s}.*_fraction", round(total, 6), "a sum of at most 1")
        _check(self.test_interval >= 1, f"{s}.test_interval", self.test_interval, "at least 1")
        _check(self.lr_patience >= 0, f"{s}.lr_patience", self.lr_patience, "at least 0")
        _check(self.epochs >= 1, f"{s}.epochs", self.epochs, "at least 1")
        _check(self.warmup_epochs >= 0, f"{s}.warmup_epochs", self.warmup_epochs, "at least 0")

    @property
    def stopping_patience(self) -> int:
        """Epochs without progress of the validation loss before training stops."""
        return max(1, 4 * self.lr_patience)


@dataclass(frozen=True)
class TransferLibrarySettings(_Section):
    """The section ``transfer_library`` of the config."""

    section: typing.ClassVar[str] = "transfer_library"

    fragment_types: tuple[str, ...] = _doc(("b", "y"), "Fragment types that are quantified and learnt.")
    max_charge: int = _doc(2, "Highest fragment charge.")
    top_k_samples: int = _doc(3, "Best observations kept per peptidoform and charge.")
    norm_delta_max: bool = _doc(
        True, "Align the retention times of several runs on the peptides they share, beside scaling each run."
    )
    precursor_correlation_cutoff: float = _doc(
        0.5, "Precursors whose median fragment correlation is not above this are not used for MS2."
    )
    fragment_correlation_ratio: float = _doc(
        0.75, "Fragments correlating less than this fraction of their precursor's median are masked."
    )

    def __post_init__(self) -> None:
        s = self.section
        _check(len(self.fragment_types) > 0, f"{s}.fragment_types", list(self.fragment_types), "at least one type")
        _check(self.max_charge >= 1, f"{s}.max_charge", self.max_charge, "at least 1")
        _check(self.top_k_samples >= 1, f"{s}.top_k_samples", self.top_k_samples, "at least 1")
        _check(
            -1 <= self.precursor_correlation_cutoff <= 1,
            f"{s}.precursor_correlation_cutoff",
            self.precursor_correlation_cutoff,
            "-1 to 1",
        )
        _check(
            0 <= self.fragment_correlation_ratio <= 1,
            f"{s}.fragment_correlation_ratio",
            self.fragment_correlation_ratio,
            "0 to 1",
        )
