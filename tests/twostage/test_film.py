"""States between evaluations, and paths of stage 1: their laws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
import torch

from sbcore.runtime.run import Evaluations, Step
from sbcore.twostage import process
from sbcore.twostage.film import fill_in, frame_indices, stage1_path
from sbcore.twostage.grids import karras_grid
from sbcore.twostage.sampler import reverse_steps
from sbcore.twostage.solvers import SOLVERS
from tests.twostage.loops import BLOBS, BRIDGE, SIGMA, TAU, draws, states


@pytest.mark.parametrize(("name", "count"), [("ddim", 11), ("exponential_sde", 9), ("unipc", 30)])
def test_states_between_have_the_law_of_their_noise_level(name: str, count: int) -> None:
    """A point mass at 0: the state at s is N(0, s^2), between the evaluations too."""
    n = 20_000
    draw, other = draws([1], (n, 2)), draws([2], (n, 2))
    solver = SOLVERS[name]
    v, levels = SIGMA * draw(), solver.levels(7, lambda k: karras_grid(k, SIGMA, 0.05))
    start = Step(1, 0, 7, 1.0, SIGMA, v, v, Evaluations())
    steps = reverse_steps(lambda v, s: 0 * v, v, levels, solver, draw, **BRIDGE)
    film = list(fill_in(start, steps, count, solver.stochastic, other))
    assert [step.index for step in film] == list(range(1, count + 1))
    assert all(step.total == count for step in film) and film[-1].s == 0
    assert film[-1].nfe.denoiser == 7
    for step in film[:-1]:
        assert step.s == pytest.approx(process.stage2_noise_level(step.t, SIGMA))
        assert step.x.std().item() == pytest.approx(step.s, rel=0.02)
    for before, after in itertools.pairwise([start, *film[:-1]]):  # increments of the SDE
        if name == "exponential_sde":
            u = (after.x / after.s**2 - before.x / before.s**2).std().item()
            assert u == pytest.approx(math.sqrt(after.s**-2 - before.s**-2), rel=0.02)


def test_states_between_leave_the_run_alone() -> None:
    v, solver, grid = BLOBS.sample(3, s=SIGMA), SOLVERS["dpmpp_2m_sde"], karras_grid(5, SIGMA, 0.05)
    start = Step(1, 0, 5, 1.0, SIGMA, v, v, Evaluations())

    def run() -> Iterator[Step]:
        return reverse_steps(BLOBS.denoised, v, grid, solver, draws(), **BRIDGE)

    film = list(fill_in(start, run(), 10, True, draws((8, 9, 10))))
    torch.testing.assert_close(torch.stack([s.x for s in film[1::2]]), states(run()))


# ----------------------------------------------------------------------------------------------
# Stage 1


def test_a_path_of_stage1_is_a_draw_of_the_bridge_to_its_end() -> None:
    """Given X_1, X_t is N(t X_1, tau t (1 - t)), and increments are those of a Brownian bridge."""
    n, states_ = 200_000, 5
    end = torch.tensor([2.0, -1.0]).double().expand(1, n, 2)
    path = list(stage1_path(end, states_, draws([3], (n, 2)), lambda v, s: s * v, **BRIDGE))
    assert [(s.stage, s.index, s.total, s.t) for s in path] == [
        (1, k, states_, k / states_) for k in range(1, states_ + 1)
    ]
    assert all(s.nfe.total == 0 for s in path)
    assert torch.equal(path[-1].x, end)
    for step in path[:-1]:
        torch.testing.assert_close(step.denoised, step.s * step.x / step.t)  # asked at its level
        assert step.s == pytest.approx(process.stage1_noise_level(step.t, **BRIDGE))
        torch.testing.assert_close(step.x[0].mean(0), step.t * end[0, 0], rtol=0, atol=0.02)
        variance = TAU * step.t * (1 - step.t)
        assert step.x[0].var(0).mean().item() == pytest.approx(variance, rel=0.02)
    first, third = (path[k].x[0] - path[k].t * end[0] for k in (0, 2))
    covariance = (first * third).mean().item()
    assert covariance == pytest.approx(TAU * path[0].t * (1 - path[2].t), rel=0.03)


@pytest.mark.parametrize("frames", [4, 5, 24])
def test_frames_hold_start_split_and_end_and_are_even_in_each_stage(frames: int) -> None:
    indices = sorted(frame_indices(40, frames))
    assert len(indices) == frames and {0, 20, 40} <= set(indices)
    first = [i for i in indices if i <= 20]
    assert max(b - a for a, b in itertools.pairwise(first)) - 20 / (len(first) - 1) < 1
