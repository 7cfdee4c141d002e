"""The loops: replay against straight-line code, closed forms, cancelling, counts, seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sbcore.runtime.noise import PictureNoise
from sbcore.runtime.run import Evaluations, Step, follow
from sbcore.twostage import process
from sbcore.twostage.film import fill_in
from sbcore.twostage.grids import karras_grid, linear_variance_grid, two_stage_grid
from sbcore.twostage.paper import PaperMode, algorithm1_stage1, algorithm1_stage2, algorithm2
from sbcore.twostage.sampler import closed_form_stage1, reverse_steps
from sbcore.twostage.solvers import SOLVERS, Evaluation
from sbcore.twostage.wiener import WienerFilter
from tests.oracles import Counter, isotropic, slope, three_blobs

SIGMA, TAU, SEEDS = 1.0, 3.0, (5, 6, 7)
BRIDGE = {"sigma": SIGMA, "tau": TAU}
BLOBS = three_blobs()
LINEAR = WienerFilter(2, 0).double()  # EDM's: any variance will do


def log_ratio(x: Tensor) -> Tensor:
    return BLOBS.log_ratio(x, SIGMA, TAU)


def point_noise(seeds: tuple[int, ...] = SEEDS) -> PictureNoise:
    return PictureNoise(seeds, (2,), dtype=torch.float64)


class Tape:
    """Draws written out beforehand, in the order in which a loop takes them."""

    def __init__(self, draws: list[Tensor]) -> None:
        self.draws = iter(draws)

    def draw(self) -> Tensor:
        return next(self.draws)


def written_out(count: int, shape: tuple[int, ...] = (2,)) -> list[Tensor]:
    """What `PictureNoise` draws, by its documented recipe: one CPU float32 stream a picture."""
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    return [
        torch.stack([torch.randn(shape, generator=g) for g in generators]).double()
        for _ in range(count)
    ]


def states(steps: Iterator[Step]) -> Tensor:
    return torch.stack([step.x for step in steps])


# ----------------------------------------------------------------------------------------------
# G1: replay, step for step


@pytest.mark.parametrize("n3", [1, 3])
@pytest.mark.parametrize("self_normalised", [False, True])
def test_algorithm1_stage1_replays_the_printed_algorithm(n3: int, self_normalised: bool) -> None:
    n1 = 8
    settings = PaperMode(n1=n1, n2=5, n3=n3, self_normalised=self_normalised)
    x = torch.zeros(3, 2, dtype=torch.float64)
    got = states(algorithm1_stage1(BLOBS.denoised, log_ratio, x, point_noise(), settings, **BRIDGE))

    tape, expected = Tape(written_out(n1 * (2 * n3 + 1))), []
    for k in range(n1):
        t = k / n1
        numerator_z = [tape.draw() for _ in range(n3)]
        denominator_z = numerator_z if self_normalised else [tape.draw() for _ in range(n3)]
        numerator, denominator = torch.zeros(3, 2).double(), torch.zeros(3, 1).double()
        for z in numerator_z:
            y = x + math.sqrt(TAU * (1 - t)) * z
            gradient = BLOBS.score(y, SIGMA) + math.sqrt((1 - t) / TAU) * z
            numerator += log_ratio(y).exp()[:, None] * gradient
        for z in denominator_z:
            y = x + math.sqrt(TAU * (1 - t)) * z
            denominator += log_ratio(y).exp()[:, None]
        b = x / TAU + numerator / denominator
        x = x + TAU / n1 * b + math.sqrt(TAU / n1) * tape.draw()
        expected.append(x)
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-6, atol=1e-6)


def test_algorithm1_stage1_replays_the_clip() -> None:
    settings = PaperMode(n1=4, n2=1, n3=2, clip=0.5)
    x = torch.zeros(3, 2, dtype=torch.float64)
    got = states(algorithm1_stage1(BLOBS.denoised, log_ratio, x, point_noise(), settings, **BRIDGE))
    clipped = states(
        algorithm1_stage1(
            BLOBS.denoised,
            lambda y: log_ratio(y).clamp(-0.5, 0.5),
            x,
            point_noise(),
            PaperMode(n1=4, n2=1, n3=2),
            **BRIDGE,
        )
    )
    torch.testing.assert_close(got, clipped)


def test_algorithm1_stage1_with_the_exact_drift_replays_appendix_a() -> None:
    n1 = 8
    settings = PaperMode(n1=n1, n2=5, drift="exact")
    x = torch.zeros(3, 2, dtype=torch.float64)
    got = states(algorithm1_stage1(BLOBS.denoised, None, x, point_noise(), settings, **BRIDGE))

    tape, expected = Tape(written_out(n1)), []
    for k in range(n1):
        t = k / n1
        u = BLOBS.bridge_drift(x, t, SIGMA, TAU)  # by autograd, without the denoiser
        x = x + u / n1 + math.sqrt(TAU / n1) * tape.draw()
        expected.append(x)
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("final_denoise", [True, False])
@pytest.mark.parametrize("s_start", [SIGMA, 0.6])
def test_algorithm1_stage2_replays_the_printed_algorithm(
    final_denoise: bool, s_start: float
) -> None:
    n2, start = 9, BLOBS.sample(3, s=s_start)
    run = algorithm1_stage2(
        BLOBS.denoised,
        start,
        point_noise(),
        steps=n2,
        s_start=s_start,
        sigma=SIGMA,
        final_denoise=final_denoise,
    )
    got = states(run)

    tape, expected, x = Tape(written_out(n2)), [], start
    for k in range(n2):
        s = math.sqrt(s_start**2 * (n2 - k) / n2)
        x = x + s_start**2 / n2 * BLOBS.score(x, s) + s_start / math.sqrt(n2) * tape.draw()
        expected.append(x)
    if final_denoise:  # the reference code's undocumented step, to the score at the last level
        s_last = s_start / math.sqrt(n2)
        expected[-1] = x + s_last**2 * BLOBS.score(x, s_last)
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("final_denoise", [True, False])
def test_algorithm2_replays_the_printed_algorithm(shared: bool, final_denoise: bool) -> None:
    n2, shape = 7, (1, 4, 4)
    data = isotropic(16, 0.09)

    def denoise(v: Tensor, s: float) -> Tensor:
        return data.denoised(v.flatten(1), s).view_as(v)

    known = torch.linspace(-0.5, 0.5, 16, dtype=torch.float64).view(1, 1, 4, 4).expand(3, 1, 4, 4)
    mask = torch.zeros(3, 1, 4, 4)
    mask[..., :2] = 1
    settings = PaperMode(n2=n2, shared_noise=shared, final_denoise=final_denoise)
    noise = PictureNoise(SEEDS, shape, dtype=torch.float64)
    got = states(algorithm2(denoise, known, mask, noise, settings, sigma=SIGMA))

    tape, expected = Tape(written_out(2 * n2, shape)), []
    z = tape.draw()
    x = SIGMA * z
    for k in range(n2):
        s = SIGMA * math.sqrt((n2 - k) / n2)
        if k and not shared:
            z = tape.draw()
        x = mask * (known + s * z) + (1 - mask) * x
        x = x + SIGMA**2 / n2 * (denoise(x, s) - x) / s**2 + SIGMA / math.sqrt(n2) * tape.draw()
        expected.append(x)
    if final_denoise:
        x = denoise(x, SIGMA / math.sqrt(n2))
    expected[-1] = mask * known + (1 - mask) * x
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-6, atol=1e-6)
    assert torch.equal(got[-1][mask > 0], known[mask > 0])  # bit for bit


@pytest.mark.parametrize("name", SOLVERS)
def test_reverse_steps_replays_the_rule(name: str) -> None:
    solver, grid, v = SOLVERS[name], karras_grid(6, 4.0, 0.05), BLOBS.sample(3, s=4.0)
    rule = solver.rule(LINEAR)
    run = reverse_steps(BLOBS.denoised, v, grid, solver, point_noise(), **BRIDGE, linear=LINEAR)
    got = list(run)
    tape, history = Tape(written_out(6)), []
    for step, (s, s_next) in zip(got, itertools.pairwise(grid), strict=True):
        history.insert(0, Evaluation(s, BLOBS.denoised(v, s), v))
        v = rule(v, s, s_next, history, tape.draw() if solver.stochastic else None)
        scale = process.stage1_time(s_next, SIGMA, TAU) if s_next >= SIGMA else 1.0
        torch.testing.assert_close(step.x, scale * v)
        torch.testing.assert_close(step.denoised, history[0].denoised)


# ----------------------------------------------------------------------------------------------
# G3: closed form of stage 2 for Gaussian data


@pytest.mark.parametrize("final_denoise", [True, False])
@pytest.mark.parametrize("c", [0.0625, 1.0, 50.0])
def test_stage2_variance_follows_the_closed_recursion(c: float, final_denoise: bool) -> None:
    """The run is a linear map of (start, noise of each step); one-hot draws give its matrix."""
    n2, sigma = 20, 2.0
    basis = torch.eye(n2 + 1, dtype=torch.float64)
    tape = Tape(list(basis[1:, None]))  # step k moves only direction k + 1
    run = algorithm1_stage2(
        lambda v, s: c / (c + s**2) * v,
        basis[0][None],
        tape,
        steps=n2,
        s_start=sigma,
        sigma=sigma,
        final_denoise=final_denoise,
    )
    gains = states(run)[-1, 0]
    variance = gains[0] ** 2 * (c + sigma**2) + gains[1:].square().sum()

    v = c + sigma**2
    for k in range(n2):
        v = v * (1 - (sigma**2 / n2) / (c + sigma**2 * (1 - k / n2))) ** 2 + sigma**2 / n2
    if final_denoise:
        v *= (c / (c + sigma**2 / n2)) ** 2
    assert variance.item() == pytest.approx(v, rel=1e-10)


def test_without_the_last_tweedie_step_noise_of_one_step_stays() -> None:
    """For a point mass the output is exactly N(0, sigma^2 / N2): 16/255 at sigma = 2."""
    start = torch.zeros(1, 20_000, dtype=torch.float64)
    for final_denoise, expected in ((False, 2 / math.sqrt(1000)), (True, 0.0)):
        noise = PictureNoise([0], (20_000,), dtype=torch.float64)
        run = algorithm1_stage2(
            lambda v, s: 0 * v,
            start,
            noise,
            steps=1000,
            s_start=2.0,
            sigma=2.0,
            final_denoise=final_denoise,
        )
        *_, last = itertools.islice(run, 1000)
        assert last.x.std().item() == pytest.approx(expected, rel=0.02)


def test_algorithm1_stage2_is_the_euler_maruyama_solver_on_the_linear_grid() -> None:
    start = BLOBS.sample(3, s=SIGMA)
    printed = algorithm1_stage2(
        BLOBS.denoised,
        start,
        point_noise(),
        steps=12,
        s_start=SIGMA,
        sigma=SIGMA,
        final_denoise=False,
    )
    grid = linear_variance_grid(12, SIGMA)
    rule = reverse_steps(
        BLOBS.denoised, start, grid, SOLVERS["euler_maruyama"], point_noise(), **BRIDGE
    )
    torch.testing.assert_close(states(printed), states(rule))


# ----------------------------------------------------------------------------------------------
# G5 and the law of the whole run


def test_stage1_equals_the_reverse_sde_along_the_same_brownian_path() -> None:
    """v = X / t turns the stage-1 SDE into the variance-exploding one: same path, same end."""
    counts, gaps, seeds = [50, 200, 800], [], tuple(range(100))
    for n1 in counts:
        first = n1 // 10  # v is infinite at t = 0: hand over at t = 1/10
        noise = PictureNoise(seeds, (2,), dtype=torch.float64)
        draws = [noise.draw() for _ in range(n1)]
        zero = torch.zeros(100, 2, dtype=torch.float64)
        settings = PaperMode(n1=n1, n2=1, drift="exact")
        run = list(algorithm1_stage1(BLOBS.denoised, None, zero, Tape(draws), settings, **BRIDGE))
        v = run[first - 1].x / (first / n1)
        grid = [process.stage1_noise_level(k / n1, **BRIDGE) for k in range(first, n1 + 1)]
        solver = SOLVERS["euler_maruyama"]
        *_, last = reverse_steps(BLOBS.denoised, v, grid, solver, Tape(draws[first:]), **BRIDGE)
        assert last.stage == 1 and last.t == pytest.approx(1)
        gaps.append((last.x - run[-1].x).square().mean().sqrt().item())
    assert gaps[-1] < 0.02
    assert slope(counts, gaps) > 0.8


@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_sde"])
def test_solver_run_ends_with_the_moments_and_masses_of_the_data(name: str) -> None:
    n = 4000
    noise = PictureNoise([0], (n, 2), dtype=torch.float64)
    v = 40 * noise.draw()

    def denoise(v: Tensor, s: float) -> Tensor:
        return BLOBS.denoised(v[0], s)[None]

    grid = two_stage_grid(40, 40.0, SIGMA, TAU, 0.01)
    *_, last = reverse_steps(denoise, v, grid, SOLVERS[name], noise, **BRIDGE)
    end, data = last.x[0], BLOBS.sample(100_000)
    assert (end.mean(0) - data.mean(0)).abs().max() < 0.06
    assert (end.T.cov() - data.T.cov()).abs().max() < 0.08
    nearest = (end[:, None] - BLOBS.means).norm(dim=2).argmin(1)
    expected = (data[:, None] - BLOBS.means).norm(dim=2).argmin(1)
    masses = torch.bincount(nearest, minlength=3) / n
    assert (masses - torch.bincount(expected, minlength=3) / len(data)).abs().max() < 0.03


def test_paper_mode_with_the_exact_drift_carries_the_point_mass_to_q_sigma_and_the_data() -> None:
    n = 4000
    noise = PictureNoise([0], (n, 2), dtype=torch.float64)

    def denoise(v: Tensor, s: float) -> Tensor:
        return BLOBS.denoised(v[0], s)[None]

    settings = PaperMode(n1=100, n2=100, drift="exact")
    zero = torch.zeros(1, n, 2, dtype=torch.float64)
    *_, middle = algorithm1_stage1(denoise, None, zero, noise, settings, **BRIDGE)
    smoothed = BLOBS.sample(100_000, s=SIGMA).T.cov()
    assert (middle.x[0].T.cov() - smoothed).abs().max() < 0.12
    *_, last = algorithm1_stage2(denoise, middle.x, noise, steps=100, s_start=SIGMA, sigma=SIGMA)
    assert (last.x[0].T.cov() - BLOBS.sample(100_000).T.cov()).abs().max() < 0.08


# ----------------------------------------------------------------------------------------------
# The fields of a step


def test_steps_of_a_two_stage_run_are_numbered_timed_and_split_at_sigma() -> None:
    grid = two_stage_grid(12, 40.0, SIGMA, TAU, 0.01)
    v = 40 * torch.randn(3, 2, dtype=torch.float64)
    run = list(reverse_steps(BLOBS.denoised, v, grid, SOLVERS["ddim"], point_noise(), **BRIDGE))
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


def test_algorithm1_steps_carry_their_times_and_levels() -> None:
    settings = PaperMode(n1=4, n2=5, drift="exact")
    x = torch.zeros(3, 2, dtype=torch.float64)
    first = list(algorithm1_stage1(BLOBS.denoised, None, x, point_noise(), settings, **BRIDGE))
    assert [(s.index, s.total, s.t) for s in first] == [(k, 9, k / 4) for k in (1, 2, 3, 4)]
    assert first[-1].s == pytest.approx(SIGMA)
    second = list(
        algorithm1_stage2(BLOBS.denoised, x, point_noise(), steps=5, s_start=0.5, sigma=SIGMA)
    )
    assert [s.index for s in second] == [1, 2, 3, 4, 5]
    assert second[-1].t == 1 and second[-1].s == 0
    assert second[0].t == pytest.approx(1 - 0.25 * 0.8)  # the start is inside stage 2


def test_closed_form_stage1_is_the_gaussian_bridge_without_a_network() -> None:
    variance = 0.5

    def flow(v: Tensor, s: float, s_next: float) -> Tensor:
        return v * math.sqrt((variance + s_next**2) / (variance + s**2))

    v = math.sqrt(variance + 1600) * torch.randn(3, 2, dtype=torch.float64)
    grid = [40.0, 10.0, 3.0, SIGMA]
    run = list(
        closed_form_stage1(flow, lambda v, s: v * variance / (variance + s**2), v, grid, **BRIDGE)
    )
    assert [(s.stage, s.index, s.total) for s in run] == [(1, 1, 3), (1, 2, 3), (1, 3, 3)]
    assert all(s.nfe.total == 0 for s in run)
    torch.testing.assert_close(run[-1].x, flow(v, 40.0, SIGMA))
    torch.testing.assert_close(run[0].denoised, flow(v, 40.0, 10.0) * variance / (variance + 100))


def test_follow_renumbers_a_part_of_a_longer_run() -> None:
    grid = [1.0, 0.5, 0.0]
    v = torch.zeros(1, 2, dtype=torch.float64)
    run = reverse_steps(BLOBS.denoised, v, grid, SOLVERS["ddim"], point_noise((1,)), **BRIDGE)
    followed = list(follow(run, offset=10, total=12, nfe=Evaluations(10, 4)))
    assert [(s.index, s.total, s.nfe) for s in followed] == [
        (11, 12, Evaluations(11, 4)),
        (12, 12, Evaluations(12, 4)),
    ]


# ----------------------------------------------------------------------------------------------
# Counts of network evaluations, cancelling, errors


@pytest.mark.parametrize(
    ("settings", "denoiser", "ratio"),
    [
        (PaperMode(n1=5, n2=2), 5, 10),  # N3 score and 2 N3 ratio evaluations a step
        (PaperMode(n1=5, n2=2, n3=3), 15, 30),
        (PaperMode(n1=5, n2=2, n3=3, self_normalised=True), 15, 15),
        (PaperMode(n1=5, n2=2, drift="exact"), 4, 0),  # none at t = 0
    ],
)
def test_stage1_evaluations_equal_the_formula_and_the_true_count(
    settings: PaperMode, denoiser: int, ratio: int
) -> None:
    count_denoiser, count_ratio = Counter(BLOBS.denoised), Counter(log_ratio)
    x = torch.zeros(3, 2, dtype=torch.float64)
    run = algorithm1_stage1(count_denoiser, count_ratio, x, point_noise(), settings, **BRIDGE)
    for step in run:
        assert step.nfe.denoiser * 3 == count_denoiser.rows
        assert step.nfe.ratio * 3 == count_ratio.rows
    assert step.nfe == Evaluations(denoiser, ratio) and step.nfe.total == denoiser + ratio


@pytest.mark.parametrize("final_denoise", [True, False])
def test_stage2_and_algorithm2_evaluations_equal_the_true_count(final_denoise: bool) -> None:
    counter = Counter(BLOBS.denoised)
    start = torch.zeros(3, 2, dtype=torch.float64)
    *_, last = algorithm1_stage2(
        counter,
        start,
        point_noise(),
        steps=6,
        s_start=SIGMA,
        sigma=SIGMA,
        final_denoise=final_denoise,
    )
    assert last.nfe == Evaluations(6 + final_denoise) and counter.rows == 3 * (6 + final_denoise)

    counter = Counter(lambda v, s: 0.5 * v)
    known, mask = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2).triu()
    noise, settings = PictureNoise(SEEDS, (1, 2, 2)), PaperMode(n2=6, final_denoise=final_denoise)
    *_, last = algorithm2(counter, known, mask, noise, settings, sigma=SIGMA)
    assert last.nfe == Evaluations(6 + final_denoise) and counter.rows == 3 * (6 + final_denoise)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_costs_one_evaluation_a_step(name: str) -> None:
    counter = Counter(BLOBS.denoised)
    v = torch.ones(3, 2, dtype=torch.float64)
    grid = karras_grid(8, 4.0, 0.05)
    run = reverse_steps(counter, v, grid, SOLVERS[name], point_noise(), **BRIDGE, linear=LINEAR)
    for step in run:
        assert step.nfe == Evaluations(step.index) and counter.calls == step.index
    assert counter.calls == 8


@pytest.mark.parametrize(("name", "count"), [("ddim", 11), ("exponential_sde", 9), ("heun", 30)])
def test_states_between_have_the_law_of_their_noise_level(name: str, count: int) -> None:
    """A point mass at 0: the state at s is N(0, s^2), between the evaluations too."""
    n = 20_000
    run = PictureNoise([1], (n, 2), dtype=torch.float64)
    other = PictureNoise([2], (n, 2), dtype=torch.float64)
    solver = SOLVERS[name]
    v, levels = SIGMA * run.draw(), solver.levels(7, lambda k: karras_grid(k, SIGMA, 0.05))
    start = Step(1, 0, 7, 1.0, SIGMA, v, v, Evaluations())
    steps = reverse_steps(lambda v, s: 0 * v, v, levels, solver, run, **BRIDGE)
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
        return reverse_steps(BLOBS.denoised, v, grid, solver, point_noise(), **BRIDGE)

    film = list(fill_in(start, run(), 10, True, point_noise((8, 9, 10))))
    torch.testing.assert_close(torch.stack([s.x for s in film[1::2]]), states(run()))


def all_loops(denoise: Counter, ratio: Counter) -> dict[str, Iterator[Step]]:
    x = torch.zeros(3, 2, dtype=torch.float64)
    settings, grid = PaperMode(n1=5, n2=5), karras_grid(5, 4.0, 0.05)
    known, mask = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2).triu()
    return {
        "reverse_steps": reverse_steps(denoise, x, grid, SOLVERS["ddim"], point_noise(), **BRIDGE),
        "stage1": algorithm1_stage1(denoise, ratio, x, point_noise(), settings, **BRIDGE),
        "stage2": algorithm1_stage2(denoise, x, point_noise(), steps=5, s_start=SIGMA, sigma=SIGMA),
        "algorithm2": algorithm2(
            denoise, known, mask, PictureNoise(SEEDS, (1, 2, 2)), settings, sigma=SIGMA
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
    calls = denoise.calls, ratio.calls
    assert denoise.calls == 2
    run.close()
    assert (denoise.calls, ratio.calls) == calls
    assert list(run) == []


@pytest.mark.parametrize("loop", ["reverse_steps", "stage1", "stage2", "algorithm2"])
def test_an_error_of_the_consumer_or_of_the_network_propagates_and_stops_the_loop(
    loop: str,
) -> None:
    denoise = Counter(lambda v, s: 0.5 * v)
    ratio = Counter(lambda x: torch.zeros(len(x), dtype=x.dtype))
    with pytest.raises(RuntimeError, match="stop"):
        for _ in all_loops(denoise, ratio)[loop]:
            raise RuntimeError("stop")
    assert denoise.calls == 1

    def broken(v: Tensor, s: float) -> Tensor:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        next(all_loops(Counter(broken), ratio)[loop])


# ----------------------------------------------------------------------------------------------
# Random numbers


def test_noise_of_a_picture_does_not_depend_on_its_batch() -> None:
    batch, alone = PictureNoise(range(10, 16), (3, 4, 4)), PictureNoise([13], (3, 4, 4))
    for _ in range(3):
        assert torch.equal(batch.draw()[3], alone.draw()[0])


def test_equal_seeds_give_equal_noise_and_different_seeds_do_not() -> None:
    draw = PictureNoise([4, 4, 5], (8,)).draw()
    assert torch.equal(draw[0], draw[1]) and not torch.equal(draw[0], draw[2])


def test_noise_is_fresh_at_each_draw_standard_normal_and_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    noise = PictureNoise([0], (50_000,))
    first, second = noise.draw(), noise.draw()
    assert torch.equal(torch.rand(1), expected)
    assert abs(float((first * second).mean())) < 0.02
    assert float(first.mean()) == pytest.approx(0, abs=0.02)
    assert float(first.std()) == pytest.approx(1, abs=0.02)


def test_float64_noise_is_the_float32_noise() -> None:
    single, double = PictureNoise([3], (5,)), PictureNoise([3], (5,), dtype=torch.float64)
    assert torch.equal(single.draw().double(), double.draw())


def test_paths_of_a_picture_do_not_depend_on_its_batch() -> None:
    grid, solver = karras_grid(6, 4.0, 0.05), SOLVERS["dpmpp_2m_sde"]
    start = BLOBS.sample(3, s=4.0)

    def run(rows: list[int]) -> Tensor:
        noise = point_noise(tuple(SEEDS[i] for i in rows))
        return states(reverse_steps(BLOBS.denoised, start[rows], grid, solver, noise, **BRIDGE))

    torch.testing.assert_close(run([0, 1, 2])[:, 1:2], run([1]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n1": 0}, "n1"),
        ({"n2": -1}, "n2"),
        ({"n3": 0}, "n3"),
        ({"n1": 2.5}, "n1"),
        ({"n2": float("nan")}, "n2"),
        ({"n2": float("inf")}, "n2"),
        ({"n1": True}, "n1"),
        ({"drift": "guess"}, "drift"),
        ({"clip": -1.0}, "clip"),
        ({"clip": float("nan")}, "clip"),
    ],
)
def test_bad_paper_settings_are_refused_by_name(options: dict, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        PaperMode(**options)
