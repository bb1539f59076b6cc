"""What is wrong with the inputs of a search, all of it at once, before anything is predicted: values, files, names."""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from alphadia_tl import host
from alphadia_tl.entrapment.database import entrapment_problems
from alphadia_tl.errors import Found, OutputError, SettingsError, noted, raise_all
from alphadia_tl.files import absolute_path
from alphadia_tl.host.fasta import NON_SPECIFIC, DigestSettings, read_fasta
from alphadia_tl.search.raw_files import PYTHON_ADVICE, check_raw_file, check_start, check_tables, engine_config
from alphadia_tl.settings import KEYS, PluginSettings, TrainingSettings, TransferLibrarySettings, check_value

logger = logging.getLogger(__name__)

Paths = Sequence[str | Path]
#: Sections that check their values themselves.
OWN = {cls.section: cls for cls in (TrainingSettings, TransferLibrarySettings)}
#: Keys that say how a FASTA file becomes a library.
DIGEST = ("enzyme", "max_var_mod_num", "missed_cleavages", "precursor_len", "precursor_charge", "precursor_mz")
LIBRARY_KINDS = (".hdf", ".hdf5", ".h5", ".csv", ".tsv")
LIBRARY_COLUMNS = ("charge", "fragment_intensity", "fragment_type", "fragment_charge", "fragment_series")


def is_enabled(config: Mapping[str, Any], section: str = PluginSettings.section) -> bool:
    """Return whether a config switches transfer learning, or another section, on."""
    values = config.get(section)
    return isinstance(values, Mapping) and str(values.get("enabled")).lower() == "true"


def switched_on(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config that switches transfer learning on."""
    section = config.get(PluginSettings.section, {})
    return {**config, PluginSettings.section: {**section, "enabled": True} if isinstance(section, Mapping) else section}


def raw_files(config: Mapping[str, Any], files: Paths = (), folders: Paths = (), pattern: str | None = None) -> Any:
    """Return the paths of a config's raw files and those of the command line, as alphaDIA puts them together.

    ``raw_paths``, files, then those in ``directory`` and the folders, sorted; of all these those whose names match the
    pattern. What is no list is given back. Raises SettingsError if a folder is not there or no name matches.
    """
    listed = config.get("raw_paths", [])
    if not isinstance(listed, list):
        return listed
    found = [*listed, *(str(absolute_path(file)) for file in files)]
    for folder in map(absolute_path, [*([config["directory"]] if config.get("directory") else []), *folders]):
        if not folder.is_dir():
            raise SettingsError(f"Config key 'directory': there is no folder {folder}.", "Correct it, or --directory.")
        found += sorted(map(str, folder.iterdir()))
    try:
        matching = [path for path in found if re.search(pattern or "", Path(str(path)).name)]
    except re.error as error:
        what = f"Flag '--regex' is {pattern!r}, no regular expression: {error}."
        raise SettingsError(what, "All names match '.*'.") from error
    if found and not matching:
        raise SettingsError(f"Flag '--regex': no raw file's name matches {pattern!r}.", "All names match '.*'.")
    if left_out := len(found) - len(matching):
        logger.warning(f"Ignoring {left_out} / {len(found)} raw files due to --regex.")
    return matching


def check_search(config: Mapping[str, Any], output: Path | None = None, *, files: bool = True) -> None:
    """Raise one error for all that is wrong with a search.

    ``config`` is what the user wrote and the command line adds. Without ``files`` they are looked at only where a value
    is wrong.
    """
    unknown: Found = []
    found = _wrong_values(config, unknown)
    if found or files:
        found += _wrong_files(config, output)
    raise_all([*unknown, *found] if found else [])  # of unknown keys alone alphaDIA tells


def check_values(config: Mapping[str, Any]) -> None:
    """Raise one error for all wrong values of a config, without a look at its files."""
    raise_all(_wrong_values(config, []))


def _wrong_values(config: Mapping[str, Any], unknown: Found) -> Found:
    found: Found = []
    with noted(found):
        if PluginSettings.section in config:
            _mapping(PluginSettings.section, config[PluginSettings.section])
            PluginSettings.from_mapping(config[PluginSettings.section])
    with noted(found):
        one_name_each(config.get("raw_paths"))
    digests = is_enabled(config, "library_prediction") and config.get("library_path") is None
    for name, value, default in _leaves(config, host.default_config(), "", found, unknown):
        section, _, key = name.partition(".")
        if section == "library_prediction" and not digests and (key in DIGEST or key.endswith("_modifications")):
            continue
        own = OWN.get(section)
        with noted(found):
            if own is None or key not in own.__dataclass_fields__:
                _check_kind(name, value, default)
            _check_names(name, value, config)
    with noted(found):
        _check_channels(config, digests)
    for section, own in OWN.items():
        if is_enabled(config) and isinstance(config.get(section), Mapping):
            with noted(found):
                own.from_mapping(config[section], ignore_unknown=True)
    return found


def _mapping(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        reason = "is empty" if value is None else f"is {value!r}, and no mapping of keys to values"
        advice = f"Write keys below '{name}:', each on a line of its own that begins with two blanks, or remove it."
        raise SettingsError(f"Config section '{name}' {reason}.", advice)


def _leaves(
    config: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str, found: Found, unknown: Found
) -> Iterator[tuple[str, Any, Any]]:
    """Give name, value and default of the keys that alphaDIA knows."""
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name == PluginSettings.section or name in host.tolerated_keys():
            continue
        if key not in defaults:
            close = difflib.get_close_matches(str(key), map(str, defaults), 1)
            advice = f"Did you mean '{close[0]}'?" if close else f"Known keys: {', '.join(defaults)}."
            unknown.append(SettingsError(f"Unknown config key '{name}'.", advice))
        elif isinstance(defaults[key], Mapping):
            with noted(found):
                _mapping(name, value)
                yield from _leaves(value, defaults[key], f"{name}.", found, unknown)
        else:
            yield name, value, defaults[key]


def _check_kind(name: str, value: Any, default: Any) -> None:
    if isinstance(default, bool) and str(value).lower() in ("true", "false", "none", "0", "1"):
        return  # as alphaDIA reads its switches
    check_value(name, value, default, KEYS["alphaDIA"].get(name, {}))


def _check_names(name: str, value: Any, config: Mapping[str, Any]) -> None:
    """Look up the names that a value is made of."""
    from alphabase.peptide.fragment import FRAGMENT_TYPES
    from alphabase.protein.fasta import protease_dict

    key = name.split(".")[-1]
    if key == "enzyme" and isinstance(value, str):
        _look_up(name, value, [value], protease_dict)
        if value in NON_SPECIFIC:
            DigestSettings.from_config(config)
    elif key == "fragment_types" and isinstance(value, list | tuple):
        _look_up(name, value, value, FRAGMENT_TYPES)
    elif key.endswith("_modifications") and isinstance(value, str):
        names = [n for n in value.split(";") if n or (value and key.startswith("fixed"))]
        _look_up(name, value, names, _modifications(config))
    elif name == "custom_modifications" and isinstance(value, list):
        for entry in value:
            _check_custom(entry)
    elif key == "peptdeep_model_type" and isinstance(value, str) and value and is_enabled(config, "library_prediction"):
        from alphadia_tl.models.weights import known_model_type

        known_model_type(value)


def _modifications(config: Mapping[str, Any]) -> list[str]:
    """Return the names of all modifications that are known, those of the config included."""
    from alphabase.constants.modification import MOD_DF

    own = config.get("custom_modifications", host.default_config()["custom_modifications"])
    own = own if isinstance(own, list) else ()
    return [*MOD_DF.index, *(str(m.get("name")) for m in own if isinstance(m, Mapping))]


def _check_channels(config: Mapping[str, Any], digests: bool) -> None:
    """Refuse channels that alphaDIA fails at after it has predicted the library, or cannot tell apart."""
    channels = _channels(config, digests) if is_enabled(config, "library_multiplexing") else {0} if digests else None
    if channels is None or not is_enabled(config, "multiplexing"):
        return
    asked = host.default_config()["multiplexing"] | config["multiplexing"]
    names = [*str(asked["target_channels"]).split(","), asked["decoy_channel"], asked["reference_channel"]]
    if missing := sorted({str(name).strip() for name in names} - set(map(str, channels))):
        what = f"Config section 'multiplexing' asks for channels that are not made: {', '.join(missing)}."
        raise SettingsError(what, "Add them to library_multiplexing.multiplex_mapping, or correct its keys.")
    if is_enabled(config):  # it requantifies channels into a table without the score that the transfer library needs
        what = "Config section 'multiplexing': after it, alphaDIA cannot quantify the fragments of a transfer library."
        raise SettingsError(what, "Leave it out (library_multiplexing alone works), or switch alphadia_tl off.")


def _channels(config: Mapping[str, Any], digests: bool) -> set[int]:
    """Return the channels of a library; SettingsError where they are none."""
    key, example = "library_multiplexing.multiplex_mapping", "{channel_name: 4, modifications: {A@K: 'B@K'}}"
    carried: list[str] = []
    if digests:
        predict = host.default_config()["library_prediction"] | config["library_prediction"]
        carried = f"{predict['fixed_modifications']};{predict['variable_modifications']}".split(";")
    labels: dict[int, Mapping[str, str]] = {}
    entries = config["library_multiplexing"].get("multiplex_mapping") or [None]
    for entry in entries if isinstance(entries, list) else ():  # what is no list is told elsewhere
        name, label = (entry.get(k) if isinstance(entry, Mapping) else None for k in ("channel_name", "modifications"))
        number = name if isinstance(name, int) and 0 <= name <= 255 else None
        if number is None or number in labels or not isinstance(label, Mapping) or not label:
            raise SettingsError(f"Config key '{key}': {entry!r} is no channel.", f"Number each once: {example}.")
        _look_up(key, dict(label), [*label, *label.values()], _modifications(config))
        if digests and (missing := sorted(set(label) - set(carried))):
            what = f"Config key '{key}': no peptide has the {', '.join(missing)} of which channel {name} is to be made."
            raise SettingsError(what, "Add it to library_prediction.fixed_modifications.")
        if label in labels.values():
            what = f"Config key '{key}': channel {name} has the label of another: {', '.join(label.values())}."
            raise SettingsError(what, "Give each its own.")
        labels[number] = label
    return set(labels)


def _look_up(key: str, value: object, names: Sequence[Any], known: Iterable[str]) -> None:
    known = list(known)
    for name in (n for n in names if n not in known):
        alike = {k.lower(): k for k in known}.get(str(name).strip().lower())
        close = difflib.get_close_matches(str(name), known, 3)
        advice = f"Write {alike}." if alike else f"Did you mean {' or '.join(close)}?" if close else "Correct it."
        raise SettingsError(f"Config key '{key}' is {value!r}: {name!r} is not known.", advice)


def _check_custom(entry: Any) -> None:
    from alphabase.constants.atom import calc_mass_from_formula

    with suppress(KeyError, ValueError, TypeError, AttributeError):
        name, site = entry["name"].split("@")
        calc_mass_from_formula(entry["composition"])
        if name and site:
            return
    what = f"Config key 'custom_modifications': {entry!r} is no name with a site, and composition of known elements."
    raise SettingsError(what, "Write for example {name: 'Dimethyl:d12@K', composition: 'H(-2)2H(8)13C(2)'}.")


def one_name_each(raw_paths: object) -> None:
    """Raise SettingsError if raw files have one name: alphaDIA writes their results into one folder."""
    paths: dict[str, list[str]] = {}
    for path in raw_paths if isinstance(raw_paths, list) else ():
        paths.setdefault(Path(str(path)).stem, []).append(str(path))
    found: Found = []
    for stem, same in paths.items():
        if len(same) > 1:
            advice = "Rename one: alphaDIA tells runs apart by their names." if len(set(same)) > 1 else "Name it once."
            number = "Two" if len(same) == 2 else len(same)
            found.append(SettingsError(f"{number} raw files are named '{stem}': {' and '.join(same)}.", advice))
    raise_all(found)


def _wrong_files(config: Mapping[str, Any], output: Path | None) -> Found:
    found: Found = []
    raw, fastas, library = (config.get(key) for key in ("raw_paths", "fasta_paths", "library_path"))
    predicts, on = is_enabled(config, "library_prediction"), is_enabled(config)
    if not raw and on:
        found.append(SettingsError("The config names no raw files.", "List them under raw_paths, or give --file."))
    if library is None and not predicts:
        what = "There is no library: 'library_path' is not set, and 'library_prediction.enabled' is not true."
        found.append(SettingsError(what, "Set one of the two."))
    elif library is None and not fastas:
        advice = "List FASTA files under fasta_paths, or set library_path."
        found.append(SettingsError("The config names no FASTA file and no library.", advice))
    raw, fastas = (paths if isinstance(paths, list) else [] for paths in (raw, fastas))
    for path in raw:
        with noted(found):
            check_raw_file(absolute_path(str(path)))
    with noted(found):
        if engine_config(config) and not on:
            raise SettingsError("alphaDIA's default engine cannot read timsTOF runs.", PYTHON_ADVICE)
    fastas = [absolute_path(str(path)) for path in fastas]
    for path in fastas:
        with noted(found):
            read_fasta(path)
    if isinstance(library, str):
        with noted(found):
            _check_library(absolute_path(library), predicts)
    models = config["library_prediction"].get("peptdeep_model_path") if predicts else None
    if isinstance(models, str) and not absolute_path(models).exists():
        what = f"Config key 'library_prediction.peptdeep_model_path': {models} does not exist."
        found.append(SettingsError(what, "Name a bundle, or a folder with rt.pth, ms2.pth and charge.pth."))
    for folder in (output, config.get("quant_directory")):
        with noted(found):
            _check_output(folder)
    if on:
        with suppress(SettingsError):  # wrong values are told already
            entrapment = PluginSettings.from_mapping(config[PluginSettings.section]).entrapment
            found += [
                SettingsError(problem) for problem in entrapment_problems({**config, "fasta_paths": fastas}, entrapment)
            ]
    return found


def _check_library(path: Path, predicts: bool) -> None:
    if check_start("The library", path, LIBRARY_KINDS) not in (".csv", ".tsv"):
        check_tables("The library", path, "library/precursor_df")
    elif missing := _missing_columns(path, [*LIBRARY_COLUMNS, *(() if predicts else ("rt",))]):
        raise SettingsError(f"The library {path} lacks columns: {'; '.join(missing)}.", "Export it with these.")


def _missing_columns(path: Path, needed: Iterable[str]) -> list[str]:
    """Return names, of which one would do, of each column that alphaDIA needs and a library lacks."""
    from alphabase.spectral_library.reader import LibraryReaderBase

    reader = LibraryReaderBase()
    with path.open(encoding="utf-8", errors="replace") as file:
        there = set(re.split(r"[\t,]", file.readline().replace('"', "").strip()))
    choices = [np.atleast_1d(reader.column_mapping[name]).tolist() for name in needed]
    choices.append(list(dict.fromkeys(reader._mod_seq_columns)))
    return [" or ".join(names) for names in choices if not there & set(names)]


def _check_output(folder: str | Path | None) -> None:
    if not isinstance(folder, str | Path):
        return
    path = absolute_path(folder)
    there = next(p for p in (path, *path.parents) if os.path.lexists(p))
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "may not be written to" if there.is_dir() else "is a file"
        raise OutputError(f"The folder {path} cannot be written: {there} {reason}.", "Choose another folder.")
