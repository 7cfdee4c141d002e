"""Masks both ways between the photo and the model."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from demo.imaging import PictureError
from demo.photos.crop import Crop
from demo.photos.holes import face_mask, hole_of, mask_in_photo

SIZE = 16
MIDDLE = np.zeros((SIZE, SIZE), bool)
MIDDLE[5:11, 4:12] = True


def test_hole_is_the_painted_share_of_each_model_pixel() -> None:
    mask = np.zeros((64, 64), bool)
    mask[8:12, 8:12] = True  # a model pixel of 4 x 4
    mask[20:22, 20:22] = True  # 4 of 16
    mask[40, 40:43] = True  # 3 of 16, but nothing near
    mask[12, 8:11] = True  # 3 of 16, beside the first
    found = hole_of(mask, Crop(32, 32, 64), SIZE)
    assert {tuple(place) for place in np.argwhere(found)} == {(2, 2), (5, 5), (10, 10)}


@pytest.mark.parametrize("side", [10, 16, 50, 300])
@pytest.mark.parametrize("angle", [0, 30, 90, -135])
def test_hole_and_back(side: float, angle: float) -> None:
    crop = Crop(200, 190, side, angle)
    there = mask_in_photo(MIDDLE, crop, (400, 380))
    assert there.shape == (380, 400) and 0 <= there.min() and there.max() <= 1
    share = there.sum() / side**2
    assert share == pytest.approx(MIDDLE.mean(), rel=0.15)
    back = hole_of(there > 0.5, crop, SIZE)
    differ = back != MIDDLE
    outline = cv2.morphologyEx(MIDDLE.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
    assert not (differ & (outline == 0)).any()
    if side > 16 and angle % 90 == 0:
        assert not differ.any()


def test_a_dot_of_a_large_photo_is_not_lost() -> None:
    mask = np.zeros((2000, 2000), bool)
    mask[777, 1234] = True
    found = hole_of(mask, Crop(1000, 1000, 1990, 20), 64)
    assert found.sum() == 1


def test_outline_is_smooth() -> None:
    there = mask_in_photo(np.eye(SIZE, dtype=bool), Crop(160, 160, 320), (320, 320)) > 0.5
    stairs = np.kron(np.eye(SIZE), np.ones((20, 20)))
    assert cv2.connectedComponents(there.astype(np.uint8), connectivity=4)[0] == 2  # one stroke
    assert (there != stairs).mean() < 0.05


def test_face_mask_is_soft_and_inside_of_its_crop() -> None:
    crop = Crop(100, 80, 100, 30)
    mask = face_mask(crop, (200, 160))
    assert mask[80, 100] == 1 and abs(np.diff(mask, axis=0)).max() < 0.2
    corners = np.rint(crop.corners()).astype(int)
    assert not mask[cv2.fillConvexPoly(np.zeros((160, 200), np.uint8), corners, 1) == 0].any()


@pytest.mark.parametrize(
    ("corner", "words"), [(None, "Nothing is marked yet"), (2, "move the crop over it")]
)
def test_paint_that_the_model_does_not_see_is_refused(corner: int | None, words: str) -> None:
    mask = np.zeros((80, 90), bool)
    if corner is not None:
        mask[:corner, :corner] = True
    with pytest.raises(PictureError, match=words):
        hole_of(mask, Crop(50, 40, 30), SIZE)
