"""Losses of a half-bridge: mean matching (DSB) and bridge matching (DSBM)."""

from __future__ import annotations

import torch
from torch import Tensor

from sbcore.ipf.network import EndPoint, expand
from sbcore.ipf.paths import Draw, euler_maruyama, walk

LEAST = 1e-4  # of r in training: below, the end point is the point itself


def matching_targets(
    end: EndPoint | None,
    x: Tensor,
    parts: list[float],
    sigma: float,
    draw: Draw,
    *,
    printed: bool = True,
) -> tuple[Tensor, Tensor]:
    """States and targets of mean matching (equations 26 and 27 of De Bortoli et al. 2021).

    A path ``X_{k+1} = F_k(X_k) + sigma sqrt(h) noise`` of one direction trains the other: from
    X_{k+1} its mean is to move by ``F_k(X_k) - F_k(X_{k+1})``, which is right to first order in h.
    Moving by ``X_k - X_{k+1}`` instead fits the mean of the reversed path itself, at half the
    evaluations, and the path may then take the steps of `walk`.

    Args:
        end: Network of the direction that is simulated; None: the reference, F_k(x) = x.
        x: Start, (b, ...).
        parts: h of each step.
        sigma: Standard deviation of the reference.
        draw: Standard normal noise, shape of x.
        printed: Moves as in the paper's equations.

    Returns:
        States X_{k+1} and mean moves, (b, steps, ...) each.
    """
    states, moves, r = [], [], 1.0
    if end is None or printed:
        path = euler_maruyama(end, x, parts, sigma, draw)
    else:
        path = walk(end, x, parts, sigma, draw)
    for moment in path:
        move = moment.before - moment.x
        if printed and end is not None:
            before = (moment.end - moment.before) / r
            move = move + moment.h * (before - end.drift(moment.x, r))
        states.append(moment.x)
        moves.append(move)
        r = moment.r
    return torch.stack(states, 1), torch.stack(moves, 1)


def matching_loss(
    end: EndPoint, x: Tensor, move: Tensor, r: Tensor, h: Tensor, sigma: float
) -> Tensor:
    """Mean-matching loss: squared error of the mean, in units of the step's noise; a scalar.

    Divided by 2, it is the Kullback-Leibler divergence of the two Gaussian transitions plus a
    constant.

    Args:
        end: Network to train.
        x: States, (b, ...).
        move: Mean moves from `matching_targets`.
        r: Part to come at the states in this network's direction, (b,).
        h: Part of the step, (b,).
        sigma: Standard deviation of the reference.
    """
    predicted = expand(h / r.sqrt(), x) * end.scale * end.residual(x, r)
    return ((predicted - move).square().flatten(1).mean(1) / (h * sigma**2)).mean()


def bridge_loss(
    end: EndPoint, start: Tensor, finish: Tensor, r: Tensor, noise: Tensor, sigma: float
) -> Tensor:
    """Bridge matching (Shi et al. 2023): predict the end from Brownian bridges; a scalar.

    The bridges between paired ends are the reciprocal projection, the fit the Markovian one.
    The error is relative to what is still to come, ``|D - finish|^2 / (r scale^2)``.

    Args:
        end: Network to train.
        start: Starts in its direction, (b, ...).
        finish: Ends of the same paths.
        r: Parts still to come, (b,).
        noise: Standard normal, shape of start.
        sigma: Standard deviation of the reference.
    """
    rest = expand(r, start)
    x = rest * start + (1 - rest) * finish + sigma * (rest * (1 - rest)).sqrt() * noise
    target = (finish - x) / (rest.sqrt() * end.scale)
    return (end.residual(x, r) - target).square().mean()
