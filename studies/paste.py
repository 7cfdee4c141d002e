"""The fill back in its photo: the seam by each way of pasting, at several enlargements.

Held-out faces are enlarged to photos, another face is put where the hole is, the model fills the
hole, and the fill is pasted. Measured: the step of colour and of gradient across the rim, as a
ratio to that of the untouched photo at the same place; the detail inside against that around; and
on photos of all kinds how many pixels changed outside of the mask.

There is no high resolution here. What an enlarged face lacks above 64 pixels is drawn: noise that
falls by half from octave to octave and is stronger where the face has structure, grain of a sensor,
JPEG. So the surroundings have texture to be matched, but no sharp edges, as a real photo has.

Example: python evaluate.py paste checkpoints/celeba64 --data train.zip --count 20
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from PIL import Image

from demo.photos.crop import Crop, cut, enlargement
from demo.photos.holes import hole_of, mask_in_photo
from demo.photos.paste import METHODS, RING, changed_outside, paste
from sbcore.data.masks import brush_hole, preset_holes
from sbcore.runtime import checks
from sbcore.runtime.noise import generator
from sbcore.twostage.bridge import DEFAULTS, Bridge
from studies.report import Progress, Report, Table
from studies.sets import load_sets

HOLES = ("left half", "centre", "eyes", "mouth", "brush")
SIDES = (256, 512, 1024)  # of the face in the photo, in pixels
UNTOUCHED = "untouched photo"
MARGIN = 1 / 4  # of the face's side: the photo goes on around it
GRAIN, QUALITY = 3.0, 92  # grey levels of a sensor, JPEG
ALL_KINDS = 100  # photos, for the pixels that change outside
OCTAVES = ("1", "2", "4", "8")  # finest wavelengths / 2, in pixels
SEAM = ("colour, pixel", "gradient, pixel", "colour, model pixel", "gradient, model pixel")
COLUMNS = (
    *[name for figure in SEAM for name in (figure, f"± {figure}")],
    *(f"detail at {octave} px" for octave in OCTAVES),
    "ms",
)
SHOWN, TILE = 3, 256  # faces of a sheet, pixels of a picture on it
NOTE = (
    "Step of colour and of gradient across the rim, from pixel to pixel and from model pixel to "
    "model pixel (averaged over as many photo pixels), relative to the untouched photo at the same "
    "place: 1 is right, a step below it is blur. ±: standard error over faces. Detail: standard "
    "deviation of an octave inside the hole relative to the ring of 4 model pixels around it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py paste``."""
    parser.add_argument("model", help="checkpoint folder or Hub repository id")
    parser.add_argument("--data", required=True, help="the pictures that it was trained on")
    parser.add_argument("--val", help="held-out pictures (default: val beside train)")
    parser.add_argument("--count", type=int, default=20, help="held-out faces")
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES, help="pixels of a face")
    parser.add_argument("--holes", nargs="+", choices=HOLES, default=HOLES, help="which of them")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Paste every fill in every way."""
    count = checks.whole("count", options.count, least=2)
    sides = [checks.whole("sides", side, least=64) for side in options.sides]
    count, sides = (2, sides[:1]) if options.quick else (count, sides)
    bridge = Bridge.from_pretrained(options.model)
    faces = load_sets(bridge.shape, options.data, options.val).of("reporting", count)
    faces = (faces.expand(-1, 3, -1, -1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    by_side, by_hole = defaultdict(list), defaultdict(list)
    sheets = {}
    for side in sides:
        rows = []
        photos = [photo_of(face, side, options.seed + i) for i, face in enumerate(faces)]
        for i, photo in enumerate(photos):
            found = defaultdict(list)
            for hole in options.holes:
                case = Case(photo, photos[i - 1], side, hole, bridge.shape[1], options.seed + i)
                pasted = dict(case.pasted(bridge))
                for way, (after, took) in pasted.items():
                    figures = [*case.figures(after), 1000 * took]
                    found[way].append(figures)
                    by_hole[hole, way].append(figures)
                rows += [case.row(pasted)] if i < SHOWN else []
            for way, each in found.items():
                by_side[f"{side} px", way].append(np.mean(each, axis=0))
            progress(f"{side} pixels", i + 1, count)
        sheets[f"{side}-pixels"] = Image.fromarray(np.concatenate(rows))
    tables = [
        _table("Seam by the size of the face", "face", by_side),
        _table("Seam by the hole", "hole", by_hole),
        outside_table(12 if options.quick else ALL_KINDS, options.seed, progress),
    ]
    facts = {
        "model": bridge.name,
        "faces": count,
        "holes": ", ".join(options.holes),
        "evaluations": DEFAULTS["inpaint"].steps,
        "seed": options.seed,
        "device": bridge.device_name,
    }
    title = f"Pasted back: {bridge.name}"
    return Report(f"paste-{bridge.name}", title, tables, pictures=sheets, facts=facts)


def photo_of(face: np.ndarray, side: int, seed: int) -> np.ndarray:
    """A photo in which a small face (size, size, 3) is `side` pixels wide; all are uint8.

    Beyond the face it goes on as its mirror image. The bands above those of the face are drawn,
    as the module says.
    """
    size, random = len(face), np.random.default_rng(seed)
    margin = round(MARGIN * size)
    small = cv2.copyMakeBorder(face, *[margin] * 4, cv2.BORDER_REFLECT_101).astype(np.float32)
    scale = side / size
    width = round(len(small) * scale)
    photo = cv2.resize(small, (width, width), interpolation=cv2.INTER_LANCZOS4)
    structure = abs(small - cv2.GaussianBlur(small, (0, 0), 1)).mean(-1)
    structure = cv2.resize(cv2.GaussianBlur(structure, (0, 0), 1.5), (width, width))
    strength, blur = 0.5, scale / 4  # half of the face's finest octave
    while blur > 0.5:
        drawn = random.standard_normal((width, width), np.float32)
        drawn = cv2.GaussianBlur(drawn, (0, 0), blur) - cv2.GaussianBlur(drawn, (0, 0), 2 * blur)
        photo += (strength / drawn.std() * drawn * structure)[..., None]
        strength, blur = strength / 2, blur / 2
    grain = cv2.GaussianBlur(random.standard_normal(photo.shape, np.float32), (0, 0), 0.6)
    photo += GRAIN / grain.std() * grain
    return _jpeg(np.rint(np.clip(photo, 0, 255)).astype(np.uint8), QUALITY)


class Case:
    """One face, one hole, one size.

    Args:
        photo: Of `photo_of`.
        other: Another; it stands where the hole is, and is to go.
        side: Pixels of the face in them.
        hole: Name of the hole.
        size: The model's.
        seed: Of the brush and the fill.
    """

    def __init__(
        self, photo: np.ndarray, other: np.ndarray, side: int, hole: str, size: int, seed: int
    ) -> None:
        self.photo, self.seed = photo, seed
        height, width = photo.shape[:2]
        self.crop = Crop(width / 2, height / 2, side)
        small = brush_hole(size, seed) if hole == "brush" else preset_holes(size)[hole]
        self.mask = mask_in_photo(small, self.crop, (width, height)) > 0.5
        self.given = np.where(self.mask[..., None], other, photo)
        self.scale = enlargement(self.crop, size)
        self.truth = self._steps(photo)

    def pasted(self, bridge: Bridge) -> Iterator[tuple[str, tuple[np.ndarray, float]]]:
        """The photo after each way, and its seconds; first of all untouched."""
        yield UNTOUCHED, (self.photo, 0.0)
        channels, size, _ = bridge.shape
        seen = cut(Image.fromarray(self.given), self.crop, size)
        seen = np.asarray(seen.convert("L" if channels == 1 else "RGB"), np.float32) / 255
        picture = torch.from_numpy(seen.reshape(size, size, channels)).permute(2, 0, 1)
        known = torch.from_numpy(~hole_of(self.mask, self.crop, size))
        fill = bridge.inpaint(picture, known, seed=self.seed).result()[0]
        fill = fill.permute(1, 2, 0).cpu().numpy()
        for method in METHODS:
            start = time.perf_counter()
            patch = paste(self.given, self.crop, self.mask, fill, method=method)
            yield method, (patch.onto(self.given), time.perf_counter() - start)

    def figures(self, photo: np.ndarray) -> list[float]:
        """Steps relative to the untouched photo, then the detail of each octave."""
        steps = np.divide(self._steps(photo), self.truth).tolist()
        return [*steps, *detail(photo, self.mask, self.scale)]

    def _steps(self, photo: np.ndarray) -> list[float]:
        reaches = (1, max(1, round(self.scale)))
        return [step for reach in reaches for step in seam(photo, self.mask, reach)]

    def row(self, pasted: dict[str, tuple[np.ndarray, float]]) -> np.ndarray:
        """What was given and every result, side by side."""
        pictures = [self.given, *(photo for photo, _ in pasted.values())]
        small = [cv2.resize(p, (TILE, TILE), interpolation=cv2.INTER_AREA) for p in pictures]
        return np.concatenate(small, axis=1)


def seam(photo: np.ndarray, mask: np.ndarray, reach: int) -> tuple[float, float]:
    """Mean step of colour and of gradient across the rim of a mask (h, w).

    Along the normal of each pixel of the outline two runs of `reach` pixels lie inside, two
    outside; means of runs, and of `reach` neighbours along the outline, are compared.

    Args:
        photo: uint8 (h, w, 3).
        mask: Boolean (h, w).
        reach: Pixels; 1: from pixel to pixel.

    Returns:
        In grey levels, and grey levels a run.
    """
    painted = mask.astype(np.uint8)
    distance = [cv2.distanceTransform(part, cv2.DIST_L2, 5) for part in (painted, 1 - painted)]
    level = cv2.GaussianBlur(distance[0] - distance[1], (0, 0), max(1.0, reach / 2))
    normal = np.stack([cv2.Sobel(level, -1, 1, 0), cv2.Sobel(level, -1, 0, 1)], -1)
    offsets = np.arange(-2 * reach, 2 * reach)[:, None]
    steps = []
    for contour in cv2.findContours(painted, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]:
        places = contour[:, 0]
        across = normal[places[:, 1], places[:, 0]]
        across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-9
        x, y = np.rint(places[:, None] + offsets * across[:, None]).astype(int).transpose(2, 0, 1)
        inside = (x >= 0) & (x < mask.shape[1]) & (y >= 0) & (y < mask.shape[0])
        x, y = x.clip(0, mask.shape[1] - 1), y.clip(0, mask.shape[0] - 1)
        sides = mask[y, x] == (offsets[:, 0] >= 0)  # a thin stroke has no two runs inside
        whole = (inside & sides).all(1)
        profile = photo[y, x].astype(np.float32).reshape(len(places), 4, reach, 3).mean(2)
        smooth = cv2.blur(profile.reshape(len(places), -1, 1), (1, reach)).reshape(-1, 4, 3)
        far_out, out, into, far_in = smooth[whole].swapaxes(0, 1)
        steps.append(np.stack([abs(into - out), abs(far_in - into - out + far_out)], -1).mean(1))
    colour, gradient = np.concatenate(steps).mean(0)
    return float(colour), float(gradient)


def detail(photo: np.ndarray, mask: np.ndarray, scale: float) -> list[float]:
    """Strength of octaves inside a mask relative to the ring; NaN for what the model holds."""
    painted = mask.astype(np.uint8)
    ring = cv2.distanceTransform(1 - painted, cv2.DIST_L2, 5) <= RING * scale
    ring &= ~mask
    levels = [photo.astype(np.float32)]
    levels += [cv2.GaussianBlur(levels[0], (0, 0), 0.7 * int(octave)) for octave in OCTAVES]
    ratios = []
    for octave, finer, coarser in zip(OCTAVES, levels, levels[1:], strict=False):
        band = finer - coarser
        ratio = band[mask].std() / band[ring].std()
        ratios.append(float(ratio) if 2 * int(octave) <= scale else np.nan)
    return ratios


def outside_table(count: int, seed: int, progress: Progress) -> Table:
    """Pixels that change outside of the mask, on photos of all sizes, crops and masks."""
    changed, looked = dict.fromkeys(METHODS, 0), 0
    for i in range(count):
        photo, crop, mask, fill = any_photo(seed + i)
        for method in METHODS:
            after = paste(photo, crop, mask, fill, method=method).onto(photo)
            changed[method] += changed_outside(photo, after, mask)
        looked += int((~mask).sum())
        progress("photos of all kinds", i + 1, count)
    table = Table("Pixels changed outside", ("way", "photos", "pixels outside", "changed"))
    table.rows = [[way, count, f"{looked:,}", changed[way]] for way in METHODS]
    return table


def any_photo(seed: int) -> tuple[np.ndarray, Crop, np.ndarray, np.ndarray]:
    """A photo, a turned crop that may reach over its edges, a mask that meets it, and a fill."""
    random = np.random.default_rng(seed)
    width, height = (int(2 ** random.uniform(5, 11)) for _ in range(2))
    photo = cv2.resize(
        random.integers(0, 256, (9, 9, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    photo = _jpeg(photo, int(random.integers(20, 96)))
    crop = Crop(
        random.uniform(0.2, 0.8) * width,
        random.uniform(0.2, 0.8) * height,
        max(8, random.uniform(0.2, 1.4) * min(width, height)),
        random.choice([0, 90, random.uniform(-180, 180)]),
    )
    draw = generator("cpu", "mask", seed)
    small = brush_hole(64, seed) if seed % 2 else (torch.rand(64, 64, generator=draw) < 0.1).numpy()
    mask = mask_in_photo(small, crop, (width, height)) > 0.5
    mask[int(crop.y), int(crop.x)] = True  # its stroke may lie beyond the photo
    mask |= random.random((height, width)) < 1e-3
    return photo, crop, mask, random.random((64, 64, 3), np.float32)


def _table(title: str, what: str, found: dict[tuple[str, str], list]) -> Table:
    """A row for each case and way: means over faces, and their standard errors."""
    table = Table(title, (what, "way", *COLUMNS), note=NOTE)
    for (name, way), rows in found.items():
        mean = np.mean(rows, axis=0)
        error = np.std(rows, axis=0, ddof=1) / len(rows) ** 0.5
        steps = np.stack([mean, error], -1)[: len(SEAM)].ravel().tolist()
        rest = [None if np.isnan(value) else value for value in mean[len(SEAM) :].tolist()]
        table.rows.append([name, way, *steps, *rest])
    return table


def _jpeg(photo: np.ndarray, quality: int) -> np.ndarray:
    """A photo as it comes out of a JPEG file."""
    return cv2.imdecode(
        cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )
