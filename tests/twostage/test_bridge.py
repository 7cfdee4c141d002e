"""`Bridge` on a tiny real model: shapes, seeds, cancelling, counts, and every bad argument."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sbcore import (
    DEFAULTS,
    SOLVERS,
    Bridge,
    DivergedError,
    Evaluations,
    PaperMode,
    Run,
    Step,
)
from sbcore.runtime.noise import Noise
from sbcore.twostage.bridge import BATCH, LEAST_VARIANCE
from sbcore.twostage.grids import GRIDS
from sbcore.twostage.process import stage1_noise_level
from tests.conftest import SIGMA, TAU, TINY, save_tiny, tiny_denoiser

PAPER = PaperMode(n1=3, n2=3)
EXACT = PaperMode(n1=3, n2=3, drift="exact")


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


# ----------------------------------------------------------------------------------------------
# The package


def test_model_knows_itself(bridge: Bridge, bridge_without_ratio: Bridge) -> None:
    assert (bridge.name, bridge.sigma, bridge.tau) == ("tiny", SIGMA, TAU)
    assert bridge.shape == TINY.shape and bridge.device.type == "cpu"
    assert bridge.has_density_ratio and not bridge_without_ratio.has_density_ratio
    assert bridge.facts["network"]["rank"] == TINY.rank


# ----------------------------------------------------------------------------------------------
# Generate


@pytest.mark.parametrize("solver", [None, *SOLVERS])
@pytest.mark.parametrize("start", ["closed form", "network", "noise"])
def test_generate_works_with_every_solver_and_start(
    bridge: Bridge, solver: str | None, start: str
) -> None:
    pictures = bridge.generate(2, seed=3, steps=4, solver=solver, start=start).result()
    assert in_range(pictures, 2) and pictures[0].std() > 0.01
    assert not torch.equal(pictures[0], pictures[1])


@pytest.mark.parametrize(
    "paper",
    [
        PAPER,
        EXACT,
        PaperMode(3, 3, n3=2, self_normalised=True, clip=3.0),
        PaperMode(3, 3, final_denoise=False),
    ],
)
def test_generate_works_in_paper_mode(bridge: Bridge, paper: PaperMode) -> None:
    assert in_range(bridge.generate(2, seed=3, mode="paper", paper=paper).result(), 2)


def test_same_seed_same_picture_and_other_seed_other_picture(bridge: Bridge) -> None:
    first = bridge.generate(1, seed=5, steps=4).result()
    torch.manual_seed(99)
    assert torch.equal(bridge.generate(1, seed=5, steps=4).result(), first)
    assert not torch.equal(bridge.generate(1, seed=6, steps=4).result(), first)


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "dpmpp_2m"},
        {"solver": "dpmpp_2m_sde"},
        {"start": "network"},
        {"mode": "paper", "paper": PAPER},
        {"mode": "paper", "paper": EXACT},
    ],
    ids=str,
)
def test_picture_of_a_seed_does_not_depend_on_the_batch(bridge: Bridge, options: dict) -> None:
    steps = {} if options.get("mode") == "paper" else {"steps": 3}
    together = bridge.generate(16, seed=10, **steps, **options).result()
    for i in (0, 7, 15):
        alone = bridge.generate(1, seed=10 + i, **steps, **options).result()
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-5)


def test_large_numbers_of_pictures_go_in_bounded_network_calls(
    bridge: Bridge, calls: list[int]
) -> None:
    together = bridge.generate(BATCH + 3, seed=0, steps=1).result()
    assert calls == [BATCH, 3]
    alone = bridge.generate(1, seed=BATCH + 1, steps=1).result()
    torch.testing.assert_close(alone[0], together[BATCH + 1], rtol=0, atol=1e-5)


def test_closed_form_start_has_the_law_of_q_sigma(bridge: Bridge) -> None:
    """The first denoised picture is D(v, sigma) with v = mean + (Sigma + sigma^2)^(1/2) noise."""
    step = next(bridge.generate(1, seed=4, steps=5, solver="ddim"))
    linear, mean = bridge.denoiser.linear, bridge.denoiser.mean
    v = linear.sample(Noise([4], TINY.shape).draw(), SIGMA)
    denoised = bridge.denoiser(v, SIGMA) + mean
    torch.testing.assert_close(step.denoised, denoised.clamp(0, 1))
    ratio = step.s / SIGMA
    torch.testing.assert_close(step.x, ratio * (v + mean) + (1 - ratio) * denoised)


def test_noise_start_is_the_control_of_figure_5(bridge: Bridge) -> None:
    step = next(bridge.generate(1, seed=4, steps=5, start="noise"))
    noise, mean = Noise([4], TINY.shape).draw(), bridge.denoiser.mean
    denoised = (bridge.denoiser(SIGMA * noise, SIGMA) + mean).clamp(0, 1)
    torch.testing.assert_close(step.denoised, denoised)


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


@pytest.mark.parametrize("frames", [4, 5, 24])
@pytest.mark.parametrize(
    "options",
    [{}, {"solver": "dpmpp_2m_sde"}, {"mode": "paper", "paper": PaperMode(20, 20)}],
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


@pytest.mark.parametrize("solver", ["dpmpp_2m_sde", "ddim"])
@pytest.mark.parametrize("frames", [4, 21, 24, 41, 90])
def test_evolve_ends_at_the_picture_of_generate(bridge: Bridge, frames: int, solver: str) -> None:
    states = bridge.evolve(frames, seed=7, solver=solver).result()
    picture = bridge.generate(1, seed=7, solver=solver).result()
    torch.testing.assert_close(states[-1].clamp(0, 1), picture[0], rtol=0, atol=1e-4)


def test_evolve_stage1_is_uniform_in_time_and_costs_nothing(
    bridge: Bridge, calls: list[int]
) -> None:
    steps = list(bridge.evolve(24, seed=0))
    first = [s for s in steps if s.stage == 1]
    assert [s.t for s in first] == pytest.approx([k / 12 for k in range(13)])
    assert all(s.nfe.total == 0 for s in first)
    for step in first[1:]:
        assert step.s == pytest.approx(stage1_noise_level(step.t, SIGMA, TAU))
    assert len(calls) == DEFAULTS["generate"].steps == steps[-1].nfe.denoiser


def test_evolve_in_paper_mode_shows_states_of_the_run(bridge: Bridge) -> None:
    """All of its updates if there are as many frames; the last is the picture of the seed."""
    states = bridge.evolve(7, seed=2, mode="paper", paper=PAPER).result()
    picture = bridge.generate(1, seed=2, mode="paper", paper=PAPER).result()
    torch.testing.assert_close(states[-1].clamp(0, 1), picture[0])


def test_paper_mode_takes_steps_for_both_stages(bridge: Bridge) -> None:
    steps = list(bridge.generate(1, mode="paper", steps=4))
    assert [s.stage for s in steps] == [1] * 4 + [2] * 4


def test_a_diverged_stage1_is_one_sentence(bridge: Bridge, monkeypatch) -> None:
    ratio = bridge.log_ratio
    monkeypatch.setattr(ratio, "forward", lambda x: torch.full((len(x),), torch.inf))
    with pytest.raises(DivergedError, match="diverged"):
        bridge.generate(1, mode="paper", paper=PAPER).result()


# ----------------------------------------------------------------------------------------------
# Interpolate, denoise, perturb


@pytest.mark.parametrize("mode", ["fast", "paper"])
@pytest.mark.parametrize("frames", [2, 5])
def test_interpolate_has_both_ends_and_shares_its_noise(
    bridge: Bridge, mode: str, frames: int
) -> None:
    a, b = picture(1), picture(2)
    options = {"mode": mode, "steps": 4, "seed": 3}
    morph = bridge.interpolate(a, b, frames, 0.1, **options).result()
    assert in_range(morph, frames)
    same = bridge.interpolate(a, a, frames, 0.1, **options).result()  # equal mixes, equal noise
    torch.testing.assert_close(same, morph[:1].expand_as(same), rtol=0, atol=1e-5)
    back = bridge.interpolate(b, a, frames, 0.1, **options).result()
    torch.testing.assert_close(back.flip(0), morph, rtol=0, atol=1e-5)


def test_interpolate_with_little_noise_returns_the_ends_and_the_mixes(bridge: Bridge) -> None:
    a, b = picture(1), picture(2)
    morph = bridge.interpolate(a, b, 3, 1e-6).result()
    torch.testing.assert_close(morph, torch.stack([a, (a + b) / 2, b]), rtol=0, atol=0.01)


def test_interpolate_starts_from_the_mix_plus_noise_of_the_variance(bridge: Bridge) -> None:
    a, b, mean = picture(1), picture(2), bridge.denoiser.mean
    step = next(bridge.interpolate(a, b, 3, 0.4, seed=3, steps=4))
    mixed = torch.stack([a, (a + b) / 2, b]) + math.sqrt(0.4) * Noise([3], TINY.shape).draw()
    denoised = bridge.denoiser(mixed - mean, math.sqrt(0.4)) + mean
    torch.testing.assert_close(step.denoised, denoised.clamp(0, 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", ["fast", "paper"])
def test_denoise_restores_one_perturbation_many_times(bridge: Bridge, mode: str) -> None:
    image = picture()
    restored = bridge.denoise(image, 0.5, 3, seed=4, steps=4, mode=mode).result()
    assert in_range(restored, 3)
    assert not torch.equal(restored[0], restored[1])  # the noise of the steps differs
    alone = bridge.denoise(image, 0.5, 1, seed=4, steps=4, mode=mode).result()
    torch.testing.assert_close(alone[0], restored[0], rtol=0, atol=1e-5)


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


def test_denoise_starts_from_perturb_and_a_deterministic_solver_gives_one_answer(
    bridge: Bridge,
) -> None:
    image, mean = picture(), bridge.denoiser.mean
    start = bridge.perturb(image, 0.5, seed=4)
    step = next(bridge.denoise(image, 0.5, 2, seed=4, solver="dpmpp_2m"))
    denoised = (bridge.denoiser(start[None] - mean, math.sqrt(0.5)) + mean).clamp(0, 1)
    torch.testing.assert_close(step.denoised, denoised.expand(2, -1, -1, -1), rtol=0, atol=1e-5)
    restored = bridge.denoise(image, 0.5, 2, seed=4, solver="dpmpp_2m").result()
    torch.testing.assert_close(restored[0], restored[1])


@pytest.mark.parametrize("mode", ["fast", "paper"])
def test_denoise_with_the_least_noise_returns_the_picture(bridge: Bridge, mode: str) -> None:
    image = picture()
    restored = bridge.denoise(image, LEAST_VARIANCE, 1, mode=mode).result()
    torch.testing.assert_close(restored[0], image, rtol=0, atol=0.01)


def test_perturb_adds_noise_of_the_variance_without_clamping(bridge: Bridge) -> None:
    image = torch.full(TINY.shape, 0.5)
    perturbed = bridge.perturb(image, 4.0, seed=1)
    assert perturbed.shape == TINY.shape and perturbed.min() < 0 and perturbed.max() > 1
    assert (perturbed - image).std().item() == pytest.approx(2.0, rel=0.1)
    assert torch.equal(perturbed, bridge.perturb(image, 4.0, seed=1))
    assert not torch.equal(perturbed, bridge.perturb(image, 4.0, seed=2))


def test_paper_mode_of_editing_keeps_the_step_of_the_paper(bridge: Bridge) -> None:
    """Variance sigma^2 / 1000 a step: 100 of them for 0.4 of 4, and the Tweedie step."""
    step = next(bridge.interpolate(picture(1), picture(2), 2, 0.4, mode="paper"))
    assert step.total == 100
    *_, last = bridge.denoise(picture(), 0.02, 1, mode="paper")
    assert last.total == 5 and last.nfe.denoiser == 6


# ----------------------------------------------------------------------------------------------
# Inpaint


@pytest.mark.parametrize("method", ["conditional", "algorithm2"])
def test_inpaint_keeps_known_pixels_bit_for_bit_and_fills_the_hole(
    bridge: Bridge, method: str
) -> None:
    image, known = picture(), mask()
    filled = bridge.inpaint(image, known, 3, seed=2, steps=4, method=method).result()
    assert in_range(filled, 3)
    keep = known.bool().expand(3, *TINY.shape)
    assert torch.equal(filled[keep], image.expand(3, *TINY.shape)[keep])
    assert not torch.equal(filled[0], filled[1])
    assert (filled[0] != image)[~keep[0]].float().mean() > 0.9


@pytest.mark.parametrize("method", ["conditional", "algorithm2"])
def test_inpaint_does_not_look_into_the_hole(bridge: Bridge, method: str) -> None:
    image, known = picture(), mask()
    scribbled = torch.where(known > 0, image, picture(9))
    options = {"steps": 4, "method": method}
    torch.testing.assert_close(
        bridge.inpaint(scribbled, known, 2, **options).result(),
        bridge.inpaint(image, known, 2, **options).result(),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_inpaint_works_with_every_solver(bridge: Bridge, solver: str) -> None:
    assert in_range(bridge.inpaint(picture(), mask(), 1, steps=3, solver=solver).result(), 1)


@pytest.mark.parametrize("method", ["conditional", "algorithm2"])
def test_fill_of_a_seed_does_not_depend_on_the_number_of_fills(bridge: Bridge, method: str) -> None:
    options = {"steps": 4, "method": method}
    three = bridge.inpaint(picture(), mask(), 3, seed=5, **options).result()
    alone = bridge.inpaint(picture(), mask(), 1, seed=7, **options).result()
    torch.testing.assert_close(alone[0], three[2], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "convert",
    [
        lambda m: m,
        lambda m: m.bool(),
        lambda m: m[None],
        lambda m: 255 * m.to(torch.uint8),
        lambda m: m.numpy(),
        lambda m: m.double(),
    ],
    ids=["float", "bool", "1hw", "255", "numpy", "double"],
)
def test_masks_of_every_kind_mean_the_same(
    bridge: Bridge, convert: Callable[[Tensor], Any]
) -> None:
    expected = bridge.inpaint(picture(), mask(), 1, steps=2).result()
    assert torch.equal(bridge.inpaint(picture(), convert(mask()), 1, steps=2).result(), expected)


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


@pytest.mark.parametrize("solver", SOLVERS)
def test_known_pixels_are_clean_in_every_preview_of_conditional_inpainting(
    bridge: Bridge, solver: str
) -> None:
    image, keep = picture(), mask().bool().expand(TINY.shape)
    for step in bridge.inpaint(image, mask(), 1, steps=3, solver=solver):
        torch.testing.assert_close(step.x[0][keep], image[keep], rtol=0, atol=1e-6)
        torch.testing.assert_close(step.denoised[0][keep], image[keep], rtol=0, atol=1e-6)


def test_algorithm2_is_unconditional_and_starts_from_noise(bridge: Bridge) -> None:
    noise, mean = Noise([6], TINY.shape), bridge.denoiser.mean
    v = torch.where(mask() > 0, picture() - mean, 0.0) + SIGMA * noise.draw()
    expected = torch.where(mask() > 0, picture(), bridge.denoiser(v, SIGMA) + mean)
    step = next(bridge.inpaint(picture(), mask(), 1, seed=6, steps=4, method="algorithm2"))
    torch.testing.assert_close(step.denoised, expected.clamp(0, 1), rtol=0, atol=1e-5)


# ----------------------------------------------------------------------------------------------
# Streaming, cancelling, counts


def every_run(bridge: Bridge) -> dict[str, Callable[..., Run]]:
    a, b, known = picture(1), picture(2), mask()
    return {
        "generate": partial(bridge.generate, 2, 1),
        "interpolate": partial(bridge.interpolate, a, b, 3),
        "denoise": partial(bridge.denoise, a, 1.0, 2),
        "inpaint": partial(bridge.inpaint, a, known, 2),
    }


RUNS = ["generate", "interpolate", "denoise", "inpaint"]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_as_long_as_it_says_and_its_result_is_its_last_state(
    bridge: Bridge, name: str
) -> None:
    start = every_run(bridge)[name]
    run = start(steps=4)
    steps = list(run)
    assert [s.index for s in steps] == [1, 2, 3, 4] and {s.total for s in steps} == {4} == {
        len(run)
    }
    pictures = start(steps=4).result()
    torch.testing.assert_close(run.result(), pictures, rtol=0, atol=1e-6)
    torch.testing.assert_close(steps[-1].x.clamp(0, 1), pictures, rtol=0, atol=1e-6)
    for step in steps:
        assert step.denoised.shape == step.x.shape == pictures.shape
        assert step.denoised.min() >= 0 and step.denoised.max() <= 1


@pytest.mark.parametrize("name", RUNS)
def test_leaving_the_loop_makes_no_further_network_call(
    bridge: Bridge, name: str, calls: list[int]
) -> None:
    run = every_run(bridge)[name](steps=6)
    assert calls == []
    for step in run:
        if step.index == 2:
            break
    assert len(calls) == 2


def test_raising_in_a_hook_stops_the_network(bridge: Bridge, calls: list[int]) -> None:
    def stop(step: Step) -> None:
        if step.stage == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bridge.evolve(24).result(stop)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "denoiser", "ratio"),
    [
        ({"steps": 7}, 7, 0),
        ({"steps": 7, "start": "network"}, 7, 0),
        ({"mode": "paper", "paper": PAPER}, 3 + 3 + 1, 6),
        ({"mode": "paper", "paper": PaperMode(3, 3, n3=2)}, 6 + 3 + 1, 12),
        ({"mode": "paper", "paper": PaperMode(3, 3, n3=2, self_normalised=True)}, 10, 6),
        ({"mode": "paper", "paper": EXACT}, 2 + 3 + 1, 0),
        ({"mode": "paper", "paper": PaperMode(3, 3, drift="exact", final_denoise=False)}, 5, 0),
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


def test_gradients_are_not_recorded(bridge: Bridge) -> None:
    assert not bridge.generate(1, steps=2).result().requires_grad
    assert torch.is_grad_enabled()


# ----------------------------------------------------------------------------------------------
# Bad arguments: a ValueError that names the argument, before any network call

NAN, INF = math.nan, math.inf
BAD_COUNTS = [0, -1, 1.5, NAN, INF, True, "three", [2]]
BAD_SEEDS = [-1, 0.5, NAN, INF, -INF, True, "seven", None, 2**53, [1]]
BAD_VARIANCES = [0, -1, 1e-300, NAN, INF, SIGMA**2 + 0.1, "much", None, True, [0.4]]


def raises(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=rf"\b{name}\b") as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", BAD_COUNTS, ids=str)
def test_bad_counts_are_refused_by_name(bridge: Bridge, calls: list[int], value: Any) -> None:
    a, known = picture(), mask()
    raises("n", lambda: bridge.generate(value))
    raises("n", lambda: bridge.denoise(a, 1.0, value))
    raises("n", lambda: bridge.inpaint(a, known, value))
    raises("steps", lambda: bridge.generate(1, steps=value))
    raises("steps", lambda: bridge.interpolate(a, a, steps=value))
    raises("steps", lambda: bridge.denoise(a, mode="paper", steps=value))
    raises("steps", lambda: bridge.inpaint(a, known, steps=value))
    raises("steps", lambda: bridge.inpaint(a, known, steps=value, method="algorithm2"))
    raises("frames", lambda: bridge.evolve(value))
    raises("frames", lambda: bridge.interpolate(a, a, value))
    assert calls == []


def test_too_few_frames_are_refused(bridge: Bridge) -> None:
    raises("frames", lambda: bridge.evolve(3))
    raises("frames", lambda: bridge.interpolate(picture(), picture(), 1))
    raises("frames", lambda: bridge.evolve(24, mode="paper", paper=PAPER))  # has 7 states


@pytest.mark.parametrize("value", BAD_SEEDS, ids=str)
def test_bad_seeds_are_refused_by_name(bridge: Bridge, calls: list[int], value: Any) -> None:
    a, known = picture(), mask()
    raises("seed", lambda: bridge.generate(1, value))
    raises("seed", lambda: bridge.generate(1, value, mode="paper", paper=PAPER))
    raises("seed", lambda: bridge.evolve(8, value))
    raises("seed", lambda: bridge.interpolate(a, a, seed=value))
    raises("seed", lambda: bridge.denoise(a, seed=value))
    raises("seed", lambda: bridge.perturb(a, 1.0, value))
    raises("seed", lambda: bridge.inpaint(a, known, seed=value))
    assert calls == []


@pytest.mark.parametrize("value", BAD_VARIANCES, ids=str)
def test_bad_variances_are_refused_by_name(bridge: Bridge, calls: list[int], value: Any) -> None:
    raises("variance", lambda: bridge.interpolate(picture(), picture(), variance=value))
    raises("variance", lambda: bridge.denoise(picture(), value))
    raises("variance", lambda: bridge.denoise(picture(), value, mode="paper"))
    raises("variance", lambda: bridge.perturb(picture(), value))
    assert calls == []


def test_largest_variance_is_sigma_squared(bridge: Bridge) -> None:
    assert in_range(bridge.denoise(picture(), SIGMA**2, 1, steps=2).result(), 1)


BAD_PICTURES = {
    "batch": torch.zeros(1, 3, 16, 16),
    "grey": torch.zeros(1, 16, 16),
    "small": torch.zeros(3, 8, 8),
    "NaN": torch.full(TINY.shape, NAN),
    "one NaN": torch.zeros(TINY.shape).index_fill(1, torch.tensor(3), NAN),
    "infinite": torch.full(TINY.shape, INF),
    "bytes": torch.full(TINY.shape, 200, dtype=torch.uint8),
    "negative": torch.full(TINY.shape, -0.1),
    "nothing": None,
    "text": "picture.png",
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
def test_bad_pictures_are_refused_by_name(bridge: Bridge, calls: list[int], kind: str) -> None:
    bad, good = BAD_PICTURES[kind], picture()
    raises("a", lambda: bridge.interpolate(bad, good))
    raises("b", lambda: bridge.interpolate(good, bad))
    raises("image", lambda: bridge.denoise(bad))
    raises("image", lambda: bridge.perturb(bad, 1.0))
    raises("image", lambda: bridge.inpaint(bad, mask()))
    assert calls == []


BAD_MASKS = {
    "nothing to fill": torch.ones(16, 16),
    "another size": torch.zeros(8, 8),
    "three channels": torch.zeros(3, 16, 16),
    "batch": torch.zeros(1, 1, 16, 16),
    "flat": torch.zeros(256),
    "NaN": torch.full((16, 16), NAN),
    "nothing": None,
    "text": "left",
}


@pytest.mark.parametrize("method", ["conditional", "algorithm2"])
@pytest.mark.parametrize("kind", BAD_MASKS)
def test_bad_masks_are_refused_by_name(
    bridge: Bridge, calls: list[int], kind: str, method: str
) -> None:
    name = "known" if kind == "nothing to fill" else "known_mask"
    raises(name, lambda: bridge.inpaint(picture(), BAD_MASKS[kind], method=method).result())
    assert calls == []


@pytest.mark.parametrize("value", ["nosuch", "", None, 3, ["fast"]])
def test_unknown_choices_are_refused_by_name_with_the_alternatives(
    bridge: Bridge, calls: list[int], value: Any
) -> None:
    a, known = picture(), mask()
    with pytest.raises(ValueError, match=r"mode must be one of fast, paper; got"):
        bridge.generate(1, mode=value).result()
    raises("mode", lambda: bridge.evolve(8, mode=value))
    raises("mode", lambda: bridge.interpolate(a, a, mode=value))
    raises("mode", lambda: bridge.denoise(a, mode=value))
    raises("start", lambda: bridge.generate(1, start=value))
    raises("grid", lambda: bridge.generate(1, grid=value))
    with pytest.raises(ValueError, match=r"method must be one of conditional, algorithm2"):
        bridge.inpaint(a, known, method=value).result()
    if value is not None:  # None is the default solver
        raises("solver", lambda: bridge.generate(1, solver=value))
        raises("solver", lambda: bridge.evolve(8, solver=value))
        raises("solver", lambda: bridge.interpolate(a, a, solver=value))
        raises("solver", lambda: bridge.denoise(a, solver=value))
        raises("solver", lambda: bridge.inpaint(a, known, solver=value))
    assert calls == []


def test_arguments_are_checked_at_once(bridge: Bridge) -> None:
    """Not at the first step: a handler must be able to answer before it shows a progress bar."""
    raises("n", lambda: bridge.generate(0))
    raises("frames", lambda: bridge.evolve(1))
    raises("variance", lambda: bridge.denoise(picture(), -1.0))
    raises("known_mask", lambda: bridge.inpaint(picture(), torch.zeros(2, 2)))


def test_paper_mode_without_a_density_ratio_says_what_to_do(bridge_without_ratio: Bridge) -> None:
    for call in (bridge_without_ratio.generate, bridge_without_ratio.evolve):
        with pytest.raises(ValueError, match=r"tiny has no density-ratio network.*train\.py ratio"):
            call(mode="paper")
    assert in_range(bridge_without_ratio.generate(1, mode="paper", paper=EXACT).result(), 1)


def test_whole_floats_and_numpy_numbers_are_accepted(bridge: Bridge) -> None:
    """JSON clients send 2.0, arrays send numpy integers."""
    expected = bridge.generate(2, seed=3, steps=2).result()
    assert torch.equal(bridge.generate(2.0, seed=3.0, steps=2.0).result(), expected)
    assert torch.equal(
        bridge.generate(np.int64(2), seed=np.int64(3), steps=np.int64(2)).result(), expected
    )
    a = picture()
    assert torch.equal(
        bridge.denoise(a, 1, 2.0, steps=2).result(), bridge.denoise(a, 1.0, 2, steps=2).result()
    )
    assert torch.equal(
        bridge.inpaint(a, mask(), 2.0, steps=2).result(),
        bridge.inpaint(a, mask(), 2, steps=2).result(),
    )
    assert torch.equal(
        bridge.denoise(a.numpy(), 1.0, 1).result(), bridge.denoise(a, 1.0, 1).result()
    )


@pytest.mark.parametrize("value", [0, -0.1, SIGMA, 9.0, math.nan, math.inf, "0.1", None, True])
def test_bad_last_levels_are_refused_by_name(bridge: Bridge, calls: list[int], value: Any) -> None:
    raises("s_end", lambda: bridge.generate(1, s_end=value))
    assert not calls


@pytest.mark.parametrize("start", ["closed form", "network"])
@pytest.mark.parametrize("grid", GRIDS)
def test_grids_are_those_of_the_literature(bridge: Bridge, grid: str, start: str) -> None:
    steps = list(bridge.generate(1, steps=8, start=start, grid=grid, s_end=0.05))
    levels = [step.s for step in steps]
    assert levels[-1] == 0 and all(a > b for a, b in itertools.pairwise(levels))
    if grid != "uniform_t":  # the paper's grid ends as it ends
        assert levels[-2] == 0.05
    assert (SIGMA in levels) == (start == "network")


def test_posterior_mean_is_tweedies_formula(bridge: Bridge) -> None:
    noisy, mean = torch.rand(2, *TINY.shape), bridge.denoiser.mean
    expected = bridge.denoiser(noisy - mean, 0.3) + mean
    torch.testing.assert_close(bridge.posterior_mean(noisy, 0.3), expected)


def test_bridges_of_one_model_keep_their_own_precision(tmp_path: Path) -> None:
    denoiser = tiny_denoiser()
    exact = Bridge(denoiser, SIGMA, TAU, device="cpu", bf16=False)
    before = exact.generate(1, steps=2).result()
    rough = Bridge(denoiser, SIGMA, TAU, device="cpu", bf16=True)
    assert not torch.equal(rough.generate(1, steps=2).result(), before)
    assert torch.equal(exact.generate(1, steps=2).result(), before)


def test_seeds_beyond_32_bits_have_pictures_of_their_own(bridge: Bridge) -> None:
    first, second = (bridge.generate(1, seed, steps=2).result() for seed in (5, 5 + 2**32))
    assert not torch.equal(first, second)


def test_the_path_of_stage1_has_noise_of_its_own(bridge: Bridge) -> None:
    """Given its end X_1, the bridge's deviation from t X_1 does not know X_1."""
    first = [step for step in bridge.evolve(24, seed=3) if step.stage == 1][1:]
    end = first[-1].x
    for step in first[:-1]:
        deviation = (step.x - step.t * end).flatten()
        correlation = torch.corrcoef(torch.stack([deviation, end.flatten()]))[0, 1]
        assert abs(float(correlation)) < 0.2


def test_bf16_stays_inside_the_networks(tmp_path: Path) -> None:
    save_tiny(tmp_path)
    exact, rough = (Bridge.from_pretrained(tmp_path, "cpu", bf16=bf16) for bf16 in (False, True))
    options = {"seed": 3, "mode": "paper", "paper": PAPER}
    for run in ({"seed": 3}, options):
        a, b = exact.generate(2, **run).result(), rough.generate(2, **run).result()
        assert b.dtype == torch.float32 and not torch.equal(a, b)
        torch.testing.assert_close(a, b, rtol=0, atol=0.05)
