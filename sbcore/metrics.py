"""Distances between sets of pictures that need no pretrained weights.

Every distance depends on the number of pictures: compare it with the same distance between two
sets of real pictures of that number (the floor). Pictures are float tensors (n, c, h, w) in
[0, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# ----------------------------------------------------------------------------------------------
# Sliced Wasserstein distance of Laplacian patches (Karras et al. 2018, "Progressive growing")

BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
PATCH = 7
PATCHES_PER_PICTURE = 128
DIRECTIONS = 512
SMALLEST_LEVEL = 16


def sliced_wasserstein(a: Tensor, b: Tensor, seed: int = 0) -> dict[str, float]:
    """Sliced Wasserstein distance of 7x7 patches of the Laplacian pyramid, times 1000.

    Patches of each level are normalised per channel and set, so the measure sees texture at each
    scale, not brightness or layout. At 500 pictures, one set against itself gives about 20: the
    patches are drawn anew.

    Args:
        a: Pictures (n, c, h, w).
        b: As many others.
        seed: Of patches and directions.

    Returns:
        Distance for each level, named by its height, and their ``mean``.

    Raises:
        ValueError: If the sets differ in number or shape.
    """
    if a.shape != b.shape:
        raise ValueError(f"the sets must have equal shapes, got {a.shape} and {b.shape}")
    generator = torch.Generator().manual_seed(seed)
    distances = {}
    for level_a, level_b in zip(laplacian_pyramid(a), laplacian_pyramid(b), strict=True):
        first, second = (_patches(level, generator) for level in (level_a, level_b))
        distances[str(level_a.shape[-1])] = 1000 * _sliced(first, second, generator)
    distances["mean"] = sum(distances.values()) / len(distances)
    return distances


def laplacian_pyramid(pictures: Tensor) -> list[Tensor]:
    """Band-pass levels, finest first; the last is the low-pass rest, at least 16 pixels high."""
    levels = [pictures]
    while levels[-1].shape[-1] >= 2 * SMALLEST_LEVEL:
        coarse = _blur(levels[-1])[:, :, ::2, ::2]
        spread = torch.zeros_like(levels[-1])
        spread[:, :, ::2, ::2] = coarse
        levels[-1] = levels[-1] - 4 * _blur(spread)
        levels.append(coarse)
    return levels


def _blur(pictures: Tensor) -> Tensor:
    """5x5 binomial filter, mirrored at the border."""
    weights = torch.tensor(BINOMIAL) / sum(BINOMIAL)
    c = pictures.shape[1]
    kernel = (weights[:, None] * weights).expand(c, 1, 5, 5)
    return F.conv2d(F.pad(pictures, (2, 2, 2, 2), mode="reflect"), kernel, groups=c)


def _patches(level: Tensor, generator: torch.Generator) -> Tensor:
    """Random patches of every picture, normalised per channel: (128 n, 49 c)."""
    n, c, h, w = level.shape
    shape = (n, PATCHES_PER_PICTURE, 1, 1)
    top = torch.randint(h - PATCH + 1, shape, generator=generator)
    left = torch.randint(w - PATCH + 1, shape, generator=generator)
    offset = torch.arange(PATCH)
    rows, columns = top + offset[:, None], left + offset  # (n, 128, 7, 1), (n, 128, 1, 7)
    index = torch.arange(n).view(n, 1, 1, 1)
    patches = level.permute(0, 2, 3, 1)[index, rows, columns]  # (n, 128, 7, 7, c)
    patches = patches.reshape(-1, PATCH * PATCH, c)
    patches = patches - patches.mean((0, 1))
    return (patches / patches.std((0, 1))).flatten(1)


def _sliced(a: Tensor, b: Tensor, generator: torch.Generator) -> float:
    """Mean absolute difference of the sorted projections on random directions."""
    total = 0.0
    for _ in range(4):
        directions = torch.randn(a.shape[1], DIRECTIONS // 4, generator=generator)
        directions /= directions.norm(dim=0)
        first, second = (a @ directions).sort(dim=0).values, (b @ directions).sort(dim=0).values
        total += float((first - second).abs().mean())
    return total / 4


# ----------------------------------------------------------------------------------------------
# Frechet distance in pixel space


def frechet_distance(a: Tensor, b: Tensor, basis: Tensor) -> float:
    """Squared Frechet distance of two sets on given principal components.

    ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^{1/2})``; sees layout, brightness and contrast.

    Args:
        a: Pictures (n, c, h, w).
        b: Pictures (m, c, h, w).
        basis: Orthonormal components, (R, c h w).

    Returns:
        Distance, in squared picture units.
    """
    moments = []
    for pictures in (a, b):
        projected = (pictures.flatten(1) @ basis.T).double()
        moments.append((projected.mean(0), projected.T.cov()))
    (mean_a, cov_a), (mean_b, cov_b) = moments
    root = _root(cov_a)
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    shift = (mean_a - mean_b).square().sum()
    return float(shift + cov_a.trace() + cov_b.trace() - 2 * cross)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


# ----------------------------------------------------------------------------------------------
# Memorising


@dataclass(frozen=True)
class Neighbours:
    """Nearest training pictures of each picture of a set, mirrored ones included."""

    nearest: Tensor
    """Root-mean-square distance to the nearest, (n,)."""
    second: Tensor
    """Distance to the second nearest, (n,)."""
    index: Tensor
    """Which training picture is nearest, (n,)."""

    @property
    def copies(self) -> float:
        """Share of pictures with nearest / second < 1/3, the usual sign of a memorised one."""
        return float((self.nearest / self.second < 1 / 3).float().mean())


def nearest_neighbours(pictures: Tensor, training: Tensor) -> Neighbours:
    """Find the nearest and second nearest training picture of each picture.

    Args:
        pictures: (n, c, h, w) in [0, 1].
        training: uint8 (m, c, h, w).
    """
    queries = pictures.flatten(1)
    distances = []
    for chunk in training.split(1000):
        flat = chunk / 255.0
        both = [torch.cdist(queries, x.flatten(1)) for x in (flat, flat.flip(-1))]
        distances.append(torch.minimum(*both))
    scaled = torch.cat(distances, dim=1) / math.sqrt(queries.shape[1])
    values, index = scaled.topk(2, dim=1, largest=False)
    return Neighbours(values[:, 0], values[:, 1], index[:, 0])
