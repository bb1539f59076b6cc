"""A search killed at random moments and repeated comes to the same bundle as one that was left alone."""

import hashlib
import os
import random
import signal
import subprocess
import time

import pandas as pd
import pytest
import yaml
from alphabase.spectral_library.base import SpecLibBase
from e2e.support import ON, QUICK_SEARCH, QUICK_TUNING, SCRIPTS
from experiments import QUICK

from alphadia_tl.host import deep_merge
from alphadia_tl.simulate.experiment import make_experiment

pytestmark = [pytest.mark.slow, pytest.mark.regression]

KILLS = 20
FEW_ROWS = {"alphadia_tl": {"max_training_precursors": 500}}


class Command:
    """The same search, again and again."""

    def __init__(self, experiment, folder):
        self.config = folder / "config.yaml"
        config = deep_merge(experiment.config(), ON, QUICK_TUNING, QUICK_SEARCH, FEW_ROWS)
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))
        home = str(experiment.home.resolve())
        self.environment = {**os.environ, "HOME": home, "USERPROFILE": home}

    def __call__(self, output, seconds=None):
        """Return the exit code, and None where the command was killed after ``seconds``."""
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.with_suffix(".log").open("ab") as log:
            arguments = [str(SCRIPTS / "alphadia-tl"), "--config", str(self.config), "-o", str(output)]
            process = subprocess.Popen(arguments, env=self.environment, stdout=log, stderr=log, start_new_session=True)
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return None


def models(output):
    files = sorted((output / "transfer" / "peptdeep.transfer").glob("*.pth"))
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def library(output):
    found = SpecLibBase()
    found.load_hdf(str(output / "transfer" / "speclib.tuned.hdf"))
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("killed")
    command = Command(make_experiment(folder / "experiment", QUICK, weights_folder=weights), folder)
    started = time.monotonic()
    assert command(folder / "undisturbed") == 0
    return command, folder, time.monotonic() - started


def test_killed_at_random_moments_a_search_comes_to_the_same_bundle(undisturbed):
    command, folder, seconds = undisturbed
    moments = random.Random(1)
    outputs, killed, number = [], 0, 0
    while killed < KILLS:
        output = folder / f"killed_{number}"
        # What a killed call left to do takes half of the time on average, so later moments would kill few.
        while command(output, moments.uniform(1, seconds / 2)) is None:
            killed += 1
            if killed == KILLS:
                assert command(output) == 0
                break
        outputs.append(output)
        number += 1
    whole = folder / "undisturbed"
    expected, found = library(whole), pd.read_parquet(whole / "precursors.parquet")
    for output in outputs:
        assert models(output) == models(whole)
        pd.testing.assert_frame_equal(library(output).precursor_df, expected.precursor_df)
        pd.testing.assert_frame_equal(library(output).fragment_intensity_df, expected.fragment_intensity_df)
        # alphaDIA's own variation from search to search
        assert len(pd.read_parquet(output / "precursors.parquet")) == pytest.approx(len(found), rel=0.03)
        assert not list(output.rglob("*.part"))
