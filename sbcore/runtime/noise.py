"""Random numbers, each stream a function of what it is for.

Two seeds, or two purposes of one seed, never share a stream; numpy's Philox is counter-based and
the same on every machine, so a seed means the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Noise:
    """Standard normal draws, one stream a picture.

    Drawn on the CPU whatever the device. Equal seeds give equal noise: pass one seed n times for
    noise that n pictures share.

    Args:
        seeds: One seed a picture, any whole numbers.
        shape: Shape of one picture.
        purpose: What the draws are for; another purpose has other draws.
        device: Where the draws go.
        dtype: Type of the draws.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        purpose: str = "run",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.shape, self.device, self.dtype = tuple(shape), device, dtype
        keys = [digest(seed, purpose) for seed in seeds]
        self.streams = [np.random.Generator(np.random.Philox(key=key)) for key in keys]

    def draw(self) -> Tensor:
        """The next draw, (b, ...)."""
        draws = [stream.standard_normal(self.shape, np.float32) for stream in self.streams]
        # CUDA reads what it is sent before it returns, and need not be waited for.
        cuda = torch.device(self.device).type == "cuda"
        return torch.from_numpy(np.stack(draws)).to(self.device, self.dtype, non_blocking=cuda)

    def choose(self, n: int) -> Tensor:
        """A whole number below n for each picture, (b,); advances the stream."""
        chosen = [int(stream.integers(n)) for stream in self.streams]
        return torch.tensor(chosen, device=self.device)


def digest(*key: int | str) -> int:
    """128 bits that stand for a key."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:16], "little")


def generator(device: torch.device | str, *key: int | str) -> torch.Generator:
    """A generator of PyTorch on a device, a function of the key; for training."""
    return torch.Generator(device).manual_seed(digest(*key) % 2**63)
