"""Solvers that only the studies know: their orders, their grid, their place in the engine."""

from __future__ import annotations

import math

import pytest
import torch

from sbcore import SOLVERS, Bridge
from sbcore.twostage.grids import karras_grid
from sbcore.twostage.solvers import Evaluation, Solver
from studies.solvers import LOSING, HeunSolver, heun_grid, more_solvers
from tests.oracles import slope
from tests.twostage import test_solvers as engine
from tests.twostage.test_solvers import LINE, LINE_FILTER, VARIANCES, log_levels


def grid_of(solver: Solver, steps: int) -> list[float]:
    """Levels down to a positive one, so that the last step is like the others."""
    grid = log_levels(steps)
    if not isinstance(solver, HeunSolver):
        return grid
    return [*heun_grid([*grid, 0.0], 2 * steps + 1, solver.churn)[:-2], grid[-1]]


def line_error(solver: Solver, grid: list[float]) -> float:
    """Error of the flow of a mixture."""
    start = torch.tensor([[-6.0], [-1.0], [0.5], [4.0]], dtype=torch.float64)
    end = engine.run(solver, grid, start, LINE.denoised, LINE_FILTER)
    return float((end - engine.exact_flow(start, grid[0], grid[-1])).abs().max())


@pytest.mark.parametrize(("name", "order"), [("linear_exact", 1), ("heun", 2)])
def test_ode_order_against_the_closed_form_flow_of_a_mixture(name: str, order: int) -> None:
    counts = [64, 128, 256]
    errors = [line_error(LOSING[name], grid_of(LOSING[name], n)) for n in counts]
    assert slope(counts, errors) == pytest.approx(order, abs=0.2)


def test_weak_order_of_heun_with_churn() -> None:
    counts, errors = [64, 128, 256, 512], []
    for steps in counts:
        grid = grid_of(LOSING["heun_churn"], steps)
        _, variance = engine.end_moments(LOSING["heun_churn"], grid)
        errors.append(float((variance / (VARIANCES + grid[-1] ** 2) - 1).abs().max()))
    assert errors[-1] < 0.05
    assert slope(counts, errors) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("evaluations", [1, 2, 3, 4, 35, 60])
def test_levels_are_one_more_than_the_evaluations(evaluations: int) -> None:
    for solver in LOSING.values():
        levels = solver.levels(evaluations, lambda n: karras_grid(n, 2.0, 0.03))
        assert len(levels) == evaluations + 1
        assert levels[0] == 2.0 and levels[-1] == 0


def test_the_engine_knows_them_for_a_while(bridge: Bridge) -> None:
    before = dict(SOLVERS)
    with more_solvers():
        for name in LOSING:
            assert bridge.generate(1, steps=3, solver=name).result().isfinite().all()
    assert before == SOLVERS
    with pytest.raises(ValueError, match="solver"):
        bridge.generate(1, solver="heun")


def test_heun_grid_is_that_of_edm() -> None:
    """18 steps of EDM are 35 evaluations; churn raises the corrected levels only."""
    levels = karras_grid(18, 2.0, 0.03)
    grid = LOSING["heun"].levels(35, lambda n: karras_grid(n, 2.0, 0.03))
    assert grid == [levels[0], *(s for s in levels[1:-1] for _ in range(2)), 0.0]
    churned = LOSING["heun_churn"].levels(35, lambda n: karras_grid(n, 2.0, 0.03))
    assert churned[1::2] == grid[1::2]  # predicted
    ratios = [b / a for a, b in zip(churned[1:-1:2], churned[2:-1:2], strict=True)]
    assert ratios == pytest.approx([1 + math.sqrt(2) - 1] * 17)  # 10 / 18 is above the bound


def test_heun_corrects_its_last_step_and_churns_up_from_it() -> None:
    """Karras et al. 2022, Algorithm 2, lines 4 to 8."""
    start, first, second, noise = torch.randn(4, 3, dtype=torch.float64)
    at_start = Evaluation(2.0, first, start)
    predicted = LOSING["heun"].step(start, 2.0, 1.5, (at_start,), None)
    slopes = (start - first) / 2.0, (predicted - second) / 1.5
    torch.testing.assert_close(predicted, start - 0.5 * slopes[0])
    history = (Evaluation(1.5, second, predicted), at_start)
    corrected = LOSING["heun"].step(predicted, 1.5, 1.5, history, None)
    torch.testing.assert_close(corrected, start - 0.5 * (slopes[0] + slopes[1]) / 2)
    churned = LOSING["heun_churn"].step(predicted, 1.5, 1.7, history, noise)
    torch.testing.assert_close(churned, corrected + math.sqrt(1.7**2 - 1.5**2) * noise)
