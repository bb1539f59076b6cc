"""Does a library that tuned models predict for another FASTA file help a plain search of another run?

    python tests/regression/elsewhere.py --work elsewhere_output

The models are tuned in one search of the demo's run. The second run is of other random proteins on the same
instrument. It is searched by ``alphadia`` alone: with the library of the base models, with that of ``alphadia-tl
predict``, with the perfect one. The table is written to ``benchmarks/results/elsewhere.md``.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from alphadia_tl.bundle import Bundle
from alphadia_tl.files import Manifest, write_yaml
from alphadia_tl.host import deep_merge
from alphadia_tl.simulate.demo import run_search
from alphadia_tl.simulate.experiment import DEMO, RECORD, RENDERED, Experiment, make_experiment
from alphadia_tl.simulate.truth import Score, score_runs

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "elsewhere.md"
ON = {"alphadia_tl": {"enabled": True}}


def tuned_bundle(work: Path, weights: Path) -> Path:
    """Return the folder of a search of the demo's run with transfer learning."""
    output = work / "tuned"
    if not Bundle(output / "transfer").report_json.is_file():
        result = run_search(make_experiment(work / "first", DEMO, weights_folder=weights), output, "first run", ON)
        if result.code != 0:
            raise RuntimeError(f"The search failed: {output}.log")
    return output


def command(experiment: Experiment, log: Path, *words: str | Path) -> None:
    """Run a command with the experiment's weights."""
    with log.open("w") as file:
        arguments = [str(Path(sys.executable).parent / words[0]), *map(str, words[1:])]
        subprocess.run(arguments, env=experiment.environment(), stdout=file, stderr=subprocess.STDOUT, check=True)


def search(experiment: Experiment, output: Path, changes: Mapping[str, Any], *, oracle: bool = False) -> Score:
    """Search with alphaDIA's own command, and score it by the truth."""
    output.mkdir(parents=True, exist_ok=True)
    write_yaml(output.with_suffix(".yaml"), deep_merge(experiment.config(oracle=oracle), changes))
    words = ["--config", output.with_suffix(".yaml"), "-o", output]
    command(experiment, output.with_suffix(".log"), "alphadia", *words)
    return score_runs(output, experiment.read_truth())


def main() -> int:
    """Tune, predict, search, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("elsewhere_output"), help="folder of runs and searches")
    parser.add_argument("--weights", type=Path, help="home folder of base weights; trained where they are missing")
    parser.add_argument("--tuned", type=Path, help="output folder of a search of the demo, in place of one made here")
    options = parser.parse_args()
    weights = options.weights or options.work / "home"
    tuned = options.tuned or tuned_bundle(options.work, weights)
    second = make_experiment(options.work / "second", replace(DEMO, seed=2), weights_folder=weights)
    config = options.work / "second.yaml"
    write_yaml(config, second.config())
    library = options.work / "second.hdf"
    words = ["predict", "--models", tuned, "--config", config, "--fasta", second.fasta, "-o", library]
    command(second, options.work / "predict.log", "alphadia-tl", *words)
    given = {"library_path": str(library.resolve()), "library_prediction": {"enabled": False}, "fasta_paths": []}
    arms = {
        "of the base models": search(second, options.work / "base", {}),
        "of `alphadia-tl predict`": search(second, options.work / "predicted", given),
        "perfect": search(second, options.work / "oracle", {}, oracle=True),
    }
    facts = Manifest(second.folder, RECORD).facts(RENDERED)
    lines = [
        "# A library for another FASTA file",
        "",
        "    python tests/regression/elsewhere.py",
        "",
        f"{facts['true_precursors']:,} precursors in the sample, {facts['library_precursors']:,} in the library.",
        "",
        "| library of the search by `alphadia` | precursors at 1 % | true | wrong |",
        "|---|---:|---:|---:|",
        *(f"| {name} | {s.reported:,} | {s.true:,} | {s.fdp:.1%} |" for name, s in arms.items()),
        "",
    ]
    RESULTS.write_text("\n".join(lines), encoding="utf-8")
    sys.stdout.write("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
