"""Neon: what a model draws, what it learns from that, and the step away from it."""

from __future__ import annotations

import math

import torch

from sbcore import Bridge
from sbcore.twostage.neon import FILLS, OwnPictures, choices, draw_own, follow, step_away
from tests.conftest import smooth_pictures, tiny_denoiser

REAL = smooth_pictures(12)


def nothing(done: int, total: int) -> None:
    assert done <= total


def own(bridge: Bridge) -> OwnPictures:
    return draw_own(bridge, REAL, 20, 8, 3, nothing)


def distance(a: torch.nn.Module, b: torch.nn.Module) -> float:
    """Of their weights."""
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return math.sqrt(sum(float((one - other).detach().square().sum()) for one, other in pairs))


def test_own_pictures_are_what_the_model_draws_and_fills(bridge: Bridge) -> None:
    found, again = own(bridge), own(bridge)
    first = bridge.generate(16, 3).result()
    assert torch.equal(found.drawn[:16], (255 * first).round().byte())
    assert len(found.drawn) == 20 and len(found.filled) == len(found.known_masks) == 8
    for filled, mask in zip(found.filled, found.known_masks, strict=True):
        assert not bool(mask.all())  # something was filled
        kept = (filled == REAL) | ~mask
        assert bool(kept.flatten(1).all(1).any())  # around it a real picture, bit for bit
    holes = found.filled.view(2, FILLS, *found.filled.shape[1:])
    assert not torch.equal(holes[:, 0], holes[:, 1])
    assert torch.equal(found.drawn, again.drawn) and torch.equal(found.filled, again.filled)


def test_a_copy_learns_from_them_and_the_model_stays(bridge: Bridge) -> None:
    before = {name: value.clone() for name, value in bridge.denoiser.state_dict().items()}
    moved = [
        distance(network.trunk, bridge.denoiser.trunk)
        for network in follow(bridge.denoiser, own(bridge), (64, 256), 0, nothing)
    ]
    assert 0 < moved[0] < moved[1]
    after = bridge.denoiser.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_step_extrapolates_the_trunk_alone() -> None:
    start, followed = tiny_denoiser(seed=0), tiny_denoiser(seed=1)
    found = step_away(start, followed, 0.5)
    for name, value in found.trunk.named_parameters():
        r, s = (dict(one.trunk.named_parameters())[name] for one in (start, followed))
        torch.testing.assert_close(value, 1.5 * r - 0.5 * s)
    assert torch.equal(found.linear.basis, start.linear.basis)
    assert distance(step_away(start, followed, 0.0), start) == 0
    assert distance(step_away(start, followed, -1.0).trunk, followed.trunk) < 1e-5


def test_no_step_is_measured_first_and_then_every_strength_of_every_snapshot(
    bridge: Bridge,
) -> None:
    found = [*choices(bridge, own(bridge), REAL, (32, 64), (0.3, 0.6), 0, nothing)]
    steps = [(choice.images, choice.w) for choice in found]
    assert steps == [(0, 0.0), (32, 0.3), (32, 0.6), (64, 0.3), (64, 0.6)]
    assert found[0].denoiser is bridge.denoiser
    assert len({choice.distance for choice in found}) == 5
    assert all(math.isfinite(choice.distance) for choice in found)
