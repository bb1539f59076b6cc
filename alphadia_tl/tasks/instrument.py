"""Names of instruments, and what the MS2 model is asked for."""

from __future__ import annotations

from peptdeep.settings import global_settings

__all__ = ["instrument_group"]

UNKNOWN = "Lumos"


def instrument_group(name: str) -> tuple[str, str]:
    """Return the instrument that the MS2 model is asked for, and a warning where it does not know the name."""
    groups = global_settings["model_mgr"]["instrument_group"]
    if name.upper() in groups:
        return str(groups[name.upper()]), ""
    known = ", ".join(sorted({key.upper(): key for key in reversed(groups)}.values()))
    return UNKNOWN, (
        f"Unknown instrument '{name}': the MS2 model is tuned and predicts for {UNKNOWN}. Known names: {known}"
    )
