"""What a raw file says about its acquisition: collision energy, instrument, isolation windows."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alphadia_tl.errors import QuantificationError
from alphadia_tl.files import write_whole
from alphadia_tl.host.contract import SLICE

logger = logging.getLogger(__name__)

FILE_NAME = "run_facts.json"
NCE_TOLERANCE = 2.0
Window = tuple[float, float]


@dataclass(frozen=True)
class RunFacts:
    """What is known of one run; what the raw file does not tell is None or empty.

    ``instrument`` is spelt as in the raw file; ``nce`` are the lowest, median and highest collision energy of the MS2
    spectra; ``windows`` the lower and upper m/z of the isolation windows of a cycle, each once, ascending;
    ``rt_limits`` the times of its first and last spectrum (s).
    """

    run: str
    instrument: str | None = None
    nce: tuple[float, float, float] | None = None
    windows: tuple[Window, ...] = ()
    rt_limits: tuple[float, float] | None = None

    @property
    def precursor_mz(self) -> Window | None:
        """Lowest and highest precursor m/z that any window covers."""
        return (self.windows[0][0], max(high for _, high in self.windows)) if self.windows else None

    @property
    def line(self) -> str:
        """All facts in one line, empty if there are none."""
        parts = [f"instrument {self.instrument}"] if self.instrument else []
        if self.nce:
            low, median, high = self.nce
            parts.append(f"collision energy {median:.1f}" + (f" ({low:.1f} to {high:.1f})" if low < high else ""))
        if self.precursor_mz:
            low, high = self.precursor_mz
            parts.append(f"{len(self.windows)} isolation windows from {low:.1f} to {high:.1f} m/z")
        return f"Run {self.run}: {', '.join(parts)}" if parts else ""

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values for JSON and YAML."""
        plain: dict[str, Any] = json.loads(json.dumps({**asdict(self), "precursor_mz": self.precursor_mz}))
        return plain

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> RunFacts:
        """Return facts from what `to_mapping` gave."""
        return cls(
            run=str(values["run"]),
            instrument=values["instrument"],
            nce=tuple(values["nce"]) if values["nce"] else None,
            windows=tuple((float(low), float(high)) for low, high in values["windows"]),
            rt_limits=tuple(values["rt_limits"]) if values.get("rt_limits") else None,
        )

    def write(self, folder: Path) -> None:
        """Write ``run_facts.json`` into the run's quantification folder."""
        text = json.dumps(self.to_mapping(), indent=1)
        write_whole(folder / FILE_NAME, lambda part: part.write_text(text, encoding="utf-8"))


def run_facts(run: str, raw_data: Any) -> RunFacts:
    """Collect what a raw data object of alphaDIA knows.

    It has ``cycle`` (…, 2) m/z limits, negative in MS1, and ``rt_values`` (s); from alphaRaw also ``spectrum_df`` and
    ``instrument``, from timsTOF ``meta_data``.
    """
    limits = np.asarray(raw_data.cycle, dtype=float).reshape(-1, 2)
    limits = np.unique(limits[(limits[:, 0] > 0) & (limits[:, 1] > limits[:, 0])].round(4), axis=0)
    name = getattr(raw_data, "instrument", None) or getattr(raw_data, "meta_data", {}).get("InstrumentName")
    return RunFacts(
        run=run,
        instrument=str(name) if name and str(name).lower() != "none" else None,
        nce=_collision_energies(getattr(raw_data, "spectrum_df", None)),
        windows=tuple((low, high) for low, high in limits.tolist()),
        rt_limits=(float(raw_data.rt_values[0]), float(raw_data.rt_values[-1])) if len(raw_data.rt_values) else None,
    )


def _collision_energies(spectrum_df: Any) -> tuple[float, float, float] | None:
    if spectrum_df is None or "nce" not in spectrum_df.columns:
        return None
    values = spectrum_df.loc[spectrum_df["ms_level"] > 1, "nce"].to_numpy(dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    if values.size == 0:
        return None
    low, median, high = np.quantile(values, [0, 0.5, 1]).round(2).tolist()
    return low, median, high


def run_name(folder: str | Path) -> str:
    """Return the name of the run that a folder holds; those of a search of a further part of the library say so."""
    path = Path(folder).absolute()
    part = path.parents[1].name if len(path.parents) > 1 else ""
    return f"{path.name} (part {part.removeprefix(SLICE)})" if part.startswith(SLICE) else path.name


def read_run_facts(folders: Sequence[Path]) -> dict[str, RunFacts | None]:
    """Read the facts of runs by their names; None where a folder holds none."""
    return {run_name(folder): _read(folder / FILE_NAME) for folder in folders}


def _read(path: Path) -> RunFacts | None:
    if not path.exists():
        return None
    try:
        return RunFacts.from_mapping(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise QuantificationError(f"{path} cannot be read: {error!r}.", "Delete it, or search again.") from error


def nce_warnings(facts: Mapping[str, RunFacts | None], nce: float, key: str) -> list[str]:
    """Return a warning for each collision energy of raw files that is not the configured one (by more than 2)."""
    runs: dict[float, list[str]] = {}
    for name, known in facts.items():
        lowest, found, highest = (known.nce if known else None) or (nce, nce, nce)
        if highest - lowest <= NCE_TOLERANCE < abs(found - nce):  # it may roll with the m/z
            runs.setdefault(found, []).append(name)
    return [
        f"{len(names)} run(s) were acquired with collision energy {found:.1f} ({names[0]}"
        f"{', ...' if len(names) > 1 else ''}), but {key} is {nce:.1f}"
        for found, names in sorted(runs.items())
    ]


def observable_mz(precursor_mz: Window, facts: Mapping[str, RunFacts | None]) -> list[Window]:
    """Return the parts of the library's precursor m/z range that isolation windows of any run cover.

    They are ascending and disjoint. A run whose windows are unknown may have covered everything.
    """
    known = [f.windows for f in facts.values() if f is not None and f.windows]
    if not known or len(known) < len(facts):
        return [precursor_mz]
    merged: list[Window] = []
    for low, high in sorted({w for windows in known for w in windows}):
        low, high = max(low, precursor_mz[0]), min(high, precursor_mz[1])
        if low > high:
            continue
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged or [precursor_mz]
