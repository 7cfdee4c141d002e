"""Random numbers of a run, one stream a picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class PictureNoise:
    """Standard normal draws, one generator a picture.

    Drawn on the CPU in float32 whatever the device, so that a seed means the same everywhere.
    Equal seeds give equal noise: pass one seed n times for noise shared by n pictures.

    Args:
        seeds: One seed a picture.
        shape: Shape of one picture.
        device: Where the draws go.
        dtype: Type of the draws.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.shape, self.device, self.dtype = tuple(shape), device, dtype
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(self) -> Tensor:
        """The next draw, (b, ...)."""
        draws = [torch.randn(self.shape, generator=g) for g in self.generators]
        return torch.stack(draws).to(self.device, self.dtype)
