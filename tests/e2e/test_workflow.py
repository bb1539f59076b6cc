"""The workflow on two files with Snakemake's local executor.

Kills, damaged files, and the comparison with a search by one process: ``tests/regression/test_workflow.py``.
"""

import re

import pandas as pd
import pytest
import yaml

from alphadia_tl.host import deep_merge
from alphadia_tl.workflow.layout import Layout
from e2e.support import ON, ONLY_RT, call

pytestmark = [pytest.mark.slow, pytest.mark.regression]

SAMPLE = {"alphadia_tl": {"tuning_runs": 1}, "general": {"thread_count": 1}}


@pytest.fixture(scope="module")
def workflow(experiment, tmp_path_factory):
    """Run it on two rendered files, and then once more."""
    folder = tmp_path_factory.mktemp("workflow")
    config = deep_merge(experiment.config(), ON, ONLY_RT, SAMPLE)
    config["raw_paths"] = list(map(str, experiment.raw_files[:2]))
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    arguments = ["workflow", "--config", path, "-o", folder / "out"]
    home = experiment.home.resolve()
    return folder / "out", call("alphadia-tl", arguments, home), call("alphadia-tl", [*arguments, "--dry-run"], home)


def test_two_files_are_searched_by_jobs_with_one_of_them_to_tune_on(workflow):
    folder, (code, log), _ = workflow
    assert code == 0, log[-3000:]
    jobs = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", log, re.M)
    assert jobs.count("search") == 1 + 2
    assert (jobs.count("tune"), jobs.count("combine"), jobs.count("report")) == (1, 2, 1)
    for name, runs in (("transfer/precursors.parquet", 1), ("precursors.parquet", 2)):
        found = pd.read_parquet(folder / name)
        assert found["raw.name"].nunique() == runs
        assert found.groupby("raw.name").size().min() > 500
    matrix = pd.read_parquet(folder / "precursor.matrix.parquet")
    assert {"run_1", "run_2"} <= set(matrix.columns)


def test_the_report_says_on_which_runs_the_models_were_tuned(workflow):
    assert "1 of 2 runs" in (workflow[0] / "transfer" / "report.html").read_text()


def test_each_job_says_what_it_did_in_a_log_of_its_own(workflow):
    folder, (_, log), _ = workflow
    logs = {p.relative_to(folder / "jobs" / "logs").as_posix() for p in Layout(folder).jobs.glob("logs/**/*.txt")}
    assert {"tune.txt", "transfer/prepare.txt", "library/search.run_1.txt", "report.txt"} <= logs
    assert "PROGRESS" not in log  # alphaDIA's own lines are in the jobs' logs


def test_a_finished_workflow_has_nothing_to_do(workflow):
    _, _, (code, log) = workflow
    assert code == 0, log[-3000:]
    assert "Nothing to be done" in log
