"""Distances between sets of pictures or of points, and errors of pictures; no weights needed.

Every distance depends on the number of pictures: compare it with the same distance between two
sets of real pictures of that number (the floor). Pictures are float tensors (n, c, h, w) in
[0, 1]; features, of `sbcore.features`, are (n, f).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sbcore.runtime.noise import generator

# Texture: sliced Wasserstein distance of Laplacian patches (Karras et al. 2018, "Progressive
# growing"), and contrast band by band

BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
PATCH = 7
PATCHES_PER_PICTURE = 128
DIRECTIONS = 512
SMALLEST_LEVEL = 16


class TextureReference:
    """The reference side of `sliced_wasserstein`, computed once for many sets.

    Args:
        reference: Pictures (n, c, h, w).
        seed: Of patches and directions.
    """

    def __init__(self, reference: Tensor, seed: int = 0) -> None:
        self.shape, self.seed = reference.shape, seed
        self._levels = []
        for number, level in enumerate(laplacian_pyramid(reference)):
            patches = _patches(level, self._generator("reference", number))
            mean, std = patches.mean((0, 1)), patches.std((0, 1))
            size = (DIRECTIONS, PATCH * PATCH * level.shape[1])
            directions = torch.randn(size, generator=self._generator("directions", number))
            directions /= directions.norm(dim=1, keepdim=True)
            projected = _projected((patches - mean) / std, directions)
            self._levels.append((mean, std, directions, projected))

    def distance(self, pictures: Tensor) -> dict[str, float]:
        """What `sliced_wasserstein` returns."""
        if pictures.shape != self.shape:
            raise ValueError(
                f"the sets must have equal shapes, got {pictures.shape} and {self.shape}"
            )
        distances = {}
        for number, level in enumerate(laplacian_pyramid(pictures)):
            mean, std, directions, reference = self._levels[number]
            patches = _patches(level, self._generator("pictures", number))
            projected = _projected((patches - mean) / std, directions)
            distances[str(level.shape[-1])] = 1000 * float((projected - reference).abs().mean())
        return distances | {"mean": sum(distances.values()) / len(distances)}

    def _generator(self, purpose: str, level: int) -> torch.Generator:
        return generator("cpu", "sliced Wasserstein", purpose, level, self.seed)


def sliced_wasserstein(pictures: Tensor, reference: Tensor, seed: int = 0) -> dict[str, float]:
    """Sliced Wasserstein distance of 7x7 patches of the Laplacian pyramid, times 1000.

    Both sets are normalised by mean and standard deviation of the *reference*, for each level and
    channel. So the distance sees what a set lacks in contrast; normalised each by its own, as in
    the original code, the sets would be compared in shape alone. It sees no layout. The patches
    of the two sides are drawn apart: a set has a distance to itself.

    Args:
        pictures: The set in question, (n, c, h, w).
        reference: As many pictures that it should be like.
        seed: Of patches and directions.

    Returns:
        Distance for each level, named by its height, and their ``mean``.

    Raises:
        ValueError: If the sets differ in number or shape.
    """
    return TextureReference(reference, seed).distance(pictures)


def band_contrast(pictures: Tensor, reference: Tensor) -> dict[str, float]:
    """Standard deviation of each band of the Laplacian pyramid, relative to the reference's.

    Args:
        pictures: (n, c, h, w).
        reference: (m, c, h, w).

    Returns:
        Ratio for each level, named by its height: 1 is right, less is too smooth.
    """

    def spread(level: Tensor) -> float:
        """Root mean square deviation of a value from the mean of its channel."""
        return float(level.double().var((0, 2, 3)).mean().sqrt())

    pairs = zip(laplacian_pyramid(pictures), laplacian_pyramid(reference), strict=True)
    return {str(a.shape[-1]): spread(a) / spread(b) for a, b in pairs}


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
    """Random patches of every picture, (128 n, 49, c)."""
    n, c, h, w = level.shape
    shape = (n, PATCHES_PER_PICTURE, 1, 1)
    top = torch.randint(h - PATCH + 1, shape, generator=generator)
    left = torch.randint(w - PATCH + 1, shape, generator=generator)
    offset = torch.arange(PATCH)
    rows, columns = top + offset[:, None], left + offset  # (n, 128, 7, 1), (n, 128, 1, 7)
    index = torch.arange(n).view(n, 1, 1, 1)
    patches = level.permute(0, 2, 3, 1)[index, rows, columns]  # (n, 128, 7, 7, c)
    return patches.reshape(-1, PATCH * PATCH, c)


def _projected(patches: Tensor, directions: Tensor) -> Tensor:
    """Sorted projections of patches (k, 49, c) on each direction, (directions, k)."""
    return (directions @ patches.flatten(1).T).sort().values


# Distances of pixels on principal components, or of features

COMPONENT_BANDS = (0, 4, 16, 64, 256, 512)


def principal_variances(pictures: Tensor, reference: Tensor, basis: Tensor) -> dict[str, float]:
    """Variance in bands of principal components, relative to the reference's.

    Args:
        pictures: (n, c, h, w).
        reference: (m, c, h, w).
        basis: Orthonormal components of the training set, largest variance first, (R, c h w).

    Returns:
        Ratio for each band, "0-4", "4-16", ... as far as the basis goes, and for the ``rest`` of
        the directions.
    """
    found = []
    for values in (pictures.flatten(1), reference.flatten(1)):
        variances = (values @ basis.T).double().var(0)
        total = values.double().var(0).sum()
        bands = [variances[a:b].sum() for a, b in pairwise(COMPONENT_BANDS)]
        found.append(torch.stack([*bands, total - variances[: COMPONENT_BANDS[-1]].sum()]))
    names = [*(f"{a}-{b}" for a, b in pairwise(COMPONENT_BANDS)), "rest"]
    ratios = zip(names, (found[0] / found[1]).tolist(), found[1].tolist(), strict=True)
    return {name: ratio for name, ratio, known in ratios if known > 0}


def mean_difference(pictures: Tensor, reference: Tensor) -> float:
    """Root mean square difference of the mean pictures of two sets, (n, ...) and (m, ...)."""
    return float((pictures.mean(0) - reference.mean(0)).square().mean().sqrt())


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
