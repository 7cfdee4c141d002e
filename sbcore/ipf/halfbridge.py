"""One half-bridge: a network learns one direction from paths of the other.

This is one of the two inner loops of Algorithm 1 of De Bortoli et al. 2021 (DSB) and of Algorithm 1
of Shi et al. 2023 (DSBM); `sbcore.ipf.training` alternates them. Notation as in `sbcore.ipf.paths`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sbcore.data.sets import Ends
from sbcore.ipf.losses import LEAST, bridge_loss, matching_loss, matching_targets
from sbcore.ipf.network import EndPoint
from sbcore.ipf.paths import Draw, walk
from sbcore.ipf.plan import BridgePlan
from sbcore.ipf.reference import schedule
from sbcore.runtime.learner import Learner

CHUNK = 2048  # points, or pictures of 28x28, of one network call while simulating
Paths = tuple[Tensor, ...]  # DSB: states, mean moves, r, h of each step; DSBM: starts and ends


def fit_half_bridge(
    learner: Learner[EndPoint],
    frozen: EndPoint | None,
    start: Ends,
    aim: Ends,
    plan: BridgePlan,
    steps: int,
    random: Callable[..., torch.Generator],
    bound: float = math.inf,
) -> Iterator[Tensor]:
    """Fit a network to the paths of the opposite, frozen direction.

    Args:
        learner: The network that is trained, an `EndPoint`; it may have made steps before.
        frozen: Weight average of the opposite direction; None: nothing is trained yet, and paths
            are those of the reference (DSB) or have independent ends (DSBM).
        start: Set that the paths start from, where the trained direction ends.
        aim: Set that they should end in.
        plan: Method, schedule and sizes.
        steps: Length of the half-bridge.
        random: Makes a generator from a key; the same for the same key.
        bound: On the values of a path, beyond which it is lost.

    Yields:
        What the learner returns for every step.

    Raises:
        FloatingPointError: If a path, the loss or the gradient leaves the finite numbers.
    """
    paths = None
    while learner.done < steps:
        if paths is None or learner.done % plan.refresh == 0:
            paths = None  # free the old ones first
            stream = random("paths", learner.done // plan.refresh)
            paths = simulate(frozen, start, aim, plan, stream)
            if not all(bool((values.abs() < bound).all()) for values in paths):
                raise FloatingPointError("a path is lost")
        loss = regress(learner.raw, paths, plan, random("batch", learner.done))
        yield learner.step(loss, cosine(learner.done / steps, plan.final))


@torch.no_grad()
def simulate(
    frozen: EndPoint | None, start: Ends, aim: Ends, plan: BridgePlan, generator: torch.Generator
) -> Paths:
    """Paths of the frozen direction, two from each start, and what is learned from them."""
    parts, found = schedule(plan.steps, plan.contrast), []
    for first in range(0, plan.cache, CHUNK):
        n = min(CHUNK, plan.cache - first)
        x = start.draw(-(-n // 2), generator).repeat_interleave(2, 0)[:n]
        draw = opposite_pairs(x, generator)
        if plan.method == "dsb":
            found.append(matching_targets(frozen, x, parts, plan.sigma, draw, printed=plan.printed))
        elif frozen is None:
            found.append((aim.draw(n, generator), x))
        else:
            *_, last = walk(frozen, x, parts, plan.sigma, draw)
            found.append((last.x, x))
    paths = tuple(torch.cat(chunks) for chunks in zip(*found, strict=True))
    if plan.method == "dsbm":
        return paths
    # After k + 1 steps of the frozen direction, that part is to come in the other.
    h = torch.tensor(parts, device=generator.device).repeat(plan.cache)
    r = h.view(plan.cache, -1).cumsum(1).clamp(max=1).flatten()
    return *(values.flatten(0, 1) for values in paths), r, h


def regress(
    network: EndPoint, paths: Paths, plan: BridgePlan, generator: torch.Generator
) -> Tensor:
    """Loss of a random batch of paths: mean matching or bridge matching; a scalar."""
    n, device = plan.batch_size, generator.device
    index = torch.randint(len(paths[0]), (n,), generator=generator, device=device)
    batch = [values[index] for values in paths]
    if plan.method == "dsb":
        states, moves, r, h = batch
        return matching_loss(network, states, moves, r, h, plan.sigma)
    # Uniform in sqrt(r): the network must be sharp near the end.
    level = torch.rand(n, generator=generator, device=device)
    level = (level + torch.arange(n, device=device)) / n
    r = (math.sqrt(LEAST) + (1 - math.sqrt(LEAST)) * level).square()
    starts, ends = batch
    noise = torch.randn(starts.shape, generator=generator, device=device)
    return bridge_loss(network, starts, ends, r, noise, plan.sigma)


def opposite_pairs(x: Tensor, generator: torch.Generator) -> Draw:
    """Noise for points (b, ...) in which rows 2k and 2k + 1 are opposite: its mean cancels."""
    signs = torch.ones(len(x), *[1] * (x.dim() - 1), device=x.device)
    signs[1::2] = -1
    shape = (-(-len(x) // 2), *x.shape[1:])

    def draw() -> Tensor:
        half = torch.randn(shape, generator=generator, device=x.device)
        return half.repeat_interleave(2, 0)[: len(x)] * signs

    return draw


def cosine(fraction: float, final: float) -> float:
    """Fall from 1 to ``final`` along half a cosine."""
    return final + (1 - final) * (1 + math.cos(math.pi * fraction)) / 2
