"""The fill back in the photo: nothing outside, no step, no foreign grain."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from demo.imaging import PictureError
from demo.photos.crop import Crop, cut
from demo.photos.holes import mask_in_photo
from demo.photos.paste import METHODS, changed_outside, paste

SIZE = 16
MIDDLE = np.zeros((SIZE, SIZE), bool)
MIDDLE[5:11, 4:12] = True


def noisy(height: int, width: int, std: float = 8, blur: float = 0, seed: int = 0) -> np.ndarray:
    """A grey photo with grain, uint8."""
    grain = np.random.default_rng(seed).standard_normal((height, width, 3), np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), blur) if blur else grain
    return np.clip(128 + std / grain.std() * grain, 0, 255).astype(np.uint8)


def seen(photo: np.ndarray, crop: Crop, size: int = SIZE) -> np.ndarray:
    return np.asarray(cut(Image.fromarray(photo), crop, size), np.float32) / 255


def filled(photo: np.ndarray, crop: Crop, hole: np.ndarray, fill: np.ndarray) -> np.ndarray:
    return np.where(hole[..., None], fill, seen(photo, crop, len(hole))).astype(np.float32)


@st.composite
def jobs(draw: st.DrawFn) -> tuple[np.ndarray, Crop, np.ndarray, np.ndarray]:
    """A photo, a crop that may reach over its edges, a mask that meets it, a fill."""
    width, height = draw(st.integers(8, 120)), draw(st.integers(8, 120))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    photo = random.integers(0, 256, (height, width, 3), np.uint8)
    crop = Crop(
        draw(st.floats(0, width)), draw(st.floats(0, height)),
        draw(st.floats(8, 2 * max(width, height))), draw(st.floats(-180, 180)),
    )  # fmt: skip
    kind = draw(st.sampled_from(["box", "dots", "all", "soft"]))
    mask = np.zeros((height, width), np.float32)
    top, left = random.integers(0, height), random.integers(0, width)
    mask[top : top + 1 + height // 3, left : left + 1 + width // 3] = 1
    if kind == "dots":
        mask = (random.random((height, width)) < 0.1).astype(np.float32)
    elif kind == "all":
        mask[:] = 1
    elif kind == "soft":
        mask *= random.random((height, width), np.float32)
    channels = draw(st.sampled_from([1, 3]))
    return photo, crop, mask, random.random((SIZE, SIZE, channels), np.float32)


@settings(max_examples=60)
@given(jobs(), st.sampled_from(METHODS), st.sampled_from([None, 3.0]))
def test_no_pixel_outside_of_the_mask_changes(job: tuple, method: str, feather: float) -> None:
    photo, crop, mask, fill = job
    before = photo.copy()
    try:
        patch = paste(photo, crop, mask, fill, method=method, feather=feather)
    except PictureError as error:
        assert "outside of the crop" in str(error) or not mask.any()
        return
    after = patch.onto(photo)
    assert np.array_equal(photo, before) and after.dtype == np.uint8
    assert changed_outside(photo, after, mask) == 0
    assert np.array_equal(after, paste(photo, crop, mask, fill, method=method, feather=feather)
                          .onto(photo))  # fmt: skip


def test_changed_pixels_are_counted() -> None:
    before = noisy(20, 20)
    after, mask = before.copy(), np.zeros((20, 20), bool)
    mask[:10] = True
    after[5, 5] += 1
    after[15, 3, 1] += 1
    after[16, 3] += 1
    assert changed_outside(before, after, mask) == 2


@pytest.mark.parametrize("angle", [0, 25])
@pytest.mark.parametrize("side", [16, 23.5, 45, 90, 110])
def test_what_was_there_changes_nothing(side: float, angle: float) -> None:
    photo = noisy(320, 340, 30, blur=2)
    crop = Crop(170.25, 160, side, angle)
    mask = mask_in_photo(MIDDLE, crop, (340, 320))
    assert np.array_equal(paste(photo, crop, mask, seen(photo, crop)).onto(photo), photo)


@pytest.mark.parametrize("method", METHODS)
def test_upright_and_of_equal_size_the_fill_is_copied(method: str) -> None:
    photo, crop = noisy(60, 60), Crop.box(20, 10, 36, 26)
    fill = noisy(SIZE, SIZE, 40, seed=1)
    for hole in (MIDDLE, np.ones((SIZE, SIZE), bool)):
        mask = mask_in_photo(hole, crop, (60, 60))
        after = paste(photo, crop, mask, fill / np.float32(255), method=method).onto(photo)
        assert np.array_equal(after[10:26, 20:36][hole], fill[hole])


def test_grey_fill_takes_the_colour_around_it() -> None:
    photo = np.broadcast_to(np.uint8([180, 120, 90]), (200, 200, 3)).copy()
    crop, hole = Crop(100, 100, 160), MIDDLE
    fill = np.full((SIZE, SIZE, 1), 0.5, np.float32)
    after = paste(photo, crop, mask_in_photo(hole, crop, (200, 200)), fill).onto(photo)
    assert abs(after.astype(int) - photo).max() <= 3


@pytest.mark.parametrize("side", [64, 150, 400])
def test_step_of_colour_is_taken_out_and_leaves_no_halo(side: float) -> None:
    ramp = 90 + 60 * np.linspace(0, 1, 420)[:, None] + 20 * np.linspace(0, 1, 420)[None]
    photo = np.rint(ramp)[..., None].repeat(3, 2).astype(np.uint8)
    crop = Crop(210, 210, side)
    fill = filled(photo, crop, MIDDLE, seen(photo, crop) + np.float32([0.12, -0.08, 0.05]))
    mask = mask_in_photo(MIDDLE, crop, (420, 420))
    plain, matched = (
        paste(photo, crop, mask, fill, method=method).onto(photo).astype(int) - photo
        for method in ("plain", "matched")
    )
    assert abs(plain).max() >= 28
    assert abs(matched).max() <= 3


@pytest.mark.parametrize("blur", [0, 1, 2])
@pytest.mark.parametrize("side", [512, 900])
def test_grain_is_that_of_the_ring(side: float, blur: float) -> None:
    photo = noisy(1000, 1000, blur=blur)
    crop, hole = Crop(500, 500, side, 8), np.zeros((64, 64), bool)
    hole[20:44, 20:44] = True
    fill = filled(photo, crop, hole, np.float32(140 / 255))
    after = paste(photo, crop, mask_in_photo(hole, crop, (1000, 1000)), fill).onto(photo)
    inner = slice(500 - int(side / 8), 500 + int(side / 8))
    fine = [picture - cv2.GaussianBlur(picture, (0, 0), side / 128)
            for picture in (after.astype(np.float32), photo.astype(np.float32))]  # fmt: skip
    assert fine[0][inner, inner].std() == pytest.approx(fine[1].std(), rel=0.25)
    assert after[inner, inner].mean() == pytest.approx(128, abs=4)


def test_a_smooth_photo_gets_no_grain() -> None:
    photo = cv2.resize(noisy(6, 6, 40), (600, 600), interpolation=cv2.INTER_CUBIC)
    crop = Crop(300, 300, 500)
    fill = filled(photo, crop, MIDDLE, np.float32(0.5))
    after = paste(photo, crop, mask_in_photo(MIDDLE, crop, (600, 600)), fill).onto(photo)
    fine = after.astype(np.float32)
    fine -= cv2.GaussianBlur(fine, (0, 0), 2)
    assert fine[260:340, 240:360].std() < 0.8


def test_edges_around_the_hole_are_no_grain() -> None:
    photo = noisy(600, 600, 3)
    photo[:, 150:154] = 0  # lines beside the hole, as hair
    photo[:, 446:450] = 255
    crop = Crop(300, 300, 512)
    fill = filled(photo, crop, MIDDLE, np.float32(0.5))
    after = paste(photo, crop, mask_in_photo(MIDDLE, crop, (600, 600)), fill).onto(photo)
    assert after[250:330, 250:350].std() == pytest.approx(3, rel=0.35)


def test_seeds_differ_in_grain_alone() -> None:
    photo, crop = noisy(300, 300), Crop(150, 150, 256)
    mask = mask_in_photo(MIDDLE, crop, (300, 300))
    fill = filled(photo, crop, MIDDLE, np.float32(0.6))
    one, other = (paste(photo, crop, mask, fill, seed=s).onto(photo).astype(float) for s in (0, 1))
    assert (one != other).any() and abs(one - other).mean() < 8
    assert abs(cv2.blur(one - other, (48, 48))).max() < 4


def test_what_is_painted_beyond_the_photo_or_the_crop_stays() -> None:
    photo, crop = noisy(100, 100), Crop(90, 50, 60)
    mask = np.zeros((100, 100), bool)
    mask[40:60, 40:] = True
    after = paste(photo, crop, mask, np.ones((SIZE, SIZE, 3), np.float32)).onto(photo)
    assert np.array_equal(after[:, :60], photo[:, :60])
    assert (after[45:55, 65:] != photo[45:55, 65:]).any(-1).mean() > 0.9


def test_a_photo_painted_over_whole_is_the_fill() -> None:
    photo, crop = noisy(100, 100), Crop(50, 50, 120)
    fill = np.broadcast_to(np.float32([0.2, 0.4, 0.6]), (SIZE, SIZE, 3))
    after = paste(photo, crop, np.ones((100, 100), bool), fill).onto(photo)
    assert abs(after - np.float32([51, 102, 153])).max() <= 1


def test_twelve_megapixels_do_not_cost_a_second() -> None:
    photo = cv2.resize(noisy(300, 400), (4000, 3000))
    crop, hole = Crop(2000, 1500, 900, 12), np.zeros((64, 64), bool)
    hole[16:48, 16:48] = True
    fill = filled(photo, crop, hole, np.float32(0.5))
    mask = mask_in_photo(hole, crop, (4000, 3000))
    start = time.process_time()
    patch = paste(photo, crop, mask, fill)
    assert time.process_time() - start < 1
    assert patch.pixels.nbytes < 3 * 800**2


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((100, 120), bool), "Nothing is marked yet"),
        (np.pad(np.ones((5, 5), bool), ((0, 95), (0, 115))), "outside of the crop"),
        (np.pad(np.ones((2, 2), bool), ((30, 68), (40, 78))), "outside of the crop"),
        (np.ones((120, 100), bool), "as large as its photo, 120 x 100, not 100 x 120"),
        (np.ones((100, 120, 1), bool), "as large as its photo"),
    ],
    ids=["empty", "elsewhere", "at a corner of its box", "turned", "three axes"],
)
def test_masks_that_are_refused(mask: np.ndarray, words: str) -> None:
    fill = np.zeros((SIZE, SIZE, 3), np.float32)
    with pytest.raises(PictureError, match=words):
        paste(noisy(100, 120), Crop(60, 50, 40, 45), mask, fill)


@pytest.mark.parametrize(
    ("fill", "method", "words"),
    [
        (np.zeros((16, 16, 3)), "best", "method must be one of matched"),
        (np.zeros((16, 15, 3)), "plain", "fill is"),
        (np.zeros((16, 16)), "plain", "fill is"),
        (np.zeros((16, 16, 4)), "plain", "fill is"),
    ],
)
def test_arguments_that_are_refused(fill: np.ndarray, method: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        paste(noisy(60, 60), Crop(30, 30, 40), np.ones((60, 60), bool), fill, method=method)
