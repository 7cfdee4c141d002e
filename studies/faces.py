"""Faces found in photos: how many, and how far their eyes lie from where they should be.

Held-out aligned pictures are turned, scaled and pasted into larger ones of blurred pictures, clouds
and noise; their eyes are where the average training picture has them. With --fit the finder's
weights are learned anew instead.

Examples:
  python evaluate.py faces --data train.zip
  python evaluate.py faces --data train.zip --fit demo/photos/faces.npz
"""

from __future__ import annotations

import argparse
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from demo.photos.crop import Crop, cut
from demo.photos.faces import CELEBA_CROPS, EYES, Face, find_faces
from sbcore.data.pictures import picture_files, split_held_out, split_validation
from sbcore.runtime import checks
from studies.aligner import learn
from studies.report import Progress, Report, Table, contact_sheet

SIZE = 64  # pixels of a crop, in which errors are told
FOUND = 8  # pixels that either eye may be off
SCALES, ANGLES = (0.5, 1, 2, 4, 8), (0, 10, 20, 30)
FEATHER = 8  # pixels of the pasted picture
SHOWN = 32
COLUMNS = (
    *("pictures", "number", "found", "its standard error", "eye error, median"),
    *("its standard error", "eye error, 90 %", "false faces a picture", "its standard error"),
    "CPU seconds",
)
NOTE = (
    f"Found: both eyes within {FOUND} pixels of their places. Errors are those of the worse eye of "
    f"a found face, in pixels of the crop of {SIZE} x {SIZE}; their standard errors by bootstrap. "
    "Scale: of the aligned picture of 89 x 109 (its face is 64 pixels wide at scale 1). Seconds: "
    "of one core, to find all faces of a picture."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py faces``."""
    parser.add_argument("--data", required=True, help="aligned CelebA that training has seen")
    parser.add_argument("--val", help="held-out pictures (default: val beside train)")
    parser.add_argument(
        "--count", type=int, default=200, help="held-out pictures that are placed in a scene each"
    )
    parser.add_argument(
        "--half", choices=("selection", "reporting"), default="reporting", help="of the held-out"
    )
    parser.add_argument("--fit", type=Path, help="instead: learn, and write the weights here")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Paste, find, measure; or learn."""
    count = min(checks.whole("count", options.count, 2), 4 if options.quick else math.inf)
    training = load_aligned(options.data)
    if options.fit:
        return _fit(training, options, progress)
    held_out = options.val or split_validation(options.data)
    if held_out is None:
        raise ValueError("there is no val beside the training pictures; give --val")
    halves = split_held_out(torch.from_numpy(np.stack(load_aligned(held_out))))
    pictures = halves[options.half == "reporting"].numpy()
    if count > len(pictures):
        raise ValueError(
            f"count must be at most {len(pictures)}, the number of {options.half} pictures"
        )
    outcomes = []
    for index, picture in enumerate(pictures[:count]):
        rng = np.random.default_rng((options.seed, index))
        outcomes.append(measure(scene(picture, training, rng)))
        progress("finding", index + 1, count)
    sheet = [torch.from_numpy(one.seen).permute(2, 0, 1) / 255 for one in outcomes if one.found]
    return Report(
        "faces",
        "Faces found in photos",
        [tabulate(outcomes, options.seed)],
        pictures={"found": contact_sheet(torch.stack(sheet[:SHOWN]))} if sheet else {},
        facts={"pictures": count, "half": options.half, "seed": options.seed},
    )


def load_aligned(source: str | Path) -> list[np.ndarray]:
    """Aligned CelebA, whole: uint8 (109, 89, 3) each.

    Raises:
        ValueError: If it is missing or has pictures of another size.
    """
    if not Path(source).exists():
        raise ValueError(f"no data at {source}")
    pictures = []
    for name, read in picture_files(Path(source)):
        picture = Image.open(io.BytesIO(read())).convert("RGB")
        if picture.size not in CELEBA_CROPS:
            raise ValueError(
                f"{source}: {name} is not aligned CelebA, 178 x 218 or 89 x 109 pixels"
            )
        pictures.append(np.asarray(picture.resize((89, 109), Image.Resampling.BOX)))
    if len(pictures) < 2:
        raise ValueError(f"{source} holds {len(pictures)} pictures; at least 2 are needed")
    return pictures


@dataclass(frozen=True)
class Scene:
    """A photo with one face of known place."""

    photo: Image.Image
    truth: Crop
    scale: float
    """Of the aligned picture."""


def scene(picture: np.ndarray, others: Sequence[np.ndarray], rng: np.random.Generator) -> Scene:
    """Paste an aligned picture (109, 89, 3) into a larger photo, turned and scaled."""
    scale = math.exp(rng.uniform(math.log(SCALES[0]), math.log(SCALES[-1])))
    angle = rng.uniform(-ANGLES[-1], ANGLES[-1])
    turn = math.radians(angle)
    cos, sin = math.cos(turn), math.sin(turn)
    high, wide = picture.shape[:2]
    height = round(high * scale * rng.uniform(1.5, 3))
    width = round(height * rng.uniform(0.8, 1.5))
    matrix = scale * np.array([[cos, -sin], [sin, cos]])
    reach = np.abs(matrix) @ (wide, high) / 2
    room = np.maximum((width, height) - reach, reach)
    middle = np.minimum(rng.uniform(reach, room), (width, height) - reach.clip(max=height / 2))
    shift = middle - matrix @ (wide / 2, high / 2)
    half = np.array([0.5, 0.5])  # OpenCV counts from the middles of pixels
    warp = np.c_[matrix, shift + matrix @ half - half]
    y, x = np.mgrid[:high, :wide]
    edge = np.minimum(np.minimum(x, wide - 1 - x), np.minimum(y, high - 1 - y))
    weight = (edge / FEATHER).clip(0, 1).astype(np.float32)
    source = picture.astype(np.float32)
    if scale < 1:
        source = cv2.GaussianBlur(source, (0, 0), 0.35 / scale)
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
    pasted = cv2.warpAffine(source, warp, (width, height), flags=flags)
    weights = cv2.warpAffine(weight, warp, (width, height))[..., None]
    pixels = background(height, width, others, rng)
    pixels += weights * (pasted - pixels)
    left, top, right, bottom = CELEBA_CROPS[wide, high]
    x, y = matrix @ ((left + right) / 2, (top + bottom) / 2) + shift
    truth = Crop(x, y, (right - left) * scale, angle)
    return Scene(Image.fromarray(np.uint8(pixels.clip(0, 255))), truth, scale)


def background(
    height: int, width: int, others: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Three blurred pictures, clouds from coarse to fine, grain: float32 (height, width, 3)."""
    pixels = np.zeros((height, width, 3), np.float32)
    for index in rng.integers(len(others), size=3):
        blurred = cv2.GaussianBlur(others[index].astype(np.float32), (0, 0), 9)
        turned = blurred[:: rng.choice((1, -1)), :: rng.choice((1, -1))]
        pixels += cv2.resize(turned, (width, height)) / 3
    for cells in (2, 4, 8, 16, 32, 64):
        clouds = rng.standard_normal((cells, cells, 3), np.float32)
        strength = rng.uniform(0, 60) / math.sqrt(cells)
        pixels += strength * cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)
    pixels += rng.uniform(0, 8) * rng.standard_normal(pixels.shape, np.float32)
    return pixels


@dataclass(frozen=True)
class Outcome:
    """What was found in a scene."""

    scale: float
    angle: float
    error: float
    """Pixels that the worse eye of the best face is off; infinite if there is none."""
    faces: int
    seconds: float
    seen: np.ndarray
    """The best crop, uint8 (64, 64, 3); empty if there is none."""

    @property
    def found(self) -> bool:
        """Whether the face was."""
        return self.error <= FOUND


def measure(made: Scene, find: Callable[[Image.Image], Sequence[Face]] = find_faces) -> Outcome:
    """Look for the face of a scene, on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        start = time.process_time()
        faces = find(made.photo)
        seconds = time.process_time() - start
    finally:
        cv2.setNumThreads(threads)
    errors = [eye_error(face.crop, made.truth) for face in faces]
    error = min(errors, default=math.inf)
    seen = np.zeros((0, 0, 3), np.uint8)
    if faces:
        seen = np.array(cut(made.photo, faces[errors.index(error)].crop, SIZE))
    return Outcome(made.scale, abs(made.truth.angle), error, len(faces), seconds, seen)


def eye_error(crop: Crop, truth: Crop) -> float:
    """How far the worse eye is off, in pixels of the true crop of 64 x 64."""
    eyes = np.c_[EYES, np.ones(2)]
    off = eyes @ (crop.to_photo(1) - truth.to_photo(1)).T
    return float(np.linalg.norm(off, axis=1).max() / truth.side * SIZE)


def tabulate(outcomes: Sequence[Outcome], seed: int) -> Table:
    """All, by scale, by angle."""
    table = Table("Held-out faces in larger pictures", COLUMNS, note=NOTE)
    groups = {"all": list(outcomes)}
    for low, high in pairwise(SCALES):
        groups[f"scale {low:g} to {high:g}"] = [o for o in outcomes if low <= o.scale < high]
    for low, high in pairwise(ANGLES):
        groups[f"turned {low} to {high} degrees"] = [o for o in outcomes if low <= o.angle < high]
    for name, group in groups.items():
        if group:
            table.rows.append([name, len(group), *_row(group, np.random.default_rng(seed))])
    return table


def _row(group: Sequence[Outcome], rng: np.random.Generator) -> list[float | None]:
    """The figures of a group."""
    n = len(group)
    share = float(np.mean([one.found for one in group]))
    errors = np.array([one.error for one in group if one.found])
    false = np.array([one.faces - one.found for one in group], float)
    eyes: list[float | None] = [None, None, None]
    if errors.size:
        drawn = np.median(rng.choice(errors, (1000, errors.size)), axis=1)
        eyes = [float(np.median(errors)), float(drawn.std()), float(np.percentile(errors, 90))]
    seconds = float(np.mean([one.seconds for one in group]))
    spread = (share * (1 - share) / n) ** 0.5
    return [share, spread, *eyes, float(false.mean()), float(false.std() / n**0.5), seconds]


def _fit(pictures: list[np.ndarray], options: argparse.Namespace, progress: Progress) -> Report:
    """Learn the finder's weights."""
    pictures = pictures[:40] if options.quick else pictures
    steps, judge, rows = learn(pictures, np.random.default_rng(options.seed), progress)
    np.savez_compressed(options.fit, steps=steps, judge=judge)
    columns = ("step", "eye error, median", "eye error, 90 %")
    note = "Of every tenth picture, which was not learned from; pixels of the crop of 64 x 64."
    table = Table("Crops moved onto faces", columns, rows, note)
    facts = {"pictures": len(pictures), "seed": options.seed, "written to": options.fit}
    return Report("faces-fit", "The face finder's weights", [table], facts=facts)
