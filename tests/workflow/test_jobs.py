from types import SimpleNamespace

from alphadia_tl.workflow import jobs


def test_the_tuning_job_knows_the_library_that_was_searched_but_leaves_it_to_others_to_predict_again(
    tmp_path, monkeypatch
):
    """Charge states that a given library lacks are not learnt as absent, and its own values are compared."""
    asked = {}

    def run_step(settings, folder, **options):
        asked.update(options)
        return SimpleNamespace(to_mapping=dict)

    monkeypatch.setattr(jobs, "run_step", run_step)
    monkeypatch.setattr(jobs, "_folders", lambda plan, step: {"a": tmp_path / "run_a"})
    monkeypatch.setattr(jobs, "write_receipt", lambda path, facts: None)
    plan = SimpleNamespace(settings=dict, transfer_folder=tmp_path, layout=SimpleNamespace(tuned=tmp_path / "tuned"))
    jobs.tune(plan)
    assert asked["searched"] == tmp_path / "speclib.hdf"
    assert asked.get("speclib") is None
