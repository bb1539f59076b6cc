"""One small rendered experiment, and searches of it that several tests look at."""

import copy
import signal
import zipfile
from dataclasses import replace

import pytest
import yaml
from alpharaw.ms_data_base import MSData_Base
from experiments import QUICK
from made_mzml import write_mzml

from alphadia_tl.host import deep_merge
from alphadia_tl.simulate.experiment import make_experiment
from e2e.support import ENTRAPMENT, FEW_STEPS, ON, QUICK_SEARCH, QUICK_TUNING, SHARED, Search, call


@pytest.fixture(scope="session")
def experiment(made_once, weights):
    preset = replace(QUICK, n_runs=2)
    return made_once("experiment", lambda folder: make_experiment(folder, preset, weights_folder=weights))


@pytest.fixture(scope="session")
def mzml_file(experiment, tmp_path_factory):
    """The first run of the experiment as mzML."""
    path, data = tmp_path_factory.mktemp("mzml") / "run_1.mzML", MSData_Base()
    data.load_hdf(str(experiment.raw_files[0]))
    write_mzml(data.spectrum_df, data.peak_df, path)
    return path


@pytest.fixture(scope="session")
def search(experiment, tmp_path_factory):
    """Search the first run (or ``raw_paths``) with changes to the experiment's config.

    ``kills``: the command is killed when it has logged these texts, once for each, and then repeated.
    """
    truth = experiment.read_truth()

    def run(*changes, command="alphadia-tl", home=None, name="out", kills=()):
        folder = tmp_path_factory.mktemp(name) / "out"
        config = experiment.config()
        config["raw_paths"] = config["raw_paths"][:1]
        config = deep_merge(config, FEW_STEPS, *copy.deepcopy(changes))
        path = folder.with_name("config.yaml")
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        arguments, home = ["--config", path, "-o", folder], home or experiment.home.resolve()
        for texts in kills:
            code, log = call(command, arguments, home, kill_at=texts)
            assert code == -signal.SIGKILL, log[-3000:]
        code, log = call(command, arguments, home)
        return Search(folder, code, log, truth)

    return run


@pytest.fixture(scope="session")
def no_prediction(experiment):
    """Config that searches a finished library: what is compared is neither the prediction nor what is found."""
    return {"library_path": str(experiment.oracle.resolve()), "library_prediction": {"enabled": False}, **QUICK_SEARCH}


@pytest.fixture(scope="session")
def stock(search, no_prediction):
    return search(no_prediction, command="alphadia", name="stock")


@pytest.fixture(scope="session")
def flag_off(search, no_prediction):
    return search(no_prediction, {"alphadia_tl": {"enabled": False}}, name="off")


@pytest.fixture(scope="session")
def flag_on(search, made_once):
    return made_once("flag_on", lambda _: search(ON, QUICK_TUNING, ENTRAPMENT, name="on"))


@pytest.fixture(scope="session")
def generic_home(tmp_path_factory):
    """A home folder with generic RT and CCS weights of PeptDeep, and MS2 and charge weights trained on real data."""
    home = tmp_path_factory.mktemp("generic_home")
    path = home / "peptdeep" / "pretrained_models" / "pretrained_models_v3.zip"
    path.parent.mkdir(parents=True)
    members = {"rt": "rt_generic", "ccs": "ccs_generic", "ms2": "ms2_base", "charge": "charge_base"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, source in members.items():
            archive.write(SHARED / "models" / f"{source}.pth", f"generic/{name}.pth")
    return home
