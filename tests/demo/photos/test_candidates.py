"""Fills beside the photo: as they are drawn, finished, and where they disagree."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from demo.photos.candidates import Candidates, CandidatesView, Edits, Filled
from demo.photos.crop import Crop
from demo.photos.paste import Patch
from demo.photos.photo import Photo

FACT = {"seed": 3}


@pytest.fixture
def filled(scene) -> Filled:
    photo = Photo.of(scene, 16, crop=Crop(60, 45, 48))
    hole = np.zeros((16, 16), bool)
    hole[4:8] = True
    fills = [np.where(hole[..., None], shade, photo.seen) for shade in (0.2, 0.8)]
    fills = [fill.astype(np.float32) for fill in fills]
    patches = [Patch(40, 30, np.full((8, 8, 3), shade, np.uint8)) for shade in (51, 204)]
    return Filled(photo, hole, fills, patches, list(Edits(photo, patches)))


def test_fills_under_way_have_no_buttons(filled):
    running = Filled(filled.photo, filled.hole, filled.fills)
    value = CandidatesView().postprocess(Candidates(running, "box"))
    assert len(value["tiles"]) == len(value["fills"]) == 2
    assert value["labels"] == value["patches"] == [] and value["spread"] is None


def test_finished_fills_come_with_their_patch_as_a_file(filled):
    value = CandidatesView().postprocess(Candidates(filled, "box", ["a", "b"], FACT))
    assert [patch["left"] for patch in value["patches"]] == [40, 40]
    with Image.open(value["patches"][1]["file"]["path"]) as stored:
        assert np.array_equal(np.asarray(stored), filled.patches[1].pixels)
    assert value["crop"] == filled.photo.crop.facts() and value["recipe"] == FACT


def test_the_map_is_bright_where_fills_disagree_and_dark_elsewhere(filled):
    spread = np.asarray(filled.spread(), float)
    assert spread[90:120].mean() > 150 > 80 > spread[200:].mean()
    alone = Filled(filled.photo, filled.hole, filled.fills[:1])
    assert alone.spread() is None


def test_edits_are_the_photo_with_one_patch_each(filled, scene):
    edits = Edits(filled.photo, filled.patches).light()
    assert len(edits) == 2
    for edited, shade in zip(edits, (51, 204), strict=True):
        expected = np.array(scene)
        expected[30:38, 40:48] = shade
        assert np.array_equal(np.asarray(edited), expected)


def test_a_face_is_put_back_where_it_is_and_nowhere_else(scene):
    photo = Photo.of(scene, 16, crop=Crop(60, 45, 48, 10))
    white = np.ones((16, 16, 3), np.float32)
    assert Filled.faces(photo, [white], final=False).patches == ()
    (edited,) = Edits(photo, Filled.faces(photo, [white], final=True).patches)
    before, after = np.asarray(scene, int), np.asarray(edited, int)
    assert (after[40:50, 55:65] != before[40:50, 55:65]).any()
    changed = (after != before).any(-1)
    y, x = np.nonzero(changed)
    assert np.hypot(x + 0.5 - 60, y + 0.5 - 45).max() < 24 * 2**0.5
