"""Interpolate: the morph, its film, the plain mix beside it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from demo.tabs import interpolate
from demo.tabs.interpolate import OPERATION
from tests.demo.studio import moments


@pytest.mark.usefixtures("slowly")
def test_previews_then_the_morph(bridge, photo, other):
    *updates, result = moments(
        OPERATION, model=bridge, image_a=photo, image_b=other, frames=3, steps=3
    )
    assert [len(moment.shown) for moment in (*updates, result)] == [3, 3, 3]
    assert result.report.frames == 3 and result.report.variance == 0.4 and result.report.nfe == 3


def test_a_morph_with_little_noise_ends_at_its_pictures(bridge, photo, other):
    given = {"image_a": photo, "image_b": other, "variance": 0.001, "steps": 8, "frames": 3}
    pictures = OPERATION.result(model=bridge, **given).shown
    for picture, end in ((pictures[0], photo), (pictures[-1], other)):
        assert abs(picture - end.seen).mean() < 0.05


def test_the_plain_mix_goes_from_a_to_b(photo, other):
    mixes = interpolate.mixes(photo.seen, other.seen, 5)
    assert np.array_equal(mixes[0], photo.seen) and np.array_equal(mixes[-1], other.seen)
    assert np.allclose(mixes[2], (photo.seen + other.seen) / 2)


def test_the_film_opens_in_its_middle(face):
    film = json.loads(interpolate.film([face] * 5))
    assert film["start"] == 2 and film["captions"][2] == "50 % of B"
