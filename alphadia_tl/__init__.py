"""Transfer learning between the two search passes of alphaDIA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from alphadia_tl.bundle import read_bundle
    from alphadia_tl.exchange.export import export_library
    from alphadia_tl.library.transfer_library import TransferLibrary
    from alphadia_tl.models.manager import FinetuneManager
    from alphadia_tl.search.plan import TransferLearningPlan
    from alphadia_tl.search.ready_models import predict_library
    from alphadia_tl.training.schedule import CustomScheduler, EarlyStopping

__all__ = [
    "CustomScheduler", "EarlyStopping", "FinetuneManager", "TransferLearningPlan", "TransferLibrary", "__version__",
    "export_library", "predict_library", "read_bundle",
]  # fmt: skip

_HOMES = {
    "CustomScheduler": "alphadia_tl.training.schedule",
    "EarlyStopping": "alphadia_tl.training.schedule",
    "FinetuneManager": "alphadia_tl.models.manager",
    "TransferLearningPlan": "alphadia_tl.search.plan",
    "TransferLibrary": "alphadia_tl.library.transfer_library",
    "export_library": "alphadia_tl.exchange.export",
    "predict_library": "alphadia_tl.search.ready_models",
    "read_bundle": "alphadia_tl.bundle",
}


def __getattr__(name: str) -> Any:
    """Import what is public when it is first asked for, so that ``--version`` needs no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'alphadia_tl' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
