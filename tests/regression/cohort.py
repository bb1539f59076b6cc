"""Searches of runs that differ: is any of them worse off with the plugin than with one pass?

    python tests/regression/cohort.py --work cohort_output

Each cohort is one sample of the smallest rendered experiment. One line per run is written to
``benchmarks/results/cohorts.md``: true precursors and what is wrong, of one pass and of the plugin's final pass.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from alphadia_tl.files import read_yaml
from alphadia_tl.simulate.demo import run_search
from alphadia_tl.simulate.experiment import SMALL, Experiment, make_experiment
from alphadia_tl.simulate.instrument import LAB, REFERENCE, Instrument
from alphadia_tl.simulate.render import Acquisition, render_run
from alphadia_tl.simulate.sample import FRAGMENT_TYPES
from alphadia_tl.simulate.truth import Score, score_runs

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "cohorts.md"
NOTE = """One search of each, random state 1. The run `other` is of the instrument that the base models were trained on:
models tuned to it and two runs of another one are worse for it."""
ON = {"alphadia_tl": {"enabled": True}}


@dataclass(frozen=True)
class Run:
    """How a sample was measured; ``loaded`` is how much of it."""

    acquisition: Acquisition = SMALL.acquisition
    instrument: Instrument = LAB
    loaded: float = 1.0


@dataclass(frozen=True)
class Cohort(Experiment):
    """An experiment with runs that differ."""

    runs: dict[str, Run] = field(default_factory=dict)

    @property
    def raw_files(self) -> list[Path]:
        """Rendered runs."""
        return [self.folder / f"{name}.hdf" for name in self.runs]

    def truth_of(self, name: str) -> pd.DataFrame:
        """Return the truth with the times of a run."""
        run, truth = self.runs[name], self.read_truth()
        truth["rt"] = run.instrument.retention_time(truth)
        truth["rt_seconds"] = run.acquisition.apex_seconds(truth["rt"].to_numpy())
        low, high = run.acquisition.window_mz
        return truth[truth["precursor_mz"].between(low, high)].reset_index(drop=True)


def fractions(number: int) -> dict[str, Run]:
    """Return runs that each see a part of the mass range, in narrow windows."""
    edges = np.linspace(*SMALL.acquisition.window_mz, number + 1)
    windows = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    return {f"fraction_{i + 1}": Run(replace(SMALL.acquisition, window_mz=window)) for i, window in enumerate(windows)}


COHORTS = {
    "two gradients": {
        "short_1": Run(),
        "short_2": Run(),
        "long_1": Run(replace(SMALL.acquisition, gradient_minutes=12.0)),
        "long_2": Run(replace(SMALL.acquisition, gradient_minutes=12.0)),
    },
    "gas-phase fractions": fractions(6),
    "a poor run": {"good_1": Run(), "good_2": Run(), "poor": Run(loaded=0.004)},
    "two instruments": {"lab_1": Run(), "lab_2": Run(), "other": Run(instrument=REFERENCE)},
}


def make_cohort(folder: Path, runs: dict[str, Run], weights: Path) -> Cohort:
    """Render the runs of a cohort that are not there yet."""
    made = make_experiment(folder, SMALL, weights_folder=weights)
    cohort = Cohort(made.folder, made.preset, runs)
    for number, (name, run) in enumerate(runs.items()):
        path, generator = folder / f"{name}.hdf", np.random.default_rng([SMALL.seed, number])
        if path.is_file():
            continue
        truth = cohort.truth_of(name)
        intensities = run.instrument.fragment_intensities(truth, FRAGMENT_TYPES)
        stops = np.cumsum(truth["nAA"].to_numpy() - 1)
        truth = truth.assign(frag_start_idx=np.concatenate([[0], stops[:-1]]), frag_stop_idx=stops)
        loaded = run.loaded * np.exp(0.1 * generator.standard_normal(len(truth)))
        spectra = pd.DataFrame(intensities, columns=FRAGMENT_TYPES)
        render_run(truth.assign(abundance=truth["abundance"] * loaded), spectra, run.acquisition, generator).save(path)
    return cohort


def search(cohort: Cohort, name: str) -> Iterator[tuple[str, Score, Score]]:
    """Search a cohort with and without the plugin; give the scores of each run."""
    for arm, changes in (("off", {}), ("on", ON)):
        result = run_search(cohort, cohort.folder / arm, f"{name}, {arm}", changes)
        if result.code != 0:
            raise RuntimeError(f"The search failed: {cohort.folder / arm}.log")
    for run in cohort.runs:
        truth = cohort.truth_of(run)
        off, on = (score_runs(cohort.folder / arm, truth, run) for arm in ("off", "on"))
        yield run, off, on


def main() -> int:
    """Search all cohorts, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("cohort_output"), help="folder of runs and searches")
    parser.add_argument("--weights", type=Path, help="home folder of base weights; trained where they are missing")
    parser.add_argument("--only", default="", help="only cohorts whose name contains this text")
    options = parser.parse_args()
    lines = [
        "| cohort | run | one pass: true | wrong | two passes: true | wrong |",
        "|---|---|---:|---:|---:|---:|",
    ]
    told = []
    for name, runs in COHORTS.items():
        if options.only not in name:
            continue
        folder = options.work / name.replace(" ", "_")
        cohort = make_cohort(folder, runs, options.weights or options.work / "home")
        for run, off, on in search(cohort, name):
            lines.append(f"| {name} | {run} | {off.true:,} | {off.fdp:.1%} | {on.true:,} | {on.fdp:.1%} |")
            sys.stdout.write(lines[-1] + "\n")
            sys.stdout.flush()
        record = read_yaml(cohort.folder / "on" / "transfer" / "alphadia_tl.yaml", error=RuntimeError)
        told += [f"- {name}: {warning}" for warning in record["warnings"] or ["no warning"]]
    text = "\n".join(["# Runs that differ", "", "    python tests/regression/cohort.py", "", *lines, "", "Told:", ""])
    RESULTS.write_text("\n".join([text, *told, "", NOTE, ""]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
