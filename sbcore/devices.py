"""Where to compute, and what the device does well."""

from __future__ import annotations

import torch


def best_device() -> torch.device:
    """CUDA when there, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """Name of a device for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        cores = torch.get_num_threads()
        return f"{cores} CPU core{'s' if cores > 1 else ''}"
    return device.type.upper()


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is faster than float32: CUDA from Ampere on, CPUs with AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return device.type == "cpu" and amx is not None and amx()
