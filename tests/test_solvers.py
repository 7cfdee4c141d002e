"""Measured orders of convergence against closed forms, exactness where it is claimed, grids.

On Gaussian data the denoiser is linear, so every rule is a linear map of (state, history, noise).
Its coefficients are found by probing the rule with basis inputs, and mean and variance then follow
exactly, without sampling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sbcore.solvers import (
    SOLVERS,
    Solver,
    karras_grid,
    linear_variance_grid,
    two_stage_grid,
)
from tests.oracles import slope

VARIANCES = torch.tensor([0.05, 0.3, 2.0, 30.0], dtype=torch.float64)  # of independent directions
STOCHASTIC = [name for name, solver in SOLVERS.items() if solver.stochastic]
DETERMINISTIC = [name for name, solver in SOLVERS.items() if not solver.stochastic]
ORDERS = {"ddim": 1, "dpmpp_2m": 2}
WEAK_ORDERS = {"euler_maruyama": 1, "exponential_sde": 1, "dpmpp_2m_sde": 2}


def log_grid(steps: int, start: float = 5.0, end: float = 0.05) -> list[float]:
    return [start * (end / start) ** (i / steps) for i in range(steps + 1)]


def wiener(s: float) -> Tensor:
    """D = wiener(s) v for Gaussian data."""
    return VARIANCES / (VARIANCES + s**2)


def ode_end(solver: Solver, grid: Sequence[float], v: Tensor) -> Tensor:
    history: tuple[tuple[float, Tensor], ...] = ()
    for s, s_next in pairwise(grid):
        history = ((s, wiener(s) * v), *history[:2])
        v = solver.step(v, s, s_next, history, None)
    return v


def coefficients(solver: Solver, grid: Sequence[float], i: int) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients of (v_i, v_{i-1}, noise) in v_{i+1}, by probing with basis inputs."""
    zero, one = torch.zeros_like(VARIANCES), torch.ones_like(VARIANCES)

    def probe(current: Tensor, previous: Tensor, noise: Tensor) -> Tensor:
        history = [(grid[i], wiener(grid[i]) * current)]
        if i > 0:
            history.append((grid[i - 1], wiener(grid[i - 1]) * previous))
        return solver.step(current, grid[i], grid[i + 1], tuple(history), noise)

    return probe(one, zero, zero), probe(zero, one, zero), probe(zero, zero, one)


def end_moments(solver: Solver, grid: Sequence[float], mean: float) -> tuple[Tensor, Tensor]:
    """Mean and variance at the end, from ``mean`` and the exact variance at the start."""
    m, m_before = mean * torch.ones_like(VARIANCES), torch.zeros_like(VARIANCES)
    variance, before, cross = VARIANCES + grid[0] ** 2, 0 * VARIANCES, 0 * VARIANCES
    for i in range(len(grid) - 1):
        a, b, c = coefficients(solver, grid, i)
        m, m_before = a * m + b * m_before, m
        after = a**2 * variance + b**2 * before + 2 * a * b * cross + c**2
        cross, before, variance = a * variance + b * cross, variance, after
    return m, variance


# ----------------------------------------------------------------------------------------------
# Orders of convergence


def test_every_solver_has_a_tested_order() -> None:
    assert set(ORDERS) == set(DETERMINISTIC)
    assert set(WEAK_ORDERS) == set(STOCHASTIC)
    assert all(name == solver.name for name, solver in SOLVERS.items())


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_ode_order_against_the_closed_form_flow(name: str) -> None:
    """The flow of a Gaussian: v(s') = v(s) sqrt((l + s'^2) / (l + s^2))."""
    counts, errors = [32, 64, 128, 256], []
    v = torch.ones_like(VARIANCES)
    for steps in counts:
        grid = log_grid(steps)
        exact = v * ((VARIANCES + grid[-1] ** 2) / (VARIANCES + grid[0] ** 2)).sqrt()
        errors.append((ode_end(SOLVERS[name], grid, v) / exact - 1).abs().max().item())
    assert errors[-1] < 0.02
    assert slope(counts, errors) == pytest.approx(ORDERS[name], abs=0.15)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_sde_weak_order_of_the_variance(name: str) -> None:
    counts, errors = [64, 128, 256, 512], []
    for steps in counts:
        grid = log_grid(steps)
        _, variance = end_moments(SOLVERS[name], grid, 0.0)
        errors.append((variance / (VARIANCES + grid[-1] ** 2) - 1).abs().max().item())
    assert errors[-1] < 0.05
    assert slope(counts, errors) == pytest.approx(WEAK_ORDERS[name], abs=0.15)


@pytest.mark.parametrize("name", STOCHASTIC)
@pytest.mark.parametrize("steps", [1, 7])
def test_sde_mean_is_exact_in_any_number_of_steps(name: str, steps: int) -> None:
    """D is a martingale of the reverse SDE: a mean off the centre shrinks like l + s^2."""
    grid = log_grid(steps)
    mean, _ = end_moments(SOLVERS[name], grid, 1.0)
    exact = (VARIANCES + grid[-1] ** 2) / (VARIANCES + grid[0] ** 2)
    torch.testing.assert_close(mean, exact, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_sde"])
def test_multistep_rules_keep_their_second_order_on_a_stretched_grid(name: str) -> None:
    """Steps in ln s grow: the extrapolation must weigh them by their ratio r."""
    counts, errors = [64, 128, 256, 512], []
    for steps in counts:
        grid = [5.0 * 0.01 ** ((i / steps) ** 1.8) for i in range(steps + 1)]
        if SOLVERS[name].stochastic:
            _, variance = end_moments(SOLVERS[name], grid, 0.0)
            ratio = variance / (VARIANCES + grid[-1] ** 2)
        else:
            v = (VARIANCES + grid[0] ** 2).sqrt()
            ratio = ode_end(SOLVERS[name], grid, v) / (VARIANCES + grid[-1] ** 2).sqrt()
        errors.append((ratio - 1).abs().max().item())
    assert slope(counts, errors) > 1.8


def test_multistep_extrapolation_is_the_published_formula() -> None:
    """r = h_{i-1} / h_i = 3: D + (D - D_{i-1}) / 6 (Lu et al. 2022, Algorithm 2)."""
    v, denoised, before, noise = torch.randn(4, 3, 2)
    s, s_next = 2.0, 2.0 * math.exp(-0.1)
    history = ((s, denoised), (s * math.exp(0.3), before))
    mixed = denoised + (denoised - before) / 6
    for name, one_step in (("dpmpp_2m", "ddim"), ("dpmpp_2m_sde", "exponential_sde")):
        torch.testing.assert_close(
            SOLVERS[name].step(v, s, s_next, history, noise),
            SOLVERS[one_step].step(v, s, s_next, ((s, mixed),), noise),
        )


def test_multistep_rules_beat_their_one_step_twins_on_the_default_grid() -> None:
    grid = karras_grid(20, 5.0, 0.01)[:-1]
    target = ((VARIANCES + grid[-1] ** 2) / (VARIANCES + grid[0] ** 2)).sqrt()
    v = torch.ones_like(VARIANCES)

    def ode_error(name: str) -> float:
        return (ode_end(SOLVERS[name], grid, v) / target - 1).abs().max().item()

    def sde_error(name: str) -> float:
        _, variance = end_moments(SOLVERS[name], grid, 0.0)
        return (variance / (VARIANCES + grid[-1] ** 2) - 1).abs().max().item()

    assert ode_error("dpmpp_2m") < ode_error("ddim") / 3
    assert sde_error("dpmpp_2m_sde") < sde_error("exponential_sde") / 2
    assert sde_error("exponential_sde") < sde_error("euler_maruyama")


# ----------------------------------------------------------------------------------------------
# What a rule claims to be exact


@pytest.mark.parametrize("name", [n for n in SOLVERS if n != "euler_maruyama"])
def test_last_step_returns_the_denoised_picture(name: str) -> None:
    v, denoised, before, noise = torch.randn(4, 3, 2)
    history = ((0.01, denoised), (0.05, before))
    last = SOLVERS[name].step(v, 0.01, 0.0, history, noise)
    torch.testing.assert_close(last, denoised, rtol=0, atol=0)


def test_last_step_of_euler_maruyama_leaves_noise_as_algorithm_1_does() -> None:
    v, denoised, noise = torch.randn(3, 3, 2)
    last = SOLVERS["euler_maruyama"].step(v, 0.1, 0.0, ((0.1, denoised),), noise)
    torch.testing.assert_close(last, denoised + 0.1 * noise)


@pytest.mark.parametrize("name", [n for n in SOLVERS if n != "euler_maruyama"])
def test_point_mass_is_solved_exactly_in_any_step(name: str) -> None:
    """D constant: from N(D, s^2) to N(D, s'^2), the ODE by scaling, the SDE in law."""
    d, s, s_next, solver = torch.tensor(0.7), 3.0, 0.2, SOLVERS[name]
    history = ((s, d), (5.0, d))
    zero, one = torch.tensor(0.0), torch.tensor(1.0)
    moved = solver.step(d + s * one, s, s_next, history, zero) - d
    if not solver.stochastic:
        assert moved.item() == pytest.approx(s_next, rel=1e-5)
        return
    kick = solver.step(d, s, s_next, history, one) - d
    assert (moved**2 + kick**2).item() == pytest.approx(s_next**2, rel=1e-5)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_rules_need_no_noise_and_stochastic_ones_use_it(name: str) -> None:
    v, denoised = torch.ones(2), torch.zeros(2)
    step = SOLVERS[name].step
    assert torch.equal(
        step(v, 2.0, 1.0, ((2.0, denoised),), None),
        step(v, 2.0, 1.0, ((2.0, denoised),), torch.ones(2)),
    )
    for other in STOCHASTIC:
        step = SOLVERS[other].step
        quiet = step(v, 2.0, 1.0, ((2.0, denoised),), torch.zeros(2))
        assert not torch.equal(quiet, step(v, 2.0, 1.0, ((2.0, denoised),), torch.ones(2)))


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_sde"])
def test_multistep_rules_are_exact_when_the_history_is_constant(name: str) -> None:
    v, denoised, noise = torch.randn(3, 4, 2)
    twin = {"dpmpp_2m": "ddim", "dpmpp_2m_sde": "exponential_sde"}[name]
    history = ((2.0, denoised), (3.0, denoised))
    torch.testing.assert_close(
        SOLVERS[name].step(v, 2.0, 1.5, history, noise),
        SOLVERS[twin].step(v, 2.0, 1.5, history, noise),
    )


# ----------------------------------------------------------------------------------------------
# Grids


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
    steps=st.integers(2, 100),
    start=st.floats(5, 100),
    sigma=st.floats(0.05, 4.9),
)
def test_two_stage_grid_contains_sigma(steps: int, start: float, sigma: float) -> None:
    grid = two_stage_grid(steps, start, sigma, 0.01)
    check_grid(grid, steps, start)
    assert sigma in grid


def test_linear_variance_grid_is_g2() -> None:
    """sigma_k^2 = sigma^2 (N - k) / N; level 0 is the noisiest."""
    grid = linear_variance_grid(1000, 2.0)
    check_grid(grid, 1000, 2.0)
    assert [s**2 for s in grid] == pytest.approx([4 * (1000 - k) / 1000 for k in range(1001)])


def test_euler_maruyama_on_the_linear_grid_has_the_step_of_the_paper() -> None:
    """x + (sigma^2 / N) score + (sigma / sqrt(N)) noise."""
    v, denoised, noise = torch.randn(3, 4, 2, dtype=torch.float64)
    s, s_next = linear_variance_grid(10, 2.0)[3:5]
    stepped = SOLVERS["euler_maruyama"].step(v, s, s_next, ((s, denoised),), noise)
    paper = v + 0.4 * (denoised - v) / s**2 + math.sqrt(0.4) * noise
    torch.testing.assert_close(stepped, paper)
