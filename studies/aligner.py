"""Learning the weights of the face finder (``demo/photos/faces.py``) from aligned pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from demo.photos.crop import Crop
from demo.photos.faces import CELEBA_CROPS, EYES, changed, look
from studies.report import Progress

STEPS = 4
DRAWN = 2  # starts of each picture
SPREAD = (0.055, 0.055, 0.13, math.radians(9))  # of cascade hits: x, y, log side, angle
RIDGE = 1.0
APART = 12  # pixels of 64 that make a crop one of no face
TRUTH = Crop.box(*CELEBA_CROPS[89, 109])


@dataclass
class Sample:
    """A grey aligned picture, and the crop of it that is looked at now."""

    grey: Image.Image
    crop: Crop

    def off(self) -> float:
        """How far its worse eye is off, in pixels of 64."""
        eyes = np.c_[EYES, np.ones(2)] @ (self.crop.to_photo(1) - TRUTH.to_photo(1)).T
        return float(np.linalg.norm(eyes, axis=1).max() / TRUTH.side * 64)


def learn(
    pictures: Sequence[np.ndarray], rng: np.random.Generator, progress: Progress
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, float, float]]]:
    """Learn to align and to judge.

    Each step is a ridge regression from what the crops show to how they must change; the crops so
    changed are what the next learns from. The judge then tells faces from whatever else a crop
    settles on: other parts of the same pictures, and faces upside down.

    Args:
        pictures: Aligned CelebA, uint8 (109, 89, 3).
        rng: Of starts and of blur and grain.
        progress: Called with the samples seen.

    Returns:
        Steps (k, 577, 4) and judge (577,), float16, and rows (step, median, 90th percentile) of
        the eye error of every tenth picture, which is not learned from.
    """
    samples = [
        Sample(worn(picture, rng), changed(TRUTH, rng.standard_normal(4) * SPREAD))
        for picture in pictures
        for _ in range(DRAWN)
    ]
    learned = np.arange(len(samples)) // DRAWN % 10 > 0
    others = [Sample(worn(picture, rng), elsewhere(rng)) for picture in pictures]
    steps, rows = [], []
    for k in range(STEPS):
        seen = _look(samples, f"step {k + 1}", progress)
        wanted = np.array([change(sample.crop, TRUTH) for sample in samples])
        step = _ridge(seen[learned], wanted[learned]).astype(np.float16)
        _move(samples, seen, step)
        _move(others, _look(others, f"step {k + 1}, no faces", progress), step)
        off = [sample.off() for sample, used in zip(samples, learned, strict=True) if not used]
        rows.append((k + 1, float(np.median(off)), float(np.percentile(off, 90))))
        steps.append(step)
    no_face = [one for one in others if one.off() > APART]
    seen = [_look(group, "judging", progress) for group in (samples, no_face)]
    sides = np.repeat((1, -1), [len(one) for one in seen])
    weights = np.concatenate(
        [np.full(len(one), (len(sides) / 2 / len(one)) ** 0.5) for one in seen]
    )
    judge = _ridge(np.concatenate(seen) * weights[:, None], sides * weights)  # both sides alike
    return np.stack(steps), judge.astype(np.float16), rows


def worn(picture: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Grey, and half of them as a smaller or noisier photo would have it."""
    grey = Image.fromarray(picture).convert("L")
    if rng.random() < 0.5:
        size = [round(edge * scale) for scale in [rng.uniform(0.3, 1)] for edge in grey.size]
        grey = grey.resize(size, Image.Resampling.BOX).resize(grey.size, Image.Resampling.BICUBIC)
    if rng.random() < 0.3:
        noise = rng.uniform(0, 8) * rng.standard_normal((grey.height, grey.width))
        grey = Image.fromarray(np.uint8((np.asarray(grey) + noise).clip(0, 255)))
    return grey


def elsewhere(rng: np.random.Generator) -> Crop:
    """A crop of an aligned picture that shows no upright face: off it, of a part of it, turned."""
    kind = rng.integers(3)
    if kind == 0:
        return Crop(*rng.uniform(0, (89, 109)), rng.uniform(16, 50), rng.uniform(-180, 180))
    if kind == 1:
        x, y = rng.normal((TRUTH.x, TRUTH.y), 8)
        return Crop(x, y, rng.uniform(40, 90), rng.uniform(60, 300))
    x = rng.choice((rng.uniform(0, 25), rng.uniform(64, 89)))
    return Crop(x, rng.uniform(0, 109), rng.uniform(30, 90), rng.uniform(-50, 50))


def change(crop: Crop, wanted: Crop) -> np.ndarray:
    """What `changed` must be given to come from one crop to another."""
    dx, dy = (wanted.x - crop.x) / crop.side, (wanted.y - crop.y) / crop.side
    turn = math.radians(crop.angle)
    cos, sin = math.cos(turn), math.sin(turn)
    grow, angle = math.log(wanted.side / crop.side), math.radians(wanted.angle - crop.angle)
    return np.array([dx * cos + dy * sin, dy * cos - dx * sin, grow, angle])


def _look(samples: Sequence[Sample], what: str, progress: Progress) -> np.ndarray:
    """Features (n, 577) of all."""
    seen = []
    for index, sample in enumerate(samples):
        seen.append(look(sample.grey, sample.crop))
        progress(what, index + 1, len(samples))
    return np.array(seen)


def _move(samples: Sequence[Sample], seen: np.ndarray, step: np.ndarray) -> None:
    """Apply a step, but not beyond the picture."""
    for sample, by in zip(samples, seen @ step.astype(np.float32), strict=True):
        crop = changed(sample.crop, by)
        if 0 <= crop.x <= 89 and 0 <= crop.y <= 109 and crop.side > 4:
            sample.crop = crop


def _ridge(seen: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Least squares with a small penalty."""
    normal = seen.T @ seen + RIDGE * np.eye(seen.shape[1], dtype=seen.dtype)
    return np.linalg.solve(normal, seen.T @ wanted)
