"""Measured orders of convergence against closed forms, exactness where it is claimed.

On Gaussian data the denoiser is linear, so a run is a linear map of (start, noise of each step).
Fed with basis inputs it gives its coefficients, and mean and variance follow without sampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sbcore.twostage.solvers import MEMORY, SOLVERS, Evaluation, Solver
from sbcore.twostage.wiener import WienerFilter
from tests.oracles import Mixture, slope
from tests.twostage.loops import gaussian_filter

VARIANCES = torch.tensor([0.05, 0.3, 2.0, 30.0], dtype=torch.float64)  # of independent directions
STOCHASTIC = [name for name, solver in SOLVERS.items() if solver.stochastic]
DETERMINISTIC = [name for name, solver in SOLVERS.items() if not solver.stochastic]
KNOWING = [name for name, solver in SOLVERS.items() if solver.knows_linear]
ORDERS = {
    "ddim": 1, "dpmpp_2m": 2, "unipc": 3, "ipndm": 4, "linear_exact_2": 2
}  # fmt: skip
WEAK_ORDERS = {
    "euler_maruyama": 1, "exponential_sde": 1, "dpmpp_2m_sde": 2, "er_sde": 2,
}  # fmt: skip


LINEAR = gaussian_filter(VARIANCES)


def log_levels(steps: int, start: float = 5.0, end: float = 0.05) -> list[float]:
    return [start * (end / start) ** (i / steps) for i in range(steps + 1)]


def equal_levels(steps: int, start: float = 5.0, end: float = 0.05) -> list[float]:
    return [start + i / steps * (end - start) for i in range(steps + 1)]


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


LINE = Mixture([0.3, 0.7], torch.tensor([[-1.4], [0.6]]), torch.tensor([[[0.1]], [[0.2]]]))


def distribution(v: Tensor, s: float) -> Tensor:
    roots = (LINE.covariances[:, 0, 0] + s**2).sqrt()
    return (LINE.log_weights.exp() * torch.special.ndtr((v - LINE.means[:, 0]) / roots)).sum(1)


def exact_flow(v: Tensor, s: float, s_next: float) -> Tensor:
    """The point with the same value of the distribution function, by bisection."""
    wanted = distribution(v, s)
    low, high = torch.full_like(wanted, -50), torch.full_like(wanted, 50)
    for _ in range(80):
        middle = (low + high) / 2
        below = distribution(middle[:, None], s_next) < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return ((low + high) / 2)[:, None]


LINE_FILTER = gaussian_filter(
    LINE.log_weights.exp() @ (LINE.covariances[:, 0] + LINE.means**2)  # the mean is 0
)


def test_every_solver_has_a_tested_order() -> None:
    assert set(ORDERS) == set(DETERMINISTIC)
    assert set(WEAK_ORDERS) == set(STOCHASTIC)
    assert all(name == solver.name for name, solver in SOLVERS.items())


def line_errors(name: str, counts: list[int], levels: Callable) -> list[float]:
    """Error of the flow of the mixture, which is not Gaussian."""
    start = torch.tensor([[-6.0], [-1.0], [0.5], [4.0]], dtype=torch.float64)
    errors = []
    for steps in counts:
        grid = levels(steps)
        end = run(SOLVERS[name], grid, start, LINE.denoised, LINE_FILTER)
        errors.append((end - exact_flow(start, grid[0], grid[-1])).abs().max().item())
    return errors


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_ode_order_against_the_closed_form_flow_of_a_mixture(name: str) -> None:
    counts = [64, 128, 256]
    levels = equal_levels if name == "ipndm" else log_levels  # iPNDM takes steps for equal
    errors = line_errors(name, counts, levels)
    assert errors[-1] < 0.02
    assert slope(counts, errors) > ORDERS[name] - 0.2
    assert slope(counts, errors) < ORDERS[name] + 1  # UniPC gains one by its corrector


@pytest.mark.parametrize("name", KNOWING)
@pytest.mark.parametrize("levels", [[5.0, 0.0], [5.0, 1.0, 0.3, 0.0]])
def test_solvers_that_know_the_linear_part_are_exact_for_gaussian_data(
    name: str, levels: list[float]
) -> None:
    v = torch.ones_like(VARIANCES)
    exact = v * (VARIANCES / (VARIANCES + levels[0] ** 2)).sqrt()
    torch.testing.assert_close(ode_end(SOLVERS[name], levels, v), exact, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_sde_weak_order_of_the_variance(name: str) -> None:
    counts, errors = [64, 128, 256], []
    for steps in counts:
        grid = log_levels(steps)
        _, variance = end_moments(SOLVERS[name], grid)
        errors.append((variance / (VARIANCES + grid[-1] ** 2) - 1).abs().max().item())
    assert errors[-1] < 0.05
    assert slope(counts, errors) == pytest.approx(WEAK_ORDERS[name], abs=0.15)


@pytest.mark.parametrize("name", ["euler_maruyama", "exponential_sde", "dpmpp_2m_sde"])
def test_sde_mean_is_exact_in_any_number_of_steps(name: str) -> None:
    """D is a martingale of the reverse SDE: a mean off the centre shrinks like l + s^2."""
    grid = log_levels(7)
    mean, _ = end_moments(SOLVERS[name], grid)
    exact = (VARIANCES + grid[-1] ** 2) / (VARIANCES + grid[0] ** 2)
    torch.testing.assert_close(mean, exact, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_sde", "unipc"])
def test_multistep_rules_keep_their_order_on_a_stretched_grid(name: str) -> None:
    """Steps in ln s grow: the extrapolation must weigh them by their ratio r."""
    counts, errors = [64, 128, 256], []
    for steps in counts:
        grid = [5.0 * 0.01 ** ((i / steps) ** 1.8) for i in range(steps + 1)]
        if SOLVERS[name].stochastic:
            _, variance = end_moments(SOLVERS[name], grid)
            ratio = variance / (VARIANCES + grid[-1] ** 2)
        else:
            v = (VARIANCES + grid[0] ** 2).sqrt()
            ratio = ode_end(SOLVERS[name], grid, v) / (VARIANCES + grid[-1] ** 2).sqrt()
        errors.append((ratio - 1).abs().max().item())
    assert slope(counts, errors) > {"unipc": 2.8}.get(name, 1.8)


def test_multistep_extrapolation_is_the_published_formula() -> None:
    """r = h_{i-1} / h_i = 3: D + (D - D_{i-1}) / 6 (Lu et al. 2022, Algorithm 2)."""
    v, denoised, before, noise = torch.randn(4, 3, 2)
    s, s_next = 2.0, 2.0 * math.exp(-0.1)
    history = (Evaluation(s, denoised, v), Evaluation(s * math.exp(0.3), before, v))
    mixed = (Evaluation(s, denoised + (denoised - before) / 6, v),)
    for name, one_step in (("dpmpp_2m", "ddim"), ("dpmpp_2m_sde", "exponential_sde")):
        torch.testing.assert_close(
            SOLVERS[name].step(v, s, s_next, history, noise),
            SOLVERS[one_step].step(v, s, s_next, mixed, noise),
        )


def test_unipc_predicts_its_second_step_as_dpmpp_2m() -> None:
    """Zhao et al. 2023, section 3.4; its corrector first moves the state, here by nothing."""
    v, denoised = torch.randn(2, 3, 2)
    history = (Evaluation(1.0, denoised, v), Evaluation(1.5, denoised, v))
    torch.testing.assert_close(
        SOLVERS["unipc"].step(v, 1.0, 0.8, history, None),
        SOLVERS["dpmpp_2m"].step(v, 1.0, 0.8, history, None),
    )


def test_er_sde_lies_between_the_ode_and_the_sde() -> None:
    """Its noise in one step is less than that of the reverse SDE, more than none."""
    v = denoised = torch.zeros(1)
    history, one = (Evaluation(2.0, denoised, v),), torch.ones(1)
    kick = SOLVERS["er_sde"].step(v, 2.0, 1.0, history, one)
    assert 0 < kick < SOLVERS["exponential_sde"].step(v, 2.0, 1.0, history, one)


ENDING = [name for name in SOLVERS if name not in ("euler_maruyama", *KNOWING)]


def test_last_step_of_a_rule_is_the_denoised_picture_and_the_noise_of_algorithm_1() -> None:
    v, denoised, before, noise = torch.randn(4, 3, 2)
    history = (Evaluation(0.01, denoised, v), Evaluation(0.05, before, v))
    for name in ENDING:
        assert torch.equal(SOLVERS[name].step(v, 0.01, 0.0, history, noise), denoised)
    last = SOLVERS["euler_maruyama"].step(v, 0.01, 0.0, history, noise)
    torch.testing.assert_close(last, denoised + 0.01 * noise)


@pytest.mark.parametrize("name", ENDING)
def test_point_mass_is_solved_exactly_in_any_step(name: str) -> None:
    """D constant: from N(D, s^2) to N(D, s'^2), the ODE by scaling, the SDE in law."""
    d, s, s_next, solver = torch.tensor(0.7), 3.0, 0.2, SOLVERS[name]
    zero, one = torch.tensor(0.0), torch.tensor(1.0)
    history = (Evaluation(s, d, d + s * one), Evaluation(5.0, d, d + 5.0 * one))
    moved = solver.step(d + s * one, s, s_next, history, zero) - d
    if not solver.stochastic:
        assert moved.item() == pytest.approx(s_next, rel=1e-5)
        return
    kick = solver.step(d, s, s_next, history, one) - d
    assert (moved**2 + kick**2).item() == pytest.approx(s_next**2, rel=1e-5)


@pytest.mark.parametrize("name", SOLVERS)
def test_stochastic_rules_use_their_noise_and_the_others_none(name: str) -> None:
    v, denoised = torch.ones(1, 4).double(), torch.zeros(1, 4).double()
    history, solver = (Evaluation(2.0, denoised, v),), SOLVERS[name]
    noise = 0 * v if solver.stochastic else None
    one, other = (solver.rule(LINEAR)(v, 2.0, 1.0, history, z) for z in (noise, v))
    assert torch.equal(one, other) != solver.stochastic
