"""Targets and losses of a half-bridge at the truth."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from sbcore.ipf.losses import bridge_loss, matching_loss, matching_targets
from sbcore.ipf.reference import schedule
from tests.ipf.truth import FIRST, LAST, SIGMA, Linear, exact_coupling, noise


def test_targets_are_those_of_equation_26() -> None:
    """The move from X_{k+1} is F_k(X_k) - F_k(X_{k+1}), also in the last step, which has noise."""
    end, parts, x = Linear(), schedule(5, 3.0), torch.linspace(-2, 2, 7)[:, None]
    states, moves = matching_targets(end, x, parts, SIGMA, noise((7, 1)))
    rest = [1.0, *(1 - total for total in itertools.accumulate(parts))]
    before = [x, *states.unbind(1)[:-1]]
    for k, (h, first, then) in enumerate(zip(parts, before, states.unbind(1), strict=True)):

        def mean(y: Tensor, h: float = h, r: float = rest[k]) -> Tensor:
            return y + h * end.drift(y, r)

        assert torch.allclose(moves[:, k], mean(first) - mean(then), atol=1e-5)
    again = noise((7, 1))
    assert torch.allclose(
        states[:, 0], x + parts[0] * end.drift(x, 1.0) + SIGMA * math.sqrt(parts[0]) * again()
    )


def test_targets_of_the_reversed_chain() -> None:
    """Its mean is that of the state before, which needs no second evaluation."""
    end, parts, x = Linear(), schedule(5, 3.0), torch.linspace(-2, 2, 7)[:, None]
    states, moves = matching_targets(end, x, parts, SIGMA, noise((7, 1)), printed=False)
    assert torch.allclose((states + moves)[:, 0], x, atol=1e-6)
    assert torch.allclose((states + moves)[:, 1:], states[:, :-1], atol=1e-6)


def test_first_half_bridge_learns_the_score_of_the_noised_data() -> None:
    """Of Gaussian data: the best move is -h sigma^2 (x - mean) / (v + noise variance)."""
    n, parts = 60_000, schedule(4)
    x = FIRST[0] + math.sqrt(FIRST[1]) * noise((n, 1), 3)()
    states, moves = matching_targets(None, x, parts, SIGMA, noise((n, 1), 4))
    for k, so_far in enumerate(itertools.accumulate(parts)):
        state, move = states[:, k, 0] - FIRST[0], moves[:, k, 0]
        slope = (state * move).mean() / state.square().mean()
        expected = -parts[k] * SIGMA**2 / (FIRST[1] + so_far * SIGMA**2)
        assert slope == pytest.approx(expected, rel=0.04)


def test_matching_loss_is_least_at_the_truth() -> None:
    """Backward paths of the exact bridge train the exact forward network."""
    n, parts = 30_000, schedule(60)

    start = LAST[0] + math.sqrt(LAST[1]) * noise((n, 1), 5)()
    backward = Linear(ends=(LAST, FIRST))
    states, moves = matching_targets(backward, start, parts, SIGMA, noise((n, 1), 6))
    r = torch.tensor(parts).cumsum(0).clamp(max=1).repeat(n)
    h = torch.tensor(parts).repeat(n)
    losses = {
        gain: float(
            matching_loss(Linear(gain), states.flatten(0, 1), moves.flatten(0, 1), r, h, SIGMA)
        )
        for gain in (0.8, 1.0, 1.2)
    }
    assert min(losses, key=losses.get) == 1.0
    assert losses[1.0] == pytest.approx(1.0, abs=0.05)  # nothing is left but the step's noise


def test_bridge_loss_is_least_at_the_truth() -> None:
    n, c = 40_000, exact_coupling()
    first, second = noise((2, n, 1), 7)()
    start = FIRST[0] + math.sqrt(FIRST[1]) * first
    slope = c / FIRST[1]
    end = LAST[0] + slope * (start - FIRST[0]) + math.sqrt(LAST[1] - slope * c) * second
    r = torch.linspace(0.01, 1, n)
    losses = {
        gain: float(bridge_loss(Linear(gain), start, end, r, noise((n, 1), 8)(), SIGMA))
        for gain in (0.8, 1.0, 1.2)
    }
    assert min(losses, key=losses.get) == 1.0
