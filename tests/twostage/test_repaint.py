"""Resampling: how its evaluations are spent, and that it keeps known pixels."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch

from sbcore.data.masks import preset_holes
from sbcore.runtime.noise import Noise
from sbcore.twostage.grids import karras_grid
from sbcore.twostage.repaint import JUMP, RESAMPLE, repaint, repaint_levels
from tests.conftest import SIGMA, TINY, tiny_denoiser

GRID = partial(karras_grid, s_start=SIGMA, s_end=0.03)


@pytest.mark.parametrize("evaluations", [1, 2, 3, 10, 21, 90])
def test_a_run_takes_the_evaluations_asked_for_down_to_0(evaluations: int) -> None:
    passes = repaint_levels(evaluations, GRID)
    assert sum(len(levels) - 1 for levels in passes) == evaluations
    assert passes[0][0] == SIGMA and passes[-1][-1] == 0
    for before, after in pairwise(passes):  # again, or on from where it is
        assert after == before or after[0] == before[-1]
    assert all(len(levels) <= JUMP + 1 for levels in passes)


def test_each_segment_is_taken_several_times() -> None:
    grid = GRID(7)
    segments = [grid[0:4], grid[3:7], grid[6:8]]  # of three, three and one step
    assert repaint_levels(21, GRID) == [part for part in segments for _ in range(RESAMPLE)]
    assert repaint_levels(10, GRID) == [GRID(4)[:4]] * RESAMPLE + [GRID(4)[3:]]


def test_known_pixels_carry_the_noise_of_the_level_and_end_as_they_are() -> None:
    denoiser = tiny_denoiser()
    known = torch.randn(2, *TINY.shape, generator=torch.Generator().manual_seed(0)) / 4
    mask = torch.from_numpy(~preset_holes(16)["eyes"]).expand(2, 1, 16, 16)
    run = repaint(
        denoiser,
        known,
        mask,
        Noise([5, 6], TINY.shape).draw,
        repaint_levels(12, GRID),
        sigma=SIGMA,
        linear=denoiser.linear,
    )
    keep = mask.expand_as(known)
    with torch.no_grad():
        for step in run:
            assert torch.equal(step.denoised[keep], known[keep]) and step.nfe.total == step.index
            noise = (step.x - known)[keep]
            assert noise.square().mean().sqrt().item() == pytest.approx(step.s, rel=0.1)
    assert torch.equal(step.x[keep], known[keep]) and step.final
    assert not torch.equal(step.x[0][~keep[0]], step.x[1][~keep[1]])
