"""A library written in the format of another program: whole or not at all, a part at a time."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
from tqdm import tqdm

from alphadia_tl import host
from alphadia_tl.bundle import Bundle
from alphadia_tl.errors import LibraryError, OutputError, SettingsError
from alphadia_tl.exchange.chunks import Chunk, LibraryFile
from alphadia_tl.exchange.databases import write_blib, write_dlib
from alphadia_tl.exchange.tables import write_diann, write_mzspeclib, write_tsv
from alphadia_tl.files import absolute_path, read_yaml, require_space, write_whole
from alphadia_tl.host.contract import CONFIG_FILE

logger = logging.getLogger(__name__)

_ADVICE = "Give an alphabase library (.hdf) or the folder of a bundle."


@dataclass(frozen=True)
class Format:
    """A format: how it is written (path, chunks, name of the library), what it can hold, and how large it is.

    ``decoys``: it can mark them. ``untimed``: it can leave a retention time out. ``time`` is what its times are, made
    of iRT. ``names_modifications``: it has no masses for what UniMod has not. Sizes are rounded up.
    """

    write: Callable[[Path, Iterable[Chunk], str], None]
    about: str
    bytes_per_precursor: int
    bytes_per_fragment: int
    decoys: bool = True
    untimed: bool = True
    time: str = "iRT"
    names_modifications: bool = False


FORMATS = {
    "diann": Format(write_diann, "parquet of DIA-NN 1.9.1 and later", 80, 10, names_modifications=True),
    "tsv": Format(write_tsv, "long table of Spectronaut, OpenSWATH, FragPipe", 0, 190, names_modifications=True),
    "blib": Format(write_blib, "BiblioSpec for Skyline", 700, 12, decoys=False, time="minutes, iRT as they are"),
    "mzspeclib": Format(write_mzspeclib, "HUPO-PSI mzSpecLib text", 600, 30),
    "dlib": Format(write_dlib, "EncyclopeDIA", 500, 12, untimed=False, time="seconds, 60 x iRT"),
}
ALIASES = {"skyline": "blib"}


@dataclass(frozen=True)
class ExportSummary:
    """What was written of a library.

    ``retention_time`` says how it became iRT, and ``left_out`` how much is not in the file, by what it is.
    """

    library: Path
    output: Path
    format: str
    precursors: int
    fragments: int
    retention_time: str
    left_out: Mapping[str, int]

    def __str__(self) -> str:
        left_out = ", ".join(f"{n:,} {what}" for what, n in self.left_out.items()) or "nothing"
        return (
            f"Wrote {self.output} ({self.format}, {self.output.stat().st_size / 1e6:.1f} MB): {self.precursors:,} "
            f"precursors, {self.fragments:,} fragments; retention time: iRT = {self.retention_time} "
            f"({FORMATS[self.format].time}); left out: {left_out}."
        )


def library_of(path: Path) -> Path:
    """Return the library that a path stands for: of a bundle, or a search with one in it, the tuned library."""
    if path.is_file():
        return path
    if not path.exists():
        raise LibraryError(
            f"The spectral library '{path}' does not exist.", "Give a library or the folder of a bundle."
        )
    for bundle in (Bundle(path), Bundle(path / "transfer")):
        if bundle.tuned_library.is_file():
            return bundle.tuned_library
    raise LibraryError(
        f"{path} holds no {bundle.tuned_library.name}.", "Give a library (.hdf) or the folder of a bundle."
    )


def format_named(name: str) -> str:
    """Return the name in `FORMATS` that a user means; raises SettingsError for any other."""
    found = ALIASES.get(name.lower(), name.lower())
    if found not in FORMATS:
        raise SettingsError(f"No format is named '{name}'.", f"Choose among {', '.join([*FORMATS, *ALIASES])}.")
    return found


def register_modifications_of(path: Path) -> None:
    """Make the custom modifications of alphaDIA, and of the search that a library or weights are of, known."""
    beside = [p for p in (path.parent / CONFIG_FILE, path.parent.parent / CONFIG_FILE) if p.is_file()]
    for config in (host.default_config(), *map(read_yaml, beside[:1])):
        host.register_modifications({"custom_modifications": config.get("custom_modifications") or []})


def _ahead(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Read the next chunk while the last one is written."""
    with ThreadPoolExecutor(1) as reader:
        pending = reader.submit(next, chunks, None)
        while (chunk := pending.result()) is not None:
            pending = reader.submit(next, chunks, None)
            yield chunk


def export_library(library: Path | str, output: Path | str, format: str) -> ExportSummary:
    """Write a library in the format of another program, whole or not at all; the library is only read.

    Parameters
    ----------
    library : path
        An alphabase library (dense: precursor_df, fragment_mz_df, fragment_intensity_df), or the folder of a bundle or
        of a search with one in it, whose tuned library is meant. Custom modifications are those of the search's config.
    output : path
        The file; one that is there is replaced.
    format : str
        A name in `FORMATS` or `ALIASES`.

    Returns
    -------
    ExportSummary
        What was written, and what was left out.

    Raises
    ------
    TransferLearningError
        The format is unknown, the library cannot be read or has nothing to write, or the output cannot be written.
    """
    name = format_named(format)
    chosen, path, output = FORMATS[name], library_of(absolute_path(library)), absolute_path(output)
    register_modifications_of(path)
    if output.is_dir():
        raise OutputError(f"{output} is a folder.", "Name the file that is to be written.")
    if output.exists() and output.samefile(path):
        raise OutputError(f"{output} is the library itself.", "Name another file.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise LibraryError(
            f"'{path}' cannot be read as an alphabase library ({error}).", "Is it an HDF file?"
        ) from error
    with file:
        source = LibraryFile(path, file)
        n_precursors = n_fragments = 0

        def chunks() -> Iterator[Chunk]:
            nonlocal n_precursors, n_fragments
            bar = tqdm(total=source.n_precursors, unit="precursor", leave=False, disable=not sys.stderr.isatty())
            with bar:
                for chunk in _ahead(source.chunks(decoys=chosen.decoys, untimed=chosen.untimed)):
                    n_precursors += len(chunk.precursors)
                    n_fragments += len(chunk.owner)
                    yield chunk
                    bar.update(len(chunk.precursors))
            if not n_precursors:
                left = ", ".join(f"{n:,} {what}" for what, n in source.left_out.items())
                raise LibraryError(f"Nothing of the library '{path}' can be written: {left}.", "Give another library.")

        fragments = source.expected_fragments() * chosen.bytes_per_fragment
        need = source.n_precursors * chosen.bytes_per_precursor + fragments
        require_space(output.parent, need)
        write_whole(output, lambda part: chosen.write(part, chunks(), path.stem))
    left_out = dict(source.left_out)
    summary = ExportSummary(path, output, name, n_precursors, n_fragments, source.times, left_out)
    logger.info(str(summary))
    if source.unnumbered and chosen.names_modifications:
        names = ", ".join(f"{n} ({mass:+.6f})" for n, mass in sorted(source.unnumbered.items()))
        logger.warning(f"Without a number of UniMod, so written by name: {names}. Declare them where it is read.")
    return summary
