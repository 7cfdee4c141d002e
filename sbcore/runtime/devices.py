"""Where to compute, and what the device does well."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)
logger = logging.getLogger(__name__)


def best_device() -> torch.device:
    """CUDA when there, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def check_device(device: str | torch.device | None) -> None:
    """Refuse a device that is not here; None is the best there is.

    Raises:
        ValueError: With one sentence.
    """
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"The device {device!s:.40} cannot be used here: take cpu, or cuda or mps where it is."
        ) from error


def device_name(device: torch.device) -> str:
    """Name of a device for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        cores = torch.get_num_threads()
        return f"{cores} CPU core{'s' if cores > 1 else ''}"
    return device.type.upper()


@cache
def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than float32: CUDA from Ampere on, CPUs with AMX.

    AVX512_BF16 doubles the speed of some processors and halves that of others: there a
    convolution is timed in both types, for some milliseconds, once.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type != "cpu" or not _supports("amx_tile", "avx512_bf16"):
        return False
    return _supports("amx_tile") or _seconds(torch.bfloat16) < 0.8 * _seconds(torch.float32)


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether to train in bf16: "bf16", "fp32", or "auto", which is where it is fast."""
    return precision == "bf16" or (precision == "auto" and has_fast_bf16(device))


class InParts:
    """Calls a network with so many pictures at a time; out of memory, with half as many.

    Args:
        size: Pictures of a call, at first; on CUDA 16 times as many.
        device: Where they are.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.size = 16 * size if device.type == "cuda" else size

    def __call__(self, network: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """``network(*tensors)``, each tensor and the result (b, ...)."""
        while True:
            try:
                parts = zip(*(tensor.split(self.size) for tensor in tensors), strict=True)
                return torch.cat([network(*part) for part in parts])
            except torch.OutOfMemoryError:
                if self.size == 1:
                    raise
            # Not before the exception is gone: it holds what did not fit.
            self.size = max(1, min(self.size, len(tensors[0])) // 2)
            logger.warning("Out of memory: %d pictures at a time from here on.", self.size)


def channels_last(network: NetworkT) -> NetworkT:
    """The same network, its convolutions in the memory layout that is fast for pictures."""
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _supports(*features: str) -> bool:
    """Whether the CPU has one of these instruction sets."""
    checks = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in features)
    return any(check is not None and check() for check in checks)


@torch.no_grad()
def _seconds(dtype: torch.dtype) -> float:
    """Time of a typical convolution, the least of twelve."""
    x = torch.ones(16, 128, 16, 16, dtype=dtype).to(memory_format=torch.channels_last)
    weight = torch.ones(128, 128, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        F.conv2d(x, weight, padding=1)
        times.append(time.perf_counter() - start)
    return min(times)
