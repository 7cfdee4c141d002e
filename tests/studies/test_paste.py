"""The way back into the photo, measured: what the figures see, and that nothing changes outside."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo.photos.paste import METHODS
from studies import paste
from tests.studies.conftest import Command


def test_every_way_is_measured_at_every_hole_and_a_seed_repeats_it(
    run: Command, tmp_path: Path
) -> None:
    def tables(*arguments: str) -> dict:
        sizes = ("--sides", "64", "--holes", "centre", "brush", "--quick")
        status, found = run("paste", "tiny", "--data", "train", *sizes, *arguments)
        assert status == 0
        for rows in found.values():
            for row in rows:
                row.pop("ms", None)
        return found

    found = tables()
    sizes, holes, outside = found.values()
    ways = [paste.UNTOUCHED, *METHODS]
    assert [row["way"] for row in sizes] == ways
    assert [(row["hole"], row["way"]) for row in holes] == [
        (hole, way) for hole in ("centre", "brush") for way in ways
    ]
    for row in (sizes[0], holes[0]):
        assert all(row[figure] == 1 and row[f"± {figure}"] == 0 for figure in paste.SEAM)
    for row in sizes + holes:
        assert all(row[figure] > 0 and row[f"± {figure}"] >= 0 for figure in paste.SEAM)
        assert row["detail at 2 px"] > 0 and row["detail at 4 px"] is None  # 64 is 4 x 16
    assert [row["way"] for row in outside] == list(METHODS)
    assert all(row["changed"] == 0 and row["photos"] == 12 for row in outside)
    assert (tmp_path / "paste-tiny" / "64-pixels.png").is_file()
    assert tables() == found
    assert tables("--seed", "3") != found


@pytest.mark.parametrize("reach", [1, 6])
def test_seam_is_the_step_at_the_outline(reach: int) -> None:
    y, x = np.mgrid[:200, :200]
    mask = np.hypot(x - 100, y - 100) < 60
    slope = 60 + 0.5 * x
    step, bend = slope + 20 * mask, 60 + 1.0 * np.maximum(0, 60 - np.hypot(x - 100, y - 100))

    def measured(picture: np.ndarray) -> tuple[float, float]:
        return paste.seam(np.rint(picture)[..., None].repeat(3, 2).astype(np.uint8), mask, reach)

    flat, gradient = measured(np.full((200, 200), 90.0))
    assert flat == gradient == 0
    assert measured(step)[0] == pytest.approx(20, abs=1.5)
    assert measured(slope)[0] < 0.5 * reach and measured(slope)[1] < 0.8
    colour, gradient = measured(bend)  # a roof: its slope sets in at the rim
    assert colour == pytest.approx(reach / 2, rel=0.2)
    assert gradient == pytest.approx(reach, rel=0.2)


def test_detail_compares_octaves_inside_and_around() -> None:
    random = np.random.default_rng(0)
    photo = random.normal(128, 10, (256, 256, 3))
    mask = np.zeros((256, 256), bool)
    mask[80:180, 80:180] = True
    photo[mask] = 128 + (photo[mask] - 128) / 2
    found = paste.detail(photo.clip(0, 255).astype(np.uint8), mask, 8)
    assert found[:3] == pytest.approx([0.5, 0.5, 0.5], abs=0.1)
    assert math.isnan(found[3])


def test_a_photo_shows_its_face_and_has_finer_bands() -> None:
    face = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8), (0, 0), 2
    )
    photo = paste.photo_of(face, 256, seed=1)
    assert photo.shape == (384, 384, 3) and photo.dtype == np.uint8
    inner = cv2.resize(photo[64:-64, 64:-64], (32, 32), interpolation=cv2.INTER_AREA)
    assert abs(inner.astype(float) - face).mean() < 4
    assert np.array_equal(photo, paste.photo_of(face, 256, seed=1))
    fine = photo.astype(np.float32)
    assert 1 < (fine - cv2.GaussianBlur(fine, (0, 0), 1)).std() < 6
