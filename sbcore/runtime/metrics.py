"""Distances between sets of pictures or of points, and errors of pictures; no weights needed.

Every distance depends on the number of pictures: compare it with the same distance between two
sets of real pictures of that number (the floor). Pictures are float tensors (n, c, h, w) in
[0, 1]; features, of `sbcore.features`, are (n, f).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

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


# Distances of pixels on principal components, or of features


def frechet_distance(a: Tensor, b: Tensor, basis: Tensor | None = None) -> float:
    """Squared Frechet distance of the Gaussians fitted to two sets.

    ``|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^{1/2})``. In pixels it sees layout, brightness
    and contrast; take a basis then, or the covariance of few pictures is singular.

    Args:
        a: Pictures (n, c, h, w) or features (n, f).
        b: Likewise, (m, ...).
        basis: Orthonormal components to project on, (R, c h w).

    Returns:
        Distance, in squared units of the values.
    """
    moments = []
    for values in (a, b):
        values = values.flatten(1) if basis is None else values.flatten(1) @ basis.T
        values = values.double()
        moments.append((values.mean(0), values.T.cov()))
    (mean_a, cov_a), (mean_b, cov_b) = moments
    root = symmetric_root(cov_a)
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0).sqrt().sum()
    shift = (mean_a - mean_b).square().sum()
    return float(shift + cov_a.trace() + cov_b.trace() - 2 * cross)


def sliced_w2(a: Tensor, b: Tensor, directions: int = 128, seed: int = 0) -> float:
    """Sliced 2-Wasserstein distance of two sets of equal size.

    Root mean square over unit directions, even ones in the plane, else random: the expected
    distance of a set to itself, shifted by v, is ``|v| / sqrt(d)``.

    Args:
        a: Points or pictures (n, ...) of d values.
        b: As many others.
        directions: Their number.
        seed: Of random ones.
    """
    a, b = a.flatten(1).float(), b.flatten(1).float()
    if a.shape[1] == 2:
        angles = math.pi * torch.arange(directions) / directions
        units = torch.stack([angles.cos(), angles.sin()])
    else:
        generator = torch.Generator().manual_seed(seed)
        units = torch.randn(a.shape[1], directions, generator=generator)
        units = units / units.norm(dim=0)
    apart = (a @ units.to(a.device)).sort(0).values - (b @ units.to(b.device)).sort(0).values
    return float(apart.square().mean().sqrt())


def symmetric_root(matrix: Tensor) -> Tensor:
    """Square root of a symmetric positive semidefinite matrix (d, d)."""
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


class PrecisionRecall(NamedTuple):
    """Fidelity and coverage of a set, both in [0, 1]."""

    precision: float
    """Share of drawn features that lie in the estimated support of the real ones."""
    recall: float
    """Share of real features that lie in the estimated support of the drawn ones."""


def precision_recall(real: Tensor, drawn: Tensor, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkaanniemi et al. 2019, equations 1 and 2).

    The support of a set is the union of balls around its points that reach their k-th nearest
    neighbour in the set. Both grow with the number of points: give sets of one size.

    Args:
        real: Features (n, f).
        drawn: Features (m, f).
        k: Neighbours.

    Raises:
        ValueError: If a set has no more than k points.
    """
    if min(len(real), len(drawn)) <= k:
        raise ValueError(f"each set must have more than k = {k} points")
    across = torch.cdist(real, drawn)  # (n, m)
    # The nearest point is the point itself.
    radius_real, radius_drawn = (
        torch.cdist(points, points).kthvalue(k + 1, dim=1).values for points in (real, drawn)
    )
    precision = (across <= radius_real[:, None]).any(0).float().mean()
    recall = (across <= radius_drawn).any(1).float().mean()
    return PrecisionRecall(float(precision), float(recall))


# Errors of restored pictures; a hole is a bool tensor (h, w), True = restored


def psnr(pictures: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Peak signal-to-noise ratio over the hole in dB, ``-10 log10(mean square error)``; (n,)."""
    error = (pictures - truth).square()[..., hole]
    return -10 * error.flatten(1).mean(1).log10()


def ssim(pictures: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity of whole pictures (Wang et al. 2004), mean over colours; (n,).

    Gaussian window of 11x11 pixels, std 1.5, inside the picture; K1 = 0.01, K2 = 0.03.
    """
    pictures, truth = pictures.double(), truth.double()  # differences of squares cancel
    c = pictures.shape[1]
    line = torch.exp(-(torch.arange(-5, 6).double() ** 2) / (2 * 1.5**2))
    kernel = (line[:, None] * line / line.sum() ** 2).to(pictures).expand(c, 1, 11, 11)

    def local(values: Tensor) -> Tensor:
        return F.conv2d(values, kernel, groups=c)

    mean_a, mean_b = local(pictures), local(truth)
    variance_a, variance_b = local(pictures**2) - mean_a**2, local(truth**2) - mean_b**2
    covariance = local(pictures * truth) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (variance_a + variance_b + c2)
    return (luminance * structure).mean((1, 2, 3))


def seam_error(pictures: Tensor, truth: Tensor, hole: Tensor) -> Tensor:
    """Gradient mismatch at the border of the hole, (n,).

    Mean of ``|grad picture - grad truth|`` over the pairs of neighbours, one in the hole and one
    known; NaN if nothing is known.
    """
    error = pictures - truth
    across = [
        error.diff(dim=-1)[..., hole[:, 1:] != hole[:, :-1]],
        error.diff(dim=-2)[..., hole[1:] != hole[:-1]],
    ]
    return torch.cat(across, dim=-1).abs().flatten(1).mean(1)


def diversity(fills: Tensor, hole: Tensor) -> float:
    """Mean absolute difference in the hole of two fills (n, c, h, w) of one picture, n >= 2."""
    values = fills[..., hole].flatten(1)
    n = len(values)
    return float(torch.cdist(values, values, p=1).sum() / (n * (n - 1) * values.shape[1]))


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
