"""Settings in which two searches differ, beside those that differ because one has transfer learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Keys, or sections, that say where results are, how fast they come, or that belong to transfer learning itself:
#: alphaDIA writes the config of the last step, whose library and tolerances come from the step before.
EXPECTED = (
    "output_directory",
    "workflow_name",
    "library_path",
    "quant_directory",
    "general.transfer_step_enabled",
    "general.thread_count",
    "general.log_level",
    "general.use_gpu",
    "general.save_",
    "general.reuse_",
    "library_prediction.enabled",
    "library_prediction.peptdeep_model_path",
    "library_multiplexing.enabled",
    "search.target_ms1_tolerance",
    "search.target_ms2_tolerance",
    "transfer_library",
    "transfer_learning",
)
SHOWN = 10


def _leaves(settings: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{start}{key}.")
        else:
            yield f"{start}{key}", value


def settings_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return the differing settings in words, at most ten of them.

    Parameters
    ----------
    first, second : mapping
        Frozen configs.
    """
    one, two = dict(_leaves(first)), dict(_leaves(second))
    found = [
        f"{key} {one.get(key)!r} / {two.get(key)!r}"
        for key in sorted(one.keys() | two.keys())
        if one.get(key) != two.get(key) and not key.startswith(EXPECTED)
    ]
    more = len(found) - SHOWN
    return found[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
