"""Grids of noise levels: where they start, how they fall, where they end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbcore.twostage.grids import (
    GRIDS,
    karras_grid,
    linear_variance_grid,
    log_snr_grid,
    two_stage_grid,
)
from sbcore.twostage.process import stage1_time


def check_grid(grid: list[float], steps: int, start: float) -> None:
    assert len(grid) == steps + 1
    assert grid[0] == start and grid[-1] == 0
    assert all(a > b for a, b in pairwise(grid))


@pytest.mark.parametrize("name", GRIDS)
@given(steps=st.integers(1, 200), start=st.floats(0.5, 100), end=st.floats(1e-4, 0.2))
def test_every_grid_falls_strictly_to_zero(name: str, steps: int, start: float, end: float) -> None:
    grid = GRIDS[name](steps, start, end)
    check_grid(grid, steps, start)
    if steps > 1 and name != "uniform_t":
        assert grid[-2] == pytest.approx(end)


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


def test_log_snr_grid_has_equal_ratios() -> None:
    grid = log_snr_grid(6, 2.0, 0.02)[:-1]
    assert [b / a for a, b in pairwise(grid)] == pytest.approx([0.01 ** (1 / 5)] * 5)


def test_linear_variance_grid_falls_from_the_noisiest_level() -> None:
    """sigma_k^2 = sigma^2 (N - k) / N; level 0 is the noisiest."""
    grid = linear_variance_grid(1000, 2.0)
    check_grid(grid, 1000, 2.0)
    assert [s**2 for s in grid] == pytest.approx([4 * (1000 - k) / 1000 for k in range(1001)])
