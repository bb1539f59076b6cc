"""Folders of networks with random weights, as files to start from."""

import torch

from alphadia_tl.models.weights import new_network

NAMES = ("rt", "ms2", "charge", "ccs")


def write_networks(folder, names=NAMES, seed=3):
    """Write ``{name}.pth`` whose networks predict positive, different values."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        network = new_network(name, seed=seed).model
        if name in ("rt", "ccs"):
            with torch.no_grad():
                network.get_parameter(f"{name}_decoder.nn.2.bias").fill_(0.5)
        torch.save(network.state_dict(), folder / f"{name}.pth")
    return folder


def write_zip(path, folder, names=NAMES):
    """Write a zip laid out as peptdeep's from a folder of networks."""
    import zipfile

    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write(folder / f"{name}.pth", f"generic/{name}.pth")
        if "rt" in names:
            archive.write(folder / "rt.pth", "phospho/rt_phos.pth")
    return path
