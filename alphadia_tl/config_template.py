"""The commented default section of the config, generated from the settings."""

from __future__ import annotations

import json
import textwrap
import typing
from dataclasses import fields
from typing import Any

from alphadia_tl.section import Section, describe_type
from alphadia_tl.settings import EntrapmentSettings, PluginSettings, TrainingSettings, TransferLibrarySettings

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

Made from the settings' own documentation (`alphadia_tl.config_template.reference`); a test keeps it up to date.

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
