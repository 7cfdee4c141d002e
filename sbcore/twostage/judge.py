"""What a picture tells before anything is drawn: how noisy it is, how like the training set."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sbcore.twostage.wiener import WienerFilter

TYPICAL = 0.4  # of `typicality`: 99 % of held-out faces have more, 90 % of CIFAR-10 has less
LEVEL = 1.0  # noise level at which pictures are compared: fine detail does not count
LEAST_STRENGTH = 2.0  # standard deviations; that of CIFAR-10's mean picture is 0.6
MEDIAN_OF_NORMAL = 0.6745  # of its absolute value


def noise_level(picture: Tensor) -> float:
    """Standard deviation of white noise in a picture (c, h, w).

    By the mixed second difference ``[1 -2 1]^T [1 -2 1] / 6``, which noise passes with its
    variance and smooth pictures hardly pass (Immerkaer 1996); its median absolute value ignores
    edges (Donoho 1995). The maximum of the likelihood under ``N(mean, Sigma + s^2 I)`` errs three
    times as much at s = 0.1, since single pictures have more or less detail than Sigma says.
    """
    line = picture.new_tensor([1.0, -2.0, 1.0])
    kernel = (line[:, None] * line / 6).expand(len(picture), 1, 3, 3)
    difference = F.conv2d(picture[None], kernel, groups=len(picture))
    return float(difference.abs().median() / MEDIAN_OF_NORMAL)


def typicality(picture: Tensor, mean: Tensor, linear: WienerFilter) -> float:
    """How much a picture (c, h, w) shows of the mean picture: about 1 in the training set, else 0.

    ``cos(w(x), w(m)) / E[cos]`` with ``w = (Sigma + s^2 I)^(-1/2)`` after removal of each channel's
    mean, s = `LEVEL`: the coherence of signal detection (Kraut et al. 2001), which knows neither
    brightness nor contrast. ``E[cos] = |w(m)| / sqrt(|w(m)|^2 + tr Sigma (Sigma + s^2 I)^-1)`` is
    that of pictures from N(m, Sigma).

    1 where the mean picture is too weak to tell, as that of pictures of everything.
    """
    both = torch.stack([picture, mean])
    both = both - both.mean((2, 3), keepdim=True)
    x, m = linear.scale(both, lambda variance: (variance + LEVEL**2).rsqrt()).flatten(1)
    strength = float(m.norm())
    if strength < LEAST_STRENGTH:
        return 1.0
    gain, rest = linear.eigenvalues, linear.rest
    kept = (gain / (gain + LEVEL**2)).sum() + (linear.dim - linear.rank) * rest / (rest + LEVEL**2)
    expected = strength / (strength**2 + float(kept)) ** 0.5
    return float(torch.cosine_similarity(x, m, dim=0)) / expected
