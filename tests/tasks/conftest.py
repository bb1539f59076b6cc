import os

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _threads():
    """Importing peptdeep sets two threads, whatever the environment says."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
