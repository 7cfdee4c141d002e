"""Solvers that the samplers study compares with, and that lose: the studio does not offer them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from sbcore.twostage.solvers import SOLVERS, History, Solver, linear_exact_2
from sbcore.twostage.wiener import WienerFilter

CHURN = 10.0  # Karras et al. take 40 with 256 steps
CHURN_LEVELS = (0.025, 25.0)


def heun(v: Tensor, s: float, s_next: float, history: History, noise: Tensor | None) -> Tensor:
    """Heun's method, with churn if asked for (Karras et al. 2022, Algorithm 2).

    On the grid of `heun_grid`, which names each level twice. Down to a new level: Euler. From a
    level to itself: the step that led there anew with the mean of both slopes, then noise up to
    ``s_next``, which is above ``s`` if there is churn.
    """
    if s_next == 0:
        return history[0].denoised
    if s_next < s:
        return v + (s_next - s) * history[0].slope
    before = history[1]
    v = before.v + (s - before.s) * (history[0].slope + before.slope) / 2
    return v if noise is None else v + math.sqrt(s_next**2 - s**2) * noise


def linear_exact(
    v: Tensor,
    s: float,
    s_next: float,
    history: History,
    noise: Tensor | None,
    *,
    linear: WienerFilter,
) -> Tensor:
    """The first order of `linear_exact_2`: it forgets what the network said before."""
    return linear_exact_2(v, s, s_next, history[:1], noise, linear=linear)


def heun_grid(levels: Sequence[float], evaluations: int, churn: float = 0.0) -> list[float]:
    """Name each inner level twice: predicted, then corrected.

    Args:
        levels: Falling noise levels, the last of them 0.
        evaluations: Network evaluations; if there are too few for every corrector, the first
            levels go without.
        churn: S_churn; between `CHURN_LEVELS` a corrected level is raised by the factor 1 + gamma,
            ``gamma = min(S_churn / n, sqrt(2) - 1)``.

    Returns:
        ``evaluations + 1`` levels.
    """
    n = len(levels) - 1
    gamma = min(churn / n, math.sqrt(2) - 1)
    grid, first = [levels[0]], n - (evaluations - n)
    for i, level in enumerate(levels[1:-1], start=1):
        raised = CHURN_LEVELS[0] <= level <= CHURN_LEVELS[1]
        grid += [level, level * (1 + gamma if raised else 1)] if i >= first else [level]
    return [*grid, 0.0]


@dataclass(frozen=True)
class HeunSolver(Solver):
    """A solver that names its levels twice."""

    churn: float = 0.0

    def levels(self, evaluations: int, grid: Callable[[int], list[float]]) -> list[float]:
        """As of `Solver`, with a corrector at each inner level."""
        return heun_grid(grid(evaluations // 2 + 1), evaluations, self.churn)


LOSING = {
    solver.name: solver
    for solver in (
        Solver("linear_exact", "Exact linear part, ODE", linear_exact, knows_linear=True),
        HeunSolver("heun", "Heun, ODE", heun),
        HeunSolver("heun_churn", "Heun with churn, SDE", heun, stochastic=True, churn=CHURN),
    )
}
COMPARED = SOLVERS | LOSING
"""All that the studies know, by name."""


@contextmanager
def more_solvers() -> Iterator[None]:
    """While it lasts, the engine knows `COMPARED`."""
    SOLVERS.update(LOSING)
    try:
        yield
    finally:
        for name in LOSING:
            del SOLVERS[name]
