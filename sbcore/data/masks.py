"""Masks: random ones for training, ready-made holes for faces, brush strokes.

A known mask is True where a pixel is kept; a hole is True where it is to be filled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def preset_holes(size: int) -> dict[str, np.ndarray]:
    """Ready-made holes (size, size) for faces cropped as CelebA, by name, in display order."""
    centre = (np.arange(size) + 0.5) / size  # of each pixel, as a fraction of the side
    x, y = np.meshgrid(centre, centre)
    return {
        "left half": x < 0.5,
        "right half": x > 0.5,
        "eyes": _rounded(x, y, box=(13, 23, 51, 35), power=4),
        "mouth": _rounded(x, y, box=(17, 42, 47, 55), power=2.5),
        "centre": (abs(x - 0.5) < 0.25) & (abs(y - 0.5) < 0.25),
        "75 %": x > 0.25,  # the paper's: the left quarter of the columns is kept
    }


def brush_hole(size: int, seed: int = 0) -> np.ndarray:
    """A hole (size, size) of one to five thick strokes, never empty."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    while True:  # a thin stroke may pass between the pixels of a small picture
        hole = _strokes(uniform, 1, *_axes(size, torch.device("cpu")))[0]
        if bool(hole.any()):
            return hole.numpy()


def random_masks(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Known-pixel masks of the kinds that people draw; bool (n, 1, size, size), True = known.

    One of: box hole, half picture, brush strokes, scattered pixels, or the complement of the
    box or the strokes (outpainting). On the generator's device.
    """
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    x, y = _axes(size, device)
    corner, extent = uniform(n, 2, 1, 1), 0.15 + 0.65 * uniform(n, 2, 1, 1)
    corner = corner * (1 - extent)
    box = (
        (y > corner[:, 0])
        & (y < corner[:, 0] + extent[:, 0])
        & (x > corner[:, 1])
        & (x < corner[:, 1] + extent[:, 1])
    )
    cut, side = 0.25 + 0.5 * uniform(n, 1, 1), uniform(n, 1, 1)
    position = torch.where(uniform(n, 1, 1) < 0.5, x, y)
    half = torch.where(side < 0.5, position < cut, position > cut)
    strokes = _strokes(uniform, n, x, y)
    pixels = uniform(n, size, size) < 0.2 + 0.78 * uniform(n, 1, 1)
    kinds = torch.stack([box, half, strokes, pixels, ~box, ~strokes])  # (6, n, h, w), True = hole
    draw = uniform(n)  # by thresholds: a tensor of weights would have to be sent to the device
    kind = torch.stack([draw >= edge for edge in (0.25, 0.45, 0.75, 0.85, 0.9)]).sum(0)
    hole = kinds[kind, torch.arange(n, device=device)]
    return ~hole[:, None]


def _axes(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Position x, y of each pixel as a fraction of the side, both (size, size)."""
    axis = (torch.arange(size, device=device) + 0.5) / size
    return axis[None, :].expand(size, size), axis[:, None].expand(size, size)


def _strokes(uniform: Callable[..., Tensor], n: int, x: Tensor, y: Tensor) -> Tensor:
    """Union of up to five thick line segments a picture: (n, h, w)."""
    count = 5
    start, end = uniform(n, count, 2, 1, 1), uniform(n, count, 2, 1, 1)
    end = start + 0.7 * (end - 0.5)
    radius = 0.03 + 0.12 * uniform(n, count, 1, 1)
    along = end - start
    px, py = x - start[:, :, 0], y - start[:, :, 1]
    length = along.square().sum(2).clamp(min=1e-6)
    t = ((px * along[:, :, 0] + py * along[:, :, 1]) / length).clamp(0, 1)
    distance = ((px - t * along[:, :, 0]).square() + (py - t * along[:, :, 1]).square()).sqrt()
    used = torch.arange(count, device=x.device).view(1, count, 1, 1) < 1 + 4 * uniform(n, 1, 1, 1)
    return ((distance < radius) & used).any(1)


def _rounded(x: np.ndarray, y: np.ndarray, box: tuple[int, ...], power: float) -> np.ndarray:
    """Superellipse in a box (left, top, right, bottom) of 64ths; power 2 is an ellipse."""
    left, top, right, bottom = np.array(box) / 64
    across = (2 * x - left - right) / (right - left)
    down = (2 * y - top - bottom) / (bottom - top)
    return abs(across) ** power + abs(down) ** power <= 1
