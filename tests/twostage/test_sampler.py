"""The reverse loop: replay, the law of the whole run, cancelling, counts, batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sbcore.runtime.run import Evaluations, Step
from sbcore.twostage import process
from sbcore.twostage.grids import karras_grid, two_stage_grid
from sbcore.twostage.paper import PaperMode, algorithm1_stage1, algorithm1_stage2, algorithm2
from sbcore.twostage.sampler import reverse_steps
from sbcore.twostage.solvers import SOLVERS, Evaluation, last_step
from sbcore.twostage.wiener import WienerFilter
from tests.oracles import Counter, slope
from tests.twostage.loops import (
    BLOBS,
    BRIDGE,
    SEEDS,
    SIGMA,
    TAU,
    Tape,
    draws,
    gaussian_filter,
)  # fmt: skip

LINEAR = WienerFilter(2, 0).double()  # EDM's: any variance will do


@pytest.mark.parametrize("name", SOLVERS)
def test_reverse_steps_replays_the_rule_at_one_evaluation_a_step(name: str) -> None:
    solver, grid, v = SOLVERS[name], karras_grid(6, 4.0, 0.05), BLOBS.sample(3, s=4.0)
    rule, counter = solver.rule(LINEAR), Counter(BLOBS.denoised)
    run = reverse_steps(counter, v, grid, solver, draws(), **BRIDGE, linear=LINEAR)
    draw, history = draws(), []
    for step, (s, s_next) in zip(run, itertools.pairwise(grid), strict=True):
        assert step.nfe == Evaluations(step.index) and counter.calls == step.index
        history.insert(0, Evaluation(s, BLOBS.denoised(v, s), v))
        if s_next == 0:
            v = last_step(history[0], LINEAR)
        else:
            v = rule(v, s, s_next, history, draw() if solver.stochastic else None)
        scale = process.stage1_time(s_next, SIGMA, TAU) if s_next >= SIGMA else 1.0
        torch.testing.assert_close(step.x, scale * v)
        torch.testing.assert_close(step.denoised, history[0].denoised)


def test_stage1_equals_the_reverse_sde_along_the_same_brownian_path() -> None:
    """v = X / t turns the stage-1 SDE into the variance-exploding one: same path, same end."""
    counts, gaps, seeds = [50, 400], [], tuple(range(50))
    for n1 in counts:
        first = n1 // 10  # v is infinite at t = 0: hand over at t = 1/10
        draw = draws(seeds)
        written = [draw() for _ in range(n1)]
        zero = torch.zeros(50, 2, dtype=torch.float64)
        settings = PaperMode(n1=n1, n2=1, drift="exact")
        run = list(algorithm1_stage1(BLOBS.denoised, None, zero, Tape(written), settings, **BRIDGE))
        v = run[first - 1].x / (first / n1)
        grid = [process.stage1_noise_level(k / n1, **BRIDGE) for k in range(first, n1 + 1)]
        solver = SOLVERS["euler_maruyama"]
        *_, last = reverse_steps(BLOBS.denoised, v, grid, solver, Tape(written[first:]), **BRIDGE)
        assert last.stage == 1 and last.t == pytest.approx(1)
        gaps.append((last.x - run[-1].x).square().mean().sqrt().item())
    assert gaps[-1] < 0.02
    assert slope(counts, gaps) > 0.8


def test_steps_of_a_two_stage_run_are_numbered_timed_and_split_at_sigma() -> None:
    grid = two_stage_grid(12, 40.0, SIGMA, TAU, 0.01)
    v = 40 * torch.randn(3, 2, dtype=torch.float64)
    run = list(reverse_steps(BLOBS.denoised, v, grid, SOLVERS["ddim"], draws(), **BRIDGE))
    assert [step.index for step in run] == list(range(1, 13))
    assert {step.total for step in run} == {12}
    assert [step.s for step in run] == grid[1:]
    first, second = ([s for s in run if s.stage == stage] for stage in (1, 2))
    assert first and second and run == first + second
    assert first[-1].s == SIGMA and first[-1].t == 1 and second[-1].s == 0 and second[-1].t == 1
    for part in (first, second):
        times = [step.t for step in part]
        assert times == sorted(times) and 0 <= times[0]
    assert first[0].t == pytest.approx(process.stage1_time(grid[1], SIGMA, TAU))


def all_loops(denoise: Counter, ratio: Counter) -> dict[str, Iterator[Step]]:
    x = torch.zeros(3, 2, dtype=torch.float64)
    settings, grid = PaperMode(n1=5, n2=5), karras_grid(5, 4.0, 0.05)
    known, mask = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2).triu()
    return {
        "reverse_steps": reverse_steps(denoise, x, grid, SOLVERS["ddim"], draws(), **BRIDGE),
        "stage1": algorithm1_stage1(denoise, ratio, x, draws(), settings, **BRIDGE),
        "stage2": algorithm1_stage2(denoise, x, draws(), steps=5, s_start=SIGMA, sigma=SIGMA),
        "algorithm2": algorithm2(
            denoise, known, mask, draws(SEEDS, (1, 2, 2)), settings, sigma=SIGMA
        ),
    }


@pytest.mark.parametrize("loop", ["reverse_steps", "stage1", "stage2", "algorithm2"])
def test_a_loop_calls_no_network_before_it_is_asked_nor_after_it_is_left(loop: str) -> None:
    denoise = Counter(lambda v, s: 0.5 * v)
    ratio = Counter(lambda x: torch.zeros(len(x), dtype=x.dtype))
    run = all_loops(denoise, ratio)[loop]
    assert denoise.calls == ratio.calls == 0  # nothing happens at construction
    for step in run:
        if step.index == 2:
            break
    run.close()
    assert denoise.calls == 2 and list(run) == []


# ----------------------------------------------------------------------------------------------
# The last step


VARIANCES = torch.tensor([0.002, 0.004, 0.01, 0.1], dtype=torch.float64)
SMALL = gaussian_filter(VARIANCES)


def gaussian_end(name: str, evaluations: int) -> Tensor:
    """Variance of Gaussian data at the end of a run, over the true one: its map, by unit inputs."""
    units = torch.eye(evaluations + 1, dtype=torch.float64)[..., None].expand(-1, -1, 4)
    *_, last = reverse_steps(
        lambda v, s: VARIANCES / (VARIANCES + s**2) * v, units[0] * (VARIANCES + 4).sqrt(),
        karras_grid(evaluations, 2.0, 0.03), SOLVERS[name], Tape(list(units[1:])),
        sigma=2.0, tau=8.0, linear=SMALL,
    )  # fmt: skip
    return last.x.square().sum(0) / VARIANCES


@pytest.mark.parametrize("s", [0.01, 0.5])
def test_last_step_keeps_the_variance_of_gaussian_data(s: float) -> None:
    """D alone would leave l / (l + s^2) of it."""
    v = (VARIANCES + s**2).sqrt()[None]
    end = last_step(Evaluation(s, VARIANCES / (VARIANCES + s**2) * v, v), SMALL)
    torch.testing.assert_close(end.square()[0], VARIANCES, rtol=1e-9, atol=0)


@pytest.mark.parametrize("evaluations", [1, 5])
def test_gaussian_data_keep_their_variance_at_any_number_of_evaluations(evaluations: int) -> None:
    ratio = gaussian_end("linear_exact_2", evaluations)
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "er_sde", "dpmpp_2m", "unipc", "ipndm"])
def test_ten_evaluations_keep_small_variances_within_an_eighth(name: str) -> None:
    assert (gaussian_end(name, 10) - 1).abs().max() < 1 / 8
