"""q_sigma as a mixture: kernels on the leading components, a Gaussian on the rest.

The leading components of pictures have standard deviations far above sigma: noise does not wash
their shape out, and a Gaussian start is wrong there. A mixture convolved with noise is a mixture,
so samples, density and denoiser of stage 1 stay in closed form.

Notation: N kernels, K components, l their variances, h the width of a kernel in standard
deviations; ``m_k = c_k / sqrt(1 + h^2)`` for the coefficients c_k of a training picture, so that
the mixture keeps the variance l.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from sbcore.runtime import checks
from sbcore.runtime.checkpoints import CheckpointError, load_tensors, save_tensors
from sbcore.runtime.noise import Noise
from sbcore.twostage.wiener import WienerFilter

FILE = "mixture.safetensors"
# `train.py mixture` on 250 held-out faces: the gain in log q_sigma is 1.31 here, .35 at width .5,
# -1.68 at .3; 1.19 with 32 components, 1.09 with 128.
COMPONENTS, WIDTH = 64, 0.8
BLOCK = 2**22  # distances to kernels held in memory at once


class KernelMixture(nn.Module):
    """``(1/N) sum_k N(m_k, h^2 / (1 + h^2) diag(l))`` on K components, N(0, Sigma) elsewhere.

    Args:
        coefficients: Leading coefficients of training pictures, (N, K).
        width: h, > 0.
    """

    centres: Tensor

    def __init__(self, coefficients: Tensor, width: float) -> None:
        super().__init__()
        self.width = checks.number("width", width, above=0)
        self.register_buffer("centres", coefficients / math.sqrt(1 + width**2))
        self.given = len(coefficients)  # the first; the rest are computed from them

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def components(self) -> int:
        """K, the number of components that have kernels."""
        return self.centres.shape[1]

    def sample(self, linear: WienerFilter, kernel: Tensor, noise: Tensor, s: float) -> Tensor:
        """Draw from the mixture convolved with noise of standard deviation s.

        Args:
            linear: The filter whose components they are.
            kernel: Which kernel each picture comes from, (b,), whole numbers below N.
            noise: Standard normal, (b, ...).
            s: Noise level, >= 0.

        Returns:
            Centred pictures, shape of ``noise``.
        """
        basis, variance = linear.basis[: self.components], linear.eigenvalues[: self.components]
        leading = noise.flatten(1) @ basis.T  # (b, K)
        wanted = self.centres[kernel] + (self._kernel(variance) + s**2).sqrt() * leading
        change = wanted - (variance + s**2).sqrt() * leading
        return linear.sample(noise, s) + (change @ basis).view_as(noise)

    def denoised(self, linear: WienerFilter, v: Tensor, s: float) -> Tensor:
        """Posterior mean of the clean picture given v (b, ...) at noise level s; its shape."""
        basis, variance = linear.basis[: self.components], linear.eigenvalues[: self.components]
        leading, narrow = v.flatten(1) @ basis.T, self._kernel(variance)
        keep = narrow / (narrow + s**2)
        nearest = torch.cat(
            [torch.softmax(-apart, 1) @ self.centres for apart in self._apart(leading, narrow, s)]
        )
        wanted = nearest + keep * (leading - nearest)
        change = wanted - variance / (variance + s**2) * leading
        return linear.at(v, s) + (change @ basis).view_as(v)

    def log_density(self, linear: WienerFilter, v: Tensor, s: float = 0.0) -> Tensor:
        """Log density of the leading components of v (b, ...), data plus noise of level s; (b,)."""
        basis, variance = linear.basis[: self.components], linear.eigenvalues[: self.components]
        leading, narrow = v.flatten(1) @ basis.T, self._kernel(variance)
        parts = [torch.logsumexp(-apart, 1) for apart in self._apart(leading, narrow, s)]
        volume = (2 * math.pi * (narrow + s**2)).log().sum() / 2
        return torch.cat(parts) - math.log(len(self)) - volume

    def _kernel(self, variance: Tensor) -> Tensor:
        """Variances of a kernel along the components, (K,)."""
        return self.width**2 / (1 + self.width**2) * variance

    def _apart(self, leading: Tensor, narrow: Tensor, s: float) -> Iterator[Tensor]:
        """Half the squared Mahalanobis distance to every kernel, in blocks of rows, (.., N)."""
        scale = (narrow + s**2).rsqrt()
        centres = self.centres * scale
        rows = max(1, BLOCK // len(self))
        return (torch.cdist(part * scale, centres).square() / 2 for part in leading.split(rows))


def fit_mixture(
    pictures: Tensor, mean: Tensor, linear: WienerFilter, components: int, width: float
) -> KernelMixture:
    """Kernels at training pictures.

    Args:
        pictures: uint8 (n, c, h, w).
        mean: Mean picture (c, h, w) in [0, 1].
        linear: The filter of the training set.
        components: K, at most its rank.
        width: h, > 0.

    Raises:
        ValueError: If there are not so many components, or the width is not positive.
    """
    components = checks.whole("components", components, most=linear.rank)
    basis = linear.basis[:components].cpu()
    chunks = [(part / 255.0 - mean.cpu()).flatten(1) @ basis.T for part in pictures.split(1000)]
    return KernelMixture(torch.cat(chunks), width)


def held_out_gain(
    mixture: KernelMixture, linear: WienerFilter, pictures: Tensor, sigma: float
) -> float:
    """Mean log density of q_sigma at new pictures, above that of the Gaussian.

    Args:
        mixture: The mixture.
        linear: Its filter.
        pictures: Centred, never used for a kernel, (n, c, h, w).
        sigma: Standard deviation of the smoothing; one draw of the noise for each picture.
    """
    noise = Noise(range(len(pictures)), pictures.shape[1:], "held-out gain").draw()
    noisy = pictures + sigma * noise
    basis, variance = linear.basis[: mixture.components], linear.eigenvalues[: mixture.components]
    spread = variance + sigma**2
    leading = noisy.flatten(1) @ basis.T
    gaussian = -(leading.square() / spread + (2 * math.pi * spread).log()).sum(1) / 2
    return float((mixture.log_density(linear, noisy, sigma) - gaussian).mean())


def mirrored(mixture: KernelMixture, linear: WienerFilter, shape: tuple[int, ...]) -> KernelMixture:
    """The same with the mirror image of every picture; (2 N) kernels."""
    basis = linear.basis[: mixture.components]
    turned = basis.view(-1, *shape).flip(-1).flatten(1) @ basis.T  # (K, K)
    both = torch.cat([mixture.centres, mixture.centres @ turned])
    whole = KernelMixture(both * math.sqrt(1 + mixture.width**2), mixture.width)
    whole.given = len(mixture)
    return whole


def save_mixture(folder: Path, mixture: KernelMixture, flip: bool) -> None:
    """Write ``mixture.safetensors``, the coefficients in half precision; atomically."""
    coefficients = mixture.centres * math.sqrt(1 + mixture.width**2)
    facts = {"width": str(mixture.width), "flip": str(int(flip))}
    save_tensors(folder / FILE, {"coefficients": coefficients.half()}, facts)


def load_mixture(
    folder: Path, linear: WienerFilter, shape: tuple[int, ...]
) -> KernelMixture | None:
    """The mixture of a model folder; None if it has none.

    Raises:
        CheckpointError: If there is one and it does not fit the filter.
    """
    if not (folder / FILE).exists():
        return None
    tensors, facts = load_tensors(folder / FILE)
    coefficients = tensors.get("coefficients")
    if coefficients is None or coefficients.dim() != 2 or coefficients.shape[1] > linear.rank:
        raise CheckpointError(f"{folder / FILE} does not fit the components of its model.")
    try:
        mixture = KernelMixture(coefficients.float(), float(facts["width"]))
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{folder / FILE} gives no positive width.") from error
    return mirrored(mixture, linear, shape) if facts.get("flip") == "1" else mixture
