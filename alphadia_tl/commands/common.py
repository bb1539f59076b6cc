"""What all sub-commands share: how a command line and a config are read, and how a command that logs ends."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from alphadia_tl import host
from alphadia_tl.errors import Found, OutputError, SettingsError, TransferLearningError, noted, raise_all
from alphadia_tl.files import absolute_path, read_yaml
from alphadia_tl.search.inputs import check_search, is_enabled, raw_files, switched_on
from alphadia_tl.search.raw_files import engine_config
from alphadia_tl.settings import PluginSettings

logger = logging.getLogger(__name__)


class _Once(argparse.Action):
    """Takes one value; argparse itself would forget the first of two."""

    given = False

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        if self.given:
            raise argparse.ArgumentError(self, "it is given twice and takes one value")
        self.given = True
        setattr(namespace, self.dest, values)


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return absolute_path(text)


class _Parser(argparse.ArgumentParser):
    """Paths are made absolute, with the home folder for ``~``; what is wrong has alphaDIA's exit code for it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for action in (None, "store"):
            self.register("action", action, _Once)
        self.register("type", Path, _path)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(host.EXIT_WRONG_FLAG, f"{self.prog}: error: {message}\n")


def make_parser(name: str, description: str, **settings: Any) -> argparse.ArgumentParser:
    """Return the parser of a sub-command's flags."""
    return _Parser(prog=f"alphadia-tl {name}", description=description, **settings)


def add_search_flags(parser: argparse.ArgumentParser) -> None:
    """Add alphaDIA's flags for what is searched, beside ``--config``; `search_config` reads them."""
    flags = parser.add_argument_group(
        "alphaDIA's flags; raw files are added to the config's, all else counts before it"
    )
    flags.add_argument("--file", "--raw-path", "-f", type=Path, action="append", default=[], help="Raw file; many.")
    flags.add_argument("--directory", "-d", type=Path, action="append", default=[], help="Folder of raw files; many.")
    flags.add_argument("--regex", "-r", help="Only raw files whose names match it.")
    flags.add_argument("--library", "--library-path", "-l", type=Path, help="Spectral library.")
    flags.add_argument("--fasta", "--fasta-path", type=Path, action="append", default=[], help="FASTA file; many.")
    flags.add_argument("--quant-dir", "--quant-directory", type=Path, help="Not with this command.")
    add_config_dict(parser)


def add_config_dict(parser: argparse.ArgumentParser) -> None:
    """Add the flag for keys that count before the config's."""
    parser.add_argument(
        "--config-dict", action="append", default=[], metavar="JSON", help="Keys that count before the config's; many."
    )


def read_config(path: Path | None, texts: Sequence[str] = (), *, empty: bool = True) -> dict[str, Any]:
    """Read an alphaDIA config, paths made absolute; without one, or where it is ``empty``, alphaDIA's defaults count.

    ``texts`` are those of ``--config-dict``, of which later ones count first.
    """
    config = {} if path is None else read_yaml(path, empty=empty)
    return host.with_absolute_paths(host.deep_merge(config, *map(read_config_dict, texts)))


def read_config_dict(text: str | None) -> dict[str, Any]:
    """Read a config in JSON, as alphaDIA takes it on the command line; raises SettingsError where it is none."""
    try:
        given = json.loads(text or "")
    except json.JSONDecodeError as error:
        advice = "Keys and texts stand in double quotes, as in '{\"a\": 1}'."
        raise SettingsError(f"Flag '--config-dict' is no JSON: {error}.", advice) from error
    if not isinstance(given, dict):
        raise SettingsError(f"Flag '--config-dict' is {text}, and no mapping of keys to values.", "Write '{\"a\": 1}'.")
    return given


def _given(options: argparse.Namespace, config: dict[str, Any], found: Found) -> dict[str, Any]:
    """Add what flags of a search say to a config, raw files listed one by one."""
    with noted(found):
        config["raw_paths"] = raw_files(config, options.file, options.directory, options.regex)
    config.pop("directory", None)
    given = {"library_path": options.library, "quant_directory": options.quant_dir}
    config |= {key: str(absolute_path(path)) for key, path in given.items() if path is not None}
    return config | ({"fasta_paths": [str(absolute_path(path)) for path in options.fasta]} if options.fasta else {})


def search_config(options: argparse.Namespace) -> dict[str, Any]:
    """Return the config of the search that alphaDIA runs with these flags; raises one error for all that is wrong."""
    found: Found = []
    config = _given(options, read_config(options.config, options.config_dict), found)
    if config.get("quant_directory"):
        what = "Config key 'quant_directory' (--quant-dir): this command has its own folders."
        found.append(SettingsError(what, "Leave it out."))
    with noted(found):
        check_search(switched_on(config), options.output)
    raise_all(found)
    return host.deep_merge(config, engine_config(config))


def check_command(words: Sequence[str], *, enabled_only: bool = False) -> None:
    """Raise one error for all that is wrong with the search that words after ``alphadia`` ask for.

    ``enabled_only``: a search without transfer learning is left to alphaDIA.
    """
    options, unknown = host.parse_command_line(words)
    if unknown or options.check or options.version:
        return
    path = None if options.config is None else absolute_path(options.config)
    own = PluginSettings.section.encode()
    if enabled_only and not (path and path.is_file() and own in path.read_bytes()):
        return
    config = read_config(path, options.config_dict, empty=False)
    output = options.output or config.get("output_directory")
    if output is None or (enabled_only and not is_enabled(config)):  # without a folder, alphaDIA prints its help
        return
    found: Found = []
    config = _given(options, config, found)
    with noted(found):
        check_search(config, Path(output))
    raise_all(found)


def run_logged(work: Callable[[], int], output: Path | None = None) -> int:
    """Do what logs as a search of alphaDIA does, to the terminal and to ``log.txt`` in an output folder.

    What the user can mend is one line of the log, with its code, and exit code 1.
    """
    host.check_host()
    try:
        host.start_logging(output)
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written: {error.strerror or error}.", "Give another folder as --output."
        ) from error
    try:
        return work()
    except (TransferLearningError, host.user_error_class()) as error:
        logger.error(f"{getattr(error, 'code', '')} {error}".strip())
        return host.EXIT_USER_ERROR


def say(text: str) -> None:
    """Show a text at once."""
    print(text, end="", flush=True)
