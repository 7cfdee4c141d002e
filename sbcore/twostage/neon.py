"""Neon: a model steps away from what it would become if it learned from its own pictures.

Samples of a model hold too much of what it finds likely, so training on them for a short while
moves the weights in the direction that more real data would move them back from. They are
extrapolated the other way, ``theta = (1 + w) theta_r - w theta_s`` (Alemohammad et al. 2025,
arXiv 2510.03597). The Wiener filter, measured on the data, stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sbcore.data.masks import random_masks
from sbcore.runtime.devices import has_fast_bf16
from sbcore.runtime.learner import Learner, open_accelerator
from sbcore.runtime.metrics import TextureReference
from sbcore.runtime.noise import generator
from sbcore.twostage.bridge import BATCH, Bridge
from sbcore.twostage.denoiser import Denoiser
from sbcore.twostage.losses import denoising_loss
from sbcore.twostage.training import ScorePlan, random_corruption

PLAN = ScorePlan(images=1, learning_rate=1e-4, warmup_steps=1, conditional=0.0)
FILLS = 4  # of one hole
SELECTION = 1_000_000  # added to the seed for pictures that are measured
Progress = Callable[[int, int], None]
"""Called with (pictures so far, in all)."""


@dataclass(frozen=True)
class OwnPictures:
    """What a model draws, to learn from; all uint8."""

    drawn: Tensor
    """From noise, (n, c, h, w)."""
    filled: Tensor
    """Training pictures whose holes it filled, (m, c, h, w)."""
    known_masks: Tensor
    """Of those, bool (m, 1, h, w)."""


def draw_own(
    bridge: Bridge, pictures: Tensor, count: int, fills: int, seed: int, progress: Progress
) -> OwnPictures:
    """Draw with the defaults of a model.

    Args:
        bridge: The model.
        pictures: uint8 (n, c, h, w), some of which get holes.
        count: Pictures to draw.
        fills: Holes to fill, `FILLS` times each picture; the rest of a multiple is left.
        seed: Of everything random.
        progress: Told how many are drawn.
    """
    drawn, filled = [], []
    for first in range(0, count, BATCH):
        n = min(BATCH, count - first)
        drawn.append(_bytes(bridge.generate(n, seed + first).result()))
        progress(first + n, count + fills)
    random = generator("cpu", "neon", seed)
    chosen = torch.randint(len(pictures), (fills // FILLS,), generator=random)
    masks = random_masks(len(chosen), pictures.shape[-1], random)
    masks[~masks.logical_not().flatten(1).any(1), :, 0, 0] = False  # a hole has a pixel
    for i, (index, mask) in enumerate(zip(chosen, masks, strict=True)):
        picture = pictures[index] / 255.0
        filled.append(_bytes(bridge.inpaint(picture, mask[0], FILLS, seed + FILLS * i).result()))
        progress(count + FILLS * (i + 1), count + fills)
    empty = pictures.new_empty(0, *pictures.shape[1:])
    return OwnPictures(
        torch.cat(drawn), torch.cat(filled or [empty]), masks.repeat_interleave(FILLS, 0)
    )


def follow(
    denoiser: Denoiser, own: OwnPictures, snapshots: Sequence[int], seed: int, progress: Progress
) -> Iterator[Denoiser]:
    """Train a copy on a model's own pictures, at a constant rate.

    Args:
        denoiser: theta_r.
        own: Its pictures; a batch holds drawn and filled ones as there are of them.
        snapshots: Pictures seen after which to look, rising.
        seed: Of everything random.
        progress: Told how many were seen.

    Yields:
        theta_s at each snapshot: the same network, still learning.
    """
    network = copy.deepcopy(denoiser).train()
    network.trunk.requires_grad_(True)
    network.backend = None  # it would not see the weights move
    device = denoiser.mean.device
    learner = Learner(network, PLAN, open_accelerator(device.type == "cpu"), [])
    pictures = torch.cat([own.drawn, own.filled])
    no_masks = own.known_masks.new_zeros(len(own.drawn), *own.known_masks.shape[1:])
    masks = torch.cat([no_masks, own.known_masks])
    size, bf16, seen = PLAN.batch_size, has_fast_bf16(device), 0
    for stop in snapshots:
        while seen < stop:
            random = generator("cpu", "neon", seed, seen)
            index = torch.randint(len(pictures), (size,), generator=random)
            x0 = pictures[index].to(device) / 255.0 - network.mean
            s, noise, _ = (one.to(device) for one in random_corruption(x0.shape, PLAN, random))
            known_mask = masks[index].to(device)
            learner.step(denoising_loss(learner.network, x0, s, noise, known_mask, bf16=bf16))
            seen += size
            progress(seen, snapshots[-1])
        yield network


@torch.no_grad()
def step_away(denoiser: Denoiser, followed: Denoiser, w: float) -> Denoiser:
    """The denoiser of ``(1 + w) theta_r - w theta_s``, in evaluation mode."""
    found = copy.deepcopy(denoiser)
    for own, other in zip(found.trunk.parameters(), followed.trunk.parameters(), strict=True):
        own.lerp_(other, -w)
    return found.eval().requires_grad_(False)


@dataclass(frozen=True)
class Choice:
    """A step, and how far its pictures are from held-out ones."""

    images: int
    """Of its own that theta_s saw."""
    w: float
    """0: no step."""
    distance: float
    """Sliced Wasserstein distance, normalised by the held-out pictures, x 1000."""
    denoiser: Denoiser


def choices(
    bridge: Bridge,
    own: OwnPictures,
    held_out: Tensor,
    snapshots: Sequence[int],
    strengths: Sequence[float],
    seed: int,
    progress: Progress,
) -> Iterator[Choice]:
    """No step, then a step of each strength from each snapshot, measured.

    Args:
        bridge: The model; all are drawn by its defaults, on seeds that nothing else draws.
        own: Its pictures.
        held_out: uint8 (n, c, h, w), for selection.
        snapshots: As of `follow`.
        strengths: w.
        seed: Of everything random.
        progress: As of `follow`.
    """
    reference, denoiser = TextureReference(held_out / 255.0), bridge.denoiser

    def measured(images: int, w: float, found: Denoiser) -> Choice:
        parts = bridge.sigma, bridge.tau
        model = Bridge(found, *parts, device=bridge.device, mixture=bridge.mixture)
        drawn = model.generate(len(held_out), SELECTION + seed).result().cpu()
        return Choice(images, w, reference.distance(drawn)["mean"], found)

    yield measured(0, 0.0, denoiser)
    followed = follow(denoiser, own, snapshots, seed, progress)
    for images, network in zip(snapshots, followed, strict=True):
        for w in strengths:
            yield measured(images, w, step_away(denoiser, network, w))


def _bytes(pictures: Tensor) -> Tensor:
    return (255 * pictures).round().to(torch.uint8).cpu()
