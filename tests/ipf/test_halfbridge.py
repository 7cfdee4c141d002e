"""One half-bridge: what it simulates, when, and that it stands still while it learns."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from sbcore.ipf import halfbridge
from sbcore.ipf.halfbridge import cosine, fit_half_bridge, opposite_pairs, simulate
from sbcore.ipf.network import EndPoint, NetworkConfig
from sbcore.ipf.plan import BridgePlan
from sbcore.ipf.reference import schedule
from sbcore.runtime.learner import Learner, WeightAverage
from sbcore.runtime.noise import generator
from tests.ipf.truth import FIRST, LAST, SIGMA, Linear, exact_coupling, gaussian

CONFIG = NetworkConfig((1,), width=16)
ENDS = gaussian("first", *FIRST), gaussian("last", *LAST)  # of the forward direction


def plan(method: str, **options: Any) -> BridgePlan:
    sizes = {"batch_size": 512, "learning_rate": 3e-3, "cache": 2048, "refresh": 50, "ema": 0.15}
    return BridgePlan(method, SIGMA, 20, 5.0, **sizes | options)


def untrained() -> EndPoint:
    torch.manual_seed(0)
    end = EndPoint(CONFIG.trunk(), CONFIG.shape)
    reference = Linear(ends=(LAST, FIRST))
    for name in ("means", "variances", "sigma"):
        getattr(end, name).copy_(getattr(reference, name))
    return end


def fit(plan: BridgePlan, steps: int, frozen: EndPoint | None = None) -> tuple[Learner, EndPoint]:
    """Fit the backward direction to forward paths; the learner and the average."""
    network = untrained()
    average = WeightAverage(network, plan.ema)
    learner = Learner(network, plan, Accelerator(cpu=True), [average])
    run = fit_half_bridge(
        learner, frozen, *ENDS, plan, steps, lambda *key: generator("cpu", plan.seed, *key)
    )
    assert len(list(run)) == learner.done == steps
    return learner, average.network


@pytest.mark.parametrize("method", ["dsb", "dsbm"])
def test_paths_of_the_exact_bridge_teach_the_exact_way_back(method: str) -> None:
    _, average = fit(plan(method), 250, Linear())
    x = LAST[0] + math.sqrt(LAST[1]) * torch.linspace(-1.5, 1.5, 13)[:, None]
    exact = Linear(ends=(LAST, FIRST))
    with torch.no_grad():
        torch.testing.assert_close(average(x, 1.0), exact(x, 1.0), rtol=0, atol=0.15)


def test_the_first_half_bridge_of_dsbm_joins_independent_ends_later_ones_those_of_paths() -> None:
    for frozen, coupling in ((None, 0.0), (Linear(), exact_coupling())):
        starts, ends = simulate(frozen, *ENDS, plan("dsbm", cache=8000), generator("cpu", 0))
        found = ((starts - starts.mean()) * (ends - ends.mean())).mean()
        assert found.item() == pytest.approx(coupling, abs=0.1)
        assert starts.mean().item() == pytest.approx(LAST[0], abs=0.1)
        assert ends.mean().item() == pytest.approx(FIRST[0], abs=0.1)


@pytest.mark.parametrize("frozen", [None, Linear()], ids=["reference", "trained"])
def test_dsb_learns_from_every_step_of_a_path(frozen: EndPoint | None) -> None:
    chosen = plan("dsb", cache=5000)  # more than are simulated at once
    states, moves, r, h = simulate(frozen, *ENDS, chosen, generator("cpu", 0))
    assert len(states) == len(moves) == len(r) == len(h) == 5000 * 20
    parts = schedule(20, 5.0)
    torch.testing.assert_close(h[:20], torch.tensor(parts))
    so_far = list(itertools.accumulate(parts))
    torch.testing.assert_close(r.view(-1, 20)[4999], torch.tensor(so_far).clamp(max=1))


def test_noise_comes_in_opposite_pairs() -> None:
    for n in (4, 5):
        draw = opposite_pairs(torch.zeros(n, 2), generator("cpu", 0))
        found = draw()
        assert found.shape == (n, 2) and torch.equal(found[0], -found[1])
        assert torch.equal(found[2], -found[3]) and not torch.equal(found[0], found[2])
        assert not torch.equal(draw(), found)


def test_paths_are_simulated_anew_every_refresh_and_the_same_after_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simulated: list[Tensor] = []

    def watched(*arguments: Any) -> tuple[Tensor, ...]:
        paths = simulate(*arguments)
        simulated.append(paths[0])
        return paths

    monkeypatch.setattr(halfbridge, "simulate", watched)
    chosen = plan("dsbm", refresh=4, cache=64)
    fit(chosen, 10, Linear())
    assert len(simulated) == 3 and not torch.equal(simulated[0], simulated[1])
    learner = Learner(untrained(), chosen, Accelerator(cpu=True), [])
    learner.done = 6  # stopped between two simulations
    run = fit_half_bridge(
        learner, Linear(), *ENDS, chosen, 10, lambda *key: generator("cpu", chosen.seed, *key)
    )
    next(run)
    assert torch.equal(simulated[3], simulated[1])


def test_the_frozen_direction_stands_still() -> None:
    frozen = untrained().eval().requires_grad_(False)
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    learner, average = fit(plan("dsb", cache=64), 5, frozen)
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())
    moved = learner.raw.trunk.linear.weight
    assert not torch.equal(moved, average.trunk.linear.weight) and moved.abs().max() > 0


@pytest.mark.parametrize("gain", [math.nan, 1e9])
def test_lost_paths_are_noticed(gain: float) -> None:
    learner = Learner(untrained(), plan("dsbm"), Accelerator(cpu=True), [])
    chosen, random = plan("dsbm", cache=64), lambda *key: generator("cpu", *key)
    run = fit_half_bridge(learner, Linear(gain), *ENDS, chosen, 3, random, bound=1e6)
    with pytest.raises(FloatingPointError, match="a path is lost"):
        next(run)
    assert learner.done == 0


def test_learning_rate_falls_along_a_cosine() -> None:
    assert [cosine(part, 0.1) for part in (0, 0.5, 1)] == pytest.approx([1, 0.55, 0.1])
