"""Half-bridges between two sets: schedule, network, simulation, losses, the Gaussian closed form.

The reference is Brownian motion of variance sigma^2 over the whole path. Two networks carry
points along it, "forward" from source to target and "backward"; each sees the path from its own
end, so that one set of formulas serves both.

Notation: b batch; d values of a point; ``r`` in (0, 1] the part of the reference's variance that
is still to come in a direction (1 at its start, 0 at its end); ``h`` the part of one step, equal
to 2 gamma_k / sigma^2 of De Bortoli et al. 2021 (DSB); D the predicted end point; the drift per
unit of r is (D - x) / r.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sbcore.metrics import symmetric_root
from sbcore.networks import PointMLP, UNet

DIRECTIONS = ("forward", "backward")
METHODS = ("dsb", "dsbm")
LEAST = 1e-4  # of r in training: below, the end point is the point itself
Draw = Callable[[], Tensor]


def opposite(direction: str) -> str:
    """The opposite direction."""
    return "backward" if direction == "forward" else "forward"


def schedule(steps: int, contrast: float = 1.0) -> list[float]:
    """Parts h of the steps: they sum to 1 and read the same from both ends.

    Args:
        steps: Number of steps, >= 1; odd numbers have one middle step.
        contrast: Largest over smallest step; they grow linearly towards the middle.

    Raises:
        ValueError: If steps is no whole number >= 1, or contrast is less than 1.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}")
    if not 1 <= contrast < math.inf:
        raise ValueError(f"contrast must be a finite number of at least 1, got {contrast}")
    middle = max(1, (steps - 1) // 2)
    weights = [1 + (contrast - 1) * min(k, steps - 1 - k) / middle for k in range(steps)]
    return [weight / sum(weights) for weight in weights]


# ----------------------------------------------------------------------------------------------
# The networks


@dataclass(frozen=True)
class NetworkConfig:
    """Everything needed to build the network of one direction; saved in ``config.json``."""

    shape: tuple[int, ...]
    """(d,) for points, (c, h, w) for pictures."""
    width: int = 128
    """Of the hidden layers, for points."""
    frequencies: int = 32
    """Fourier features, for points in the plane."""
    patch: int = 2
    """Side of the pixel blocks folded into channels, for pictures."""
    channels: tuple[int, ...] = (64, 128)
    """Width of each resolution of the U-Net, finest first."""
    blocks: tuple[int, ...] = (2, 2)
    """Residual blocks of each resolution."""
    attention: tuple[bool, ...] = (False, True)
    """Whether each resolution has self-attention."""

    def __post_init__(self) -> None:
        for name in ("shape", "channels", "blocks", "attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.shape) not in (1, 3) or any(n < 1 for n in self.shape):
            raise ValueError(f"shape must be (d,) or (c, h, w), got {self.shape}")
        if not len(self.channels) == len(self.blocks) == len(self.attention):
            raise ValueError("channels, blocks and attention must have the same length")
        if len(self.shape) == 3 and any(c < 8 or c % 8 for c in self.channels):
            raise ValueError(f"channels must be multiples of 8, got {self.channels}")
        if min(self.width, self.patch, *self.blocks) < 1:
            raise ValueError("width, patch and blocks must be at least 1")
        stride = self.patch * 2 ** (len(self.channels) - 1)
        if len(self.shape) == 3 and (self.shape[1] != self.shape[2] or self.shape[1] % stride):
            raise ValueError(
                f"pictures must be squares with a side divisible by {stride}, got {self.shape[1:]}"
            )

    def trunk(self) -> nn.Module:
        """An untrained network (x, level) to the shape of x; its output is 0."""
        if len(self.shape) == 1:
            return _PointTrunk(self.shape[0], self.width, self.frequencies)
        c, size, _ = self.shape
        return UNet(c, c, size, self.patch, self.channels, self.blocks, self.attention, 0.0)


class _PointTrunk(nn.Module):
    """`PointMLP` beside a linear map that depends on the level; Gaussian bridges need no more."""

    def __init__(self, dim: int, width: int, frequencies: int) -> None:
        super().__init__()
        self.dim = dim
        self.mlp = PointMLP(max(2, dim), dim, width, frequencies=frequencies if dim == 2 else 0)
        self.linear = nn.Linear(dim, 4 * dim)
        for layer in (self.mlp.layers[-1], self.linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Map x (b, d), level (b,) in (0, 1] to (b, d)."""
        padded = nn.functional.pad(x, (0, 2 - self.dim)) if self.dim < 2 else x
        powers = level[:, None] ** torch.arange(4, device=x.device)  # (b, 4)
        linear = (self.linear(x).view(-1, 4, self.dim) * powers[:, :, None]).sum(1)
        return self.mlp(padded, level) + linear


class EndPoint(nn.Module):
    """Predicted end of the path, ``D(x, r) = x + sqrt(r) scale F((x - m_r) / s_r, sqrt(r))``.

    m_r and s_r are mean and spread at r if the ends were independent. F has outputs of order 1
    at every r, and D is x itself where nothing is left to come.

    Args:
        trunk: The network F.
        shape: Shape of one point.
    """

    def __init__(self, trunk: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.trunk, self.bf16 = trunk, False
        self.register_buffer("means", torch.zeros(2, *shape))  # of start and end
        self.register_buffer("variances", torch.ones(2))  # per value, of start and end
        self.register_buffer("sigma", torch.ones(()))

    @property
    def scale(self) -> Tensor:
        """Root mean square of (end - x) / sqrt(r), about; a scalar."""
        apart = (self.means[0] - self.means[1]).square().mean()
        return (self.variances.sum() + apart + self.sigma**2).sqrt()

    def forward(self, x: Tensor, r: Tensor | float) -> Tensor:
        """Predict the end of x (b, ...) at r, a number or (b,)."""
        r = torch.as_tensor(r, dtype=x.dtype, device=x.device).expand(len(x))
        rest = _expand(r, x)
        return x + rest.sqrt() * self.scale * self.residual(x, r)

    def residual(self, x: Tensor, r: Tensor) -> Tensor:
        """F at x (b, ...), r (b,)."""
        rest = _expand(r, x)
        mean = rest * self.means[0] + (1 - rest) * self.means[1]
        first, last = self.variances
        variance = rest**2 * first + (1 - rest) ** 2 * last + self.sigma**2 * rest * (1 - rest)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return self.trunk((x - mean) * variance.rsqrt(), r.sqrt()).float()

    def drift(self, x: Tensor, r: float) -> Tensor:
        """(D - x) / r, (b, ...)."""
        return (self(x, r) - x) / r


def _expand(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))


class Pair(nn.Module):
    """The networks of both directions; what a checkpoint holds."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.forward_end = EndPoint(config.trunk(), config.shape)
        self.backward_end = EndPoint(config.trunk(), config.shape)

    def __getitem__(self, direction: str) -> EndPoint:
        return self.forward_end if direction == "forward" else self.backward_end

    @torch.no_grad()
    def measure(self, source: Tensor, target: Tensor, sigma: float) -> None:
        """Store means and spreads of the sets (n, ...) and sigma."""
        means = torch.stack([source.mean(0), target.mean(0)])
        variances = torch.stack([_variance(source), _variance(target)])
        for direction, order in (("forward", [0, 1]), ("backward", [1, 0])):
            end = self[direction]
            end.means.copy_(means[order])
            end.variances.copy_(variances[order].clamp(min=1e-6))
            end.sigma.fill_(sigma)


def _variance(points: Tensor) -> Tensor:
    """Mean variance of a value."""
    return (points - points.mean(0)).square().mean()


# ----------------------------------------------------------------------------------------------
# Simulation


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


def walk(
    end: EndPoint, x: Tensor, parts: list[float], sigma: float, draw: Draw
) -> Iterator[Moment]:
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
    end: EndPoint | None, x: Tensor, parts: list[float], sigma: float, draw: Draw
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


# ----------------------------------------------------------------------------------------------
# Losses


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
    chain = euler_maruyama if printed or end is None else walk
    for moment in chain(end, x, parts, sigma, draw):
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
    predicted = _expand(h / r.sqrt(), x) * end.scale * end.residual(x, r)
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
    rest = _expand(r, start)
    x = rest * start + (1 - rest) * finish + sigma * (rest * (1 - rest)).sqrt() * noise
    target = (finish - x) / (rest.sqrt() * end.scale)
    return (end.residual(x, r) - target).square().mean()


# ----------------------------------------------------------------------------------------------
# Truth


def gaussian_coupling(first: Tensor, second: Tensor, sigma: float) -> Tensor:
    """Cross-covariance E[(X_0 - m_0)(X_1 - m_1)^T] of the bridge between two Gaussians, (d, d).

    Janati et al. 2020, with eps = 2 sigma^2 in their convention:
    ``S^1/2 (S^1/2 T S^1/2 + sigma^4 / 4)^1/2 S^-1/2 - sigma^2 / 2``.

    Args:
        first: Covariance S of the source, (d, d), positive definite.
        second: Covariance T of the target.
        sigma: Standard deviation of the reference.
    """
    root = symmetric_root(first.double())
    inner = root @ second.double() @ root + sigma**4 / 4 * torch.eye(len(first))
    coupling = root @ symmetric_root(inner) @ torch.linalg.inv(root)
    return (coupling - sigma**2 / 2 * torch.eye(len(first))).to(first.dtype)
