"""alphaDIA's command line, errors and log, with another plan in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alphadia_tl.errors import TransferLearningError


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """Put a value in the place of a module's or class's attribute for the duration."""
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, original)


def run_command_line(plan_class: type) -> int:
    """Run alphaDIA's own command line on ``sys.argv`` with another plan class.

    Parameters
    ----------
    plan_class : type
        Subclass of alphaDIA's ``SearchPlan``; in place only for the duration of the call.

    Returns
    -------
    int
        alphaDIA's exit code.
    """
    import alphadia.cli
    import alphadia.search_plan

    with replaced(alphadia.search_plan, "SearchPlan", plan_class):
        return int(alphadia.cli.run() or 0)


def as_user_error(error: TransferLearningError) -> Exception:
    """Wrap an error of the plugin so that alphaDIA's command line logs it and exits with 1."""
    from alphadia.exceptions import UserError

    class PluginError(UserError):  # type: ignore[misc]
        _error_code = error.code
        _msg = error.what
        _detail_msg = error.advice

    return PluginError()


def start_logging(output_folder: Path | None = None) -> None:
    """Log as alphaDIA does: to the terminal and, with an output folder, to ``log.txt`` in it."""
    from alphadia.reporting import reporting

    if output_folder is None:
        reporting.init_logging()
        return
    output_folder.mkdir(parents=True, exist_ok=True)
    reporting.init_logging(str(output_folder))


def user_error_class() -> type[Exception]:
    """Return the class of alphaDIA's errors that its command line reports with exit code 1."""
    from alphadia.exceptions import CustomError

    return CustomError  # type: ignore[no-any-return]
