"""Where bf16 is used on a CPU: with AMX always, with AVX512_BF16 where it measures faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sbcore.runtime import devices

CPU = torch.device("cpu")


def convolution(slow: torch.dtype) -> Callable[..., None]:
    """A convolution that takes longer in one type."""

    def convolve(x: torch.Tensor, *_: Any, **__: Any) -> None:
        if x.dtype == slow:
            time.sleep(0.002)

    return convolve


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend to be a processor with these instruction sets, slow in one type."""

    def pretend(*features: str, slow: torch.dtype = torch.float32) -> bool:
        for name in ("amx_tile", "avx512_bf16"):
            has = name in features
            monkeypatch.setattr(torch.cpu, f"_is_{name}_supported", lambda has=has: has, False)
        monkeypatch.setattr(devices.F, "conv2d", convolution(slow))
        devices.has_fast_bf16.cache_clear()
        return devices.has_fast_bf16(CPU)

    yield pretend
    devices.has_fast_bf16.cache_clear()


def test_amx_is_fast_without_measuring(processor: Any) -> None:
    assert processor("amx_tile", "avx512_bf16", slow=torch.bfloat16)


def test_avx512_bf16_is_used_where_it_measures_faster(processor: Any) -> None:
    assert processor("avx512_bf16", slow=torch.float32)
    assert not processor("avx512_bf16", slow=torch.bfloat16)


def test_without_instructions_for_it_bf16_is_never_tried(processor: Any) -> None:
    assert not processor(slow=torch.float32)


def test_devices_have_names_for_people() -> None:
    assert devices.device_name(CPU).endswith(("CPU core", "CPU cores"))
