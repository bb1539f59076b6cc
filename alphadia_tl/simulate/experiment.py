"""A complete experiment in a folder: proteome, sample, rendered run, truth, base weights, config; made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alphadia_tl.bundle import Inside
from alphadia_tl.files import Manifest, hash_of, stamps
from alphadia_tl.simulate.instrument import LAB, REFERENCE, Instrument
from alphadia_tl.simulate.render import Acquisition, render_run
from alphadia_tl.simulate.sample import Digestion, digest, make_sample, oracle_library, random_proteome
from alphadia_tl.simulate.weights import BaseTraining, model_zip_path, train_base_weights
from alphadia_tl.step.step_settings import usable_processors

RECORD, RENDERED = "experiment.yaml", "experiment"


@dataclass(frozen=True)
class Preset:
    """All settings of an experiment.

    A quarter of the proteins in the FASTA file and a fraction of the others' peptides are absent from the sample. The
    runs share the sample's contents, not its noise, and their abundances differ a little. The base weights are trained
    on the instrument `reference`; `instrument` is the truth of the runs.
    """

    n_proteins: int
    digestion: Digestion = field(default_factory=Digestion)
    acquisition: Acquisition = field(default_factory=Acquisition)
    training: BaseTraining = field(default_factory=BaseTraining)
    peptide_fraction: float = 0.8
    n_runs: int = 1
    optimization_lock_target: int = 1000
    instrument: Instrument = LAB
    reference: Instrument = REFERENCE
    seed: int = 1


#: The experiment of ``alphadia-tl demo``.
DEMO = Preset(n_proteins=160)

#: The smallest experiment that alphaDIA calibrates on; for tests.
SMALL = Preset(
    n_proteins=75,
    acquisition=replace(DEMO.acquisition, gradient_minutes=5.0),
    training=BaseTraining(
        n_proteins=100, n_rt=2000, n_charge=1000, n_ms2=2200, n_ccs=200,
        epochs_rt=4, epochs_charge=3, epochs_ms2=3, epochs_ccs=1,
    ),
    optimization_lock_target=400,
)  # fmt: skip

#: Smaller, for the perfect library; and what makes its search quick: so much is held out that RT is tuned once.
TINY = replace(SMALL, n_proteins=40, acquisition=replace(DEMO.acquisition, gradient_minutes=4.0))
TINY_SEARCH: dict[str, Any] = {
    "general": {"use_gpu": True},
    "search": {"target_rt_tolerance": 100},
    "calibration": {"min_steps": 2, "max_steps": 5, "optimization_lock_target": 200},
    "transfer_learning": {"epochs": 3, "train_fraction": 0.35, "validation_fraction": 0.13, "test_fraction": 0.52},
    "alphadia_tl": {"enabled": True, "models": ["rt"]},
}


@dataclass(frozen=True)
class Experiment:
    """Files of an experiment."""

    folder: Path
    preset: Preset

    # Proteome, entrapment proteins included; precursors in the sample, with ``rt_seconds``.
    fasta = Inside("proteome.fasta")
    truth = Inside("truth.parquet")
    # The perfect spectral library of the whole FASTA file.
    oracle = Inside("oracle.hdf")
    # ``HOME`` for the searches: peptdeep finds the base weights under it.
    home = Inside("home")

    @property
    def raw_files(self) -> list[Path]:
        """Rendered runs."""
        return [self.folder / f"run_{i + 1}.hdf" for i in range(self.preset.n_runs)]

    def read_truth(self) -> pd.DataFrame:
        """Return the truth table."""
        return pd.read_parquet(self.truth)

    def environment(self) -> dict[str, str]:
        """Return the environment variables for a search with the base weights, or the installed ones without any."""
        if not model_zip_path(self.home).exists():
            return dict(os.environ)
        return {**os.environ, "HOME": str(self.home.resolve()), "USERPROFILE": str(self.home.resolve())}

    def config(self, *, oracle: bool = False) -> dict[str, Any]:
        """Return an alphaDIA config for the experiment: library-free, or with the perfect library."""
        prediction = {"enabled": not oracle, **self.preset.digestion.to_config()}
        config: dict[str, Any] = {
            "raw_paths": [str(p.resolve()) for p in self.raw_files],
            "fasta_paths": [str(self.fasta.resolve())],
            "general": {
                "thread_count": usable_processors(),
                "use_gpu": False,
                "random_state": 1,
                "save_figures": False,
            },
            "library_prediction": prediction,
            "calibration": {"optimization_lock_target": self.preset.optimization_lock_target},
        }
        if oracle:
            config["library_path"] = str(self.oracle.resolve())
        return config


def make_experiment(
    folder: Path, preset: Preset, *, weights_folder: Path | None = None, fasta: Path | None = None
) -> Experiment:
    """Make an experiment, or take over the files that the same settings and code have made before.

    The base weights are taken from ``weights_folder``, a ``HOME``, and trained there if they are missing, so that
    several experiments can share them; by default ``home`` in the folder. The proteins are those of ``fasta``, of which
    accessions that begin with `ABSENT_PREFIX` are not in the sample; by default random ones.
    """
    experiment = render_experiment(folder, preset, fasta)
    home = experiment.home if weights_folder is None else weights_folder
    make_weights(home, preset)
    if home != experiment.home:
        own = model_zip_path(experiment.home)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.unlink(missing_ok=True)
        own.symlink_to(model_zip_path(home).resolve())
    return experiment


def render_experiment(folder: Path, preset: Preset, fasta: Path | None = None) -> Experiment:
    """Make an experiment as `make_experiment` does, without base weights: it is searched with the installed ones."""
    folder.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(folder, preset)
    made = {k: v for k, v in asdict(preset).items() if k not in ("training", "reference", "optimization_lock_target")}
    files = [experiment.fasta, experiment.truth, experiment.oracle, *experiment.raw_files]
    inputs = _inputs({**made, "suffix": ".hdf"}) | ({} if fasta is None else {"FASTA file": stamps([fasta])})
    Manifest(folder, RECORD).once(RENDERED, inputs, files, lambda: _render(experiment, fasta))
    return experiment


def make_weights(home: Path, preset: Preset) -> None:
    """Train the base weights of a preset under `home`, unless the same settings and code have done so before."""
    home.mkdir(parents=True, exist_ok=True)
    made = {"training": asdict(preset.training), "reference": asdict(preset.reference)}

    def train() -> dict[str, Any]:
        return {"metrics": train_base_weights(home, preset.reference, preset.training)}

    Manifest(home, "weights.yaml").once("base weights", _inputs(made), [model_zip_path(home)], train)


def _render(experiment: Experiment, fasta: Path | None) -> dict[str, Any]:
    preset = experiment.preset
    generator = np.random.default_rng(preset.seed)
    if fasta is None:
        random_proteome(preset.n_proteins, generator).write_fasta(experiment.fasta)
    else:
        shutil.copyfile(fasta, experiment.fasta)
    library_df = digest(experiment.fasta, preset.digestion)
    sample = make_sample(library_df, preset.instrument, generator, peptide_fraction=preset.peptide_fraction)
    truth = sample.precursor_df
    truth["rt_seconds"] = preset.acquisition.apex_seconds(truth["rt"].to_numpy())
    truth.to_parquet(experiment.truth)
    oracle_library(library_df, preset.instrument, experiment.oracle)
    for path in experiment.raw_files:
        run_df = truth.assign(abundance=truth["abundance"] * np.exp(0.1 * generator.standard_normal(len(truth))))
        render_run(run_df, sample.fragment_intensity_df, preset.acquisition, generator).save(path)
    return {"library_precursors": len(library_df), "true_precursors": len(truth)}


def _inputs(settings: Mapping[str, Any]) -> dict[str, str]:
    others = ("demo.py", "truth.py", "experiment.py")
    code = [p.read_text(encoding="utf-8") for p in sorted(Path(__file__).parent.glob("*.py")) if p.name not in others]
    return {"settings": hash_of(settings), "code": hash_of(code)}
