"""Simulation of paths.

Notation: b batch; ``r`` in (0, 1] the part of the reference's variance that is still to come in a
direction (1 at its start, 0 at its end); ``h`` the part of one step, equal to 2 gamma_k / sigma^2
of De Bortoli et al. 2021; D the predicted end point; the drift per unit of r is (D - x) / r.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

Draw = Callable[[], Tensor]  # standard normal noise
Predict = Callable[[Tensor, float], Tensor]  # the end of x at r, as `EndPoint` predicts it


class Moment(NamedTuple):
    """A path after one step."""

    r: float
    """Part still to come after the step."""
    h: float
    """Part of the step."""
    before: Tensor
    """State before the step."""
    x: Tensor
    """State after it, (b, ...)."""
    end: Tensor
    """End point predicted before it."""


def walk(end: Predict, x: Tensor, parts: list[float], sigma: float, draw: Draw) -> Iterator[Moment]:
    """Carry x along the schedule; all but the last step are of second order, one evaluation each.

    A step moves x by the part p = h/r towards the predicted end D. Its noise has covariance
    ``sigma^2 h (1 - p + p J)``, J being the Jacobian of D: that of the Brownian bridge to D, and
    that of the end itself. On a Schrödinger bridge D is a martingale, so its change over the step
    is J noise: with ``y = x + p (D - x) + sigma sqrt(h) (1 - p/2) noise`` and the change
    ``e = p / (2 - p) (D(y, r - h) - D)``, y + e has this covariance to second order in p, and
    D(y, r - h) + e serves the next step. The last step, where p = 1, ends at the predicted end:
    it leaves out noise of covariance ``sigma^2 h J``, so its h should be small (`schedule`).

    Args:
        end: Network of the direction.
        x: Start, (b, ...).
        parts: h of each step, from `schedule`.
        sigma: Standard deviation of the reference over the whole path.
        draw: Standard normal noise, shape of x.

    Yields:
        A `Moment` after each step; as many evaluations as steps, in all.
    """
    r, predicted = 1.0, end(x, 1.0)
    for h in parts[:-1]:
        part, before, found = h / r, x, predicted
        x = x + part * (found - x) + sigma * math.sqrt(h) * (1 - part / 2) * draw()
        predicted = end(x, r - h)
        late = part / (2 - part) * (predicted - found)
        x, predicted = x + late, predicted + late
        r -= h
        yield Moment(r, h, before, x, found)
    yield Moment(0.0, parts[-1], x, predicted, predicted)


def euler_maruyama(
    end: Predict | None, x: Tensor, parts: list[float], sigma: float, draw: Draw
) -> Iterator[Moment]:
    """The chain of De Bortoli et al. 2021: ``x + h drift + sigma sqrt(h) noise``, also at last.

    Args:
        end: Network of the direction; None: the reference itself.
        x: Start, (b, ...).
        parts: h of each step.
        sigma: Standard deviation of the reference.
        draw: Standard normal noise, shape of x.

    Yields:
        A `Moment` after each step. One network evaluation each.
    """
    r = 1.0
    for k, h in enumerate(parts):
        last = k == len(parts) - 1
        predicted = x if end is None else end(x, r)
        move = (1.0 if last else h / r) * (predicted - x)
        before, x = x, x + move + sigma * math.sqrt(h) * draw()
        r = 0.0 if last else r - h
        yield Moment(r, h, before, x, predicted)
