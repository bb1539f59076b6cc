"""The weight files of a bundle."""

import os
import subprocess
import sys

import pytest
import torch
from small_disk import SMALL_DISK, may_mount

from alphadia_tl.models.weights import save_networks


@pytest.fixture
def network():
    return torch.nn.Linear(3, 2)


def test_the_same_weights_give_the_same_bytes_in_another_process_and_folder(tmp_path, network, monkeypatch):
    for process, folder in ((7, "first"), (123_456, "again")):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        save_networks(tmp_path / folder, {"rt": network})
    assert (tmp_path / "first" / "rt.pth").read_bytes() == (tmp_path / "again" / "rt.pth").read_bytes()


def test_the_file_holds_the_weights(tmp_path, network):
    save_networks(tmp_path, {"rt": network})
    saved = torch.load(tmp_path / "rt.pth", weights_only=True)
    assert saved.keys() == network.state_dict().keys()
    assert all(torch.equal(saved[k], v) for k, v in network.state_dict().items())


WRITE_TWICE = """
import sys, torch
from pathlib import Path
from alphadia_tl.errors import OutputError
from alphadia_tl.models.weights import save_networks
folder = Path(sys.argv[1])
save_networks(folder, {"rt": torch.nn.Linear(3, 2)})
try:
    save_networks(folder, {"rt": torch.nn.Linear(1000, 4000)})
except OutputError as e:
    print(e)
print([f.name for f in folder.iterdir()], list(torch.load(folder / "rt.pth")["bias"].shape))
"""


@may_mount
def test_a_full_disk_keeps_the_old_weights_and_leaves_nothing_half_written(tmp_path):
    command = [*SMALL_DISK, str(tmp_path), sys.executable, "-c", WRITE_TWICE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "No space left on device" in done.stdout
    assert done.stdout.splitlines()[-1] == "['rt.pth'] [2]"
