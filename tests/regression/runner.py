"""Search rendered experiments with and without the plugin; write ``benchmarks/results/validation.*``.

The table of ``docs/validation.md`` is written, too.

    python tests/regression/runner.py                              # all cells, in the order of the grid
    python tests/regression/runner.py --minutes 60                 # start no search after an hour
    python tests/regression/runner.py --states 1                   # one random state instead of three
    python tests/regression/runner.py --table                      # run nothing, write the pages

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

sys.path.insert(0, str(Path(__file__).parents[1]))

from alphadia_tl.entrapment.searches import compare_passes, estimate_pass
from alphadia_tl.files import Manifest, read_yaml
from alphadia_tl.host import deep_merge
from alphadia_tl.settings import EntrapmentSettings
from alphadia_tl.simulate.demo import run_search
from alphadia_tl.simulate.experiment import RECORD, RENDERED, Experiment
from alphadia_tl.simulate.truth import score_runs, score_search
from regression.grid import ARMS, CELLS, STATES, Cell
from regression.measured import DATA, available
from regression.memorised import LENIENT, memorise, searched
from regression.tables import write_page, write_table

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "validation.jsonl", ROOT / "docs" / "validation.md"
CPUS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16", "avx512f": "AVX-512", "avx2": "AVX2"}


def run_arm(cell: Cell, arm: str, state: int, work: Path) -> dict[str, Any]:
    """Run one search and return its row."""
    folder, experiment = cell.folder(work), cell.make(work)
    facts = Manifest(experiment.folder, RECORD).facts(RENDERED)
    chosen, output = ARMS[arm], folder / f"{arm}_{state}"
    row: dict[str, Any] = {"cell": cell.name, "arm": arm, "state": state, **made_by()}
    row |= {k: round(v, 4) for k, v in facts.items() if k.startswith("base_")}
    changes = deep_merge(chosen.config, {"general": {"random_state": state}})
    if chosen.window:
        tolerance = window_of(folder / f"on_{state}")
        if tolerance is None:
            return row | {"code": 1, "seconds": 0.0, "error": "the plugin chose no RT window that others could have"}
        row["rt_tolerance"] = tolerance
        changes = deep_merge(changes, {"search": {"target_rt_tolerance": tolerance}})
    if chosen.memorised:
        changes = deep_merge(changes, learnt_by_heart(experiment, folder, state))
    result = run_search(experiment, output, chosen.title, changes, oracle=chosen.oracle)
    row |= {"code": result.code, "seconds": round(result.seconds, 1)}
    if result.score is None:
        return row | {"error": last_error(output.with_suffix(".log"))}
    stages = {k: round(v, 1) for k, v in result.stages.items()}
    row |= {"classes": {name: asdict(score) for name, score in result.classes.items()}}
    return row | measured(output, experiment.read_truth(), cell.entrapment) | {"stages": stages}


def learnt_by_heart(experiment: Experiment, folder: Path, state: int) -> dict[str, Any]:
    """Return the config of a search of the library that knows a lenient pass's hits by heart."""
    tuned, lenient = folder / f"on_{state}" / "transfer" / "speclib.tuned.hdf", folder / f"lenient_{state}"
    written = folder / f"memorised_{state}.hdf"
    result = run_search(experiment, lenient, "lenient pass", {**LENIENT, **searched(tuned)})
    if result.code != 0:
        raise RuntimeError(f"The lenient pass failed: {last_error(lenient.with_suffix('.log'))}")
    memorise(tuned, lenient, written)
    return searched(written)


def window_of(output: Path) -> float | None:
    """Return the RT tolerance that the plugin chose in a search, None for none; an error where it was not run."""
    if not output.is_dir():
        raise FileNotFoundError(f"There is no search in {output}: run the arm 'on' first.")
    outcome = output / "transfer" / "alphadia_tl.yaml"
    return read_yaml(outcome, error=RuntimeError).get("rt_tolerance") if outcome.is_file() else None


def made_by() -> dict[str, str]:
    """Return the kind of CPU and the revision: base models that are trained anew differ a little between CPUs."""
    facts = Path("/proc/cpuinfo")
    flags = set(facts.read_text().split()) if facts.is_file() else set()
    best = next((name for flag, name in CPUS.items() if flag in flags), platform.machine())
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": best, "revision": revision}


def last_error(log: Path) -> str:
    """Return what a search that failed said last."""
    found = re.findall(r"ERROR: (.*)", log.read_text(encoding="utf-8", errors="replace"))
    return found[-1].replace("\x1b[0m", "").strip() if found else ""


def measured(output: Path, truth_df: Any, entrapment: EntrapmentSettings) -> dict[str, Any]:
    """Return what is counted in the output of a search.

    What alphaDIA reports is what is left after its protein FDR. In a proteome of sixty proteins a single decoy decides
    there about a dozen proteins, so searches are compared by their precursors at 1 % FDR.
    """
    told, first = estimate_pass(output, entrapment, claimed_fdr=0.01), output / "transfer"
    between = compare_passes(first, output, entrapment, claimed_fdr=0.01) if first.is_dir() else None
    return asdict(score_runs(output, truth_df)) | {
        "after_protein_fdr": asdict(score_search(output, truth_df)),
        "estimate": {k: told[k] for k in ("fdp", "fdp_interval", "verdict")},
        "between_passes": between,
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
    parser.add_argument("--states", default="", help="only these random states, separated by commas")
    options = parser.parse_args()
    started = time.monotonic()
    wanted = options.arms.split(",") if options.arms else list(ARMS)
    states = [int(s) for s in options.states.split(",")] if options.states else STATES
    done = {(row["cell"], row["arm"], row["state"]) for row in read_results(options.results)}
    todo = [(c, a, s) for s in states for c in CELLS for a in c.arms or ARMS if options.only in c.name and a in wanted]
    if not options.table and not available():
        parser.error(f"the measured data is not at {DATA} (ALPHADIA_TL_DATA)")
    for cell, arm, state in [] if options.table else todo:
        if (cell.name, arm, state) in done:
            continue
        if options.minutes and time.monotonic() - started > 60 * options.minutes:
            break
        row = run_arm(cell, arm, state, options.work)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        with options.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    rows = read_results(options.results)
    write_page(options.results.with_suffix(".md"), rows)
    if options.results == RESULTS:
        write_table(PAGE, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
