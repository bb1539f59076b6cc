"""What has to be there before a job (alphaDIA's plan reads tables that no argument names), and the tuning job."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alphabase.spectral_library.base import SpecLibBase
from library.conftest import make_precursors, write_run
from made_models import write_networks
from tasks.made import MANY_HELD_OUT

import alphadia_tl.workflow
from alphadia_tl.bundle import Bundle
from alphadia_tl.workflow.jobs import JobPlan, tune
from alphadia_tl.workflow.layout import write_receipt

SNAKEFILE = Path(alphadia_tl.workflow.__file__).with_name("Snakefile")


def input_of(rule_or_function):
    text = SNAKEFILE.read_text(encoding="utf-8")
    found = re.search(rf"^(rule|def) {rule_or_function}\b.*?(?=^\S|\Z)", text, re.DOTALL | re.MULTILINE)
    return found.group(0)


def functions_of(**names):
    """Return the input functions of the Snakefile, which are plain Python, with Snakemake's names given."""
    text = "\n".join(input_of(name) for name in ("settings_of", "predicted", "before_search"))
    namespace = {"FIRST": "transfer", "FINAL": "library", "shards_of": lambda step: 2, "ancient": str, **names}
    exec(text, namespace)
    return namespace


class Wildcards:
    def __init__(self, step):
        self.step = step


def test_jobs_of_later_steps_wait_for_the_tables_of_the_first():
    functions = functions_of()
    for function in ("predicted", "before_search"):
        assert "jobs/transfer/combined.yaml" in functions[function](Wildcards("library"))
        assert "jobs/transfer/combined.yaml" not in functions[function](Wildcards("transfer"))
    assert "jobs/library/combined.yaml" in functions["predicted"](Wildcards("mbr"))


def test_new_tables_of_the_first_pass_do_not_make_the_tuned_library_again():
    functions = functions_of(ancient=lambda path: f"ancient {path}")
    assert "ancient jobs/transfer/combined.yaml" in functions["predicted"](Wildcards("library"))


@pytest.mark.parametrize(("given", "states"), [(True, {2, 3}), (False, {2, 3, 4})])
def test_the_tuning_job_knows_the_library_that_was_searched_and_leaves_it_to_other_jobs_to_predict_again(
    tmp_path, given, states
):
    """Charge states that a given library lacks are not learnt as absent."""
    config = {
        "raw_paths": [str(tmp_path / "run_1.mzML")],
        "general": {"use_gpu": False, "thread_count": 1, "random_state": 3},
        "library_prediction": {
            "enabled": not given,
            "peptdeep_model_path": str(write_networks(tmp_path / "models")),
            "precursor_charge": [2, 4],
            "precursor_mz": [100, 2000],
        },
        "transfer_learning": {"epochs": 1, "warmup_epochs": 0, "batch_size": 64, **MANY_HELD_OUT},
        "alphadia_tl": {"enabled": True, "models": ["charge"], "min_training_peptides": 20},
    }
    if given:
        config["library_path"] = str(tmp_path / "given.hdf")
    plan = JobPlan(tmp_path / "out", config)
    precursors = make_precursors(100, np.random.default_rng(3))
    run = write_run(plan.passes.transfer_folder / "quant" / "run_1", precursors, seed=1)
    folder = str(run.folder.relative_to(plan.layout.folder))
    write_receipt(plan.layout.run("transfer", "run_1"), {"raw file": config["raw_paths"][0], "folder": folder})
    library = SpecLibBase()
    library._precursor_df = precursors.assign(rt_library=precursors["rt_true"], precursor_mz=500.0)
    library._fragment_mz_df = library._fragment_intensity_df = pd.DataFrame({"b_z1": [0.0]})
    library.save_hdf(str(plan.passes.first_library))
    searched = plan.passes.first_library.read_bytes()

    tune(plan)
    bundle = Bundle(plan.passes.transfer_folder)
    held_out = pd.read_parquet(bundle.held_out)
    assert set(held_out["charge"]) == states
    assert plan.passes.first_library.read_bytes() == searched
    assert not bundle.tuned_library.exists()
    assert plan.tuned().regeneration is None
