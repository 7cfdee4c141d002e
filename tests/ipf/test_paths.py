"""Simulation of paths with exact networks: order, end, coupling."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sbcore.ipf.paths import euler_maruyama, walk
from sbcore.ipf.reference import schedule
from tests.ipf.truth import FIRST, LAST, SIGMA, Linear, exact_coupling, noise
from tests.oracles import slope


def variance_errors(chain: Any, steps: int, contrast: float) -> list[float]:
    """Relative error of the variance after each step, exact: between Gaussians, a path is affine.

    Row 0 of the batch differs from the last one by its start, row k by the noise of step k.
    """
    rows = torch.eye(steps + 2)
    draws = iter(rows[1:])
    start = FIRST[0] + rows[0][:, None]
    errors, r = [], 1.0
    for moment in chain(
        Linear(), start, schedule(steps, contrast), SIGMA, lambda: next(draws)[:, None]
    ):
        r -= moment.h
        apart = (moment.x - moment.x[-1]).square()
        truth = r**2 * FIRST[1] + (1 - r) ** 2 * LAST[1]
        truth += r * (1 - r) * (2 * exact_coupling() + SIGMA**2)
        errors.append(float(FIRST[1] * apart[0] + apart[1:].sum()) / truth - 1)
    return errors


@pytest.mark.parametrize(("chain", "order"), [(walk, 2), (euler_maruyama, 1)])
def test_order_of_the_steps(chain: Any, order: int) -> None:
    """Of the variance halfway."""
    steps = (20, 40, 80, 160)
    errors = [abs(variance_errors(chain, n, 1.0)[n // 2 - 1]) for n in steps]
    assert slope(steps, errors) == pytest.approx(order, abs=0.05)


def test_a_small_last_step_ends_at_the_closed_form() -> None:
    small, even, euler = (
        abs(variance_errors(*run)[-1])
        for run in ((walk, 20, 10.0), (walk, 20, 1.0), (euler_maruyama, 20, 10.0))
    )
    assert small < 0.01 < min(even, euler)


def test_exact_network_walks_to_the_closed_form() -> None:
    n = 400_000
    start = FIRST[0] + math.sqrt(FIRST[1]) * noise((n, 1), 1)()
    *_, last = walk(Linear(), start, schedule(20, 10.0), SIGMA, noise((n, 1), 2))
    assert last.x.mean() == pytest.approx(LAST[0], abs=0.01)
    assert last.x.var() == pytest.approx(LAST[1], rel=0.01)
    coupling = ((start - start.mean()) * (last.x - last.x.mean())).mean()
    assert coupling == pytest.approx(exact_coupling(), rel=0.01)


def test_last_step_has_no_noise() -> None:
    x = torch.zeros(5, 1)
    *_, last = walk(Linear(), x, schedule(3), SIGMA, noise((5, 1)))
    assert last.r == 0
    assert torch.allclose(last.x, last.end, atol=1e-6)
