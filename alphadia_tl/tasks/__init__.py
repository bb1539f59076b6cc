"""What differs between the RT, charge, MS2 and CCS models, and how one of them is tuned."""

from __future__ import annotations

from collections.abc import Sequence

from alphadia_tl.tasks.base import Evaluation, Headline, Prepared, Task, TaskData
from alphadia_tl.tasks.ccs import CcsTask, has_ccs
from alphadia_tl.tasks.charge import ChargeTask, observable_states
from alphadia_tl.tasks.collision_energy import Better, NceSearch, search_nce, with_nce
from alphadia_tl.tasks.given import GivenScores, Values, score_given
from alphadia_tl.tasks.ms2 import Ms2Task
from alphadia_tl.tasks.predict import choose_dtype, predict
from alphadia_tl.tasks.result import TuneResult
from alphadia_tl.tasks.rt import RtTask
from alphadia_tl.tasks.tuning import tune
from alphadia_tl.tasks.weights import DEFAULT_FRAG_TYPES, Weights, build_model, find_weights, new_network

__all__ = [
    "DEFAULT_FRAG_TYPES",
    "SIMPLE_TASKS",
    "Better",
    "CcsTask",
    "ChargeTask",
    "Evaluation",
    "GivenScores",
    "Headline",
    "Ms2Task",
    "NceSearch",
    "Prepared",
    "RtTask",
    "Task",
    "TaskData",
    "TuneResult",
    "Values",
    "Weights",
    "build_model",
    "choose_dtype",
    "find_weights",
    "get_task",
    "has_ccs",
    "new_network",
    "observable_states",
    "predict",
    "score_given",
    "search_nce",
    "tune",
    "with_nce",
]

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
    """Return the task of a model.

    Parameters
    ----------
    name : str
        "rt", "charge", "ms2" or "ccs".
    charged_frag_types, supported, nce, instrument
        For MS2, see `Ms2Task`; ``supported`` defaults to ``charged_frag_types``.
    """
    if name == "ms2":
        return Ms2Task(charged_frag_types, supported or charged_frag_types, nce, instrument)
    return SIMPLE_TASKS[name]()
