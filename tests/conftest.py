"""Leave the test process with pytest's own exit status."""

import os
import sys

import pytest
import torch

STATUS = pytest.StashKey[int]()


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
def one_thread_per_worker():
    """Let tests that run beside each other not wait for each other's threads; peptdeep sets two on import."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        import peptdeep.model.building_block  # noqa: F401

        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def still_one_thread_per_worker():
    """The step of a search sets the threads that its config names."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Home folder of the base weights that all experiments share."""
    return tmp_path_factory.mktemp("weights")
