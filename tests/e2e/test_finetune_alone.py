"""The step alone, as a cluster runs it: quant folders or a saved transfer library in, a bundle out."""

import hashlib
import re
import signal

import pytest
import torch
import yaml

from e2e.support import MANY_HELD_OUT, call

pytestmark = [pytest.mark.slow, pytest.mark.regression]


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
                "transfer_learning": {"epochs": 2, **MANY_HELD_OUT},
                "alphadia_tl": {"models": ["rt", "charge"], "max_training_precursors": 1600},
            }
        )
    )
    sources = {
        "quant": ["--quant-dir", flag_on.folder / "transfer" / "quant"],
        "saved": ["--transfer-library", folder / "quant" / "speclib.transfer.hdf"],
    }
    library = ["--library", flag_on.folder / "transfer" / "speclib.hdf"]
    for name, source in sources.items():
        output = ["-o", folder / name, *source, *(library if name == "quant" else [])]
        arguments = ["finetune", "--config", config, *output]
        if name == "saved":
            code, log = call(
                "alphadia-tl", arguments, experiment.home.resolve(), kill_at=["Fine-tuning Charge", "Epoch 0"]
            )
            assert code == -signal.SIGKILL, log[-3000:]
            left = (folder / name / ".checkpoints").glob("*.pt")
            epochs = [torch.load(path, weights_only=True)["state"]["epochs"] for path in left]
            (folder / "epochs.yaml").write_text(yaml.safe_dump(sorted(epochs)))
        code, log = call("alphadia-tl", arguments, experiment.home.resolve())
        assert code == 0, log[-3000:]
        (folder / f"{name}.log").write_text(log)
    return folder


def test_quant_folders_and_a_saved_library_of_them_give_the_same_weights_and_decisions(bundles):
    """The second was killed on the way, too."""
    assert _hashes(bundles / "quant") == _hashes(bundles / "saved")
    quant, saved = (yaml.safe_load((bundles / n / "alphadia_tl.yaml").read_text()) for n in ("quant", "saved"))
    assert quant["decisions"] == saved["decisions"]
    assert any(d["accepted"] for d in quant["decisions"])


def test_a_killed_tuning_is_taken_up_where_it_was(bundles):
    """The RT model was finished then; what comes out is what an undisturbed call gives (above)."""
    killed, undisturbed = ((bundles / f"{name}.log").read_text() for name in ("saved", "quant"))
    taken_up = re.findall(r"Taken up from a checkpoint: (\d+) epochs are trained already", killed)
    assert taken_up
    assert sorted(map(int, taken_up)) == yaml.safe_load((bundles / "epochs.yaml").read_text())
    assert "Taken up" not in undisturbed
    assert not (bundles / "saved" / ".checkpoints").exists()


def test_the_library_is_predicted_again_where_one_is_given(bundles):
    assert (bundles / "quant" / "speclib.tuned.hdf").exists()
    assert not (bundles / "saved" / "speclib.tuned.hdf").exists()


def test_the_models_load_in_stock_peptdeep(bundles):
    from peptdeep.model.rt import AlphaRTModel

    model = AlphaRTModel(device="cpu")
    model.load(str(bundles / "quant" / "peptdeep.transfer" / "rt.pth"))
    saved = torch.load(bundles / "quant" / "peptdeep.transfer" / "rt.pth", weights_only=True)
    for name, value in model.model.state_dict().items():
        assert torch.equal(value, saved[name])
