"""The step alone, as a cluster runs it: quant folders or a saved transfer library in, a bundle out."""

import hashlib
import signal

import pytest
import yaml

from e2e.support import call

pytestmark = pytest.mark.slow


def _hashes(folder):
    files = sorted((folder / "peptdeep.transfer").glob("*.pth"))
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def bundles(flag_on, experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetune")
    config = folder / "config.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "general": {"random_state": 3, "use_gpu": False, "thread_count": 2},
                "transfer_learning": {"epochs": 2},
                "alphadia_tl": {"max_training_precursors": 1200, "models": ["rt", "charge"]},
            }
        )
    )
    sources = {
        "first": ["--quant-dir", flag_on.folder / "transfer" / "quant"],
        "again": ["--quant-dir", flag_on.folder / "transfer" / "quant"],
        "saved": ["--transfer-library", folder / "first" / "speclib.transfer.hdf"],
    }
    library = ["--library", flag_on.folder / "transfer" / "speclib.hdf"]
    for name, source in sources.items():
        output = ["-o", folder / name, *source, *(library if name == "first" else [])]
        arguments = ["finetune", "--config", config, *output]
        if name == "again":
            code, log = call(
                "alphadia-tl", arguments, experiment.home.resolve(), kill_at=["Fine-tuning Charge", "Epoch 0"]
            )
            assert code == -signal.SIGKILL, log[-3000:]
        code, log = call("alphadia-tl", arguments, experiment.home.resolve())
        assert code == 0, log[-3000:]
        (folder / f"{name}.log").write_text(log)
    return folder


def test_the_same_quant_folders_give_the_same_weights_and_decisions(bundles):
    assert _hashes(bundles / "first") == _hashes(bundles / "again")
    first, again = (yaml.safe_load((bundles / n / "alphadia_tl.yaml").read_text()) for n in ("first", "again"))
    assert first["decisions"] == again["decisions"]
    assert any(d["accepted"] for d in first["decisions"])


def test_a_killed_tuning_is_taken_up_where_it_was(bundles):
    """The RT model was finished then; what comes out is what an undisturbed call gives (above)."""
    again, first = ((bundles / f"{name}.log").read_text() for name in ("again", "first"))
    assert "Taken up from a checkpoint: 2 epochs are trained already" in again
    assert "Taken up" not in first
    assert not (bundles / "again" / ".checkpoints").exists()


def test_a_saved_transfer_library_gives_the_same_weights_as_the_quant_folders(bundles):
    assert _hashes(bundles / "first") == _hashes(bundles / "saved")


def test_the_library_is_predicted_again_where_one_is_given(bundles):
    assert (bundles / "first" / "speclib.tuned.hdf").exists()
    assert not (bundles / "again" / "speclib.tuned.hdf").exists()


def test_the_models_load_in_stock_peptdeep(bundles):
    import torch
    from peptdeep.model.rt import AlphaRTModel

    model = AlphaRTModel(device="cpu")
    model.load(str(bundles / "first" / "peptdeep.transfer" / "rt.pth"))
    saved = torch.load(bundles / "first" / "peptdeep.transfer" / "rt.pth", weights_only=True)
    for name, value in model.model.state_dict().items():
        assert torch.equal(value, saved[name])
