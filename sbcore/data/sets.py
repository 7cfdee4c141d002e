"""Sets that a bridge may join: points, pictures, noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from sbcore.runtime import checks

GAUSSIAN = "gaussian"  # name of the set of standard normal noise


@dataclass(frozen=True)
class Ends:
    """One of the two sets: its name and how to draw from it."""

    name: str
    draw: Callable[[int, torch.Generator], Tensor]
    """Maps (n, generator) to n points (n, ...), float32, on the generator's device."""
    size: int | None = None
    """Number of points that there are; None: every draw is new."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return tuple(self.draw(1, torch.Generator()).shape[1:])


def end_of_points(name: str, points: Tensor) -> Ends:
    """A finite set, (n, d) or (n, c, h, w), drawn in random order: each before any comes again.

    Raises:
        ValueError: If there are fewer than two points, or values that are not finite.
    """
    points = checks.array(name, points, dtype=torch.float32)
    if points.dim() not in (2, 4) or len(points) < 2:
        raise ValueError(f"{name} must hold at least 2 points, got shape {tuple(points.shape)}")
    if not bool(points.isfinite().all()):
        raise ValueError(f"{name} must hold finite numbers")
    if bool((points == points[0]).all()):
        raise ValueError(f"{name} holds one point only, many times over")

    @lru_cache(maxsize=1)
    def held(device: torch.device) -> Tensor:
        return points.to(device)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        device, size = generator.device, len(points)
        rounds = range(-(-n // size))
        order = [torch.randperm(size, generator=generator, device=device) for _ in rounds]
        return held(device)[torch.cat(order)[:n]]

    return Ends(name, draw, len(points))


def end_of_pictures(name: str, pictures: Tensor) -> Ends:
    """A set of pictures, uint8 (n, c, h, w), as values in [-1, 1]."""
    return end_of_points(name, pictures.float() / 127.5 - 1)
