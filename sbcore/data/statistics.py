"""Statistics of a training set that the denoiser holds in closed form, and its checksum."""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor


def checksum(pictures: Tensor) -> str:
    """What tells one training set, uint8 (n, c, h, w), from another."""
    return f"{zlib.crc32(pictures.contiguous().numpy().data):08x}"


def data_identity(pictures: Tensor, held_out: Tensor) -> dict[str, str]:
    """What a resumed run must find again: the pictures it trains on, and those it selects by."""
    return {"data": checksum(pictures), "held-out data": checksum(held_out)}


def mean_and_std(pictures: Tensor, flip: bool) -> tuple[Tensor, float]:
    """Mean picture (c, h, w) in [0, 1] and the pixel standard deviation around it."""
    total = torch.zeros(pictures.shape[1:], dtype=torch.float64)
    for chunk in pictures.split(1000):
        total += chunk.double().sum(0)
    mean = total / (255 * len(pictures))
    if flip:
        mean = (mean + mean.flip(-1)) / 2
    squared = sum(((chunk / 255.0 - mean) ** 2).sum().item() for chunk in pictures.split(1000))
    return mean.float(), math.sqrt(squared / pictures.numel())


def principal_components(
    pictures: Tensor, mean: Tensor, rank: int, flip: bool, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Leading eigenvectors of the training covariance, by randomised subspace iteration.

    Args:
        pictures: uint8 (n, c, h, w).
        mean: Mean picture (c, h, w) in [0, 1].
        rank: R, the number of components.
        flip: Whether the mirrored pictures belong to the set.
        seed: Seed of the random start.

    Returns:
        basis (R, d) with orthonormal rows, eigenvalues (R,) descending, and the mean variance
        of the remaining directions, a scalar.
    """
    centred = (pictures / 255.0 - mean).flatten(1)
    if flip:
        mirrored = (pictures.flip(-1) / 255.0 - mean).flatten(1)
        centred = torch.cat([centred, mirrored])
    total = centred.square().sum().cpu().double() / len(centred)
    dim = centred.shape[1]
    generator = torch.Generator().manual_seed(seed)
    width = min(rank + 64, dim, len(centred))
    rank = min(rank, width)
    start = torch.randn(dim, width, generator=generator).to(centred.device)
    q = torch.linalg.qr(start).Q
    for _ in range(6):
        q = torch.linalg.qr(centred.T @ (centred @ q)).Q
    projected = (centred @ q).cpu().double()  # not every accelerator has float64
    values, vectors = torch.linalg.eigh(projected.T @ projected / len(centred))
    order = values.argsort(descending=True)[:rank]
    basis = (q.cpu().double() @ vectors[:, order]).T
    eigenvalues = values[order]
    rest = (total - eigenvalues.sum()) / max(dim - rank, 1)
    floor = 1e-6  # 8-bit pictures have quantisation noise of this variance: 1 / (12 * 255^2)
    return basis.float(), eigenvalues.clamp(min=floor).float(), rest.clamp(min=floor).float()
