"""What a device does well, and what it has room for."""

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


# ----------------------------------------------------------------------------------------------
# bf16


def test_amx_is_fast_without_measuring(processor: Any) -> None:
    assert processor("amx_tile", "avx512_bf16", slow=torch.bfloat16)


def test_avx512_bf16_is_used_where_it_measures_faster(processor: Any) -> None:
    assert processor("avx512_bf16", slow=torch.float32)
    assert not processor("avx512_bf16", slow=torch.bfloat16)


def test_without_instructions_for_it_bf16_is_never_tried(processor: Any) -> None:
    assert not processor(slow=torch.float32)


def test_devices_have_names_for_people() -> None:
    assert devices.device_name(CPU).endswith(("CPU core", "CPU cores"))


# ----------------------------------------------------------------------------------------------
# Memory


def room_for(most: int, seen: list[int]) -> Callable[..., torch.Tensor]:
    """A network that has memory for so many pictures; notes the batches that it is given."""

    def network(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(len(a))
        if len(a) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return a + b

    return network


def test_out_of_memory_halves_the_batch_for_good_and_loses_nothing() -> None:
    in_parts, seen = devices.InParts(8, CPU), []
    a, b = torch.arange(11.0), torch.ones(11)
    network = room_for(3, seen)
    assert torch.equal(in_parts(network, a, b), a + b)
    assert seen == [8, 4, 2, 2, 2, 2, 2, 1]
    assert torch.equal(in_parts(network, a[:3], b[:3]), a[:3] + 1) and seen[8:] == [2, 1]


def test_a_batch_smaller_than_allowed_is_what_is_halved() -> None:
    in_parts, seen = devices.InParts(64, CPU), []
    in_parts(room_for(3, seen), torch.ones(6), torch.ones(6))
    assert seen == [6, 3, 3]


def test_no_room_for_one_picture_is_said() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        devices.InParts(8, CPU)(room_for(0, []), torch.ones(2), torch.ones(2))
