"""Codes of pictures: up the probability flow and back, and what is mixed in between."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from sbcore.runtime.run import Evaluations
from sbcore.twostage.grids import karras_grid
from sbcore.twostage.inversion import invert, linear_mix, path_positions, spherical_mix
from sbcore.twostage.sampler import reverse_steps
from sbcore.twostage.solvers import SOLVERS
from sbcore.twostage.wiener import WienerFilter
from tests.oracles import Counter
from tests.twostage.loops import BLOBS, BRIDGE, SIGMA, draws, noise, random_wiener

POINTS = BLOBS.sample(40)
LINEAR = WienerFilter(2, 0).double()  # EDM's


def up_and_down(steps: int, solver: str) -> tuple[Tensor, Tensor]:
    """Codes of the blobs, and where the ODE brings them back to."""
    grid, where = karras_grid(steps, SIGMA, 0.01), {**BRIDGE, "linear": LINEAR}
    *_, top = invert(BLOBS.denoised, POINTS, grid, **where)
    *_, last = reverse_steps(BLOBS.denoised, top.x, grid, SOLVERS[solver], draws(), **where)
    return top.x, last.x


@pytest.mark.parametrize("solver", ["unipc", "dpmpp_2m", "linear_exact_2"])
def test_a_code_comes_back_as_its_picture_ever_more_exactly(solver: str) -> None:
    errors = [(up_and_down(n, solver)[1] - POINTS).abs().median().item() for n in (10, 20, 80)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.01


def test_codes_of_data_are_draws_of_q_sigma() -> None:
    """The ODE keeps the law: the mean log density of the codes is that of q_sigma."""
    codes, _ = up_and_down(80, "unipc")
    drawn = BLOBS.sample(2000, s=SIGMA)
    found, expected = (BLOBS.log_density(x, SIGMA) for x in (codes, drawn))
    assert abs(found.mean() - expected.mean()) < 4 * expected.std() / math.sqrt(len(codes))


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_way_up_takes_an_evaluation_a_step(steps: int) -> None:
    counter, grid = Counter(BLOBS.denoised), karras_grid(steps, SIGMA, 0.05)
    run = list(invert(counter, POINTS, grid, **BRIDGE, linear=LINEAR))
    assert [step.nfe for step in run] == [Evaluations(k) for k in range(1, steps + 1)]
    assert counter.calls == steps and run[-1].final
    assert [step.s for step in run] == grid[-2::-1] and run[-1].s == SIGMA


@pytest.mark.parametrize(("frames", "pictures"), itertools.product((5, 6, 12), (2, 3, 4, 5)))
def test_every_picture_is_a_frame_of_the_path(frames: int, pictures: int) -> None:
    positions = path_positions(frames, pictures)
    assert len(positions) == frames and (positions.diff() > 0).all()
    assert set(range(pictures)) <= set(positions.tolist())
    found = linear_mix(torch.eye(pictures), positions)
    torch.testing.assert_close(found.sum(1), torch.ones(frames))
    at = [positions.tolist().index(k) for k in range(pictures)]
    torch.testing.assert_close(found[at], torch.eye(pictures))


def test_the_path_between_two_is_the_plain_interpolation() -> None:
    a, b = torch.rand(2, 3, 4, 4)
    c = torch.linspace(0, 1, 9).view(-1, 1, 1, 1)
    assert torch.equal(linear_mix(torch.stack([a, b]), path_positions(9, 2)), (1 - c) * a + c * b)


def test_spherical_mixes_have_the_codes_at_the_knots_and_keep_the_strength_of_noise() -> None:
    linear = random_wiener(5)
    linear.eigenvalues.mul_(1e-9)  # no picture: all is noise
    linear.rest.mul_(1e-9)
    codes = noise(3, 12)
    codes = 2 * codes / codes.norm(dim=1, keepdim=True)
    mixed = spherical_mix(codes, path_positions(9, 3), 2.0, linear)
    torch.testing.assert_close(mixed[[0, 4, 8]], codes, rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed.norm(dim=1), torch.full((9,), 2.0).double(), rtol=1e-4, atol=0)


def test_what_is_picture_in_a_code_is_mixed_linearly() -> None:
    linear = random_wiener(5)
    linear.eigenvalues.mul_(1e9)
    linear.rest.fill_(1e9)
    codes, positions = noise(2, 12), path_positions(5, 2)
    mixed = spherical_mix(codes, positions, 2.0, linear)
    torch.testing.assert_close(mixed, linear_mix(codes, positions), rtol=0, atol=1e-5)


def test_equal_codes_stay_what_they_are() -> None:
    codes = noise(1, 12).expand(2, 12)
    mixed = spherical_mix(codes, path_positions(4, 2), 1.0, random_wiener(5))
    torch.testing.assert_close(mixed, codes[:1].expand(4, 12), rtol=0, atol=1e-5)
