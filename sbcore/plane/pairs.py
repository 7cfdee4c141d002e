"""The sets that a bridge may join: points in the plane, a Gaussian, pictures.

The plane holds the distributions of `sbcore.plane.distributions` and those of the benchmark of Tong
et al. 2024 (simulation-free Schrödinger bridges), whose scales and noise decide what W2 means.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sbcore.data.pictures import load_images
from sbcore.data.sets import Ends, end_of_pictures, end_of_points, standard_normal
from sbcore.plane.distributions import DISTRIBUTIONS

GAUSSIAN = "gaussian"  # the one set of the plane that is N(0, I)
POINTS = 10_000  # of a set in the plane, as in the benchmark


def _gaussian(n: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=generator)


def _eight_gaussians(n: int, generator: torch.Generator) -> Tensor:
    """Radius 5, covariance sqrt(0.1) I: the benchmark takes the root of its "variance"."""
    angle = math.pi / 4 * torch.randint(8, (n,), generator=generator)
    centres = 5 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return centres + 0.1**0.25 * torch.randn(n, 2, generator=generator)


def _half_moons(n: int, generator: torch.Generator) -> Tensor:
    """Points even on two half circles, shifted along the diagonal by uniform noise, times 3."""
    upper = math.pi * torch.linspace(0, 1, n - n // 2)
    lower = math.pi * torch.linspace(0, 1, n // 2)
    arcs = [
        torch.stack([upper.cos(), upper.sin()], dim=1),
        torch.stack([1 - lower.cos(), 0.5 - lower.sin()], dim=1),
    ]
    points = 3 * (torch.cat(arcs) + 0.2 * torch.rand(n, 1, generator=generator)) - 1
    return points[torch.randperm(n, generator=generator)]


def _s_curve(n: int, generator: torch.Generator) -> Tensor:
    """The S of scikit-learn seen from the side, noise 0.05, times 1.5."""
    turn = 3 * math.pi * (torch.rand(n, generator=generator) - 0.5)
    curve = torch.stack([turn.sin(), turn.sign() * (turn.cos() - 1)], dim=1)
    return 1.5 * (curve + 0.05 * torch.randn(n, 2, generator=generator))


PLANE: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    GAUSSIAN: _gaussian,
    "8-gaussians": _eight_gaussians,
    "half-moons": _half_moons,
    "s-curve": _s_curve,
    **{name: distribution.draw for name, distribution in DISTRIBUTIONS.items()},
}
"""Sets in the plane by name: each draws (n, generator) to (n, 2)."""


def plane_end(name: str, seed: int = 0) -> Ends:
    """A set in the plane as `POINTS` fixed points."""
    points = PLANE[name](POINTS, torch.Generator().manual_seed(seed))
    return replace(end_of_points(name, points), noise=name == GAUSSIAN)


@dataclass(frozen=True)
class Loading:
    """How pictures are read."""

    size: int = 28
    channels: int = 1
    limit: int | None = None


def held_out(pictures: int) -> int:
    """How many of a set, its last ones, are not trained on: 500, at most a tenth."""
    return min(500, pictures // 10)


def open_pair(source: str, target: str, loading: Loading, seed: int = 0) -> tuple[Ends, Ends]:
    """The two sets that a command line names.

    Args:
        source: Name in `PLANE`, or a folder, zip, archive or IDX file of pictures. Beside
            pictures, "gaussian" is N(0, I) on values in [-1, 1].
        target: Likewise.
        loading: How pictures are read.
        seed: Of the points.

    Raises:
        ValueError: If a set is unknown, unreadable or too small, or points meet pictures.
    """
    names = (source, target)
    known = [name for name in names if name in PLANE]
    if len(known) == 2:
        return plane_end(source, 2 * seed), plane_end(target, 2 * seed + 1)
    for name in names:
        if name not in PLANE and not Path(name).exists():
            raise ValueError(f"no data at {name} (sets in the plane: {', '.join(PLANE)})")
    if known not in ([], [GAUSSIAN]):
        raise ValueError(f"{source} and {target}: points of the plane do not go with pictures")
    shape = (loading.channels, loading.size, loading.size)
    first, second = (
        standard_normal(name, shape) if name in known else _pictures(name, loading)
        for name in names
    )
    return first, second


def _pictures(source: str, loading: Loading) -> Ends:
    pictures = load_images(source, loading.size, loading.channels, loading.limit)
    seen = pictures[: len(pictures) - held_out(len(pictures))]
    return end_of_pictures(_title(Path(source)), seen)


def _title(path: Path) -> str:
    """Name of a set: its folder or file; of an IDX or train file, the folder that it is in."""
    path = path.resolve()
    anonymous = "idx3-ubyte" in path.name or path.stem in ("train", "val")
    return path.parent.name if anonymous else path.stem
