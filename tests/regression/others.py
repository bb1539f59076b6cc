"""Runs that other groups' simulators made, as experiments: nothing of how they were rendered is ours.

`timsim` is a diaPASEF run of TimSim, with spectra, times and mobilities of its own predictors and noise of real frames;
`synthedia` is a run that Synthedia made of measured spectra and times of RPE1 cells.
"""

import lzma
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from alpharaw.mzml import MzMLReader

from alphadia_tl.files import Manifest, hash_of
from alphadia_tl.host import deep_merge
from alphadia_tl.simulate.experiment import RECORD, RENDERED, SMALL, Experiment, Preset
from alphadia_tl.simulate.render import DiaRun
from alphadia_tl.simulate.sample import ABSENT_PREFIX, Digestion, digest, set_fragment_pointers
from alphadia_tl.simulate.weights import model_zip_path
from regression.measured import DATA, KEY, MeasuredExperiment, write_oracle

#: Peaks of noise in a spectrum, and their mean counts of ions.
NOISE_PEAKS, NOISE_IONS = 300, 2.0
SEED = 1


@dataclass(frozen=True)
class Other:
    """A run that somebody else made.

    Attributes
    ----------
    name : str
        Folder of the measured data's ``dia``.
    digestion : Digestion
        What is searched for.
    absent_per_present : float
        Proteins of the FASTA file that are absent from the sample for each that is in it.
    ions : float
        Peaks become counts of ions, Poisson distributed with so many for each unit of intensity, and noise is added; 0
        leaves the run as it is.
    library : str
        Table of measured fragments that the truth points into; empty: there are none.
    config : dict
        Sections that change the experiment's config.
    """

    name: str
    digestion: Digestion
    absent_per_present: float
    ions: float = 0.0
    library: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    taught: bool = False

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return DATA / "dia" / self.name


@dataclass(frozen=True)
class OtherExperiment(MeasuredExperiment):
    """An experiment around a run that is there."""

    other: Other

    @property
    def raw_files(self) -> list[Path]:
        """The run."""
        return [self.folder / "run.hdf" if self.other.ions else self.other.folder / f"{self.other.name}.d"]

    def config(self, *, oracle: bool = False) -> dict[str, Any]:
        """Return an alphaDIA config for the experiment: library-free, or with the perfect library."""
        return deep_merge(super().config(oracle=oracle), self.other.config)


def make_other(folder: Path, other: Other, weights: Path) -> Experiment:
    """Make an experiment of a run, or take over the files that the same settings have made before.

    ``weights`` is the zip of the base models.
    """
    preset: Preset = replace(SMALL, digestion=other.digestion)
    experiment = OtherExperiment(folder, preset, other)
    inputs = {"settings": hash_of(repr(other)), "code": hash_of(Path(__file__).read_text())}

    def make() -> dict[str, Any]:
        own = model_zip_path(experiment.home)
        own.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(weights, own)
        return take_over(experiment)

    folder.mkdir(parents=True, exist_ok=True)
    Manifest(folder, RECORD).once(RENDERED, inputs, [], make)
    return experiment


def take_over(experiment: OtherExperiment) -> dict[str, Any]:
    """Write FASTA file and truth as our experiments have them, the harder run and the perfect library."""
    other = experiment.other
    write_fasta(other.folder / f"{other.name}.fasta", experiment.fasta)
    truth = pd.read_parquet(other.folder / f"{other.name}.truth.parquet")
    truth.to_parquet(experiment.truth)
    if other.ions:
        packed = other.folder / f"{other.name}.mzML.xz"
        count_ions(packed, experiment.raw_files[0], other.ions, np.random.default_rng(SEED))
    library_df = digest(experiment.fasta, other.digestion)
    facts: dict[str, Any] = {"library_precursors": len(library_df), "true_precursors": len(truth)}
    if other.library:
        fragments = pd.read_parquet(DATA / "ms2" / f"{other.library}.fragment.parquet")
        observed = truth[[*KEY, "nAA"]].assign(
            rt=truth["rt_seconds"] / truth["rt_seconds"].max(), start=truth["frag_start_idx"]
        )
        row = library_df[KEY].merge(observed.reset_index(), on=KEY, how="left")[["index", "rt"]].to_numpy(float)
        set_fragment_pointers(library_df)
        intensities = fragments[["b_z1", "b_z2", "y_z1", "y_z2"]].to_numpy(np.float32)
        facts |= write_oracle(library_df, np.isfinite(row[:, 0]), row[:, 1], observed, intensities, experiment)
    return facts


def write_fasta(source: Path, path: Path) -> None:
    """Write a FASTA file whose absent proteins have accessions as ours have them."""
    lines = []
    for line in source.read_text(encoding="utf-8").splitlines():
        if line.startswith(">"):
            database, accession, name = line[1:].split("|")
            line = f">{database}|{ABSENT_PREFIX if name.startswith('ABSENT') else 'P'}{accession[1:]}|{name}"
        lines.append(line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def count_ions(packed: Path, path: Path, ions: float, generator: np.random.Generator) -> None:
    """Write a run in which few ions were counted: peaks are lost where there are hardly any, and noise is beside them.

    ``ions`` are counted for each unit of intensity of the packed mzML file.
    """
    plain = path.with_suffix(".mzML")
    with lzma.open(packed) as source, plain.open("wb") as target:
        shutil.copyfileobj(source, target)
    reader = MzMLReader(centroided=False)
    reader.import_raw(str(plain))
    plain.unlink()
    peaks, spectra = reader.peak_df, reader.spectrum_df
    spectrum = np.repeat(np.arange(len(spectra)), spectra["peak_stop_idx"] - spectra["peak_start_idx"])
    counted = generator.poisson(peaks["intensity"].to_numpy() * ions).astype(np.float32)
    noise = np.repeat(np.arange(len(spectra)), NOISE_PEAKS)
    mz = generator.uniform(peaks["mz"].min(), peaks["mz"].max(), len(noise))
    kept = counted > 0
    spectrum = np.concatenate([spectrum[kept], noise])
    order = np.lexsort((np.concatenate([peaks["mz"].to_numpy()[kept], mz]), spectrum))
    peaks = pd.DataFrame(
        {
            "mz": np.concatenate([peaks["mz"].to_numpy()[kept], mz])[order],
            "intensity": np.concatenate([counted[kept], 1 + generator.exponential(NOISE_IONS, len(noise))])[order],
        }
    )
    stops = np.cumsum(np.bincount(spectrum, minlength=len(spectra)))
    spectra = spectra.assign(peak_start_idx=np.concatenate([[0], stops[:-1]]), peak_stop_idx=stops)
    DiaRun(spectra, peaks.astype(np.float32)).save(path)
