"""What is wrong with raw files before a search, and which of alphaDIA's engines reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from alphadia_tl import host
from alphadia_tl.errors import SettingsError
from alphadia_tl.files import absolute_path
from alphadia_tl.host.hooks import UNREADABLE

RAW_KINDS = (".d", ".hdf", ".mzml", ".raw", ".wiff")
DOTNET_ADVICE = "Install it (see alphaDIA's installation guide), or convert the file to mzML."
PACKED = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst")
MSCONVERT = 'msconvert FILE --mzML --zlib --filter "peakPicking vendor msLevel=1-"'
CONVERT = f"Convert the instrument's file: {MSCONVERT}."
PYTHON_ENGINE, PYTHON_ADVICE = "python", "Set search.extraction_backend to python."


def engine_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that has alphaDIA search timsTOF runs with its Python engine, the only one that reads them.

    It is empty for other runs, and where the config names that engine. Raises SettingsError where the config names the
    other one, or where only some of the runs are of a timsTOF.
    """
    raw, search = config.get("raw_paths"), config.get("search")
    paths = [absolute_path(str(path)) for path in raw] if isinstance(raw, list) else []
    mobile = [path for path in paths if _has_mobility(path)]
    written = search.get("extraction_backend") if isinstance(search, Mapping) else None
    if mobile and len(mobile) < len(paths):
        other = next(path for path in paths if path not in mobile)
        what = f"Of {len(paths)} raw files {len(mobile)} are of a timsTOF ({mobile[0].name}), not {other.name}."
        raise SettingsError(what, "Search them one kind at a time: each needs its own models.")
    if mobile and written not in (None, PYTHON_ENGINE):
        what = f"The raw file {mobile[0]} is of a timsTOF, which alphaDIA's Rust engine cannot read."
        raise SettingsError(what, PYTHON_ADVICE)
    return {"search": {"extraction_backend": PYTHON_ENGINE}} if mobile and written is None else {}


def _has_mobility(path: Path) -> bool:
    """Tell whether a raw file is of a timsTOF: Bruker's folder, or alphaTims' HDF file of one."""
    if path.suffix.lower() != ".hdf":
        return path.suffix.lower() == ".d"
    import h5py

    with suppress(OSError), h5py.File(path, "r") as file:  # a damaged file is told of elsewhere
        return "raw" in file
    return False


def check_raw_file(path: Path) -> None:
    """Raise SettingsError if alphaDIA cannot search a raw file."""
    if path.is_dir() and path.suffix.lower() in (".d", ".raw"):
        _check_raw_folder(path)
        return
    kind = check_start("The raw file", path, RAW_KINDS)
    if kind == ".d":
        raise SettingsError(f"The raw file {path} is no folder, as a timsTOF writes.", "Unpack it, or copy it again.")
    if kind == ".mzml":
        _check_mzml(path)
    elif kind == ".hdf":
        check_tables("The raw file", path, "ms_data", "raw")
    elif kind in (".raw", ".wiff") and not has_reader(kind):
        what = f"The raw file {path} can only be read with Mono or .NET, which is not installed."
        raise SettingsError(what, DOTNET_ADVICE)


def has_reader(kind: str) -> bool:
    """Return whether what .raw or .wiff files are read with is installed."""
    from alpharaw.raw_access import pysciexwifffilereader, pythermorawfilereader

    return bool((pythermorawfilereader if kind == ".raw" else pysciexwifffilereader).HAS_DOTNET)


def _check_raw_folder(path: Path) -> None:
    maker = "an Agilent" if (path / "AcqData").exists() else "a Waters" if path.suffix.lower() == ".raw" else None
    if maker:
        raise SettingsError(f"The raw file {path} is of {maker} instrument, which alphaDIA does not read.", CONVERT)
    files = [path / name for name in ("analysis.tdf", "analysis.tdf_bin")]
    if lacking := [file.name for file in files if not (file.is_file() and file.stat().st_size)]:
        what = f"The raw file {path} is no whole run of a timsTOF: there is no {' and no '.join(lacking)} in it."
        raise SettingsError(what, "Copy or unpack the whole folder again, and give the one that has both.")


def _check_mzml(path: Path) -> None:
    """Refuse an mzML file that alphaDIA cannot search, after a look at its first spectra and its end."""
    from alpharaw.mzml import mzml

    with path.open("rb") as file:
        begin = file.read(2**22)
        file.seek(max(0, path.stat().st_size - 1000))
        end = file.read()
    packings = {name.decode() for name in re.findall(rb'name="([\w ,-]* compression)"', begin)}
    unknown = sorted(packings - set(mzml.MzML.compression_type_map))
    if not re.search(rb"mzML[\s>]", begin):
        wrong: tuple[str, str] | None = ("is no mzML file", CONVERT)
    elif not re.search(rb"</(\w+:)?(indexedm|m)zML>\s*$", end):
        wrong = ("is not whole: its end is missing", "Copy or convert it again.")
    elif unknown:
        advice = f"Run: pip install pynumpress. Or: {MSCONVERT}." if "Numpress" in unknown[0] else CONVERT
        wrong = (f"has arrays with '{unknown[0]}', which cannot be read here", advice)
    else:
        wrong = _wrong_spectra(path)
    if wrong:
        raise SettingsError(f"The raw file {path} {wrong[0]}.", wrong[1])


def _wrong_spectra(path: Path) -> tuple[str, str] | None:
    """Return what is wrong with the first spectra of an mzML file, up to windows that repeat, and advice."""
    from alpharaw.mzml import mzml, parse_mzml_entry

    offsets = {"isolation window lower offset", "isolation window upper offset"}
    number, windows, repeated = 0, list[tuple[float, float]](), 0
    try:
        with mzml.read(str(path)) as reader:
            for number, spectrum in enumerate(reader, 1):
                host.mended_spectrum(spectrum)
                if "profile spectrum" in spectrum and "centroid spectrum" not in spectrum:
                    return "has profile spectra, of which alphaDIA would take each point for a peak", CONVERT
                if spectrum["ms level"] == 2:
                    isolation = spectrum.get("precursorList", {}).get("precursor", [{}])[0].get("isolationWindow", {})
                    if not offsets <= isolation.keys() or sum(isolation[name] for name in offsets) <= 0:
                        return "has isolation windows without a width", CONVERT
                window = parse_mzml_entry(spectrum)[2:4]
                if spectrum["ms level"] == 2:
                    repeated = repeated + 1 if window in windows else 0
                    windows.append(window)
                if len(windows) >= 2000 or (number >= 100 and repeated >= 20):
                    break
    except UNREADABLE as error:
        return f"has a spectrum that is damaged, or lacks what alphaDIA reads ({error!r})", CONVERT
    if not windows:
        return f"has no {'MS2 ' if number else ''}spectra", "Give runs of DIA, converted with their spectra."
    if repeated < 20 and (len(windows) >= 2000 or len(set(windows)) > max(10, len(windows) / 2)):
        return f"is not of DIA: windows do not repeat in its first {len(windows):,} MS2 spectra", "Give runs of DIA."
    return None


def check_start(what: str, path: Path, kinds: Sequence[str]) -> str:
    """Return the ending of a file; refuse one that cannot be read, is empty, or of another kind."""
    try:
        with path.open("rb") as file:
            start = file.read(1)
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise SettingsError(f"{what} {path} {reason}.", "Correct the path.") from error
    if not start:
        raise SettingsError(f"{what} {path} is empty.", "Copy it again.")
    if path.suffix.lower() in PACKED:
        raise SettingsError(f"{what} {path} is packed.", "Unpack it, and give what is in it.")
    if path.suffix not in kinds and path.suffix.lower() not in set(kinds) & set(RAW_KINDS):
        what = f"{what} {path} is of no kind that alphaDIA reads ({', '.join(kinds)})."
        raise SettingsError(what, "Export it; --regex chooses among the files of a folder of raw files.")
    return path.suffix.lower()


def check_tables(what: str, path: Path, *names: str) -> None:
    """Refuse what is no HDF file, or one with none of the names."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if any(name in file for name in names):
                return
    except OSError as error:
        raise SettingsError(f"{what} {path} is no HDF5 file, or damaged.", "Copy it again.") from error
    raise SettingsError(f"{what} {path} is another HDF file: it lacks '{names[0]}'.", "Correct the path.")
