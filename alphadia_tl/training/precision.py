"""Choice of the arithmetic: bf16 autocast where the hardware is faster with it and the results agree."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["agrees_with_fp32", "autocast", "hardware_has_bf16", "select_dtype"]

logger = logging.getLogger(__name__)

# Tiles for matrices. With avx512_bf16 alone an MS2 prediction in bf16 takes 1.5 times as long (PyTorch 2.6, measured).
CPU_FLAG = "amx_bf16"
MAX_DEVIATION = 0.03


def hardware_has_bf16(device: torch.device, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether ``device`` computes faster in bf16 than in fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))  # type: ignore[no-untyped-call,unused-ignore]
    if device.type != "cpu" or not cpuinfo.is_file():
        return False
    flags: set[str] = set()
    for line in cpuinfo.read_text(errors="replace").splitlines():
        if line.startswith("flags"):
            flags = set(line.split(":", 1)[-1].split())
            break
    return CPU_FLAG in flags


def autocast(device: torch.device, dtype: torch.dtype | None) -> contextlib.AbstractContextManager[object]:
    """Return the context in which a network runs; None stands for plain fp32."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device_type=device.type, dtype=dtype)


def agrees_with_fp32(forward: Callable[[], Tensor], device: torch.device, dtype: torch.dtype) -> bool:
    """Compare a sample computed with ``dtype`` and with fp32.

    Parameters
    ----------
    forward : callable
        Computes the sample; called twice in evaluation mode.
    device : torch.device
        Where it runs.
    dtype : torch.dtype
        The reduced precision.

    Returns
    -------
    bool
        True when the mean deviation is below 3 % of the mean absolute value.
    """
    with torch.inference_mode():
        exact = forward().float()
        with autocast(device, dtype):
            reduced = forward().float()
    deviation = (exact - reduced).abs().mean() / exact.abs().mean().clamp_min(1e-12)
    return bool(torch.isfinite(deviation)) and float(deviation) < MAX_DEVIATION


def select_dtype(precision: str, device: torch.device, forward: Callable[[], Tensor]) -> torch.dtype | None:
    """Choose the arithmetic for one network.

    Parameters
    ----------
    precision : str
        "auto": bf16 where the hardware is faster with it; "bf16": bf16 anyway; "fp32".
    device : torch.device
        Where the network runs.
    forward : callable
        Computes a sample, for the comparison of bf16 with fp32.

    Returns
    -------
    torch.dtype or None
        The autocast type; None for fp32.
    """
    if precision == "fp32" or (precision == "auto" and not hardware_has_bf16(device)):
        return None
    if agrees_with_fp32(forward, device, torch.bfloat16):
        return torch.bfloat16
    logger.warning("bf16 does not agree with fp32 on a sample of the data: computing in fp32.")
    return None
