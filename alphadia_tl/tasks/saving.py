"""Networks as weight files that peptdeep can load."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from alphadia_tl.bundle import write_whole
from alphadia_tl.errors import OutputError

__all__ = ["save_networks"]


def save_networks(
    folder: Path, networks: Mapping[str, torch.nn.Module], fold_networks: Mapping[str, Sequence[torch.nn.Module]]
) -> None:
    """Write ``{name}.pth`` of each network, and ``fold_1/{name}.pth``, ... of those that were cross-fitted.

    Files of folds that were there before and are none of these are removed: they are of models that are not used.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    files = {folder / f"{name}.pth": network for name, network in networks.items()}
    for name, folds in fold_networks.items():
        files |= {folder / f"fold_{i}" / f"{name}.pth": network for i, network in enumerate(folds, start=1)}
    try:
        for file, network in files.items():
            content = _serialised(network)
            write_whole(file, lambda part, content=content: part.write_bytes(content))  # type: ignore[misc]
        for old in set(folder.glob("fold_*/*.pth")) - files.keys():
            old.unlink()
    except (OSError, RuntimeError) as e:
        raise OutputError(f"The models cannot be written to {folder}: {e}.", "Check permissions and space.") from e


def _serialised(network: torch.nn.Module) -> bytes:
    # not straight into the file: torch writes the file's name, here a temporary one, into the archive
    buffer = io.BytesIO()
    torch.save({k: v.detach().cpu() for k, v in network.state_dict().items()}, buffer)
    return buffer.getvalue()
