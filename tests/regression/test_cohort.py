import itertools

import pandas as pd

from alphadia_tl.simulate.experiment import SMALL
from regression.cohort import COHORTS, Cohort, fractions


def test_fractions_cover_the_mass_range_once():
    windows = [run.acquisition.window_mz for run in fractions(6).values()]
    assert windows[0][0] == SMALL.acquisition.window_mz[0]
    assert windows[-1][1] == SMALL.acquisition.window_mz[1]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(windows))


def test_the_truth_of_a_run_has_its_times_and_what_it_can_see(tmp_path):
    truth = pd.DataFrame({"sequence": ["PEPTIDEK", "LLEEVGR"], "mods": "", "mod_sites": "", "charge": 2, "nAA": [8, 7]})
    truth.assign(precursor_mz=[450.0, 950.0], rt=0.0).to_parquet(tmp_path / "truth.parquet")

    def times(cohort, run):
        return Cohort(tmp_path, SMALL, COHORTS[cohort]).truth_of(run).set_index("sequence")["rt_seconds"]

    short, long = times("two gradients", "short_1"), times("two gradients", "long_1")
    assert (long > 2 * short).all()
    assert (times("two instruments", "lab_1") != times("two instruments", "other")).all()
    assert list(times("gas-phase fractions", "fraction_1").index) == ["PEPTIDEK"]
    assert list(times("gas-phase fractions", "fraction_6").index) == ["LLEEVGR"]
