"""Arithmetic and memory: bf16 where it is as good as fp32, smaller batches where memory is out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from alphadia_tl.files import GIB

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass
class RowLimit:
    """The most rows that memory has been found to hold at once; None as long as it was enough."""

    rows: int | None = None

    def split(self, batches: Sequence[Tensor]) -> list[Tensor]:
        """Return the batches, those that are too large in parts."""
        if self.rows is None:
            return list(batches)
        return [part for rows in batches for part in rows.chunk(-(-len(rows) // self.rows))]


def in_parts(batches: Sequence[Tensor], run: Callable[[list[Tensor]], T], limit: RowLimit) -> T:
    """Run on batches of rows; where memory is out, once more on halves of them, down to single rows.

    ``run`` may be called again from the start; ``limit`` is what was found before, and is found now.
    """
    while True:
        parts = limit.split(batches)
        largest = max(map(len, parts))
        try:
            return run(parts)
        except torch.OutOfMemoryError:
            if largest == 1:
                raise
        # not in the handler: its traceback holds the tensors that are in the way
        torch.cuda.empty_cache()
        limit.rows = -(-largest // 2)
        logger.warning("GPU memory is out: going on with batches of at most %d rows", limit.rows)


# Measured with PyTorch 2.6: predicting MS2 in bf16 is 1.5 times as slow on Intel CPUs that have avx512_bf16 alone, and
# 2.7 times as fast on AMD's, where PyTorch's fp32 products (MKL) do without AVX-512.
FAST_ON_ALL = "amx_bf16"
FAST_ON_AMD = "avx512_bf16"
AMD = "AuthenticAMD"
MAX_DEVIATION = 0.03


def hardware_has_bf16(device: torch.device, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether ``device`` computes faster in bf16 than in fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))  # type: ignore[no-untyped-call,unused-ignore]
    if device.type != "cpu" or not cpuinfo.is_file():
        return False
    first = cpuinfo.read_text(errors="replace").split("\n\n", 1)[0]
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    flags = told.get("flags", "").split()
    return FAST_ON_ALL in flags or (FAST_ON_AMD in flags and told.get("vendor_id") == AMD)


def arithmetic(name: str) -> str:
    """Return in which arithmetic MS2 is tuned on a device by default, and why; RuntimeError if it computes nothing."""
    device = torch.device(name)
    rows = torch.rand(64, 64, device=device)
    if select_dtype("auto", device, lambda: rows @ rows) is not None:
        return "bf16, which is faster on it"
    return f"fp32: bf16 is faster on GPUs that have it, on CPUs with {FAST_ON_ALL} and AMD's with {FAST_ON_AMD}"


def gpu() -> str | None:
    """Return name, memory and arithmetic of the GPU that torch finds; None without one."""
    if not torch.cuda.is_available():
        return None
    free, whole = (size / GIB for size in torch.cuda.mem_get_info())
    name = torch.cuda.get_device_name()
    return f"{name}, {free:.1f} of {whole:.1f} GiB free; MS2 is tuned in {arithmetic('cuda')}"


def autocast(device: torch.device, dtype: torch.dtype | None) -> contextlib.AbstractContextManager[object]:
    """Return the context in which a network runs; None stands for plain fp32."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device_type=device.type, dtype=dtype)


def agrees_with_fp32(forward: Callable[[], Tensor], device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether a sample computed with ``dtype`` deviates from fp32 by less than 3 % of its mean absolute value."""
    with torch.inference_mode():
        exact = forward().float()
        with autocast(device, dtype):
            reduced = forward().float()
    deviation = (exact - reduced).abs().mean() / exact.abs().mean().clamp_min(1e-12)
    return bool(torch.isfinite(deviation)) and float(deviation) < MAX_DEVIATION


def select_dtype(precision: str, device: torch.device, forward: Callable[[], Tensor]) -> torch.dtype | None:
    """Choose the autocast type for one network; None for fp32.

    ``precision`` is "auto" (bf16 where the hardware is faster with it), "bf16" or "fp32"; ``forward`` computes a
    sample, for the comparison of bf16 with fp32.
    """
    if precision == "fp32" or (precision == "auto" and not hardware_has_bf16(device)):
        return None
    if agrees_with_fp32(forward, device, torch.bfloat16):
        return torch.bfloat16
    logger.warning("bf16 does not agree with fp32 on a sample of the data: computing in fp32.")
    return None
