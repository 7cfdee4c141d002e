"""The linear part: the best linear denoiser of the data, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# The linear part: the best linear denoiser of the data, in closed form


class WienerFilter(nn.Module):
    """Best linear denoiser of data with covariance ``Sigma``.

    Equation: ``W_s = Sigma (Sigma + s^2 I)^-1`` with ``Sigma = U diag(l) U^T`` on the leading
    R principal components and ``rest * I`` on their orthogonal complement. With R = 0 this
    is EDM's ``c_skip v`` and `rms_error` is EDM's ``c_out`` (Karras et al. 2022, Table 1), so
    one class serves both preconditioners.

    Args:
        dim: d, the number of values of an image.
        rank: R, the number of principal components.
    """

    basis: Tensor
    eigenvalues: Tensor
    rest: Tensor

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.dim, self.rank = dim, rank
        self.register_buffer("basis", torch.zeros(rank, dim))  # rows: orthonormal components
        self.register_buffer("eigenvalues", torch.ones(rank))  # variances along them
        self.register_buffer("rest", torch.ones(()))  # variance of every other direction
        self._whole: tuple[Any, Tensor] = (
            None,
            torch.empty(0),
        )  # `_gram` of all pixels, and of what

    def forward(self, v: Tensor, s: Tensor) -> Tensor:
        """Filter ``v`` (b, ...) at noise levels ``s`` (b,); returns the shape of ``v``."""
        variance = s[:, None] ** 2  # (b, 1)
        leading = self.eigenvalues / (self.eigenvalues + variance)  # (b, R)
        return self._scale(v, leading, self.rest / (self.rest + variance))

    def at(self, v: Tensor, s: float) -> Tensor:
        """Filter ``v`` (b, ...) at one noise level; returns its shape."""
        return self.scale(v, lambda variance: variance / (variance + s**2))

    def rms_error(self, s: Tensor) -> Tensor:
        """Root-mean-square error per value of the filter at ``s`` (b,), in closed form; (b,)."""
        variance = s[:, None] ** 2
        leading = self.eigenvalues * variance / (self.eigenvalues + variance)  # (b, R)
        rest = self.rest * variance[:, 0] / (self.rest + variance[:, 0])  # (b,)
        return ((leading.sum(1) + (self.dim - self.rank) * rest) / self.dim).sqrt()

    def sample(self, noise: Tensor, s: float) -> Tensor:
        """Map standard normal ``noise`` (b, ...) to ``N(0, Sigma + s^2 I)``; same shape."""
        return self.scale(noise, lambda variance: (variance + s**2).sqrt())

    def flow(self, v: Tensor, s: float, s_next: float) -> Tensor:
        """Carry ``v`` (b, ...) from noise level ``s`` to ``s_next`` along the probability flow.

        Exact for Gaussian data: along each component the state scales with its standard
        deviation, ``v'_i = v_i sqrt((l_i + s'^2) / (l_i + s^2))``.
        """
        return self.scale(v, lambda variance: ((variance + s_next**2) / (variance + s**2)).sqrt())

    def sample_given(self, known: Tensor, known_mask: Tensor, noise: Tensor) -> Tensor:
        """Draw from ``N(0, Sigma)`` conditioned on known pixels, by Matheron's rule.

        ``x = x' + Sigma_{.k} Sigma_kk^-1 (known - x'_k)`` with x' drawn unconditionally; the
        inverse goes through an R x R system (Woodbury).

        Args:
            known: One clean centred picture, (c, h, w).
            known_mask: (1, h, w), 1 = known.
            noise: Standard normal, (n, c, h, w).

        Returns:
            Pictures that agree with ``known`` up to the variance ``rest``, shape of ``noise``.
        """
        mask = (known_mask > 0).expand_as(known).flatten()
        drawn = self.sample(noise, 0.0)
        missing = torch.where(mask, known.flatten() - drawn.flatten(1), 0.0)  # (n, dim)
        # On the CPU: not every accelerator has float64.
        eigenvalues, rest = self.eigenvalues.cpu().double(), self.rest.cpu().double()
        root = (eigenvalues - rest).clamp(min=0).sqrt()  # (R,)
        system = root[:, None] * self._gram(mask).cpu().double() * root / rest
        system.diagonal().add_(1.0)
        right = root * (missing @ self.basis.T).cpu().double() / rest  # (n, R)
        weights = root * torch.cholesky_solve(right.T, torch.linalg.cholesky(system)).T
        return drawn + (weights.to(noise) @ self.basis).view_as(noise)

    def _gram(self, mask: Tensor) -> Tensor:
        """Inner products of the components on the pixels of a mask (dim,), (R, R)."""
        few = mask if int(mask.sum()) < self.dim / 2 else ~mask
        part = self.basis[:, few]
        gram = part @ part.T
        if few is mask:
            return gram
        version = (self.basis.data_ptr(), self.basis._version)
        if self._whole[0] != version:
            self._whole = (version, self.basis @ self.basis.T)
        return self._whole[1] - gram

    def scale(self, v: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """Multiply each principal component of ``v`` (b, ...) by ``gain`` of its variance."""
        return self._scale(v, gain(self.eigenvalues), gain(self.rest))

    def combine(self, parts: Sequence[Tensor], leading: Tensor, rest: Tensor) -> Tensor:
        """Sum of ``parts``, k tensors (b, ...), each scaled along each component; their shape.

        Args:
            parts: What is added up.
            leading: Factors along the components, (k, R).
            rest: Factors on their orthogonal complement, (k,).
        """
        flat = torch.stack([part.flatten(1) for part in parts])  # (k, b, dim)
        along = ((leading - rest[:, None])[:, None] * (flat @ self.basis.T)).sum(0)
        total = (rest[:, None, None] * flat).sum(0) + along @ self.basis
        return total.view_as(parts[0])

    def beyond(self, v: Tensor) -> Tensor:
        """The part of ``v`` (b, ...) on the orthogonal complement of the components; its shape."""
        return self._scale(v, torch.zeros_like(self.eigenvalues), torch.ones_like(self.rest))

    def _scale(self, v: Tensor, leading: Tensor, rest: Tensor) -> Tensor:
        """Scale the components by ``leading`` (R,), the orthogonal complement by ``rest``."""
        flat = v.flatten(1)
        return (rest * flat + ((leading - rest) * (flat @ self.basis.T)) @ self.basis).view_as(v)
