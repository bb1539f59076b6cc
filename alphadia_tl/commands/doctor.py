"""``alphadia-tl doctor``: what a machine lacks for a search with transfer learning, before a day is spent on it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from alphadia_tl import __version__, host
from alphadia_tl.errors import TransferLearningError
from alphadia_tl.files import GIB, require_space

OK, NOTE, MEND = "ok", "note", "mend"
SHOWN = ("alphabase", "peptdeep", "torch", "alphadia-search-rs")
AGAIN = "Install alphadia_tl into a new environment: 'pip install .' in its clone."
NEEDED_BYTES, ROOMY_BYTES = GIB, 20 * GIB


class Finding(NamedTuple):
    """A line: `OK`, `NOTE` (searches run, though slower or not with all files) or `MEND`; of what; what is to do."""

    state: str
    subject: str
    text: str


Check = Callable[[], Iterator[Finding]]


def _packages() -> Iterator[Finding]:
    """Compare what is installed with what this package and alphaDIA ask for, and look into alphaDIA."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    python, known = sys.version.split()[0], metadata.metadata("alphadia_tl")["Requires-Python"]
    fits = SpecifierSet(known).contains(python, prereleases=True)
    advice = "" if fits else f" Make an environment with Python {known}."
    yield Finding(OK if fits else MEND, "Python", f"{python}, {sys.executable}.{advice}")
    shown = dict.fromkeys(SHOWN, "")
    for asking in ("alphadia_tl", "alphadia"):
        for wanted in map(Requirement, metadata.requires(asking) or ()):
            if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
                continue
            try:
                version = metadata.version(wanted.name)
            except metadata.PackageNotFoundError:
                version = ""
            if version and wanted.specifier.contains(version, prereleases=True):
                shown[wanted.name] = version
            else:
                advice = f"Run: pip install {str(wanted)!r}"
                yield Finding(MEND, wanted.name, f"{version or 'absent'}; {asking} needs {wanted}. {advice}")
    yield from (Finding(OK, name, f"{shown[name]}.") for name in SHOWN if shown[name])
    host.check_host()
    yield Finding(OK, "alphadia", f"{host.host_version()}, inside as alphadia_tl {__version__} knows it.")


def _models() -> Iterator[Finding]:
    from alphadia_tl.models.weights import installed_models

    yield Finding(OK, "models", f"{installed_models()}.")


def _raw_files() -> Iterator[Finding]:
    from alphadia_tl.search.raw_files import DOTNET_ADVICE, has_reader

    for kind in (".raw", ".wiff"):
        absent = f"cannot be read: it takes Mono or .NET. {DOTNET_ADVICE}"
        yield Finding(OK, kind, "can be read.") if has_reader(kind) else Finding(NOTE, kind, absent)


def _processors() -> Iterator[Finding]:
    from alphadia_tl.step.step_settings import usable_processors
    from alphadia_tl.training.precision import arithmetic, gpu

    number = usable_processors()
    yield Finding(OK, "threads", f"{number} of {os.cpu_count()} may be used: set general.thread_count to {number}.")
    if (policy := os.environ.get("OMP_WAIT_POLICY", "")).lower() == "passive":
        yield Finding(OK, "waiting threads", "sleep: OMP_WAIT_POLICY is passive.")
    else:
        advice = "Unset it: beside other programs searches take many times as long."
        yield Finding(NOTE, "waiting threads", f"spin: OMP_WAIT_POLICY is {policy!r}. {advice}")
    yield Finding(OK, "CPU", f"MS2 is tuned in {arithmetic('cpu')}.")
    try:
        found = gpu()
    except RuntimeError as error:
        advice = "Install a torch that is built for it, or set general.use_gpu: false."
        yield Finding(MEND, "GPU", f"does not compute: {str(error).splitlines()[0]}. {advice}")
        return
    if found is None and shutil.which("nvidia-smi"):
        advice = "Install a newer driver, or a torch with CUDA; until then models run on the CPU."
        yield Finding(NOTE, "GPU", f"is not found by torch, though nvidia-smi is there. {advice}")
    else:
        yield Finding(OK, "GPU", f"{found or 'none: set general.use_gpu: false'}.")


def _space(subject: str, advice: str, folder: Callable[[], Path]) -> Iterator[Finding]:
    try:
        require_space(where := folder(), NEEDED_BYTES)
    except (TransferLearningError, OSError) as error:
        yield Finding(MEND, subject, f"{getattr(error, 'what', error)} {advice}")
        return
    free = shutil.disk_usage(where).free
    little = f" Real runs and libraries take more. {advice}" if free < ROOMY_BYTES else ""
    yield Finding(NOTE if little else OK, subject, f"{where} has {free / GIB:.0f} GiB free.{little}")


def _search(output: Path) -> Iterator[Finding]:
    from alphadia_tl.simulate.demo import run_search
    from alphadia_tl.simulate.experiment import TINY, TINY_SEARCH, render_experiment

    folder = Path(tempfile.mkdtemp(prefix="alphadia_tl_doctor_", dir=output))
    experiment = render_experiment(folder / "experiment", TINY)
    result = run_search(experiment, folder / "search", "tiny run", TINY_SEARCH, oracle=True)
    if result.score and result.score.reported and result.stages:
        shutil.rmtree(folder)
        found = f"{result.score.reported:,} precursors, {result.score.true:,} of them true"
        yield Finding(OK, "search", f"of a tiny run: {found}, in {result.seconds:.0f} s.")
    else:
        what = f"ended with exit code {result.code}" if result.code else "found nothing"
        yield Finding(MEND, "search", f"of a tiny run {what}. Read {folder / 'search.log'}.")


def _told(subject: str, check: Check) -> Iterator[Finding]:
    """Give what a check finds; what breaks it is to be mended too."""
    try:
        yield from check()
    except TransferLearningError as error:
        yield Finding(MEND, subject, f"{error.code}: {error}")
    except (ImportError, OSError, RuntimeError) as error:
        advice = AGAIN if isinstance(error, ImportError) else "Mend what it names, then call again."
        yield Finding(MEND, subject, f"{type(error).__name__}: {error}. {advice}")


def doctor(arguments: Sequence[str]) -> int:
    """Print what works and what is to be mended; the exit code is 1 where something must be."""
    checks: dict[str, Check] = {"packages": _packages}
    to_mend = 0
    try:
        from alphadia_tl.commands.common import make_parser

        parser = make_parser("doctor", "Check this machine, and search a tiny run (a few minutes at most).")
        parser.add_argument("--output", "-o", type=Path, default=Path.cwd(), help="Folder of the searches to come.")
        output = parser.parse_args(arguments).output
    except ImportError as error:  # the check of the packages tells of more
        print(f"{MEND:<6}{'imports':<20}{error}. {AGAIN}")
        to_mend = 1
    else:
        checks |= {"models": _models, "raw files": _raw_files, "processors": _processors}
        checks["output"] = partial(_space, "output", "Give another folder as --output.", lambda: output)
        checks["temporary"] = partial(_space, "temporary files", "Set TMPDIR.", lambda: Path(tempfile.gettempdir()))
        checks["search"] = partial(_search, output)
    for subject, check in checks.items():
        if subject == "search" and to_mend:
            print(f"{'skip':<6}{subject:<20}of a tiny run: call again when all else is mended.")
            break
        for finding in _told(subject, check):
            print(f"{finding.state:<6}{finding.subject:<20}{finding.text}", flush=True)
            to_mend += finding.state == MEND
    print(f"{to_mend} to mend." if to_mend else "All can run.")
    return host.EXIT_USER_ERROR if to_mend else 0
