"""The part of the regression runs that is quick enough for every change; `make regression` runs them all."""

import pytest
import yaml
from e2e.support import ON, QUICK_TUNING, Search, call

from alphadia_tl.host import deep_merge
from alphadia_tl.simulate.experiment import make_experiment
from regression.grid import shift
from regression.tables import noise_of_fdp

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def same_instruments(tmp_path_factory, weights):
    """Experiment on the instrument that the base weights were trained for, searched without and with the plugin."""
    folder = tmp_path_factory.mktemp("same")
    experiment = make_experiment(folder, shift("none"), weights_folder=weights)

    def search(name, changes):
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(experiment.config() | changes, sort_keys=False))
        code, log = call("alphadia-tl", ["--config", path, "-o", folder / name], experiment.home.resolve())
        assert code == 0, log[-3000:]
        return Search(folder / name, code, log, experiment.read_truth()).score()

    return search("off", {}), search("on", deep_merge(ON, QUICK_TUNING))


def test_where_the_instruments_do_not_differ_nothing_is_lost(same_instruments):
    off, on = same_instruments
    assert off.true > 500
    assert on.true >= 0.98 * off.true
    assert on.fdp <= off.fdp + 3 * noise_of_fdp(off.to_mapping()) + 0.005
