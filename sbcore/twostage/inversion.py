"""From pictures to their codes at noise level s and back, along the probability-flow ODE.

A code is what the ODE carries a picture to; the ODE carries it back. Morphs mix codes instead of
pictures. Notation: k pictures, f frames; states are centred pictures (k, c, h, w).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from sbcore.runtime.run import Evaluations, Step, follow
from sbcore.twostage import process
from sbcore.twostage.sampler import Denoise, reverse_steps
from sbcore.twostage.solvers import SOLVERS, Evaluation, first_step
from sbcore.twostage.wiener import WienerFilter


def invert(
    denoise: Denoise,
    x: Tensor,
    grid: Sequence[float],
    *,
    sigma: float,
    tau: float,
    linear: WienerFilter,
) -> Iterator[Step]:
    """Carry pictures up a grid of noise levels: `reverse_steps`, the other way.

    The first step undoes `last_step`, the others are those of the exact linear solver, which is
    of second order: the code is exact enough for every deterministic solver to come back.

    Args:
        denoise: D(v, s).
        x: Centred pictures, (k, ...).
        grid: Falling noise levels, the last of them 0.
        sigma: Standard deviation of the smoothing.
        tau: Variance of the reference; only the times of stage 1 depend on it.
        linear: Wiener filter of the denoiser.

    Yields:
        One `Step` after each update; the state of the last is the code at ``grid[0]``.

    Cost: one denoiser evaluation a step.
    """
    up, total, nfe = grid[-2::-1], len(grid) - 1, Evaluations(1)
    v = linear.flow(x, 0.0, up[0])
    found = Evaluation(up[0], denoise(v, up[0]), v)
    v, (stage, t) = first_step(x, found, linear), process.stage_and_time(up[0], sigma, tau)
    yield Step(stage, 1, total, t, up[0], v, found.denoised, nfe)
    solver, bridge = SOLVERS["linear_exact_2"], {"sigma": sigma, "tau": tau}
    rest = reverse_steps(denoise, v, up, solver, lambda: x, **bridge, linear=linear)
    yield from follow(rest, offset=1, total=total, nfe=nfe)


def path_positions(frames: int, pictures: int) -> Tensor:
    """Positions of frames on a path through pictures 0, 1, ..., each of which is one of them.

    Returns:
        (frames,) from 0 to pictures - 1; evenly spaced between two pictures.
    """
    knots = [round(leg * (frames - 1) / (pictures - 1)) for leg in range(pictures)]
    legs = [
        torch.linspace(leg, leg + 1, last - first + 1)[1:]
        for leg, (first, last) in enumerate(pairwise(knots))
    ]
    return torch.cat([torch.zeros(1), *legs])


def linear_mix(pictures: Tensor, positions: Tensor) -> Tensor:
    """Linear interpolation of pictures (k, ...) at positions (f,) of `path_positions`; (f, ...)."""
    a, b, c = _neighbours(pictures, positions)
    return (1 - c) * a + c * b


def spherical_mix(codes: Tensor, positions: Tensor, s: float, linear: WienerFilter) -> Tensor:
    """Interpolate codes at noise level s so that what is noise in them stays as strong.

    ``W_s v``, what the Wiener filter takes for picture, is mixed linearly. The rest, which is
    noise, is mixed spherically (Shoemake 1985): ``[sin((1 - c) w) a + sin(c w) b] / sin(w)`` with w
    the angle between a and b. The same for the whole code would overshoot: two bright
    backgrounds would meet in a brighter one.

    Args:
        codes: (k, ...).
        positions: Of `path_positions`, (f,).
        s: Their noise level.
        linear: Wiener filter of the denoiser.

    Returns:
        (f, ...); at a code's own position exactly that code, up to rounding.
    """
    signal = linear.at(codes, s)
    a, b, c = _neighbours(codes - signal, positions)
    cosine = torch.cosine_similarity(a.flatten(1), b.flatten(1))
    angle = cosine.clamp(-0.99, 1).acos().clamp(min=1e-3).view_as(c)
    noise = (torch.sin((1 - c) * angle) * a + torch.sin(c * angle) * b) / torch.sin(angle)
    return linear_mix(signal, positions) + noise


def _neighbours(pictures: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The pictures before and after each position, and the share of the latter, (f, 1, ...)."""
    before = positions.long().clamp(max=len(pictures) - 2)
    share = (positions - before).view(-1, *[1] * (pictures.dim() - 1))
    return pictures[before], pictures[before + 1], share
