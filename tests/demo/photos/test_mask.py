"""Masks: of a picture, of the page's canvas, on the photo and in the square of the model."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from demo.imaging import PictureError
from demo.photos.crop import Crop
from demo.photos.mask import Mask, encode
from demo.photos.photo import Photo


@pytest.fixture
def photo(scene) -> Photo:
    return Photo.of(scene, 16, crop=Crop(60, 45, 48))


def box(size=(90, 120), top=40, left=50, height=10, width=20) -> np.ndarray:
    pixels = np.zeros(size, bool)
    pixels[top : top + height, left : left + width] = True
    return pixels


def test_a_picture_of_the_photos_size_lies_on_it(photo):
    mask = Mask.of_picture(Image.fromarray(box()), photo)
    assert mask.on_photo and np.array_equal(mask.in_photo(photo), box())
    hole = mask.in_crop(photo)  # three photo pixels to one of the model's
    rows, columns = np.nonzero(hole)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 9, 4, 11)


def test_a_square_picture_lies_on_the_crop(photo):
    mask = Mask.of_picture(Image.fromarray(box((32, 32), 8, 8, 16, 16)), photo)
    assert not mask.on_photo
    assert np.array_equal(mask.in_crop(photo), box((16, 16), 4, 4, 8, 8))
    rows, columns = np.nonzero(mask.in_photo(photo))
    assert abs(rows.min() - (45 - 12)) <= 1 and abs(columns.max() - (60 + 12)) <= 1


def test_a_picture_of_another_shape_is_refused(photo):
    with pytest.raises(
        PictureError, match="must be square or as large as its picture, not 30 x 20"
    ):
        Mask.of_picture(Image.new("L", (30, 20), 255), photo)


def test_the_canvas_of_the_page_may_be_larger_than_the_photo(photo):
    mask = Mask.of_document(encode(np.kron(box(), np.ones((4, 4), bool))), photo)
    assert np.array_equal(mask.pixels, box())


def test_what_is_encoded_is_read_back(photo):
    mask = Mask.of_picture(Image.fromarray(box()), photo)
    assert np.array_equal(Mask.of_document(mask.encoded, photo).pixels, box())
    assert len(mask.encoded["png"]) < 400


def test_a_full_hole_is_legal_and_an_empty_one_is_not(photo):
    full = Mask.of_picture(Image.new("L", (16, 16), 255), photo)
    assert full.in_crop(photo).all()
    for nothing in (Image.new("L", (16, 16)), Image.new("L", (120, 90))):
        with pytest.raises(PictureError, match="Nothing is marked yet"):
            Mask.of_picture(nothing, photo).in_crop(photo)
    with pytest.raises(PictureError, match="Nothing is marked yet"):
        Mask.of_document(None, photo)


def png(mode: str, size: tuple[int, int]) -> str:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    "painted",
    [
        "scribble",
        {},
        {"width": 120, "height": 90, "left": 0, "top": 0, "png": "%%%"},
        {"width": 120, "height": 90, "left": 0, "top": 0, "png": png("LA", (9, 9))[:40]},
        {"width": 120, "height": 90, "left": 115, "top": 0, "png": png("LA", (9, 9))},
        {"width": 120, "height": 90, "left": -1, "top": 0, "png": png("LA", (9, 9))},
        {"width": 10**6, "height": 10**6, "left": 0, "top": 0, "png": png("LA", (9, 9))},
        {"width": "x", "height": 90, "left": 0, "top": 0, "png": png("LA", (9, 9))},
    ],
)
def test_a_broken_canvas_is_refused(photo, painted):
    with pytest.raises(PictureError, match="mask cannot be read"):
        Mask.of_document(painted, photo)
