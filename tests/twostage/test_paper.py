"""Algorithms 1 and 2: replay against straight-line code, closed forms, counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sbcore.runtime.run import Evaluations
from sbcore.twostage.grids import linear_variance_grid
from sbcore.twostage.paper import PaperMode, algorithm1_stage1, algorithm1_stage2, algorithm2
from sbcore.twostage.sampler import reverse_steps
from sbcore.twostage.solvers import SOLVERS
from tests.oracles import Counter, isotropic
from tests.twostage.loops import BLOBS, BRIDGE, SEEDS, SIGMA, TAU, Tape, draws, log_ratio, states


@pytest.mark.parametrize(
    ("n3", "self_normalised", "clip"), [(1, False, None), (3, False, 0.5), (3, True, None)]
)
def test_algorithm1_stage1_replays_the_printed_algorithm(
    n3: int, self_normalised: bool, clip: float | None
) -> None:
    n1, most = 8, math.inf if clip is None else clip
    settings = PaperMode(n1=n1, n2=5, n3=n3, self_normalised=self_normalised, clip=clip)
    x = torch.zeros(3, 2, dtype=torch.float64)
    got = states(algorithm1_stage1(BLOBS.denoised, log_ratio, x, draws(), settings, **BRIDGE))

    draw, expected = draws(), []
    for k in range(n1):
        t = k / n1
        numerator_z = [draw() for _ in range(n3)]
        denominator_z = numerator_z if self_normalised else [draw() for _ in range(n3)]
        numerator, denominator = torch.zeros(3, 2).double(), torch.zeros(3, 1).double()
        for z in numerator_z:
            y = x + math.sqrt(TAU * (1 - t)) * z
            gradient = BLOBS.score(y, SIGMA) + math.sqrt((1 - t) / TAU) * z
            numerator += log_ratio(y).clamp(-most, most).exp()[:, None] * gradient
        for z in denominator_z:
            y = x + math.sqrt(TAU * (1 - t)) * z
            denominator += log_ratio(y).clamp(-most, most).exp()[:, None]
        b = x / TAU + numerator / denominator
        x = x + TAU / n1 * b + math.sqrt(TAU / n1) * draw()
        expected.append(x)
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-6, atol=1e-6)


def test_algorithm1_stage1_with_the_exact_drift_follows_the_drift_by_autograd() -> None:
    n1 = 8
    settings = PaperMode(n1=n1, n2=5, drift="exact")
    x = torch.zeros(3, 2, dtype=torch.float64)
    got = states(algorithm1_stage1(BLOBS.denoised, None, x, draws(), settings, **BRIDGE))

    draw, expected = draws(), []
    for k in range(n1):
        t = k / n1
        u = BLOBS.bridge_drift(x, t, SIGMA, TAU)  # by autograd, without the denoiser
        x = x + u / n1 + math.sqrt(TAU / n1) * draw()
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
        draws(),
        steps=n2,
        s_start=s_start,
        sigma=SIGMA,
        final_denoise=final_denoise,
    )
    got = states(run)

    draw, expected, x = draws(), [], start
    for k in range(n2):
        s = math.sqrt(s_start**2 * (n2 - k) / n2)
        x = x + s_start**2 / n2 * BLOBS.score(x, s) + s_start / math.sqrt(n2) * draw()
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
    draw = draws(SEEDS, shape)
    got = states(algorithm2(denoise, known, mask, draw, settings, sigma=SIGMA))

    draw, expected = draws(SEEDS, shape), []
    z = draw()
    x = SIGMA * z
    for k in range(n2):
        s = SIGMA * math.sqrt((n2 - k) / n2)
        if k and not shared:
            z = draw()
        x = mask * (known + s * z) + (1 - mask) * x
        x = x + SIGMA**2 / n2 * (denoise(x, s) - x) / s**2 + SIGMA / math.sqrt(n2) * draw()
        expected.append(x)
    if final_denoise:
        x = denoise(x, SIGMA / math.sqrt(n2))
    expected[-1] = mask * known + (1 - mask) * x
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-6, atol=1e-6)
    assert torch.equal(got[-1][mask > 0], known[mask > 0])  # bit for bit


@pytest.mark.parametrize("final_denoise", [True, False])
@pytest.mark.parametrize("c", [0.0, 0.0625, 50.0])
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


def test_algorithm1_stage2_is_the_euler_maruyama_solver_on_the_linear_grid() -> None:
    start = BLOBS.sample(3, s=SIGMA)
    printed = algorithm1_stage2(
        BLOBS.denoised, start, draws(), steps=12, s_start=SIGMA, sigma=SIGMA, final_denoise=False
    )
    grid = linear_variance_grid(12, SIGMA)
    rule = reverse_steps(BLOBS.denoised, start, grid, SOLVERS["euler_maruyama"], draws(), **BRIDGE)
    torch.testing.assert_close(states(printed), states(rule))


def test_algorithm1_steps_carry_their_times_and_levels() -> None:
    settings = PaperMode(n1=4, n2=5, drift="exact")
    x = torch.zeros(3, 2, dtype=torch.float64)
    first = list(algorithm1_stage1(BLOBS.denoised, None, x, draws(), settings, **BRIDGE))
    assert [(s.index, s.total, s.t) for s in first] == [(k, 9, k / 4) for k in (1, 2, 3, 4)]
    assert first[-1].s == pytest.approx(SIGMA)
    second = list(algorithm1_stage2(BLOBS.denoised, x, draws(), steps=5, s_start=0.5, sigma=SIGMA))
    assert [s.index for s in second] == [1, 2, 3, 4, 5]
    assert second[-1].t == 1 and second[-1].s == 0
    assert second[0].t == pytest.approx(1 - 0.25 * 0.8)  # the start is inside stage 2


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
    run = algorithm1_stage1(count_denoiser, count_ratio, x, draws(), settings, **BRIDGE)
    for step in run:
        assert step.nfe.denoiser * 3 == count_denoiser.rows
        assert step.nfe.ratio * 3 == count_ratio.rows
    assert step.nfe == Evaluations(denoiser, ratio) and step.nfe.total == denoiser + ratio


@pytest.mark.parametrize("final_denoise", [True, False])
def test_stage2_and_algorithm2_evaluations_equal_the_true_count(final_denoise: bool) -> None:
    denoise = Counter(lambda v, s: 0.5 * v)
    x, known = torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, 1, 2, 2)
    settings = PaperMode(n2=6, final_denoise=final_denoise)
    options = {"steps": 6, "s_start": SIGMA, "sigma": SIGMA, "final_denoise": final_denoise}
    draw, mask = draws(SEEDS, (1, 2, 2)), torch.ones(3, 1, 2, 2).triu()
    for run in (
        algorithm1_stage2(denoise, x, draws(), **options),
        algorithm2(denoise, known, mask, draw, settings, sigma=SIGMA),
    ):
        denoise.calls = 0
        *_, last = run
        assert last.nfe == Evaluations(denoise.calls) and denoise.calls == 6 + final_denoise


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n1": 0}, "n1"),
        ({"n2": -1}, "n2"),
        ({"n3": 0}, "n3"),
        ({"drift": "guess"}, "drift"),
        ({"clip": -1.0}, "clip"),
    ],
)
def test_bad_paper_settings_are_refused_by_name(options: dict, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        PaperMode(**options)
