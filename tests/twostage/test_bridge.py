"""`Bridge` on a tiny real model: shapes, seeds, starts, counts, and what each door refuses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sbcore import DEFAULTS, SOLVERS, Bridge, DivergedError, Evaluations, PaperMode, Run
from sbcore.runtime.noise import Noise
from sbcore.twostage.bridge import BATCH, LEAST_VARIANCE
from sbcore.twostage.grids import GRIDS
from sbcore.twostage.process import stage1_noise_level
from tests.conftest import SIGMA, TAU, TINY, smooth_pictures, tiny_denoiser

PAPER = PaperMode(n1=3, n2=3)
EXACT = PaperMode(n1=3, n2=3, drift="exact")
all_methods = pytest.mark.parametrize("method", ["conditional", "algorithm2", "repaint"])
both_modes = pytest.mark.parametrize("mode", ["fast", "paper"])


def paper(settings: PaperMode) -> dict[str, Any]:
    return {"mode": "paper", "paper": settings}


def picture(seed: int = 0) -> Tensor:
    """An 8-bit picture: k / 255, which does not survive centring bit for bit."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, TINY.shape, generator=generator) / 255


def mask() -> Tensor:
    known = torch.ones(16, 16)
    known[4:12, 5:13] = 0
    return known


def in_range(pictures: Tensor, n: int) -> bool:
    shape = pictures.shape == (n, *TINY.shape) and pictures.dtype == torch.float32
    return shape and bool(((pictures >= 0) & (pictures <= 1)).all())


def test_model_knows_itself(bridge: Bridge, bridge_without_ratio: Bridge) -> None:
    assert (bridge.name, bridge.sigma, bridge.tau) == ("tiny", SIGMA, TAU)
    assert bridge.shape == TINY.shape and bridge.device.type == "cpu"
    assert bridge.has_density_ratio and not bridge_without_ratio.has_density_ratio
    assert bridge.facts["network"]["rank"] == TINY.rank


def test_posterior_mean_is_tweedies_formula(bridge: Bridge) -> None:
    noisy, mean = torch.rand(2, *TINY.shape), bridge.denoiser.mean
    expected = bridge.denoiser(noisy - mean, 0.3) + mean
    torch.testing.assert_close(bridge.posterior_mean(noisy, 0.3), expected)


def test_bf16_stays_inside_the_networks_of_its_own_bridge(bridge: Bridge) -> None:
    networks = bridge.denoiser, SIGMA, TAU, bridge.log_ratio
    exact, rough = (Bridge(*networks, device="cpu", bf16=bf16) for bf16 in (False, True))
    for options in ({"steps": 3}, paper(PAPER)):
        expected = exact.generate(2, 3, **options).result()
        found = rough.generate(2, 3, **options).result()
        assert found.dtype == torch.float32 and not torch.equal(found, expected)
        torch.testing.assert_close(found, expected, rtol=0, atol=0.05)
        assert torch.equal(exact.generate(2, 3, **options).result(), expected)


# ----------------------------------------------------------------------------------------------
# Generate


@pytest.mark.parametrize(
    "options",
    [
        *({"steps": 4, "solver": solver} for solver in SOLVERS),
        *({"steps": 4, "start": start} for start in ("gaussian", "network", "noise")),
        paper(PAPER),
        paper(PaperMode(3, 3, n3=2, self_normalised=True, clip=3.0)),
        paper(PaperMode(3, 3, drift="exact", final_denoise=False)),
    ],
    ids=str,
)
def test_generate_draws_pictures_in_every_way(bridge: Bridge, options: dict) -> None:
    pictures = bridge.generate(2, seed=3, **options).result()
    assert in_range(pictures, 2) and pictures[0].std() > 0.01
    assert not torch.equal(pictures[0], pictures[1])
    assert not pictures.requires_grad and torch.is_grad_enabled()


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 3, "solver": "dpmpp_2m"},
        {"steps": 3, "solver": "dpmpp_2m_sde"},
        {"steps": 3, "start": "network"},
        paper(PAPER),
        paper(EXACT),
    ],
    ids=str,
)
def test_a_picture_is_that_of_its_seed_alone(bridge: Bridge, options: dict) -> None:
    together = bridge.generate(16, seed=10, **options).result()
    torch.manual_seed(99)
    for i in (0, 15):
        alone = bridge.generate(1, seed=10 + i, **options).result()
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-5)
    other = bridge.generate(1, seed=10 + 2**32, **options).result()
    assert not torch.allclose(other[0], together[0], atol=1e-2)


def test_large_numbers_of_pictures_go_in_bounded_network_calls(
    bridge: Bridge, calls: list[int]
) -> None:
    together = bridge.generate(BATCH + 3, seed=0, steps=1).result()
    assert calls == [BATCH, 3]
    alone = bridge.generate(1, seed=BATCH + 1, steps=1).result()
    torch.testing.assert_close(alone[0], together[BATCH + 1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("start", ["closed form", "noise"])
def test_start_is_a_draw_of_q_sigma_or_the_control_of_figure_5(bridge: Bridge, start: str) -> None:
    """v = mean + (Sigma + sigma^2)^(1/2) noise, or mean + sigma noise; then DDIM's first step."""
    step = next(bridge.generate(1, seed=4, steps=5, solver="ddim", start=start))
    noise, mean = Noise([4], TINY.shape).draw(), bridge.denoiser.mean
    v = SIGMA * noise if start == "noise" else bridge.denoiser.linear.sample(noise, SIGMA)
    denoised = bridge.denoiser(v, SIGMA) + mean
    torch.testing.assert_close(step.denoised, denoised.clamp(0, 1))
    ratio = step.s / SIGMA
    torch.testing.assert_close(step.x, ratio * (v + mean) + (1 - ratio) * denoised)


def test_gaussian_model_generates_the_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the data are N(mean, Sigma): pictures have its mean and variances."""
    denoiser = tiny_denoiser()
    monkeypatch.setattr(denoiser.trunk, "forward", lambda x, s: torch.zeros_like(x[:, :3]))
    denoiser.linear.eigenvalues.mul_(0.02)
    denoiser.linear.rest.fill_(1e-2)
    bridge = Bridge(denoiser, SIGMA, TAU, device="cpu")
    for options in ({}, {"start": "network", "steps": 20}):
        *_, last = bridge.generate(200, seed=0, **options)
        flat = (last.x - denoiser.mean).flatten(1)
        components = flat @ denoiser.linear.basis.T
        expected = denoiser.linear.eigenvalues
        assert (components.var(0) / expected).log().abs().max() < 0.5
        assert (components.mean(0).abs() < 4 * (expected / 200).sqrt()).all()
        rest = (flat - components @ denoiser.linear.basis).square().sum(1).mean() / (768 - 8)
        assert rest.item() == pytest.approx(1e-2, rel=0.15)


# ----------------------------------------------------------------------------------------------
# Evolve


@pytest.mark.parametrize(
    ("frames", "options"),
    [(5, {}), (24, {"solver": "dpmpp_2m_sde"}), (4, paper(PaperMode(20, 20)))],
    ids=["fast", "sde", "paper"],
)
def test_evolve_shows_the_frames_from_zero_to_a_picture(
    bridge: Bridge, frames: int, options: dict
) -> None:
    run = bridge.evolve(frames, seed=1, **options)
    every = list(run)
    assert [s.index for s in every] == list(range(len(run)))  # a Stop at every step
    steps = [s for s in every if run.keeps(s)]
    assert len(steps) == frames
    first, last = steps[0], steps[-1]
    assert (first.stage, first.index, first.t, first.s) == (1, 0, 0, math.inf)
    assert torch.equal(first.x, torch.zeros(1, *TINY.shape))
    assert first.nfe == Evaluations()
    assert (last.stage, last.t, last.s) == (2, 1, 0) and last.index == last.total
    indices, times = [s.index for s in steps], [(s.stage, s.t) for s in steps]
    assert indices == sorted(set(indices)) and times == sorted(times)
    assert {s.stage for s in steps} == {1, 2}
    torch.testing.assert_close(run.result(), torch.cat([step.x for step in steps]))


@pytest.mark.parametrize(
    ("frames", "options"),
    [
        (4, {"solver": "dpmpp_2m_sde"}),
        (41, {"solver": "ddim"}),
        (90, {"solver": "dpmpp_2m_sde"}),
        (7, paper(PAPER)),
    ],
    ids=str,
)
def test_evolve_ends_at_the_picture_of_generate(bridge: Bridge, frames: int, options: dict) -> None:
    states = bridge.evolve(frames, seed=7, **options).result()
    picture = bridge.generate(1, seed=7, **options).result()
    torch.testing.assert_close(states[-1].clamp(0, 1), picture[0], rtol=0, atol=1e-4)


def test_evolve_stage1_is_uniform_in_time_costs_nothing_and_has_noise_of_its_own(
    bridge: Bridge, calls: list[int]
) -> None:
    first = []
    for step in bridge.evolve(24, seed=3):
        if step.stage == 1:
            assert not calls
            first.append(step)
    assert len(calls) == DEFAULTS["generate"].steps == step.nfe.denoiser
    assert [s.t for s in first] == pytest.approx([k / 12 for k in range(13)])
    assert all(s.nfe.total == 0 for s in first)
    end = first[-1].x
    for step in first[1:]:
        assert step.s == pytest.approx(stage1_noise_level(step.t, SIGMA, TAU))
    for step in first[1:-1]:  # given its end X_1, the deviation from t X_1 does not know X_1
        deviation = (step.x - step.t * end).flatten()
        correlation = torch.corrcoef(torch.stack([deviation, end.flatten()]))[0, 1]
        assert abs(float(correlation)) < 0.2


def test_paper_mode_takes_steps_for_both_stages(bridge: Bridge) -> None:
    steps = list(bridge.generate(1, mode="paper", steps=4))
    assert [s.stage for s in steps] == [1] * 4 + [2] * 4


def test_a_diverged_stage1_is_one_sentence(bridge: Bridge, monkeypatch) -> None:
    ratio = bridge.log_ratio
    monkeypatch.setattr(ratio, "forward", lambda x: torch.full((len(x),), torch.inf))
    with pytest.raises(DivergedError, match="diverged"):
        bridge.generate(1, **paper(PAPER)).result()


# ----------------------------------------------------------------------------------------------
# Interpolate, denoise, perturb


@both_modes
def test_interpolate_has_both_ends_and_shares_its_noise(bridge: Bridge, mode: str) -> None:
    a, b = picture(1), picture(2)
    options = {"mode": mode, "steps": 4, "seed": 3}
    morph = bridge.interpolate(a, b, 3, 0.1, **options).result()
    assert in_range(morph, 3)
    same = bridge.interpolate(a, a, 3, 0.1, **options).result()  # equal mixes, equal noise
    torch.testing.assert_close(same, morph[:1].expand_as(same), rtol=0, atol=1e-5)
    back = bridge.interpolate(b, a, 3, 0.1, **options).result()
    torch.testing.assert_close(back.flip(0), morph, rtol=0, atol=1e-5)


def test_interpolate_starts_from_the_mix_plus_noise_of_the_variance(bridge: Bridge) -> None:
    a, b, mean = picture(1), picture(2), bridge.denoiser.mean
    step = next(bridge.interpolate(a, b, 3, 0.4, seed=3, steps=4))
    mixed = torch.stack([a, (a + b) / 2, b]) + math.sqrt(0.4) * Noise([3], TINY.shape).draw()
    denoised = bridge.denoiser(mixed - mean, math.sqrt(0.4)) + mean
    torch.testing.assert_close(step.denoised, denoised.clamp(0, 1), rtol=0, atol=1e-5)


def path(bridge: Bridge, count: int, frames: int, **options: Any) -> tuple[list[Tensor], Tensor]:
    """Smooth pictures, and the morph through all of them by inversion."""
    given = list(smooth_pictures(count) / 255)
    a, b, *more = given
    options = {"method": "inversion", "steps": 15} | options
    return given, bridge.interpolate(a, b, frames, more=more, **options).result()


@pytest.mark.parametrize("solver", [None, "dpmpp_2m", "linear_exact_2"])
def test_inversion_begins_and_ends_with_the_pictures(bridge: Bridge, solver: str | None) -> None:
    (a, b), morph = path(bridge, 2, 5, solver=solver)
    assert in_range(morph, 5)
    for found, expected in ((morph[0], a), (morph[-1], b)):
        assert -10 * (found - expected).square().mean().log10() > 35  # dB
    assert (morph[2] - (a + b) / 2).abs().mean() > 0.001  # more than the plain mix
    again = bridge.interpolate(
        a, b, 5, seed=9, variance=1, method="inversion", steps=15, solver=solver
    )
    assert torch.equal(again.result(), morph)  # there is no noise in it


def test_inversion_of_equal_pictures_stands_still(bridge: Bridge) -> None:
    (a,) = smooth_pictures(1) / 255
    morph = bridge.interpolate(a, a, 3, method="inversion").result()
    torch.testing.assert_close(morph, a.expand(3, *a.shape), rtol=0, atol=0.02)


def test_a_path_goes_through_all_of_several_pictures(bridge: Bridge) -> None:
    given, morph = path(bridge, 3, 6)
    for index, expected in zip((0, 2, 5), given, strict=True):  # 2.5 is between two frames
        torch.testing.assert_close(morph[index], expected, rtol=0, atol=0.02)
    a, b, c = given
    shared = bridge.interpolate(a, b, 5, 0.1, more=[c], steps=3).result()
    first, second = (bridge.interpolate(*two, 3, 0.1, steps=3).result() for two in ((a, b), (b, c)))
    torch.testing.assert_close(shared, torch.cat([first, second[1:]]), rtol=0, atol=1e-5)


def test_inversion_takes_as_many_evaluations_up_as_down(bridge: Bridge, calls: list[int]) -> None:
    a, b = picture(1), picture(2)
    run = bridge.interpolate(a, b, 4, method="inversion", steps=3)
    steps = list(run)
    assert calls == [2] * 3 + [4] * 3 and len(run) == 6
    assert [step.index for step in steps] == [step.nfe.denoiser for step in steps] == [*range(1, 7)]
    assert all(step.x.shape == step.denoised.shape == (4, *TINY.shape) for step in steps)
    assert steps[2].s == SIGMA and steps[-1].s == 0 and steps[-1].final
    whole = bridge.interpolate(a, b, method="inversion")
    assert len(whole) == 2 * DEFAULTS["inversion"].steps


@both_modes
def test_denoise_restores_one_perturbation_many_times(bridge: Bridge, mode: str) -> None:
    image = picture()
    restored = bridge.denoise(image, SIGMA**2, 3, seed=4, steps=4, mode=mode).result()
    assert in_range(restored, 3)
    assert not torch.equal(restored[0], restored[1])  # the noise of the steps differs
    alone = bridge.denoise(image, SIGMA**2, 1, seed=4, steps=4, mode=mode).result()
    torch.testing.assert_close(alone[0], restored[0], rtol=0, atol=1e-5)
    little = bridge.denoise(image, LEAST_VARIANCE, 1, mode=mode).result()
    torch.testing.assert_close(little[0], image, rtol=0, atol=0.01)


def test_restorations_take_noise_of_their_own_not_that_of_the_perturbation(bridge: Bridge) -> None:
    """Restoration i takes its steps with seed + i, whose first draw made the perturbation."""
    image, s = picture(), math.sqrt(0.5)
    step = next(bridge.denoise(image, 0.5, 2, seed=4, steps=5, solver="exponential_sde"))
    noise = Noise([4, 5], TINY.shape)
    noise.draw()
    start, keep = bridge.perturb(image, 0.5, seed=4), (step.s / s) ** 2
    denoised = bridge.denoiser(start[None] - bridge.denoiser.mean, s) + bridge.denoiser.mean
    expected = keep * start + (1 - keep) * denoised
    expected = expected + step.s * math.sqrt(1 - keep) * noise.draw()
    torch.testing.assert_close(step.x, expected, rtol=0, atol=1e-5)
    one, two = bridge.denoise(image, 0.5, 2, steps=3, solver="dpmpp_2m").result()
    torch.testing.assert_close(one, two)  # no noise in the steps: one answer


def test_perturb_adds_noise_of_the_variance_without_clamping(bridge: Bridge) -> None:
    image = torch.full(TINY.shape, 0.5)
    perturbed = bridge.perturb(image, 4.0, seed=1)
    assert perturbed.shape == TINY.shape and perturbed.min() < 0 and perturbed.max() > 1
    assert (perturbed - image).std().item() == pytest.approx(2.0, rel=0.1)
    assert torch.equal(perturbed, bridge.perturb(image, 4.0, seed=1))
    assert not torch.equal(perturbed, bridge.perturb(image, 4.0, seed=2))


@both_modes
@pytest.mark.parametrize("s", [0.1, 0.5])
def test_a_noisy_picture_is_taken_as_it_is(bridge: Bridge, mode: str, s: float) -> None:
    clean = smooth_pictures(1, seed=3)[0] / 255
    noisy = clean + s * Noise([3], TINY.shape).draw()[0]  # leaves [0, 1]
    run = bridge.denoise(noisy, s**2, 2, seed=5, steps=8, mode=mode, add_noise=False)
    restored = run.result()
    assert in_range(restored, 2)
    first = next(bridge.denoise(noisy, s**2, 1, steps=8, mode=mode, add_noise=False))
    believed = bridge.posterior_mean(noisy[None], s).clamp(0, 1)
    torch.testing.assert_close(first.denoised, believed, rtol=0, atol=1e-5)
    alone = bridge.denoise(noisy, s**2, 1, seed=5, steps=8, mode=mode, add_noise=False).result()
    torch.testing.assert_close(alone[0], restored[0], rtol=0, atol=1e-5)


def test_noise_that_nobody_told_is_estimated(bridge: Bridge) -> None:
    clean = smooth_pictures(1, seed=3)[0] / 255
    noisy = clean + 0.3 * Noise([3], TINY.shape).draw()[0]
    level = bridge.noise_level(noisy)
    assert level == pytest.approx(0.3, rel=0.15)
    options = {"steps": 3, "add_noise": False}
    expected = bridge.denoise(noisy, level**2, 1, **options).result()
    assert torch.equal(bridge.denoise(noisy, None, 1, **options).result(), expected)
    plain = torch.full(TINY.shape, 0.5)  # no noise at all, and far too much
    assert in_range(bridge.denoise(plain, None, 1, **options).result(), 1)
    assert in_range(bridge.denoise(99 * noisy, None, 1, **options).result(), 1)


def test_paper_mode_of_editing_keeps_the_step_of_the_paper(bridge: Bridge) -> None:
    """Variance sigma^2 / 1000 a step: 100 of them for 0.4 of 4, and the Tweedie step."""
    step = next(bridge.interpolate(picture(1), picture(2), 2, 0.4, mode="paper"))
    assert step.total == 100
    *_, last = bridge.denoise(picture(), 0.02, 1, mode="paper")
    assert last.total == 5 and last.nfe.denoiser == 6


# ----------------------------------------------------------------------------------------------
# Inpaint


@all_methods
def test_inpaint_keeps_known_pixels_bit_for_bit_and_fills_the_hole(
    bridge: Bridge, method: str
) -> None:
    image, known, options = picture(), mask(), {"seed": 2, "steps": 4, "method": method}
    filled = bridge.inpaint(image, known, 3, **options).result()
    assert in_range(filled, 3)
    keep = known.bool().expand(3, *TINY.shape)
    assert torch.equal(filled[keep], image.expand(3, *TINY.shape)[keep])
    assert not torch.equal(filled[0], filled[1])
    assert (filled[0] != image)[~keep[0]].float().mean() > 0.9
    # Nobody looks into the hole, and a fill is that of its seed.
    scribbled = torch.where(known > 0, image, picture(9))
    assert torch.equal(bridge.inpaint(scribbled, known, 3, **options).result(), filled)
    alone = bridge.inpaint(image, known, 1, **options | {"seed": 4}).result()
    torch.testing.assert_close(alone[0], filled[2], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [*({"solver": s} for s in SOLVERS), {"method": "algorithm2"}, {"method": "repaint"}],
    ids=str,
)
def test_known_pixels_are_clean_in_every_preview(bridge: Bridge, options: dict) -> None:
    image, keep = picture(), mask().bool().expand(TINY.shape)
    run = bridge.inpaint(image, mask(), 1, steps=3, **options)
    for step in run:
        assert torch.equal(step.x[0][keep], image[keep])
        assert torch.equal(step.denoised[0][keep], image[keep])
    assert in_range(run.result(), 1)


def test_masks_of_every_kind_mean_the_same(bridge: Bridge) -> None:
    m = mask()
    expected = bridge.inpaint(picture(), m, 1, steps=2).result()
    for other in (m.bool(), m[None], 255 * m.to(torch.uint8), m.numpy(), m.double()):
        assert torch.equal(bridge.inpaint(picture(), other, 1, steps=2).result(), expected)


def test_empty_mask_draws_a_whole_picture(bridge: Bridge) -> None:
    first = bridge.inpaint(picture(1), torch.zeros(16, 16), 1, seed=3, steps=4).result()
    second = bridge.inpaint(picture(2), torch.zeros(16, 16), 1, seed=3, steps=4).result()
    assert torch.equal(first, second) and in_range(first, 1)


def test_conditional_inpaint_starts_from_the_gaussian_conditional_plus_noise(
    bridge: Bridge,
) -> None:
    """Hole: Matheron draw + sigma noise; known: clean; the denoiser is told the known pixels."""
    linear, mean = bridge.denoiser.linear, bridge.denoiser.mean
    known, keep, noise = picture() - mean, mask()[None], Noise([6], TINY.shape)
    clean = linear.sample_given(known, keep, noise.draw())
    v = torch.where(keep > 0, known, clean + SIGMA * noise.draw())
    expected = bridge.denoiser(v, SIGMA, known[None], keep[None]) + mean
    step = next(bridge.inpaint(picture(), mask(), 1, seed=6, steps=4))
    torch.testing.assert_close(step.denoised, expected.clamp(0, 1), rtol=0, atol=1e-5)


def test_algorithm2_is_unconditional_and_starts_from_noise(bridge: Bridge) -> None:
    noise, mean = Noise([6], TINY.shape), bridge.denoiser.mean
    v = torch.where(mask() > 0, picture() - mean, 0.0) + SIGMA * noise.draw()
    expected = torch.where(mask() > 0, picture(), bridge.denoiser(v, SIGMA) + mean)
    step = next(bridge.inpaint(picture(), mask(), 1, seed=6, steps=4, method="algorithm2"))
    torch.testing.assert_close(step.denoised, expected.clamp(0, 1), rtol=0, atol=1e-5)


def test_repaint_starts_from_a_draw_of_q_sigma_with_noisy_known_pixels(bridge: Bridge) -> None:
    noise, mean = Noise([6], TINY.shape), bridge.denoiser.mean
    v = bridge.denoiser.linear.sample(noise.draw(), SIGMA)
    v = torch.where(mask() > 0, picture() - mean + SIGMA * noise.draw(), v)
    expected = torch.where(mask() > 0, picture(), bridge.denoiser(v, SIGMA) + mean)
    step = next(bridge.inpaint(picture(), mask(), 1, seed=6, steps=4, method="repaint"))
    torch.testing.assert_close(step.denoised, expected.clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "more"), [("conditional", 0), ("repaint", 0), ("algorithm2", 1)]
)
def test_methods_of_inpainting_can_be_compared_at_equal_evaluations(
    bridge: Bridge, calls: list[int], method: str, more: int
) -> None:
    *_, last = bridge.inpaint(picture(), mask(), 1, steps=10, method=method)
    assert last.final and last.nfe.denoiser == len(calls) == 10 + more


# ----------------------------------------------------------------------------------------------
# Streaming, cancelling, counts


def door(bridge: Bridge, name: str) -> Callable[..., Run]:
    """A call with good arguments, which may be replaced."""
    a, b = picture(1), picture(2)
    return {
        "generate": partial(bridge.generate, n=2),
        "evolve": partial(bridge.evolve, frames=8),
        "interpolate": partial(bridge.interpolate, a=a, b=b, frames=3),
        "denoise": partial(bridge.denoise, image=a, n=2),
        "inpaint": partial(bridge.inpaint, image=a, known_mask=mask(), n=2),
        "inversion": partial(bridge.interpolate, a=a, b=b, frames=3, method="inversion"),
        "as it is": partial(bridge.denoise, image=a, n=2, add_noise=False),
        "perturb": partial(bridge.perturb, image=a, variance=1.0),
        "noise_level": partial(bridge.noise_level, image=a),
        "typicality": partial(bridge.typicality, image=a),
    }[name]


@pytest.mark.parametrize("name", ["generate", "interpolate", "denoise", "inpaint"])
def test_a_run_calls_the_network_step_by_step_and_its_result_is_its_last_state(
    bridge: Bridge, name: str, calls: list[int]
) -> None:
    run = door(bridge, name)(steps=4)
    steps = []
    assert calls == [] and len(run) == 4
    for step in run:
        steps.append(step)
        assert len(calls) == len(steps)  # leaving the loop makes no further call
    assert [s.index for s in steps] == [1, 2, 3, 4] and {s.total for s in steps} == {4}
    pictures = door(bridge, name)(steps=4).result()
    torch.testing.assert_close(run.result(), pictures, rtol=0, atol=1e-6)
    torch.testing.assert_close(steps[-1].x.clamp(0, 1), pictures, rtol=0, atol=1e-6)
    for step in steps:
        assert step.denoised.shape == step.x.shape == pictures.shape
        assert step.denoised.min() >= 0 and step.denoised.max() <= 1


@pytest.mark.parametrize(
    ("options", "denoiser", "ratio"),
    [
        ({"steps": 7, "start": "network"}, 7, 0),
        (paper(PaperMode(3, 3, n3=2)), 6 + 3 + 1, 12),
        (paper(PaperMode(3, 3, drift="exact", final_denoise=False)), 5, 0),
    ],
    ids=str,
)
def test_reported_evaluations_are_the_true_ones(
    bridge: Bridge, calls: list[int], options: dict, denoiser: int, ratio: int
) -> None:
    for step in bridge.generate(2, **options):
        assert step.nfe.denoiser * 2 == sum(calls)
    assert step.nfe == Evaluations(denoiser, ratio)
    assert step.index == step.total


@pytest.mark.parametrize("grid", GRIDS)
def test_grids_are_those_of_the_literature(bridge: Bridge, grid: str) -> None:
    for start in ("closed form", "network"):
        steps = list(bridge.generate(1, steps=8, start=start, grid=grid, s_end=0.05))
        levels = [step.s for step in steps]
        assert levels[-1] == 0 and all(a > b for a, b in itertools.pairwise(levels))
        if grid != "uniform_t":  # the paper's grid ends as it ends
            assert levels[-2] == 0.05
        assert (SIGMA in levels) == (start == "network")


# ----------------------------------------------------------------------------------------------
# Bad arguments: a ValueError that names the argument, before any network call


REACHED = {  # what every check refuses is told in tests/runtime/test_checks.py
    "generate": {"n": 0, "seed": -1, "steps": 0, "solver": "x", "mode": "x", "start": "x",
                 "grid": "x"},
    "evolve": {"frames": 3, "seed": -1, "solver": "x", "mode": "x"},
    "interpolate": {"a": None, "b": None, "frames": 1, "variance": 0, "seed": -1, "steps": 0,
                    "solver": "x", "mode": "x", "method": "x", "more": [None]},
    "inversion": {"a": None, "b": None, "frames": 1, "variance": 0, "seed": -1, "steps": 0,
                  "solver": "dpmpp_2m_sde", "mode": "paper", "more": [None]},
    "denoise": {"image": None, "variance": 0, "n": 0, "seed": -1, "steps": 0, "solver": "x",
                "mode": "x"},
    "inpaint": {"image": None, "known_mask": None, "n": 0, "seed": -1, "steps": 0, "solver": "x",
                "method": "x"},
    "as it is": {"image": torch.full(TINY.shape, math.nan), "variance": 0, "n": 0, "seed": -1},
    "perturb": {"image": None, "variance": 0, "seed": -1},
    "noise_level": {"image": torch.full(TINY.shape, math.inf)},
    "typicality": {"image": torch.full(TINY.shape, 1.1)},
}  # fmt: skip
PICTURES = {
    "batch": torch.zeros(1, 3, 16, 16),
    "small": torch.zeros(3, 8, 8),
    "one NaN": torch.zeros(TINY.shape).index_fill(1, torch.tensor(3), math.nan),
    "bytes": torch.full(TINY.shape, 200, dtype=torch.uint8),
    "negative": torch.full(TINY.shape, -0.1),
    "text": "picture.png",
}
MASKS = {
    "another size": torch.zeros(8, 8),
    "three channels": torch.zeros(3, 16, 16),
    "NaN": torch.full((16, 16), math.nan),
    "text": "left",
}


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        *((name, key, value) for name, bad in REACHED.items() for key, value in bad.items()),
        *(("perturb", "image", value) for value in PICTURES.values()),
        *(("inpaint", "known_mask", value) for value in MASKS.values()),
        *(("perturb", "variance", value) for value in (1e-300, math.nan, SIGMA**2 + 0.1, True)),
        *(("generate", "s_end", value) for value in (0, SIGMA, math.nan, "0.1")),
    ],
)
def test_bad_arguments_are_refused_by_name_at_once(
    bridge: Bridge, calls: list[int], name: str, argument: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=rf"\b{argument}\b") as caught:
        door(bridge, name)(**{argument: value})
    assert "\n" not in str(caught.value) and calls == []


def test_what_fits_no_run_is_refused(bridge: Bridge) -> None:
    with pytest.raises(ValueError, match="every pixel is marked as known"):
        bridge.inpaint(picture(), torch.ones(16, 16))
    with pytest.raises(ValueError, match="frames must be a whole number of at least 3, got 2"):
        bridge.interpolate(picture(1), picture(2), 2, more=[picture(3)])
    with pytest.raises(ValueError, match="variance must be"):  # noise to be added is never guessed
        bridge.denoise(picture(), None)
    with pytest.raises(ValueError, match="frames must be at most 7, got 24"):
        bridge.evolve(24, **paper(PAPER))
    with pytest.raises(ValueError, match="steps must be a whole number of at least 2"):
        bridge.generate(1, steps=1, start="network")
    with pytest.raises(ValueError, match="steps"):
        bridge.inpaint(picture(), mask(), steps=0, method="algorithm2")


def test_paper_mode_without_a_density_ratio_says_what_to_do(bridge_without_ratio: Bridge) -> None:
    for call in (bridge_without_ratio.generate, bridge_without_ratio.evolve):
        with pytest.raises(ValueError, match=r"tiny has no density-ratio network.*train\.py ratio"):
            call(mode="paper")
    assert in_range(bridge_without_ratio.generate(1, **paper(EXACT)).result(), 1)


def test_whole_floats_and_arrays_of_numpy_are_accepted(bridge: Bridge) -> None:
    """JSON clients send 2.0, arrays send numpy integers."""
    expected = bridge.denoise(picture(), 1.0, 2, 3, steps=2).result()
    numbers = 1, 2.0, np.int64(3)
    assert torch.equal(bridge.denoise(picture().numpy(), *numbers, steps=2.0).result(), expected)
