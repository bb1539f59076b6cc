"""Networks as weight files that peptdeep can load."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch

from alphadia_tl.bundle import write_whole
from alphadia_tl.errors import OutputError

__all__ = ["save_networks"]


def save_networks(folder: Path, networks: Mapping[str, torch.nn.Module]) -> None:
    """Write ``{name}.pth`` of each network.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    try:
        for name, network in networks.items():
            content = _serialised(network)
            write_whole(folder / f"{name}.pth", lambda part, content=content: part.write_bytes(content))  # type: ignore[misc]
    except (OSError, RuntimeError) as e:
        raise OutputError(f"The models cannot be written to {folder}: {e}.", "Check permissions and space.") from e


def _serialised(network: torch.nn.Module) -> bytes:
    # not straight into the file: torch writes the file's name, here a temporary one, into the archive
    buffer = io.BytesIO()
    torch.save({k: v.detach().cpu() for k, v in network.state_dict().items()}, buffer)
    return buffer.getvalue()
