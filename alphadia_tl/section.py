"""What every section of settings can do: be made from a mapping, checked, and written back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import field, fields
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
