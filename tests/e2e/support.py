"""Calls of the real commands, and what their outputs are compared with."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from forked import run_script

from alphadia_tl.simulate.sample import ABSENT_PREFIX
from alphadia_tl.simulate.truth import score_runs, score_search

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"measured data is not at {SHARED}")
SCRIPTS = Path(sys.executable).parent
# More than half is held out: a model of few precursors would be tuned on several times else.
MANY_HELD_OUT = {"train_fraction": 0.35, "validation_fraction": 0.13, "test_fraction": 0.52}
QUICK_TUNING = {
    "transfer_learning": {"epochs": 3, "warmup_epochs": 1, **MANY_HELD_OUT},
    "alphadia_tl": {"max_training_precursors": 1600},
}
ON = {"alphadia_tl": {"enabled": True}}
# alphaDIA looks for its tolerances in a third of the steps.
FEW_STEPS = {"calibration": {"min_steps": 2, "max_steps": 5}}
# Where it is not what is found that is tested.
QUICK_SEARCH = {"search": {"target_rt_tolerance": 100}, **FEW_STEPS}
# Where it is not the models that are tested.
ONLY_RT = {
    "transfer_learning": QUICK_TUNING["transfer_learning"],
    "alphadia_tl": {"models": ["rt"], "max_training_precursors": 1600},
    **QUICK_SEARCH,
}
# A quarter of the rendered proteome is not in the sample.
ENTRAPMENT = {"alphadia_tl": {"entrapment": {"prefix": ABSENT_PREFIX, "design": "foreign", "ratio": 1 / 3}}}


@dataclass(frozen=True)
class Search:
    """A finished call of a command."""

    folder: Path
    code: int
    log: str
    truth: pd.DataFrame

    def score(self, folder="."):
        return score_search(self.folder / folder, self.truth)

    def score_of_runs(self, folder="."):
        return score_runs(self.folder / folder, self.truth)

    def frozen_config(self):
        return yaml.safe_load((self.folder / "frozen_config.yaml").read_text())

    def provenance(self):
        return yaml.safe_load((self.folder / "transfer" / "alphadia_tl.yaml").read_text())


def call(command, arguments, home, *, kill_at=()):
    """Run a command as a user would, with ``home`` as the home folder; kill it when it has logged all texts in turn."""
    return run_script(SCRIPTS / command, arguments, home, kill_at=kill_at)


def call_afresh(command, arguments, home, prefix=()):
    """Run a command that imports everything itself; ``prefix``: a command that runs it."""
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home)}
    done = subprocess.run(
        [*map(str, prefix), str(SCRIPTS / command), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout
