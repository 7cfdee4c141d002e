"""The plane: distributions whose truth is closed form.

Every distribution is a mixture of equal isotropic Gaussians. Smoothed by noise it stays one, so
denoiser, score, density ratio and both drifts are known exactly at every noise level.

Notation: n particles, k centres; coordinates are plane units with abs <= `EXTENT`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sbcore.runtime import checks

EXTENT = 8.0  # half side of the canvas, in plane units
DRAWN_STD = 0.15  # width of the pen
MOST_POINTS = 20_000  # of a drawing; a hand draws some hundreds
MOST_CENTRES = 1000  # of a drawing's mixture
BLOCK = 2**21  # distances to centres held in memory at once


# Distributions


@dataclass(frozen=True, eq=False)  # tensors have no single truth value
class Distribution:
    """Mixture of k Gaussians of equal weight and width."""

    name: str
    title: str
    centres: Tensor
    """(k, 2), plane units."""
    std: float
    """Standard deviation of every Gaussian."""
    modes: Tensor | None = None
    """Centres of the separate modes of equal mass (m, 2); None if there are none."""

    @property
    def mean(self) -> Tensor:
        """Mean, (2,)."""
        return self.centres.mean(0)

    @property
    def covariance(self) -> Tensor:
        """Covariance, (2, 2)."""
        apart = self.centres - self.mean
        return apart.T @ apart / len(apart) + self.std**2 * torch.eye(2)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw ``n`` points, (n, 2)."""
        return self.draw(n, torch.Generator().manual_seed(seed))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` points from a generator, (n, 2)."""
        kind = torch.randint(len(self.centres), (n,), generator=generator)
        return self.centres[kind] + self.std * torch.randn(n, 2, generator=generator)

    def denoised(self, v: Tensor, s: float) -> Tensor:
        """Posterior mean ``E[x0 | x0 + s n = v]`` in closed form: (n, 2) to (n, 2).

        ``[s^2 sum_k p_k c_k + std^2 v] / (s^2 + std^2)``, p the posterior of the centre.
        """
        variance = s**2 + self.std**2
        half = self.centres.square().sum(1) / 2
        parts = [
            torch.softmax((part @ self.centres.T - half) / variance, dim=1) @ self.centres
            for part in v.split(max(1, BLOCK // len(half)))
        ]
        return (s**2 * torch.cat(parts) + self.std**2 * v) / variance

    def log_density(self, x: Tensor, s: float = 0.0) -> Tensor:
        """Log density of the data plus noise of standard deviation ``s``: (n, 2) to (n,)."""
        variance = s**2 + self.std**2
        parts = [
            torch.logsumexp(-(part[:, None] - self.centres).square().sum(2) / (2 * variance), 1)
            for part in x.split(max(1, BLOCK // len(self.centres)))
        ]
        return torch.cat(parts) - math.log(2 * math.pi * variance * len(self.centres))

    def log_ratio(self, x: Tensor, sigma: float, tau: float) -> Tensor:
        """``log q_sigma(x) - log N(x; 0, tau I)``, equation (6): (n, 2) to (n,)."""
        reference = -x.square().sum(1) / (2 * tau) - math.log(2 * math.pi * tau)
        return self.log_density(x, sigma) - reference

    def centred(self) -> Distribution:
        """The same around 0."""
        return replace(self, centres=self.centres - self.mean, modes=None)


def _polar(radius: Tensor | float, angle: Tensor) -> Tensor:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


def _turn(count: int, start: float = 0.0, turns: float = 1.0) -> Tensor:
    """``count`` angles spread evenly over a part of the circle, ends apart."""
    return 2 * math.pi * (start + turns * (torch.arange(count) + 0.5) / count)


def _six_gaussians() -> Distribution:
    """The toy of the paper's Fig. 2: radius 5, variance 0.01."""
    centres = _polar(5.0, 2 * math.pi * torch.arange(6) / 6)
    return Distribution("six-gaussians", "Six Gaussians", centres, 0.1, modes=centres)


def _moons() -> Distribution:
    upper = _polar(4.0, _turn(120, turns=0.5)) + torch.tensor([-2.0, -1.0])
    return Distribution("moons", "Two moons", torch.cat([upper, -upper]), 0.25)


def _rings() -> Distribution:
    """Two rings with mass in proportion to their length."""
    return Distribution(
        "rings", "Two rings", torch.cat([_polar(2.5, _turn(80)), _polar(5.5, _turn(176))]), 0.2
    )


def _spirals() -> Distribution:
    angle = 3 * math.pi * ((torch.arange(240) + 0.5) / 240).sqrt()  # even along the arm
    arm = _polar(0.6 * angle + 0.4, angle)
    return Distribution("spirals", "Two spirals", torch.cat([arm, -arm]), 0.15)


def _pinwheel(arms: int = 5) -> Distribution:
    """Gaussian blades, stretched outwards and bent around the middle."""
    levels = torch.linspace(0.04, 0.96, 48)  # the tails would be beads
    outwards = 3.6 + 1.3 * torch.special.ndtri(levels)
    blade = torch.stack(
        torch.meshgrid(outwards, torch.tensor([-0.25, 0.0, 0.25]), indexing="ij"), dim=-1
    ).flatten(0, 1)
    radius, angle = blade.norm(dim=1), torch.atan2(blade[:, 1], blade[:, 0])
    turned = [_polar(radius, angle + 0.28 * radius + 2 * math.pi * i / arms) for i in range(arms)]
    return Distribution("pinwheel", "Pinwheel", torch.cat(turned), 0.15)


DISTRIBUTIONS = {
    distribution.name: distribution
    for distribution in (_six_gaussians(), _moons(), _rings(), _spirals(), _pinwheel())
}


def drawn_distribution(
    strokes: Sequence[Sequence[Sequence[float]]], std: float = DRAWN_STD
) -> Distribution:
    """A distribution along lines drawn by hand, even along their length.

    Args:
        strokes: Polylines, each a list of (x, y) in plane units; one point makes a dot.
        std: Width of the pen.

    Raises:
        ValueError: If nothing or only one point is drawn, or a point is no finite number or
            outside the canvas, or there are too many.
    """
    if not (checks.is_number(std) and 0 < std <= EXTENT):
        raise ValueError(f"std must be in (0, {EXTENT:g}], got {std}")
    try:
        lines = [_line(stroke) for stroke in strokes if len(stroke)]
    except TypeError as error:
        raise ValueError("strokes must be a list of lists of (x, y)") from error
    if not lines:
        raise ValueError("the drawing is empty: draw at least one line")
    points = torch.cat(lines)
    if len(points) > MOST_POINTS:
        raise ValueError(f"the drawing has {len(points)} points, more than {MOST_POINTS}")
    if not bool(points.isfinite().all()):
        raise ValueError("the drawing has points that are no finite numbers")
    if bool((points.abs() > EXTENT).any()):
        raise ValueError(f"the drawing leaves the canvas: points must be within ±{EXTENT:g}")
    if bool((points == points[0]).all()):
        raise ValueError("the drawing is a single point: draw a line")
    lengths = [max(float(line.diff(dim=0).norm(dim=1).sum()), 4 * std) for line in lines]
    spacing = max(std, sum(lengths) / MOST_CENTRES)  # at one std apart, no beads are seen
    centres = [
        _resampled(line, max(1, round(length / spacing)))
        for line, length in zip(lines, lengths, strict=True)
    ]
    return Distribution("drawn", "Drawn", torch.cat(centres), float(std))


def _line(stroke: Sequence[Sequence[float]]) -> Tensor:
    """One polyline as a tensor (m, 2)."""
    line = checks.array("strokes", stroke, dtype=torch.float32)
    if line.dim() != 2 or line.shape[1] != 2:
        raise ValueError(f"strokes must be lists of (x, y), got shape {tuple(line.shape)}")
    return line


def _resampled(line: Tensor, count: int) -> Tensor:
    """``count`` points spread evenly along a polyline (m, 2)."""
    along = torch.cat([torch.zeros(1), line.diff(dim=0).norm(dim=1).cumsum(0)])
    wanted = along[-1] * (torch.arange(count) + 0.5) / count
    after = torch.searchsorted(along, wanted).clamp(1, max(1, len(line) - 1))
    if along[-1] == 0:
        return line[:1].expand(count, 2)
    part = (wanted - along[after - 1]) / (along[after] - along[after - 1]).clamp(min=1e-12)
    return torch.lerp(line[after - 1], line[after], part[:, None])
