"""`PlaneBridge`: sampling, velocities, training, distances, bad input."""

from __future__ import annotations

import math
from itertools import islice

import pytest
import torch
from torch import Tensor

from sbcore import (
    DISTRIBUTIONS,
    SOLVERS,
    DivergedError,
    Evaluations,
    PaperMode,
    PlaneBridge,
    drawn_distribution,
)
from sbcore.plane.bridge import lost
from sbcore.plane.distributions import Distribution
from tests.plane.truth import RING, SIGMA, TAU, oracle, points


@pytest.fixture(scope="module")
def exact() -> PlaneBridge:
    """The paper's toy."""
    return PlaneBridge(RING, SIGMA, TAU)


@pytest.fixture(scope="module")
def trained() -> PlaneBridge:
    """The paper's toy after a short training, and the progress it told."""
    bridge = PlaneBridge(RING, SIGMA, TAU)
    bridge.told = list(bridge.train(iterations=60))
    return bridge


def assert_is_the_ring(bridge: PlaneBridge, sample: Tensor, seed: int = 99) -> None:
    """All modes, each with its share of the mass, and no worse than a fresh sample."""
    found = bridge.distances(sample, seed)
    error = math.sqrt(1 / 6 * 5 / 6 / len(sample))
    assert all(abs(mass - 1 / 6) < 3.5 * error for mass in found["mode_mass"]), found
    assert found["sliced_w2"] <= 2 * found["floor"]


@pytest.mark.parametrize("solver", ["dpmpp_2m_sde", "dpmpp_2m"])
def test_twenty_evaluations_draw_the_ring(exact: PlaneBridge, solver: str) -> None:
    sample = exact.generate(3000, solver=solver, steps=20, networks="exact").result()
    assert_is_the_ring(exact, sample)
    nearest = torch.cdist(sample, RING.modes).amin(1)
    assert float(nearest.square().mean().sqrt()) == pytest.approx(math.sqrt(2) * RING.std, rel=0.1)


@pytest.mark.parametrize(
    "options", [{"drift": "exact"}, {"self_normalised": True, "n3": 5, "n1": 60, "n2": 60}]
)
def test_algorithm_1_draws_the_ring(exact: PlaneBridge, options: dict) -> None:
    paper = PaperMode(**{"n1": 200, "n2": 200, **options})
    sample = exact.generate(1500, seed=1, mode="paper", paper=paper, networks="exact").result()
    assert_is_the_ring(exact, sample)


def test_as_printed_the_ratio_drift_diverges_after_what_it_could_yield(exact: PlaneBridge) -> None:
    seen = []
    run = exact.generate(200, mode="paper", paper=PaperMode(n1=30, n2=30), networks="exact")
    with pytest.raises(DivergedError, match="of 200 particles"):
        for step in run:
            seen.append(step)
    assert len(seen) == 31 and all(step.x.isfinite().all() for step in seen)
    assert lost(seen[-1].x).any() and not lost(seen[0].x).any()


@pytest.mark.parametrize("solver", SOLVERS)
def test_steps_are_numbered_from_the_start_at_zero(exact: PlaneBridge, solver: str) -> None:
    start, *steps = exact.generate(30, solver=solver, steps=9, networks="exact")
    assert start.index == 0 and start.total == 9 and not start.x.any() and start.s == math.inf
    assert [step.index for step in steps] == list(range(1, 10))
    assert [step.nfe.total for step in steps] == list(range(1, 10))
    assert {step.stage for step in steps} == {1, 2} and steps[-1].t == 1 and steps[-1].s == 0
    assert all(step.x.shape == (30, 2) and step.x.isfinite().all() for step in steps)
    assert any(step.s == pytest.approx(SIGMA) and step.t == pytest.approx(1) for step in steps)


def test_a_seed_gives_the_same_particles(exact: PlaneBridge) -> None:
    first, again, other = (
        exact.generate(100, seed=seed, networks="exact").result() for seed in (3, 3, 4)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_data_away_from_the_middle_are_reached_from_zero() -> None:
    drawn = drawn_distribution([[(3.0, 3.0), (6.0, 5.0)]])
    bridge = PlaneBridge(drawn, SIGMA, TAU)
    start, *_, last = bridge.generate(2000, networks="exact")
    assert not start.x.any()
    torch.testing.assert_close(last.x.mean(0), drawn.mean, atol=0.1, rtol=0)
    found = bridge.distances(last.x)
    assert found["sliced_w2"] < 2 * found["floor"] and "mode_mass" not in found
    paper = PaperMode(n1=50, n2=50, drift="exact")
    sample = bridge.generate(2000, mode="paper", paper=paper, networks="exact").result()
    torch.testing.assert_close(sample.mean(0), drawn.mean, atol=0.1, rtol=0)


@pytest.mark.parametrize(("sigma", "tau"), [(0.02, 500.0), (30.0, 0.01)])
def test_extreme_bridges_still_reach_the_data(sigma: float, tau: float) -> None:
    bridge = PlaneBridge(RING, sigma, tau)
    found = bridge.distances(bridge.generate(2000, steps=30, networks="exact").result())
    assert found["sliced_w2"] < 2.5 * found["floor"]


AWAY = drawn_distribution([[(3.0, 3.0), (6.0, 5.0)]])


@pytest.mark.parametrize("data", [RING, AWAY], ids=["ring", "away"])
@pytest.mark.parametrize("t", [0.0, 0.2, 1.0])
def test_velocity_of_stage_1_is_the_bridges_drift(data: Distribution, t: float) -> None:
    where = points()
    found = PlaneBridge(data, SIGMA, TAU).velocity(1, t, where, networks="exact")
    wanted = oracle(data).bridge_drift(where.double(), t, SIGMA, TAU).float()
    tolerance = 2e-3 if t > 0 else 3e-2  # at t = 0 the field just after it
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=1e-3)


@pytest.mark.parametrize("t", [0.0, 0.6])
def test_velocity_of_stage_2_is_the_score(exact: PlaneBridge, t: float) -> None:
    where, s = points(), SIGMA * math.sqrt(1 - t)
    found = exact.velocity(2, t, where, networks="exact")
    wanted = SIGMA**2 * oracle(RING).score(where.double(), s).float()
    torch.testing.assert_close(found, wanted, atol=2e-3, rtol=1e-3)


def test_the_ratio_drift_tends_to_the_exact_one(exact: PlaneBridge) -> None:
    where = points(20) / 3
    wanted = exact.velocity(1, 0.5, where, networks="exact")
    errors = [
        exact.velocity(1, 0.5, where, networks="exact", drift="ratio", n3=n3, self_normalised=True)
        .sub(wanted)
        .square()
        .mean()
        .sqrt()
        for n3 in (10, 4000)
    ]
    assert errors[1] < 0.15 * errors[0]


def test_training_lowers_both_losses_and_tells_where_it_stands(trained: PlaneBridge) -> None:
    told = trained.told
    assert trained.trained and told[-1].iteration == 60
    assert told[-1].fraction == 1 and told[-1].seconds_left == 0
    first, last = PlaneBridge(RING), told[-1]
    start = next(iter(first.train(iterations=1)))
    assert last.score_loss < 0.95 * start.score_loss and last.ratio_loss < start.ratio_loss


def test_learned_networks_come_near_the_truth(trained: PlaneBridge) -> None:
    found = trained.distances(trained.generate(1000).result())
    untrained = PlaneBridge(RING)
    next(iter(untrained.train(iterations=1)))
    assert found["sliced_w2"] < untrained.distances(untrained.generate(1000).result())["sliced_w2"]
    where = RING.sample(200) + points(200) / 3
    truth = trained.velocity(2, 0.0, where, networks="exact")
    error = trained.velocity(2, 0.0, where) - truth
    assert error.square().mean() < 0.5 * truth.square().mean()


def test_training_by_iterations_is_reproducible() -> None:
    first, again = PlaneBridge(RING, SIGMA, TAU), PlaneBridge(RING, SIGMA, TAU)
    for bridge in (first, again):
        list(bridge.train(iterations=3))
    assert torch.equal(*(b.generate(50, seed=2).result() for b in (first, again)))


def test_leaving_the_training_loop_leaves_a_usable_model() -> None:
    bridge = PlaneBridge(DISTRIBUTIONS["moons"])
    told = list(islice(bridge.train(max_seconds=60.0), 2))
    assert bridge.trained and 0 < told[-1].fraction < 0.5 and told[-1].seconds_left > 0
    paper = PaperMode(n1=10, n2=10, n3=3, self_normalised=True)
    *_, last = bridge.generate(20, mode="paper", paper=paper)
    assert last.x.isfinite().all() and last.index == last.total == 20
    assert last.nfe == Evaluations(10 * 3 + 10 + 1, 10 * 3)
    drift = bridge.velocity(1, 0.5, points(), drift="ratio", n3=5, self_normalised=True)
    assert drift.isfinite().all()


def test_training_ends_by_the_clock() -> None:
    bridge = PlaneBridge(DISTRIBUTIONS["rings"])
    *_, last = bridge.train(max_seconds=0.3)
    assert last.fraction == 1 and last.seconds == pytest.approx(0.3, abs=2.0)


def test_the_truth_is_at_the_floor(exact: PlaneBridge) -> None:
    ratios = []
    for seed in range(4):
        found = exact.distances(RING.sample(2000, 50 + seed), seed)
        assert sum(found["mode_mass"]) == pytest.approx(1)
        ratios.append(found["sliced_w2"] / found["floor"])
    assert 0.6 < sum(ratios) / 4 < 1.5


def test_a_lost_mode_and_a_shift_are_seen(exact: PlaneBridge) -> None:
    sample = RING.sample(3000, 5)
    five = sample[torch.cdist(sample, RING.modes).argmin(1) != 2]
    found = exact.distances(five)
    assert found["mode_mass"][2] == 0 and found["sliced_w2"] > 2 * found["floor"]
    shifted = exact.distances(sample + torch.tensor([3.0, 0.0]))
    assert shifted["sliced_w2"] == pytest.approx(3 / math.sqrt(2), rel=0.3)


GOOD = {
    "generate": {"n": 10, "networks": "exact"},
    "velocity": {"stage": 1, "t": 0.5, "where": points(), "networks": "exact"},
    "train": {},
    "distances": {},
}


@pytest.mark.parametrize(
    ("call", "options", "says"),
    [
        ("generate", {"n": 0}, "n must be"),
        ("generate", {"seed": -1}, "seed"),
        ("generate", {"steps": 1}, "steps"),
        ("generate", {"solver": "magic"}, "solver"),
        ("generate", {"mode": "slow"}, "mode"),
        ("generate", {"networks": "guessed"}, "networks"),
        ("generate", {"networks": "learned"}, "not trained"),
        ("velocity", {"stage": 3}, "stage"),
        ("velocity", {"t": -0.1}, "t must"),
        ("velocity", {"stage": 2, "t": 1.0}, "t must"),
        ("velocity", {"where": torch.tensor([[math.nan, 0.0]])}, "where"),
        ("velocity", {"where": torch.zeros(3)}, "where"),
        ("velocity", {"where": "here"}, "where"),
        ("velocity", {"drift": "wind"}, "drift"),
        ("velocity", {"n3": 0, "drift": "ratio"}, "n3"),
        ("velocity", {"networks": "learned"}, "not trained"),
        ("distances", {"points": torch.zeros(3, 3)}, "points"),
        ("distances", {"points": torch.zeros(1, 2)}, "points"),
        ("distances", {"points": torch.full((5, 2), math.nan)}, "points"),
        ("distances", {"points": "points"}, "points"),
        ("train", {"max_seconds": 0}, "max_seconds"),
        ("train", {"iterations": 0}, "iterations"),
        ("train", {"seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_a_sentence(
    exact: PlaneBridge, call: str, options: dict, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        getattr(exact, call)(**GOOD[call] | options)
    assert not exact.trained


@pytest.mark.parametrize("name", ["sigma", "tau"])
def test_bad_bridges_are_a_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        PlaneBridge(RING, **{name: 0})
