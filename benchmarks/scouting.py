"""How small a part of a library alphaDIA's error estimate is sound in: the demo's first pass over random parts.

python benchmarks/scouting.py --work FOLDER      # shares of 0.05 to 0.6, two random states; about 15 minutes
"""

import argparse
import sys
from pathlib import Path

from alphadia_tl import host
from alphadia_tl.files import Manifest
from alphadia_tl.library.selection import Slice
from alphadia_tl.search import passes
from alphadia_tl.search.plan import TransferLearningPlan
from alphadia_tl.simulate.experiment import DEMO, RECORD, RENDERED, Experiment, make_experiment
from alphadia_tl.simulate.truth import score_runs

SHARES, STATES = (0.05, 0.1, 0.2, 0.35, 0.6), (1, 2)


def scouted(experiment: Experiment, share: float, state: int, output: Path) -> str:
    """Run a first pass over a share of the library and return its row of the table."""
    config = experiment.config()
    config["general"]["random_state"] = state
    config["alphadia_tl"] = {"enabled": True}
    passes.first_slice = lambda *key: Slice(key[-1], 0.0, share)
    passes.Scouting.next = lambda *_: None  # type: ignore[method-assign]
    plan = TransferLearningPlan(str(output), config)
    with host.one_isomer_explains_a_peak(), host.classifiers_that_fail_start_again():
        plan.passes.first_pass({})
    size = Manifest(experiment.folder, RECORD).facts(RENDERED)["library_precursors"]
    score = score_runs(output / "transfer", experiment.read_truth())
    wrong = f"{score.unrelated:,} | {score.fdp:.1%}"
    return f"| {share * size:,.0f} | {state} | {score.reported:,} | {score.true:,} | {wrong} |"


def main() -> int:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("scouting_output"))
    options = parser.parse_args()
    experiment = make_experiment(options.work / "experiment", DEMO)
    rows = [
        scouted(experiment, share, state, options.work / f"{share}_{state}") for state in STATES for share in SHARES
    ]
    print("\n".join(["| precursors searched | random state | reported | true | unrelated | wrong |", *rows]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
