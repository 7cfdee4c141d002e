"""Inpaint: what lies outside the hole stays, the editor's canvas, before and after."""

from __future__ import annotations

import numpy as np
import pytest

from demo import imaging
from demo.tabs import inpaint
from demo.tabs.inpaint import METHODS, OPERATION
from sbcore import preset_holes
from tests.conftest import TINY
from tests.demo.studio import moments

SIZE = TINY.image_size


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("method", METHODS.values())
def test_known_pixels_stay_bit_for_bit_in_every_preview(bridge, photo, hole, method):
    given = {"image": photo, "mask": hole, "count": 2, "seed": 5, "method": method, "steps": 3}
    run = moments(OPERATION, model=bridge, **given)
    for moment in run:
        fills = moment.shown.fills
        assert all(np.array_equal(fill[~hole], photo.seen[~hole]) for fill in fills)
    assert len(run) == 3 and not np.array_equal(fills[0][hole], fills[1][hole])
    assert not np.array_equal(fills[0][hole], photo.seen[hole])
    report = run[-1].report
    assert report.mode == {"conditional": "fast", "algorithm2": "paper"}[method]
    assert report.method == method and report.changed_outside == 0
    assert run[-1].note == "0 pixels changed outside the mask"


def test_a_full_mask_is_a_picture_from_nothing(bridge, photo, other):
    full = np.ones((SIZE, SIZE), bool)
    fills = [
        OPERATION.result(model=bridge, image=image, mask=full, count=1).shown.fills[0]
        for image in (photo, other)
    ]
    assert np.array_equal(*fills)


def test_changed_outside_counts_what_a_visitor_could_see(face, hole):
    changed = face.copy()
    changed[0, 0] = 1 - changed[0, 0]
    changed[6, 6] = 1 - changed[6, 6]  # in the hole
    assert inpaint.changed_outside([face, changed], face, hole) == 1


def test_the_editor_shows_the_picture_and_gives_the_ready_mask_back(face):
    value = inpaint.editor_value(face, preset_holes(SIZE)["eyes"])
    assert value["background"].shape == (inpaint.CANVAS, inpaint.CANVAS, 3)
    drawn = imaging.hole_from_editor(value, SIZE)
    assert np.array_equal(drawn, preset_holes(SIZE)["eyes"])
    assert not imaging.hole_from_editor(inpaint.editor_value(face), SIZE).any()
    assert inpaint.editor_value(None) == {"background": None, "layers": [], "composite": None}


def test_the_result_is_shown_with_its_first_fill_beside_the_picture(bridge, photo, hole):
    result = OPERATION.result(model=bridge, image=photo, mask=hole)
    grid, drawn, (before, after) = inpaint.show(result)
    assert grid.count("<figure") == grid.count('data-action="keep"') == len(drawn.pictures) == 3
    assert np.array_equal(drawn.source, photo.seen) and before.size == after.size
