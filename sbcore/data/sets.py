"""Sets that a bridge may join: points, pictures, noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from sbcore.data.statistics import checksum
from sbcore.runtime import checks


@dataclass(frozen=True)
class Ends:
    """One of the two sets: its name and how to draw from it."""

    name: str
    draw: Callable[[int, torch.Generator], Tensor]
    """Maps (n, generator) to n points (n, ...), float32, on the generator's device."""
    size: int | None = None
    """Number of points that there are; None: every draw is new."""
    noise: bool = False
    """Whether it is N(0, I), from which a bridge generates."""
    checksum: str = ""
    """Of the pictures that there are; tells one set from another of the same name."""

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
    end = end_of_points(name, pictures.float() / 127.5 - 1)
    return replace(end, checksum=checksum(pictures))


def standard_normal(name: str, shape: tuple[int, ...]) -> Ends:
    """N(0, I): every draw is new."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return torch.randn(n, *shape, generator=generator, device=generator.device)

    return Ends(name, draw, noise=True)
