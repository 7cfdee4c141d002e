import math

import numpy as np
import pytest
from PIL import Image

from demo.imaging import PictureError
from demo.photos.crop import Crop, cut, enlarge, enlargement


@pytest.fixture
def photo() -> Image.Image:
    """A smooth picture, 200 x 160."""
    y, x = np.mgrid[:160, :200]
    waves = [np.sin(x / 23 + y / 31), np.cos(x / 29), np.sin(y / 19)]
    return Image.fromarray(np.uint8(127 + 100 * np.stack(waves, -1)))


def test_map_and_its_inverse() -> None:
    crop = Crop(80, 60, 50, 25)
    there, back = crop.to_photo(64), crop.from_photo(64)
    assert np.allclose(there @ (32, 32, 1), (80, 60))
    assert np.allclose(back @ (80, 60, 1), (32, 32))
    right = (there @ (64, 32, 1) - there @ (32, 32, 1)) / 25
    assert np.allclose(right, (math.cos(math.radians(25)), math.sin(math.radians(25))))


def test_crop_of_the_models_size_is_copied(photo: Image.Image) -> None:
    assert np.array_equal(
        np.asarray(cut(photo, Crop.box(10, 20, 74, 84), 64)), np.asarray(photo)[20:84, 10:74]
    )


@pytest.mark.parametrize("side", [40, 64, 100, 150])
def test_turned_crop_agrees_with_the_upright_one(photo: Image.Image, side: float) -> None:
    upright = np.asarray(cut(photo, Crop(100, 80, side), 64), float)
    turned = np.asarray(cut(photo, Crop(100, 80, side, 1e-4), 64), float)
    assert abs(upright - turned).mean() < 1


def test_quarter_turn(photo: Image.Image) -> None:
    upright = np.asarray(cut(photo, Crop(100, 80, 90, 1e-4), 64), float)
    turned = np.asarray(cut(photo, Crop(100, 80, 90, 90), 64), float)
    assert abs(np.rot90(upright) - turned).mean() < 1.5


def test_beyond_the_photo_its_edge_goes_on(photo: Image.Image) -> None:
    seen = np.asarray(cut(photo, Crop(0, 80, 100), 50))
    assert np.ptp(seen[:, :20], axis=1).max() <= 3


def test_large_crop_is_averaged() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), np.uint8)
    seen = np.asarray(cut(Image.fromarray(noise), Crop(600, 600, 1100, 13), 64), float)
    assert seen.std() < 12  # 17 pixels to one: 74 / 17, and the filter's overshoot


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "must have x"),
        ({"x": 1, "y": 2}, "must have x"),
        ({"x": 1, "y": 2, "side": 30, "more": 1}, "must have x"),
        ({"x": math.nan, "y": 2, "side": 30}, "x must be a number"),
        ({"x": "1", "y": 2, "side": 30}, "x must be a number"),
        ({"x": 500, "y": 2, "side": 30}, "outside of the photo"),
        ({"x": 50, "y": 50, "side": 1}, "side must be"),
        ({"x": 50, "y": 50, "side": 1e9}, "side must be"),
    ],
)
def test_what_is_no_crop_is_refused(value: object, words: str) -> None:
    with pytest.raises(PictureError, match=words):
        Crop.of(value, (200, 160))


def test_facts_are_a_crop_again() -> None:
    crop = Crop(80.25, 60.5, 50, -7.125)
    assert Crop.of(crop.facts(), (200, 160)) == crop


def test_enlargement() -> None:
    assert enlargement(Crop(0, 0, 900, 12), 64) == pytest.approx(14.06, abs=0.01)


@pytest.mark.parametrize(("side", "angle"), [(64, 0), (40, 15), (130, -30), (500, 70)])
def test_enlarge_undoes_cut(side: float, angle: float) -> None:
    y, x = np.mgrid[:600, :640].astype(np.float32)
    photo = np.stack([x / 4, y / 4, (x + y) / 8], -1)
    crop = Crop(320, 300, side, angle)
    seen = np.asarray(cut(Image.fromarray(np.rint(photo).astype(np.uint8)), crop, 64), np.float32)
    half = int(side / 3)
    box = (320 - half, 300 - half, 320 + half, 300 + half)
    again = enlarge(seen, crop, box)
    assert abs(again - photo[300 - half : 300 + half, 320 - half : 320 + half]).max() < 1.5
