"""The ``alphadia-tl`` command: alphaDIA's own command line, and a few sub-commands."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import cast

from alphadia_tl import __version__, startup
from alphadia_tl.errors import TransferLearningError

#: Module of ``alphadia_tl.commands`` and function of each sub-command, imported when it is called.
SUB_COMMANDS = {
    "demo": ("short", "demo"), "finetune": ("finetune", "main"), "compare": ("compare", "main"),
    "entrapment": ("entrapment", "main"), "report": ("short", "report"), "workflow": ("workflow", "main"),
    "job": ("workflow", "job"), "register": ("register", "register"), "unregister": ("register", "unregister"),
    "config": ("short", "config"), "doctor": ("doctor", "doctor"),
    "predict": ("predict", "main"), "export": ("export", "main"),
}  # fmt: skip
EPILOG = (
    "Sub-commands: 'alphadia-tl demo', 'alphadia-tl finetune', 'alphadia-tl predict', 'alphadia-tl export', "
    "'alphadia-tl report', 'alphadia-tl compare', 'alphadia-tl entrapment', 'alphadia-tl workflow', "
    "'alphadia-tl register', 'alphadia-tl config', 'alphadia-tl doctor' (each with --help). "
    "Without one, all flags are alphaDIA's; transfer learning runs where the config has "
    "'alphadia_tl: {enabled: true}'. An interrupted search goes on with the same command; --force does all again."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line without the program's name, None for ``sys.argv``'s; the exit codes are alphaDIA's."""
    if arguments is not None:
        sys.argv = ["alphadia-tl", *arguments]
    words = sys.argv[1:]
    startup.let_threads_sleep()
    from alphadia_tl import host

    try:
        if words and words[0] in SUB_COMMANDS:
            module, function = SUB_COMMANDS[words[0]]
            command = getattr(importlib.import_module(f"alphadia_tl.commands.{module}"), function)
            return cast(Callable[[Sequence[str]], int], command)(words[1:])
        return _search(words)
    except TransferLearningError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return host.EXIT_USER_ERROR


def _search(arguments: Sequence[str]) -> int:
    from alphadia_tl import host

    if arguments in (["--version"], ["-v"]):
        print(host.host_version())
        print(f"alphadia_tl {__version__}")
        return 0
    host.check_host()
    import alphadia.cli

    from alphadia_tl.commands.common import check_command
    from alphadia_tl.search.plan import TransferLearningPlan

    class Plan(TransferLearningPlan):
        force = "--force" in arguments
        guarded = True

    sys.argv = [a for a in sys.argv if a != "--force"]
    check_command(sys.argv[1:])
    alphadia.cli.parser.prog = "alphadia-tl"
    alphadia.cli.parser.epilog = f"{alphadia.cli.epilog} {EPILOG}"
    code = host.run_command_line(Plan)
    if "--check" in arguments and code == 0:
        print(f"alphadia_tl {__version__} fits this alphaDIA.")
    return code


if __name__ == "__main__":
    sys.exit(main())
