"""Closed-form oracles, float64: everything that the engine estimates is known here exactly.

`Mixture` is a mixture of Gaussians ``sum_k w_k N(m_k, C_k)`` in any dimension; one component makes
it a Gaussian. Smoothed by noise of standard deviation s it stays a mixture, with C_k + s^2 I.
Nothing of the engine is used, and the Schroedinger-bridge drift is derived by another route than
the engine's: as the gradient of a log Gaussian convolution, not through a denoiser.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Mixture:
    """Mixture of Gaussians.

    Args:
        weights: (K,), positive.
        means: (K, d).
        covariances: (K, d, d).
    """

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        weights = torch.as_tensor(weights, dtype=torch.float64)
        self.log_weights = (weights / weights.sum()).log()
        self.means = torch.as_tensor(means, dtype=torch.float64)
        self.covariances = torch.as_tensor(covariances, dtype=torch.float64)
        self.dim = self.means.shape[1]

    @property
    def mean(self) -> Tensor:
        """Mean of the mixture, (d,)."""
        return self.log_weights.exp() @ self.means

    def _component_logs(self, x: Tensor, s: float) -> tuple[Tensor, Tensor]:
        """Logs of ``w_k N(x; m_k, C_k + s^2 I)``, (n, K), and ``(C_k + s^2 I)^-1 (x - m_k)``."""
        smoothed = self.covariances + s**2 * torch.eye(self.dim, dtype=torch.float64)
        apart = x[:, None] - self.means  # (n, K, d)
        solved = torch.linalg.solve(smoothed, apart.unsqueeze(-1)).squeeze(-1)
        logs = -0.5 * (apart * solved).sum(-1) - 0.5 * torch.logdet(2 * math.pi * smoothed)
        return self.log_weights + logs, solved

    def log_density(self, x: Tensor, s: float = 0.0) -> Tensor:
        """Log density of the data plus noise of standard deviation ``s``: (n, d) to (n,)."""
        return torch.logsumexp(self._component_logs(x, s)[0], dim=1)

    def denoised(self, v: Tensor, s: float) -> Tensor:
        """Posterior mean ``E[x0 | x0 + s n = v]``: (n, d) to (n, d)."""
        logs, solved = self._component_logs(v, s)
        posterior_means = self.means + (self.covariances @ solved.unsqueeze(-1)).squeeze(-1)
        return (torch.softmax(logs, dim=1)[..., None] * posterior_means).sum(1)

    def score(self, v: Tensor, s: float) -> Tensor:
        """Gradient of `log_density`, in closed form (no division by s): (n, d) to (n, d)."""
        logs, solved = self._component_logs(v, s)
        return -(torch.softmax(logs, dim=1)[..., None] * solved).sum(1)

    def log_ratio(self, x: Tensor, sigma: float, tau: float) -> Tensor:
        """``log q_sigma(x) - log N(x; 0, tau I)``: (n, d) to (n,)."""
        reference = -0.5 * x.square().sum(1) / tau - 0.5 * self.dim * math.log(2 * math.pi * tau)
        return self.log_density(x, sigma) - reference

    def bridge_drift(self, x: Tensor, t: float, sigma: float, tau: float) -> Tensor:
        """Stage-1 drift ``tau grad_x log E_z[f(x + sqrt(1 - t) z)]``, z ~ N(0, tau I): (n, d).

        f = q_sigma / N(0, tau I); its logarithm is a log-sum-exp of quadratics, so the Gaussian
        convolution of each is closed form (regular at both ends of time). Gradient by autograd.
        """
        eye = torch.eye(self.dim, dtype=torch.float64)
        precision = torch.linalg.inv(self.covariances + sigma**2 * eye)  # (K, d, d)
        curvature = precision - eye / tau  # minus the Hessian of log f_k
        c = tau * (1 - t)
        widened = eye + c * curvature
        x = x.detach().clone().requires_grad_(True)
        apart = (x[:, None] - self.means).unsqueeze(-1)  # (n, K, d, 1)
        at_x = (
            self.log_weights
            + 0.5 * torch.logdet(precision)
            - 0.5 * (apart * (precision @ apart)).sum((-2, -1))
            + 0.5 * x.square().sum(1, keepdim=True) / tau
        )
        slope = x[:, None, :, None] / tau - precision @ apart  # gradient of log f_k at x
        spread = 0.5 * c * (slope * torch.linalg.solve(widened, slope)).sum((-2, -1))
        value = torch.logsumexp(at_x - 0.5 * torch.logdet(widened) + spread, dim=1)
        return tau * torch.autograd.grad(value.sum(), x)[0]

    def sample(self, n: int, seed: int = 0, s: float = 0.0) -> Tensor:
        """``n`` points of the data plus noise of standard deviation ``s``, (n, d)."""
        generator = torch.Generator().manual_seed(seed)
        kind = torch.multinomial(self.log_weights.exp(), n, True, generator=generator)
        roots = torch.linalg.cholesky(
            self.covariances + (s**2 + 1e-300) * torch.eye(self.dim, dtype=torch.float64)
        )
        noise = torch.randn(n, self.dim, 1, generator=generator, dtype=torch.float64)
        return self.means[kind] + (roots[kind] @ noise).squeeze(-1)


def gaussian(mean: Sequence[float], covariance: Sequence[Sequence[float]]) -> Mixture:
    """One Gaussian."""
    return Mixture([1.0], [list(mean)], [[list(row) for row in covariance]])


def isotropic(dim: int, variance: float) -> Mixture:
    """``N(0, variance I)``."""
    return Mixture([1.0], torch.zeros(1, dim), variance * torch.eye(dim)[None])


def three_blobs() -> Mixture:
    """A skewed mixture in the plane with mean 0: unequal weights, turned covariances."""
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    means = torch.tensor([[1.0, 0.4], [-1.2, 0.7], [0.3, -1.5]], dtype=torch.float64)
    covariances = torch.tensor(
        [[[0.20, 0.10], [0.10, 0.15]], [[0.05, 0.0], [0.0, 0.30]], [[0.10, -0.05], [-0.05, 0.08]]],
        dtype=torch.float64,
    )
    return Mixture(weights, means - weights @ means, covariances)


def ring(modes: int = 6, radius: float = 5.0, variance: float = 0.01) -> Mixture:
    """The paper's toy: narrow modes on a circle."""
    angle = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    means = radius * torch.stack([angle.cos(), angle.sin()], dim=1)
    covariances = variance * torch.eye(2, dtype=torch.float64).expand(modes, 2, 2)
    return Mixture(torch.ones(modes), means, covariances)


def slope(sizes: Sequence[float], errors: Sequence[float]) -> float:
    """Order of convergence: minus the least-squares slope of log error over log size."""
    x = torch.tensor(sizes, dtype=torch.float64).log()
    y = torch.tensor(errors, dtype=torch.float64).log()
    x = x - x.mean()
    return -float((x * y).sum() / x.square().sum())


class Counter:
    """A function that counts its calls and the rows that went through it."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function, self.calls, self.rows = function, 0, 0

    def __call__(self, x: Tensor, *rest: object) -> Tensor:
        self.calls += 1
        self.rows += len(x)
        return self.function(x, *rest)
