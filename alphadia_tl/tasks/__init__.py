"""What differs between the RT, charge, MS2 and CCS models, and how one of them is tuned."""

from __future__ import annotations

from collections.abc import Sequence

from alphadia_tl.tasks.base import Task
from alphadia_tl.tasks.charge import ChargeTask
from alphadia_tl.tasks.ms2 import DEFAULT_FRAG_TYPES, Ms2Task
from alphadia_tl.tasks.scalar import CcsTask, RtTask

SIMPLE_TASKS: dict[str, type[RtTask] | type[ChargeTask] | type[CcsTask]] = {
    "rt": RtTask,
    "charge": ChargeTask,
    "ccs": CcsTask,
}


def get_task(
    name: str,
    *,
    charged_frag_types: Sequence[str] = DEFAULT_FRAG_TYPES,
    supported: Sequence[str] | None = None,
    nce: float = 30.0,
    instrument: str = "Lumos",
) -> Task:
    """Return the task of "rt", "charge", "ms2" or "ccs"; the other arguments are for MS2, see `Ms2Task`.

    ``supported`` defaults to ``charged_frag_types``.
    """
    if name == "ms2":
        return Ms2Task(charged_frag_types, supported or charged_frag_types, nce, instrument)
    return SIMPLE_TASKS[name]()
