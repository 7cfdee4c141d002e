"""Faces that the shipped model drew are found, and levelled as the training pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from demo.photos.crop import Crop
from demo.photos.faces import EYES, Face, find_faces
from tests.conftest import REPOSITORY

SHEET = REPOSITORY / "checkpoints" / "celeba64" / "sheet.png"  # 8 x 8 tiles, twice enlarged
TILE = 128
PLAIN = (0, 1, 2, 3, 6, 7, 9, 10, 14, 18, 20, 23)  # of which anyone says: a face


def drawn(index: int) -> Image.Image:
    """A face as the model drew it, 128 x 128."""
    row, column = divmod(index, 8)
    with Image.open(SHEET) as sheet:
        box = (column * TILE, row * TILE, (column + 1) * TILE, (row + 1) * TILE)
        return sheet.convert("RGB").crop(box)


def photo_of(index: int, side: int, angle: float) -> tuple[Image.Image, Crop]:
    """A photo with one face, so large and so turned; and where its crop is."""
    face = drawn(index).resize((side, side), Image.Resampling.LANCZOS)
    photo = Image.new("RGB", (4 * side, 3 * side), (130, 120, 110))
    turned = face.convert("RGBA").rotate(-angle, Image.Resampling.BICUBIC, expand=True)
    left, top = round(1.3 * side), side
    photo.paste(turned, (left, top), turned)
    return photo, Crop(left + turned.width / 2, top + turned.height / 2, side, angle)


def eyes_off(face: Face, truth: Crop) -> float:
    """Pixels of 64 that the worse eye is off."""
    places = [np.c_[EYES, np.ones(2)] @ crop.to_photo(1).T for crop in (face.crop, truth)]
    return np.linalg.norm(places[0] - places[1], axis=1).max() / truth.side * 64


@pytest.mark.parametrize(("side", "angle"), [(64, 0), (128, -28), (300, 17)])
def test_eyes_lie_where_training_pictures_have_them(side: int, angle: float) -> None:
    off = []
    for index in PLAIN:
        photo, truth = photo_of(index, side, angle)
        off += [min((eyes_off(face, truth) for face in find_faces(photo)), default=math.inf)]
    assert np.median(off) < 2
    assert np.mean(np.array(off) < 3) >= 0.75


def test_of_several_faces_each_is_found_once_the_largest_first() -> None:
    photo = Image.new("RGB", (1000, 700), (130, 120, 110))
    places = []
    for number, index in enumerate(PLAIN[:6]):
        side = 100 + 30 * number
        left, top = 40 + number % 3 * 320, 40 + number // 3 * 330
        photo.paste(drawn(index).resize((side, side)), (left, top))
        places.append(Crop.box(left, top, left + side, top + side))
    faces = find_faces(photo)
    nearest = [min(range(6), key=lambda k: eyes_off(face, places[k])) for face in faces]
    assert len(faces) >= 5 and len(set(nearest)) == len(faces)
    sides = [face.crop.side for face in faces]
    assert sides == sorted(sides, reverse=True)


def test_twenty_faces_and_more() -> None:
    with Image.open(SHEET) as sheet:
        faces = find_faces(sheet.convert("RGB"))
    assert len(faces) >= 50
    hit = {(int(face.crop.x // TILE), int(face.crop.y // TILE)) for face in faces}
    assert len(hit) >= len(faces) - 2


@pytest.mark.parametrize("change", ["grey", "dark", "bright"])
def test_light_and_colour_do_not_matter(change: str) -> None:
    photo, truth = photo_of(3, 160, 10)
    levels = {"grey": 1, "dark": 0.12, "bright": 1.5}[change]
    photo = photo.convert("L") if change == "grey" else photo.point(lambda level: level * levels)
    [face] = find_faces(photo.convert("RGB"))
    assert eyes_off(face, truth) < 4


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (19, 3000), (3000, 9)])
def test_tiny_and_narrow_pictures_have_none(size: tuple[int, int]) -> None:
    assert find_faces(Image.effect_noise(size, 80).convert("RGB")) == []


def test_noise_and_plain_colour_have_none() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    coarse = Image.fromarray(noise[:30, :40]).resize((640, 480), Image.Resampling.BICUBIC)
    for picture in (Image.fromarray(noise), coarse, Image.new("RGB", (640, 480), "white")):
        assert find_faces(picture) == []


def test_a_face_on_its_head_is_less_sure() -> None:
    def score(index: int, angle: float) -> float:
        return max((face.score for face in find_faces(photo_of(index, 160, angle)[0])), default=0)

    for index in PLAIN[:6]:
        assert score(index, 0) > score(index, 180) + 0.1
