"""Interpolate: the morph, its film, how it is measured, all ways below each other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from demo.photos.photo import Photo
from demo.tabs import interpolate
from demo.tabs.interpolate import COMPARISON, OPERATION, Morph
from tests.conftest import smooth_pictures
from tests.demo.studio import moments


@pytest.fixture(scope="module")
def smooth() -> list[Photo]:
    """Three pictures that a model of smooth pictures can have seen."""
    return [Photo.drawn(p.permute(1, 2, 0).numpy()) for p in smooth_pictures(3) / 255]


@pytest.mark.usefixtures("slowly")
def test_previews_then_the_morph(bridge, photo, other):
    given = {"image_a": photo, "image_b": other, "frames": 3}
    *updates, result = moments(OPERATION, model=bridge, steps=3, **given)
    assert [len(moment.shown.frames) for moment in (*updates, result)] == [3, 3, 3]
    assert result.report.frames == 3 and result.report.variance == 0.4 and result.report.nfe == 3
    assert result.report.method == "shared noise"
    *updates, result = moments(OPERATION, model=bridge, steps=2, method="inversion", **given)
    assert [len(moment.shown.frames) for moment in (*updates, result)] == [3] * 4
    assert result.report.variance is None and result.report.nfe == 4


def test_a_morph_with_little_noise_ends_at_its_pictures(bridge, photo, other):
    given = {"image_a": photo, "image_b": other, "variance": 0.001, "steps": 8, "frames": 3}
    pictures = OPERATION.result(model=bridge, **given).shown.frames
    for picture, end in ((pictures[0], photo), (pictures[-1], other)):
        assert abs(picture - end.seen).mean() < 0.05


def test_the_default_is_that_of_the_engine(bridge, photo, other):
    found = OPERATION.result(model=bridge, image_a=photo, image_b=other, frames=4)
    a, b = (picture.seen.transpose(2, 0, 1) for picture in (photo, other))
    expected = bridge.interpolate(a, b, 4).result().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(found.outputs["pictures"], expected)


@pytest.mark.parametrize("count", [2, 3])
def test_inversion_meets_all_its_pictures_and_says_how_exactly(bridge, smooth, count):
    names = ("image_a", "image_b", "image_c")[:count]
    given = dict(zip(names, smooth, strict=False))
    options = {"method": "inversion", "frames": 7, "steps": 15}
    result = OPERATION.result(model=bridge, **given, **options)
    assert len(result.report.psnr) == count and min(result.report.psnr) > 35
    knots = [round(k * 6 / (count - 1)) for k in range(count)]
    for k, end in zip(knots, smooth, strict=False):
        assert abs(result.shown.frames[k] - end.seen).max() < 0.1
    for letter, found in zip("ABC", result.report.psnr, strict=False):
        assert f"{letter} {found:.0f} dB" in result.note
    shared = OPERATION.result(model=bridge, **given, frames=7)
    assert max(shared.report.psnr) < min(result.report.psnr)


def test_labels_tell_how_far_it_is(face):
    assert Morph([face] * 5, [face] * 2).labels() == [f"{n} % of B" for n in (0, 25, 50, 75, 100)]
    path = Morph([face] * 5, [face] * 3).labels()
    assert path == ["0 % of B", "50 % of B", "100 % of B", "50 % of C", "100 % of C"]


def test_the_film_opens_in_its_middle_and_ends_at_the_last_picture(face):
    film = json.loads(interpolate.film(Morph([face] * 5, [face] * 2)))
    assert film["start"] == 2 and film["captions"][2] == "50 % of B"
    assert film["track"]["ends"] == ["A", "", "B"]
    path = json.loads(interpolate.film(Morph([face] * 5, [face] * 3)))
    assert path["track"]["ends"] == ["A", "", "C"]


def test_a_result_shows_film_strip_and_how_evenly_it_goes(bridge, photo, other):
    result = OPERATION.result(model=bridge, image_a=photo, image_b=other, frames=3, steps=2)
    film, strip, chart = interpolate.show(result)
    assert len(json.loads(film)["captions"]) == 3 and strip.width > strip.height
    assert chart.count("<svg") == 2 and chart.count("<circle") == 2 * 2


def test_all_ways_come_below_each_other(bridge, photo, other):
    *updates, result = moments(
        COMPARISON, model=bridge, image_a=photo, image_b=other, frames=4, seed=2
    )
    assert all(update.shown is None for update in updates)  # what is there stays till the end
    one = OPERATION.result(model=bridge, image_a=photo, image_b=other, frames=4, seed=2)
    row = interpolate.strip(one.shown)
    assert result.shown.width == row.width and result.shown.height > 2.5 * row.height


def test_a_picture_of_another_kind_is_named(bridge, smooth, monkeypatch):
    monkeypatch.setattr("demo.typical.TYPICAL", 99)
    result = OPERATION.result(model=bridge, image_a=smooth[0], image_b=smooth[1], steps=2)
    assert "Picture A is unlike" in result.note and "Picture B is unlike" in result.note
    monkeypatch.setattr("demo.typical.TYPICAL", -99)
    result = OPERATION.result(model=bridge, image_a=smooth[0], image_b=smooth[1], steps=2)
    assert "unlike" not in result.note


def test_a_frame_is_put_back_into_photo_a(bridge, photo, other, tmp_path):
    photo.whole.save(tmp_path / "a.png")
    document = {"file": {"path": str(tmp_path / "a.png")}}
    result = OPERATION.result(model=bridge, image_a=photo, image_b=other, frames=3)
    shown, line = interpolate.put_back(100, document, result)
    assert len(shown.filled.patches) == 1 and "frame 3 of 3" in line
    assert np.array_equal(shown.filled.fills[0], result.outputs["pictures"][2])
    for nothing in ((50, None, result), (50, document, None)):
        with pytest.raises(ValueError, match="no morph yet"):
            interpolate.put_back(*nothing)
