"""Search rendered experiments with and without the plugin; write the tables of ``benchmarks/results/regression.md``.

    python tests/regression/runner.py                              # all cells, in the order of the grid
    python tests/regression/runner.py --minutes 60                 # start no search after an hour
    python tests/regression/runner.py --table                      # run nothing, write the tables

A search that has a row in the results is not run again: the run can be stopped and continued.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from alphadia_tl.entrapment.searches import estimate_pass
from alphadia_tl.settings import EntrapmentSettings
from alphadia_tl.simulate.demo import run_search
from alphadia_tl.simulate.experiment import Experiment, make_experiment
from alphadia_tl.simulate.sample import ABSENT_PREFIX
from alphadia_tl.simulate.truth import read_runs, score_runs, score_search
from regression.grid import ARMS, CELLS, Cell
from regression.measured import DATA, available, make_measured
from regression.memorised import LENIENT, memorise, searched
from regression.swapped import take_from_truth
from regression.tables import write_page

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "regression.jsonl"
KEY = ["sequence", "mods", "mod_sites", "charge"]
CPUS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "avx512f": "AVX-512", "avx2": "AVX2"}
TOLERANCE_SECONDS = 6.0
# A quarter of the proteome is not in the sample.
ENTRAPMENT = EntrapmentSettings(prefix=ABSENT_PREFIX, design="foreign", ratio=1 / 3)


def labelled(output: Path, truth_df: pd.DataFrame) -> pd.DataFrame:
    """Return score and truth of every precursor at 1 % FDR, best first.

    A precursor is true if it is in the sample and was found within 6 s of its apex, as `simulate.truth` has it.
    """
    names = {f"precursor.{c}": c for c in [*KEY, "qval", "proba", "rt.observed"]}
    found = read_runs(output).rename(columns=names).astype({"charge": int}).fillna({"mods": "", "mod_sites": ""})
    found = found[found["qval"] <= 0.01]
    merged = found.merge(truth_df[[*KEY, "rt_seconds"]].astype({"charge": int}), on=KEY, how="left")
    near = (merged["rt.observed"] - merged["rt_seconds"]).abs() <= TOLERANCE_SECONDS
    return merged.assign(true=near).sort_values(["qval", "proba"], kind="stable", ignore_index=True)


def true_by_false(found: pd.DataFrame) -> list[int]:
    """Return how many true precursors are ahead of the first, second, ... false one."""
    return [int(n) for n in found["true"].cumsum()[~found["true"]]]


def experiment_of(cell: Cell, folder: Path, weights: Path) -> Experiment:
    """Make the experiment of a cell, or take over what has been made before."""
    if cell.measured is not None:
        return make_measured(folder, cell.preset, cell.measured)
    return make_experiment(folder, cell.preset, weights_folder=weights)


def run_arm(cell: Cell, arm: str, work: Path) -> dict[str, Any]:
    """Run one search and return its row."""
    folder = work / cell.name.replace(", ", "_").replace(" ", "_")
    experiment = experiment_of(cell, folder / "experiment", work / "weights")
    chosen = ARMS[arm]
    changes = chosen.config
    if chosen.memorised:
        changes = learnt_by_heart(experiment, folder)
    elif chosen.truth_of:
        changes = with_truth(experiment, folder, chosen.truth_of)
    result = run_search(experiment, folder / arm, chosen.title, changes, oracle=chosen.oracle)
    row = {"cell": cell.name, "arm": arm, "code": result.code, "seconds": round(result.seconds, 1), **made_by()}
    if result.score is None:
        return row | {"error": last_error(folder / f"{arm}.log")}
    return (
        row
        | measured(folder / arm, experiment.read_truth(), folder / "on" / "transfer" if chosen.memorised else None)
        | {"stages": {k: round(v, 1) for k, v in result.stages.items()}}
    )


def made_by() -> dict[str, str]:
    """Return the kind of CPU and the revision: base models that are trained anew differ a little between CPUs."""
    facts = Path("/proc/cpuinfo")
    flags = set(facts.read_text().split()) if facts.is_file() else set()
    best = next((name for flag, name in CPUS.items() if flag in flags), platform.machine())
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": best, "revision": revision}


def learnt_by_heart(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Return the config of a search of the library that knows a lenient pass's hits by heart."""
    tuned, written = folder / "on" / "transfer" / "speclib.tuned.hdf", folder / "memorised.hdf"
    lenient = run_search(experiment, folder / "lenient", "lenient pass", {**LENIENT, **searched(tuned)})
    if lenient.code != 0:
        raise RuntimeError(f"the lenient pass failed: {last_error(folder / 'lenient.log')}")
    memorise(tuned, folder / "lenient", written)
    return searched(written)


def with_truth(experiment: Experiment, folder: Path, what: str) -> dict[str, Any]:
    """Return the config of a search of the tuned library with the true intensities ("ms2") or times ("rt")."""
    written = folder / f"true_{what}.hdf"
    take_from_truth(what, folder / "on" / "transfer" / "speclib.tuned.hdf", experiment.oracle, written)
    return searched(written)


def last_error(log: Path) -> str:
    """Return what a search that failed said last."""
    found = re.findall(r"ERROR: (.*)", log.read_text(encoding="utf-8", errors="replace"))
    return found[-1].replace("\x1b[0m", "").strip() if found else ""


def measured(output: Path, truth_df: pd.DataFrame, first: Path | None = None) -> dict[str, Any]:
    """Return what is counted in the output of a search, whose first pass is in ``first`` or where it usually is.

    What alphaDIA reports is what is left after its protein FDR. In a proteome of sixty proteins a single decoy decides
    there about a dozen proteins, so searches are compared by their precursors at 1 % FDR.
    """
    told = estimate_pass(output, ENTRAPMENT, claimed_fdr=0.01)
    return asdict(score_runs(output, truth_df)) | {
        "after_protein_fdr": asdict(score_search(output, truth_df)),
        "estimate": {k: told[k] for k in ("fdp", "fdp_interval", "verdict")},
        "true_by_false": true_by_false(labelled(output, truth_df)),
    }


def read_results(path: Path) -> list[dict[str, Any]]:
    """Read the rows of earlier runs, of the kinds of search that there still are."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [row for row in rows if row["arm"] in ARMS]


def main() -> int:
    """Run what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=Path("regression_output"), help="folder of experiments and searches"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--minutes", type=float, default=0, help="start no search after this; 0 for no limit")
    parser.add_argument("--only", default="", help="only cells whose name contains this text")
    parser.add_argument("--arms", default="", help="only these searches, separated by commas")
    parser.add_argument("--table", action="store_true", help="run nothing")
    options = parser.parse_args()
    started = time.monotonic()
    wanted = options.arms.split(",") if options.arms else list(ARMS)
    done = {(row["cell"], row["arm"]) for row in read_results(options.results)}
    todo = [(c, a) for c in CELLS for a in c.arms if options.only in c.name and a in wanted]
    for cell, arm in [] if options.table else todo:
        if (cell.name, arm) in done:
            continue
        if cell.measured is not None and not available():
            sys.stdout.write(f"{cell.name}: skipped, the measured data is not at {DATA} (ALPHADIA_TL_DATA)\n")
            continue
        if options.minutes and time.monotonic() - started > 60 * options.minutes:
            break
        row = run_arm(cell, arm, options.work)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        with options.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        sys.stdout.write(f"{ {k: v for k, v in row.items() if k != 'true_by_false'} }\n")
        sys.stdout.flush()
    rows = [row for row in read_results(options.results) if row["arm"] in ARMS]  # others: of what was deleted
    write_page(options.results.with_suffix(".md"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
