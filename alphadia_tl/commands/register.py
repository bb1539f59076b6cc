"""``alphadia-tl register`` and ``unregister``: the plain ``alphadia`` command of this environment, with the plugin."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from alphadia_tl import host
from alphadia_tl.commands.common import make_parser
from alphadia_tl.errors import OutputError
from alphadia_tl.files import write_text

STEM = "alphadia_tl_register"
# The guard comes first: in all other programs nothing of this package is imported. The package may be gone.
LINE = (
    "import os, sys; exec("
    "'try:\\n import alphadia_tl.startup\\n"
    "except ModuleNotFoundError as e:\\n"
    ' if e.name not in ("alphadia_tl", "alphadia_tl.startup"): raise\\n'
    "else:\\n alphadia_tl.startup.begin()'"
    ') if any(os.path.basename(a).lower().startswith("alphadia") for a in sys.orig_argv[1:]) else None'
)
ENTRY_POINT = "alphadia_tl.startup:begin"


def start_up_files(version: tuple[int, ...] = sys.version_info[:2]) -> dict[Path, str]:
    """Return the start-up files of the running Python's environment and their text.

    From Python 3.15 on a ``.start`` file takes the place of the line in the ``.pth`` file (PEP 829).
    """
    folder = Path(sysconfig.get_path("purelib"))
    files = {folder / f"{STEM}.pth": LINE + "\n"}
    if version >= (3, 15):
        files[folder / f"{STEM}.start"] = ENTRY_POINT + "\n"
    return files


def is_registered() -> bool:
    """Return whether the start-up files are there, with the text that this version writes."""
    files = start_up_files()
    return all(path.is_file() and path.read_text(encoding="utf-8") == text for path, text in files.items())


def register(arguments: Sequence[str]) -> int:
    """Run ``alphadia-tl register``."""
    parser = make_parser(
        "register",
        "Make the plain 'alphadia' command of this environment, and a GUI that starts it, honour "
        "'alphadia_tl: {enabled: true}' in the config. Undo it with 'alphadia-tl unregister', also before this package "
        "is uninstalled.",
    )
    parser.add_argument("--status", action="store_true", help="Only tell whether it is registered.")
    options = parser.parse_args(arguments)
    names = ", ".join(map(str, start_up_files()))
    if options.status:
        print(f"Registered: {names}" if is_registered() else f"Not registered: there is no current {names}")
        return 0
    host.check_host()
    for path, text in start_up_files().items():
        write_text(path, text)
    print(f"Written: {names}")
    return 0


def unregister(arguments: Sequence[str]) -> int:
    """Run ``alphadia-tl unregister``."""
    make_parser("unregister", "Remove the start-up file that 'alphadia-tl register' wrote.").parse_args(arguments)
    found = [path for path in start_up_files(version=(3, 15)) if path.exists()]
    for path in found:
        try:
            path.unlink()
        except OSError as error:
            raise OutputError(f"{path} cannot be removed: {error}.", "Check its permissions.") from error
    print(f"Removed: {', '.join(map(str, found))}" if found else "Nothing was registered.")
    return 0
