"""What comes before anything is loaded: the environment of the threads, and alphaDIA's own command with the plugin.

The start-up file of ``alphadia-tl register`` calls `begin` in every Python process of the environment. It must cost
nothing elsewhere: nothing is imported here but what Python itself has imported already.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

PROGRAMS = ("alphadia", "alphadia.exe", "alphadia-script.py")
MODULES = ("alphadia", "alphadia.cli")
PLAN_MODULE = "alphadia.search_plan"


def is_alphadia(command: Sequence[str]) -> bool:
    """Return whether a command line (interpreter, options, script or ``-m`` and module) runs alphaDIA's own command."""
    options = iter(command[1:])
    for word in options:
        if word == "-m":
            return next(options, "") in MODULES
        if word in ("-X", "-W"):
            next(options, "")
        elif not word.startswith("-"):
            return os.path.basename(word).lower() in PROGRAMS  # noqa: PTH119 (pathlib would have to be imported)
        elif word == "-c":
            return False
    return False


class _PlanFinder:
    """Finds alphaDIA's module of the search plan, once, and has the plan replaced when it has been loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != PLAN_MODULE:
            return None
        import importlib.util

        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_use_plan(module: ModuleType) -> None:
                load(module)
                use_plan(module)

            spec.loader.exec_module = load_and_use_plan  # type: ignore[method-assign]
        return spec


def use_plan(module: ModuleType) -> None:
    """Put the plan with transfer learning in the place of alphaDIA's.

    Where the installed alphaDIA does not fit, or the inputs of a search with transfer learning are wrong, the program
    ends with the error's text: no other search runs silently.
    """
    from alphadia_tl import host
    from alphadia_tl.errors import TransferLearningError

    try:
        host.check_host()
    except TransferLearningError as error:
        raise SystemExit(f"{error.code}: {error} Or run 'alphadia-tl unregister'.") from error
    from alphadia_tl.commands.common import check_command
    from alphadia_tl.search.plan import TransferLearningPlan

    try:
        check_command(sys.argv[1:], enabled_only=True)
    except TransferLearningError as error:
        raise SystemExit(f"{error.code}: {error}") from error
    module.SearchPlan = TransferLearningPlan  # type: ignore[attr-defined]


def let_threads_sleep() -> None:
    """Have waiting threads sleep, here and in what is started from here; they would spin and slow a shared machine.

    It counts for torch, numba and what else comes with OpenMP and is loaded afterwards. The user's choice stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def begin() -> None:
    """Have the plan replaced when alphaDIA's command imports it; in any other program do nothing."""
    if is_alphadia(sys.orig_argv):
        let_threads_sleep()
        sys.meta_path.insert(0, _PlanFinder())
