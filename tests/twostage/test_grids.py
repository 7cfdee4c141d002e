"""Grids of noise levels: where they start, how they fall, where they end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sbcore.twostage.grids import (
    GRIDS,
    karras_grid,
    linear_variance_grid,
    log_snr_grid,
    two_stage_grid,
)
from sbcore.twostage.process import stage1_time
from sbcore.twostage.solvers import MEMORY, SOLVERS, Evaluation, Solver
from sbcore.twostage.wiener import WienerFilter

VARIANCES = torch.tensor([0.05, 0.3, 2.0, 30.0], dtype=torch.float64)  # of independent directions


def gaussian_filter(variances: Tensor) -> WienerFilter:
    linear = WienerFilter(len(variances), len(variances)).double()
    linear.basis.copy_(torch.eye(len(variances)))
    linear.eigenvalues.copy_(variances)
    return linear


LINEAR = gaussian_filter(VARIANCES)


def wiener(s: float) -> Tensor:
    """D = wiener(s) v for Gaussian data."""
    return VARIANCES / (VARIANCES + s**2)


def run(
    solver: Solver,
    grid: list[float],
    v: Tensor,
    denoise: Callable[[Tensor, float], Tensor],
    linear: WienerFilter,
    noise: Callable[[int], Tensor | None] = lambda i: None,
) -> Tensor:
    history: tuple[Evaluation, ...] = ()
    rule = solver.rule(linear)
    for i, (s, s_next) in enumerate(pairwise(grid)):
        history = (Evaluation(s, denoise(v, s), v), *history[: MEMORY - 1])
        v = rule(v, s, s_next, history, noise(i))
    return v


def ode_end(solver: Solver, grid: list[float], v: Tensor) -> Tensor:
    return run(solver, grid, v[None], lambda v, s: wiener(s) * v, LINEAR)[0]


def end_moments(solver: Solver, grid: list[float]) -> tuple[Tensor, Tensor]:
    """Mean and variance at the end, from mean 1 and the exact variance at the start."""
    basis = torch.eye(len(grid), dtype=torch.float64)[..., None].expand(-1, -1, len(VARIANCES))
    rows = run(solver, grid, basis[0], lambda v, s: wiener(s) * v, LINEAR, lambda i: basis[i + 1])
    return rows[0], rows[0] ** 2 * (VARIANCES + grid[0] ** 2) + (rows[1:] ** 2).sum(0)


def check_grid(grid: list[float], steps: int, start: float) -> None:
    assert len(grid) == steps + 1
    assert grid[0] == start and grid[-1] == 0
    assert all(a > b for a, b in pairwise(grid))


@given(steps=st.integers(1, 200), start=st.floats(0.5, 100), end=st.floats(1e-4, 0.2))
def test_karras_grid_falls_strictly_to_zero(steps: int, start: float, end: float) -> None:
    grid = karras_grid(steps, start, end)
    check_grid(grid, steps, start)
    if steps > 1:
        assert grid[-2] == end


def test_karras_grid_equals_equation_5_of_karras() -> None:
    """EDM's 18 steps, 80 to 0.002: the published levels."""
    grid = karras_grid(18, 80.0, 0.002)
    assert grid[:4] == pytest.approx([80.0, 57.586, 40.786, 28.375], rel=1e-4)


@given(
    steps=st.integers(2, 1000),
    start=st.floats(5, 100),
    sigma=st.floats(0.05, 4.9),
    grid=st.sampled_from(sorted(GRIDS)),
)
def test_two_stage_grid_contains_sigma(steps: int, start: float, sigma: float, grid: str) -> None:
    levels = two_stage_grid(steps, start, sigma, 8.0, 0.01, grid)
    check_grid(levels, steps, start)
    assert sigma in levels


def test_two_stage_grid_of_the_paper_is_uniform_in_the_time_of_each_stage() -> None:
    levels = two_stage_grid(8, 40.0, 2.0, 8.0, 0.01, "uniform_t")
    check_grid(levels, 8, 40.0)
    first = stage1_time(40.0, 2.0, 8.0)  # where the grid begins
    times = [stage1_time(s, 2.0, 8.0) for s in levels[1:5]]
    assert times == pytest.approx([first + (1 - first) * k / 4 for k in (1, 2, 3, 4)])
    assert levels[4:] == linear_variance_grid(4, 2.0)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_every_grid_falls_to_zero(name: str, steps: int) -> None:
    check_grid(GRIDS[name](steps, 2.0, 0.03), steps, 2.0)


def test_log_snr_grid_has_equal_ratios() -> None:
    grid = log_snr_grid(6, 2.0, 0.02)[:-1]
    assert [b / a for a, b in pairwise(grid)] == pytest.approx([0.01 ** (1 / 5)] * 5)


@pytest.mark.parametrize("name", SOLVERS)
@given(evaluations=st.integers(1, 60))
def test_levels_are_one_more_than_the_evaluations(name: str, evaluations: int) -> None:
    levels = SOLVERS[name].levels(evaluations, lambda n: karras_grid(n, 2.0, 0.03))
    assert len(levels) == evaluations + 1
    assert levels[0] == 2.0 and levels[-1] == 0


def test_linear_variance_grid_falls_from_the_noisiest_level() -> None:
    """sigma_k^2 = sigma^2 (N - k) / N; level 0 is the noisiest."""
    grid = linear_variance_grid(1000, 2.0)
    check_grid(grid, 1000, 2.0)
    assert [s**2 for s in grid] == pytest.approx([4 * (1000 - k) / 1000 for k in range(1001)])
