"""What makes a fill part of its photo: colour steps at the rim, what lies between, and grain.

Notation: h, w = height and width; `known` is True where a pixel is given, `hole` where it is not.
Numbers are grey levels, 0 to 255, in float32.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

REACH, REACH_STD = 4, 2.0  # of the fits at the rim: half their window, their weights; pixels
SIGNIFICANT = 2.0  # standard errors; a smaller step is chance
PASSES = 8  # of relaxation on each level of the membrane
FADE = 0.7  # pixels of a band, over which it sets in
CALM = 0.5  # of the ring is calmer than the strongest grain of a hole
HALF_BAND = np.array([3, 0, -25, 0, 150, 256, 150, 0, -25, 0, 3], np.float32) / 512
TILE = 512  # period of the noise, in pixels
ROOT_MEAN = 0.8222  # mean of |z|^0.5 for a standard normal z


def rim_of(hole: np.ndarray) -> np.ndarray:
    """The pixels just outside of a hole, (h, w)."""
    return cv2.dilate(hole.astype(np.uint8), np.ones((3, 3))).astype(bool) & ~hole


def membrane(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Carry given values smoothly into the rest: nearly harmonic, coarse to fine.

    Args:
        values: (h, w, c); read where `known`.
        known: (h, w), True somewhere.

    Returns:
        (h, w, c), equal to `values` where `known`, and nowhere beyond their range.
    """
    height, width = known.shape
    if known.all() or min(height, width) < 2:
        return np.where(known[..., None], values, values[known].mean(0))
    half = ((width + 1) // 2, (height + 1) // 2)
    weight = cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    total = cv2.resize(values * known[..., None], half, interpolation=cv2.INTER_AREA)
    mean = total / np.maximum(weight, 1e-6)[..., None]
    smooth = cv2.resize(membrane(mean, weight > 0), (width, height))
    for _ in range(PASSES):
        smooth = cv2.blur(np.where(known[..., None], values, smooth), (3, 3))
    return np.where(known[..., None], values, smooth)


def rim_steps(picture: np.ndarray, hole: np.ndarray, real: np.ndarray) -> np.ndarray:
    """How much a fill is off at the rim of its hole, beyond what the picture does there anyway.

    At each pixel of the rim a plane with a step along the hole's outline is fitted to the pixels
    around: v = b0 + b1 dx + b2 dy + step [in the hole]. Where other things go on than a step, its
    standard error is large, and it counts for nothing.

    Args:
        picture: With its fill, (h, w, 3).
        hole: (h, w).
        real: (h, w), False beyond the photo, where nothing is measured.

    Returns:
        Inside minus outside, (h, w, 3); 0 but on the rim.
    """
    steps, rim = np.zeros_like(picture), rim_of(hole) & real
    if not rim.any():
        return steps
    window = (2 * REACH + 1, 2 * REACH + 1)

    def around(plane: np.ndarray) -> np.ndarray:
        padded = np.pad(plane, [(REACH, REACH)] * 2 + [(0, 0)] * (plane.ndim - 2), "edge")
        found = sliding_window_view(padded, window, axis=(0, 1))[rim]
        return found.reshape(len(found), -1, window[0] * window[1])

    dy, dx = (axis.ravel() / REACH for axis in np.mgrid[[slice(-REACH, REACH + 1)] * 2])
    weight = np.exp(-(dx**2 + dy**2) * REACH**2 / (2 * REACH_STD**2))
    weight = (around(real)[:, 0] * weight)[..., None]  # (rim, window, 1)
    inside = around(hole)[:, 0]
    plane = np.broadcast_to(np.stack([np.ones_like(dx), dx, dy], -1), (*inside.shape, 3))
    design = np.concatenate([plane, inside[..., None]], -1)  # (rim, window, 4)
    values = around(picture).swapaxes(1, 2).astype(float)  # (rim, window, 3)
    weighted = (design * weight).swapaxes(1, 2)
    inverse = np.linalg.inv(weighted @ design + 1e-6 * np.eye(4))
    fit = inverse @ (weighted @ values)
    noise = (weight * (values - design @ fit) ** 2).sum((1, 2)) / weight.sum((1, 2))
    error = noise * inverse[:, 3, 3]
    step = fit[:, 3]
    size = (step**2).sum(1)
    kept = np.clip(1 - SIGNIFICANT**2 * error / np.maximum(size, 1e-9), 0, 1)
    steps[rim] = step * kept[:, None]
    return steps


def calmed(detail: np.ndarray, ring: np.ndarray, blur: float) -> np.ndarray:
    """A detail (h, w, 3) without its edges: what is stronger than most of the ring is damped."""
    strength = cv2.GaussianBlur(abs(detail).mean(-1), (0, 0), blur)
    calm = np.quantile(strength[ring], CALM) + 1e-3
    return detail * ((calm / np.maximum(strength, calm)) ** 2).astype(np.float32)[..., None]


def random_phases(detail: np.ndarray, seed: int) -> np.ndarray:
    """Noise with the spectrum of a detail and its correlation of colours, both (h, w, 3).

    Source: Galerne, Gousseau and Morel 2011, "Random phase textures". All colours of a frequency
    turn by the same random phase. What is larger than a tile is folded, and the noise repeated.
    """
    height, width = detail.shape[:2]
    padded = np.pad(detail, ((0, -height % TILE), (0, -width % TILE), (0, 0)))
    down, across = padded.shape[0] // TILE, padded.shape[1] // TILE
    folded = padded.reshape(down, TILE, across, TILE, 3).sum((0, 2))
    white = np.random.default_rng(seed).standard_normal((TILE, TILE), np.float32)
    phase = np.fft.rfft2(white)
    turned = np.fft.rfft2(folded, axes=(0, 1)) * (phase / abs(phase))[..., None]
    noise = np.fft.irfft2(turned, axes=(0, 1)).astype(np.float32)
    return np.tile(noise, (down, across, 1))[:height, :width]


def grain(
    detail: np.ndarray,
    ring: np.ndarray,
    inside: np.ndarray,
    scale: float,
    noise: np.ndarray,
) -> np.ndarray:
    """Noise with the spectrum, colours and local strength of the detail around a hole.

    Octave by octave of a Laplacian pyramid, whose filters are steep that the octaves do not
    overlap, down to what a fill that is enlarged `scale` times holds.

    Args:
        detail: What the photo has beyond the fill's bands, (h, w, 3); read on the ring.
        ring: (h, w), True where it is measured.
        inside: Distance to the rim in pixels, (h, w), 0 outside of the hole; a band sets in as
            that of the surroundings fades out.
        scale: Photo pixels to a pixel of the fill.
        noise: Of `random_phases`, (h, w, 3).

    Returns:
        (h, w, 3), with no more strength anywhere than somewhere on the ring.
    """
    if scale < 2**0.5 or min(ring.shape) < 2:
        return np.zeros_like(detail)
    half, less = _halved(detail), _halved(noise)
    coarse = grain(half, ring[::2, ::2], inside[::2, ::2] / 2, scale / 2, less)
    band = detail - _doubled(half, detail)
    noise = noise - _doubled(less, noise)
    strength = strength_of(band, ring, scale)
    fade = cv2.sqrt(1 - cv2.exp(-inside / FADE))
    strength /= np.maximum(noise.std((0, 1)), 1e-3)
    return _doubled(coarse, detail) + noise * strength * fade[..., None]


def _halved(picture: np.ndarray) -> np.ndarray:
    """Every other pixel of a picture (h, w, 3), after its finest octave is taken out."""
    return np.ascontiguousarray(cv2.sepFilter2D(picture, -1, HALF_BAND, HALF_BAND)[::2, ::2])


def _doubled(picture: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The inverse of `_halved`, of the size of another picture."""
    sparse = np.zeros_like(like)
    sparse[::2, ::2] = 4 * picture
    return cv2.sepFilter2D(sparse, -1, HALF_BAND, HALF_BAND)


def strength_of(band: np.ndarray, ring: np.ndarray, scale: float) -> np.ndarray:
    """Standard deviation of a band around each pixel (h, w, 3), beyond the ring as at its edge.

    Edges are no grain: the root of the modulus is averaged, which few large values hardly move,
    and what is stronger than most of the ring counts as the most.
    """
    height, width = ring.shape
    coarse = [max(1, round(n * 2 / max(2, scale))) for n in (width, height)]  # two a fill's pixel
    root = np.sqrt(abs(band)) * ring[..., None]
    total = cv2.GaussianBlur(cv2.resize(root, coarse, interpolation=cv2.INTER_AREA), (0, 0), 4)
    share = cv2.resize(ring.astype(np.float32), coarse, interpolation=cv2.INTER_AREA)
    local = total / (cv2.GaussianBlur(share, (0, 0), 4)[..., None] + 1e-6)
    measured = share > 0.5 if (share > 0.5).any() else share > 0
    calm = np.quantile(local[measured], CALM, axis=0).astype(np.float32)
    local = membrane(np.minimum(local, calm), measured)
    return (cv2.resize(local, (width, height)) / ROOT_MEAN) ** 2


def sharpening(picture: np.ndarray, detail: np.ndarray, ring: np.ndarray, blur: float) -> float:
    """How much an unsharp mask brings the enlarged picture nearer to the photo on the ring.

    Args:
        picture: Enlarged, (h, w, 3).
        detail: What the photo has beyond it, (h, w, 3).
        ring: (h, w), where both are known.
        blur: Of the mask, in pixels.

    Returns:
        Its strength by least squares, 0 to 1.
    """
    edges = (picture - cv2.GaussianBlur(picture, (0, 0), blur)) * ring[..., None]
    return float(np.clip(np.vdot(edges, detail) / (np.vdot(edges, edges) + 1e-6), 0, 1))
