"""Step rules for the reverse variance-exploding SDE, one pure function each.

Both bridges are this one SDE, from noise level s = infinity (the point mass) over s = sigma (the
smoothed density) to s = 0 (the data), so one solver on one grid of noise levels serves both.

Every rule maps (v, s, s_next, history, noise) to the state at ``s_next`` < s:
    v: state at noise level s, any shape.
    history: denoised pictures, newest first, as (noise level, D) pairs; the first is D(v, s).
    noise: standard normal, shape of v; deterministic rules ignore it.
Write rho = s_next / s and h = ln(s / s_next). At s_next = 0 every rule returns D.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

History = Sequence[tuple[float, Tensor]]
StepRule = Callable[[Tensor, float, float, History, Tensor | None], Tensor]


def euler_maruyama(
    v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None
) -> Tensor:
    """Euler-Maruyama with linear variance, the paper's stage 2.

    ``v' = v + (s^2 - s'^2) (D - v) / s^2 + sqrt(s^2 - s'^2) noise``. Unlike the other rules it
    leaves noise in the last step, as Algorithm 1 does.
    """
    removed = s**2 - s_next**2
    return v + removed * (history[0][1] - v) / s**2 + math.sqrt(removed) * noise


def exponential_sde(
    v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None
) -> Tensor:
    """Exponential integrator of the SDE, exact while D is constant (ancestral sampling).

    ``v' = rho^2 v + (1 - rho^2) D + s' sqrt(1 - rho^2) noise``
    """
    keep = (s_next / s) ** 2
    return keep * v + (1 - keep) * history[0][1] + s_next * math.sqrt(1 - keep) * noise


def ddim(v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None) -> Tensor:
    """Euler step of the probability-flow ODE: ``v' = D + rho (v - D)`` (Song et al. 2021)."""
    denoised = history[0][1]
    return denoised + (s_next / s) * (v - denoised)


def dpmpp_2m(v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None) -> Tensor:
    """DPM-Solver++(2M): the ODE with D extrapolated linearly in ln s (Lu et al. 2022).

    ``v' = rho v + (1 - rho) [(1 + 1/2r) D_i - (1/2r) D_{i-1}]``, r = h_{i-1} / h_i.
    """
    denoised = history[0][1]
    if s_next == 0:
        return denoised
    if len(history) > 1:
        r = math.log(history[1][0] / s) / math.log(s / s_next)
        denoised = denoised + (denoised - history[1][1]) / (2 * r)
    return (s_next / s) * v + (1 - s_next / s) * denoised


def dpmpp_2m_sde(
    v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None
) -> Tensor:
    """DPM-Solver++(2M) of the SDE, midpoint form.

    ``v' = rho^2 v + (1 - rho^2) [D_i + (D_i - D_{i-1}) / 2r] + s' sqrt(1 - rho^2) noise``
    """
    denoised = history[0][1]
    if s_next == 0:
        return denoised
    if len(history) > 1:
        r = math.log(history[1][0] / s) / math.log(s / s_next)
        denoised = denoised + (denoised - history[1][1]) / (2 * r)
    keep = (s_next / s) ** 2
    return keep * v + (1 - keep) * denoised + s_next * math.sqrt(1 - keep) * noise


@dataclass(frozen=True)
class Solver:
    """A step rule under the name that the literature uses."""

    name: str
    title: str
    step: StepRule
    stochastic: bool


SOLVERS = {
    solver.name: solver
    for solver in (
        Solver("dpmpp_2m", "DPM-Solver++(2M), ODE", dpmpp_2m, stochastic=False),
        Solver("dpmpp_2m_sde", "DPM-Solver++(2M), SDE", dpmpp_2m_sde, stochastic=True),
        Solver("ddim", "DDIM (Euler), ODE", ddim, stochastic=False),
        Solver("exponential_sde", "Exponential, SDE", exponential_sde, stochastic=True),
        Solver("euler_maruyama", "Euler-Maruyama, SDE", euler_maruyama, stochastic=True),
    )
}


def karras_grid(steps: int, s_start: float, s_end: float, rho: float = 7.0) -> list[float]:
    """Noise levels from ``s_start`` to 0 in ``steps`` steps (Karras et al. 2022, equation 5).

    Args:
        steps: Number of steps, >= 1.
        s_start: First noise level.
        s_end: Last noise level before 0, < ``s_start``.
        rho: Exponent; larger puts more steps at small noise.

    Returns:
        ``steps + 1`` falling noise levels, the last of them 0.
    """
    if steps == 1:
        return [s_start, 0.0]
    a, b = s_start ** (1 / rho), s_end ** (1 / rho)
    levels = [(a + i / (steps - 1) * (b - a)) ** rho for i in range(1, steps - 1)]
    return [s_start, *levels, s_end, 0.0]


def two_stage_grid(steps: int, s_max: float, sigma: float, s_end: float) -> list[float]:
    """A Karras grid from ``s_max`` to 0 in which ``sigma`` is one of the levels.

    Args:
        steps: Number of steps, >= 2.
        s_max: First noise level, > ``sigma``.
        sigma: The level between the stages.
        s_end: Last noise level before 0.

    Returns:
        ``steps + 1`` falling noise levels: the level nearest to sigma is moved onto it.
    """
    grid = karras_grid(steps, s_max, s_end)
    inner = range(1, steps)
    nearest = min(inner, key=lambda i: abs(math.log(grid[i] / sigma)))
    return [sigma if i == nearest else level for i, level in enumerate(grid)]


def linear_variance_grid(steps: int, s_start: float) -> list[float]:
    """The paper's grid, uniform in time: ``s_k^2 = s_start^2 (1 - k / steps)``, k = 0..steps."""
    return [s_start * math.sqrt(1 - k / steps) for k in range(steps + 1)]
