"""Leave the test process with pytest's own exit status."""

import os
import pickle
import sys

import pytest
import torch
from compiled import keep_compiled_functions
from filelock import FileLock
from hypothesis import settings

STATUS = pytest.StashKey[int]()

# Threads that wait for each other by spinning cost more than they do.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
keep_compiled_functions()
# How long an example takes says what else the machine does.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_collection_modifyitems(items):
    """Begin with what the end-to-end tests share; meanwhile the other worker does what takes long and needs none of it.

    The short tests come last, so that both workers end together.
    """

    def place(item):
        path = item.path.as_posix()
        if path.endswith("e2e/test_two_pass_search.py"):
            return 0
        if "/tests/tasks/" in path or "/tests/models/" in path:
            return 1
        return 2 if item.get_closest_marker("slow") else 3

    items.sort(key=place)


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Skip the interpreter's teardown.

    A process that has loaded torch, numba, zmq and alphaDIA's extensions together was once seen to crash after the
    last test, when all results had been printed. The status of the tests is what the command must end with.
    """
    if STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[STATUS])


@pytest.fixture(autouse=True, scope="session")
def own_processors_per_worker():
    """Let tests that run beside each other, and the commands they start, not wait for each other's threads.

    OpenMP threads that are more than the processors spin for each other; peptdeep sets two on import.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        worker, workers = int(os.environ["PYTEST_XDIST_WORKER"][2:]), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        if hasattr(os, "sched_setaffinity"):
            processors = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, processors[worker::workers] or processors)
        import peptdeep.model.building_block  # noqa: F401

        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def still_one_thread_per_worker():
    """The step of a search sets the threads that its config names."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Make something in a folder that all workers share: the first that comes makes it, the others wait for it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def get(name, make):
        result = shared / f"{name}.pickle"
        with FileLock(shared / f"{name}.lock"):
            if not result.is_file():
                made = make(shared / name)
                result.write_bytes(pickle.dumps(made))
        return pickle.loads(result.read_bytes())  # noqa: S301  written above

    return get


@pytest.fixture(scope="session")
def weights(made_once):
    """Home folder of the base weights that all experiments share."""
    from experiments import QUICK

    from alphadia_tl.simulate.experiment import make_weights

    def make(folder):
        make_weights(folder, QUICK)
        return folder

    return made_once("weights", make)
