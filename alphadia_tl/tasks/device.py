"""From the GPU to the CPU, where the memory of the GPU is out even for single rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from peptdeep.model.model_interface import ModelInterface

__all__ = ["else_on_cpu"]

logger = logging.getLogger(__name__)
T = TypeVar("T")


def else_on_cpu(interface: ModelInterface, run: Callable[[], T], *, tunes: bool = False) -> T:
    """Run; where memory is out, once more from the same weights with the model on the CPU, where it stays.

    Parameters
    ----------
    interface : ModelInterface
        peptdeep's interface of the model that runs.
    run : callable
        May be called again from the start.
    tunes : bool
        Whether running changes the weights, which are put back before the second time.
    """
    start = {k: v.detach().cpu().clone() for k, v in interface.model.state_dict().items()} if tunes else None
    try:
        return run()
    except torch.OutOfMemoryError as error:
        problem = str(error).splitlines()[0]
    logger.warning("%s From here on this model runs on the CPU, which is slower.", problem)
    interface.set_device("cpu")
    interface.model.to("cpu")
    if start is not None:
        interface.model.load_state_dict(start)
    torch.cuda.empty_cache()
    return run()
