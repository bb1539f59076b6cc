"""The workflow with Snakemake's local executor: killed, with a damaged raw file, then with the right one.

Three runs, the models tuned on the first and the last. What comes out in the end is compared with one search by one
process.
"""

import re
import signal
from dataclasses import replace

import h5py
import pandas as pd
import pytest
import torch
import yaml
from e2e.support import ON, ONLY_RT, Search, call
from experiments import QUICK

from alphadia_tl.host import deep_merge
from alphadia_tl.simulate.experiment import make_experiment
from alphadia_tl.workflow.layout import Layout, read_receipt

pytestmark = [pytest.mark.slow, pytest.mark.regression]

SAMPLE = {"alphadia_tl": {"tuning_runs": 2}, "general": {"thread_count": 1}}
TABLES = ("precursor.matrix.parquet", "peptide.matrix.parquet", "pg.matrix.parquet")
KEY = ["raw.name", "precursor.mod_seq_charge_hash"]


def jobs_in(log):
    """Return the jobs that Snakemake has begun, in their order."""
    return re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", log, re.M)


class Workflow:
    """Calls of the workflow on one folder, and what each left."""

    def __init__(self, folder, config, experiment):
        self.folder, self.home, self.truth = folder / "out", experiment.home.resolve(), experiment.read_truth()
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))
        self.layout = Layout(self.folder)

    def call(self, command="workflow", **kills):
        subcommand = [command] if command else []
        return call("alphadia-tl", [*subcommand, "--config", self.config, "-o", self.folder], self.home, **kills)

    def receipts(self):
        return {
            p.relative_to(self.layout.jobs).as_posix(): p.stat().st_mtime_ns for p in self.layout.jobs.rglob("*.yaml")
        }


@pytest.fixture(scope="module")
def workflow(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("workflow")
    experiment = make_experiment(folder / "experiment", replace(QUICK, n_runs=3), weights_folder=weights)
    config = deep_merge(deep_merge(deep_merge(experiment.config(), ON), ONLY_RT), SAMPLE)
    flow = Workflow(folder, config, experiment)
    middle = experiment.raw_files[1]
    right = middle.read_bytes()
    with h5py.File(middle, "w") as damaged:  # what the look before the search does not see
        damaged.create_group("ms_data")
    flow.killed = (*flow.call(kill_at=("rule tune:",)), flow.receipts())
    flow.damaged = (*flow.call(), flow.receipts())
    middle.write_bytes(right)
    flow.finished = (*flow.call(), flow.receipts())
    return flow


@pytest.fixture(scope="module")
def one_process(workflow):
    folder = workflow.folder.with_name("one_process")
    code, log = call("alphadia-tl", ["--config", workflow.config, "-o", folder], workflow.home)
    assert code == 0, log[-3000:]
    return Search(folder, code, log, workflow.truth)


def test_a_workflow_that_was_killed_goes_on_where_it_stopped(workflow):
    code, log, before = workflow.killed
    assert code == -signal.SIGKILL
    assert jobs_in(log)[-1] == "tune"
    _, log, after = workflow.damaged
    done = {name for name in before if name in after and before[name] == after[name]}
    assert {"transfer/library.yaml", "transfer/runs/run_1.yaml", "transfer/runs/run_3.yaml"} <= done
    assert jobs_in(log).count("tune") == 1
    assert "The workflow that ran here before was killed" in log


def test_a_damaged_raw_file_is_left_out_and_named(workflow):
    code, log, receipts = workflow.damaged
    assert code == 1
    assert re.search(r"run_2\.hdf failed at step 'library': \w+", log)
    assert {"report.yaml", "library/combined.yaml", "library/runs/run_2.yaml"} <= set(receipts)


def test_a_raw_file_that_came_later_redoes_only_what_depends_on_it(workflow):
    code, log, after = workflow.finished
    assert code == 0, log[-3000:]
    before = workflow.damaged[2]
    redone = {name for name in after if after[name] != before.get(name) and "frozen_config" not in name}
    assert redone == {"library/runs/run_2.yaml", "library/combined.yaml", "report.yaml"}
    assert sorted(jobs_in(log)) == ["all", "combine", "report", "search"]


def test_the_tables_are_those_of_a_search_by_one_process(workflow, one_process):
    for name in TABLES:
        pd.testing.assert_frame_equal(
            pd.read_parquet(workflow.folder / name), pd.read_parquet(one_process.folder / name), check_like=True
        )
    for name in ("precursors.parquet", "transfer/precursors.parquet"):
        ours, theirs = (pd.read_parquet(f / name).sort_values(KEY) for f in (workflow.folder, one_process.folder))
        # alphaDIA's columns are in another order in every process
        pd.testing.assert_frame_equal(ours.reset_index(drop=True), theirs.reset_index(drop=True), check_like=True)
        assert ours["raw.name"].nunique() == (2 if name.startswith("transfer") else 3)


def test_the_models_are_those_of_a_search_by_one_process(workflow, one_process):
    for name in ("rt", "ms2", "charge"):
        ours, theirs = (
            torch.load(f / "transfer" / "peptdeep.transfer" / f"{name}.pth", weights_only=True)
            for f in (workflow.folder, one_process.folder)
        )
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    bundles = [
        yaml.safe_load((f / "transfer" / "alphadia_tl.yaml").read_text()) for f in (workflow.folder, one_process.folder)
    ]
    assert bundles[0]["decisions"] == bundles[1]["decisions"]
    assert bundles[0]["decisions"][0]["accepted"]


def test_the_report_says_on_which_runs_the_models_were_tuned(workflow):
    assert "2 of 3 runs" in (workflow.folder / "transfer" / "report.html").read_text()


def test_each_job_says_what_it_did_in_a_log_of_its_own(workflow):
    logs = {p.relative_to(workflow.layout.jobs / "logs").as_posix() for p in workflow.layout.jobs.glob("logs/**/*.txt")}
    assert {"tune.txt", "transfer/search.run_1.txt", "library/search.run_2.txt", "report.txt"} <= logs
    assert "PROGRESS" not in workflow.finished[1]  # alphaDIA's own lines are in the jobs' logs


def test_a_job_can_be_run_by_hand(workflow, one_process):
    code, log = call(
        "alphadia-tl", ["job", "report", "--config", workflow.layout.config, "-o", workflow.folder], workflow.home
    )
    assert code == 0, log[-3000:]
    assert read_receipt(workflow.layout.reported)["report"] == "transfer/report.html"
