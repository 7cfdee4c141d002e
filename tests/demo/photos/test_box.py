"""The photo component: what it sends to the page, what is said of an upload."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.imaging import PictureError
from demo.photos import box
from demo.photos.box import Given, PhotoBox


def upload(picture: Image.Image, folder: Path, **more) -> dict:
    picture.save(folder / "photo.png")
    return {"file": {"path": str(folder / "photo.png")}, **more}


def test_an_upload_comes_back_with_its_size_and_a_crop(scene, tmp_path):
    facts = box.opened(upload(scene, tmp_path), 16)["opened"]
    assert (facts["width"], facts["height"], facts["size"]) == (120, 90, 16)
    assert facts["crop"] == {"x": 60, "y": 45, "side": 90, "angle": 0}
    assert facts["note"] == box.NO_FACE and "preview" not in facts


def test_a_crop_that_comes_along_stays(scene, tmp_path):
    crop = {"x": 30.5, "y": 40.0, "side": 20.0, "angle": 12.0}
    facts = box.opened(upload(scene, tmp_path, crop=crop), 16)["opened"]
    assert facts["crop"] == crop and facts["note"] == ""


def test_a_browser_that_cannot_read_it_gets_a_preview(tmp_path):
    facts = box.opened(upload(Image.new("RGB", (3000, 30)), tmp_path, wanted=True), 16)["opened"]
    assert facts["preview"].startswith("data:image/jpeg;base64,") and facts["width"] == 3000


def test_a_model_sized_picture_needs_no_words(tmp_path):
    facts = box.opened(upload(Image.new("RGB", (16, 16)), tmp_path), 16)["opened"]
    assert facts["note"] == "" and facts["crop"]["side"] == 16


@pytest.mark.parametrize("document", [None, {}, {"file": {"path": "/nowhere.png"}}])
def test_what_cannot_be_opened_is_answered_in_a_sentence(document):
    with pytest.raises(PictureError, match="no longer on the server") as refused:
        box.opened(document, 16)
    shown = PhotoBox("photo", "box").postprocess(refused.value)
    assert shown == {"error": str(refused.value)}


def test_a_face_of_the_studio_is_put_in_as_a_file(face):
    value = PhotoBox("photo", "box", paint=True).postprocess(Given(face, "eyes", example=True))
    with Image.open(value["file"]["path"]) as stored:
        assert np.array_equal(np.asarray(stored), np.rint(face * 255))
    assert value["opened"]["preset"] == "eyes" and value["opened"]["example"]
    assert value["opened"]["crop"] == {"x": 8, "y": 8, "side": 16, "angle": 0}


def test_ready_masks_are_offered_where_one_paints():
    half = f'"left half": "{("1" * 32 + "0" * 32) * 64}"'
    assert half in PhotoBox("photo", "box", paint=True).js_on_load
    assert half not in PhotoBox("photo", "box").js_on_load


def test_nothing_is_nothing_and_a_recipe_is_restored():
    component = PhotoBox("photo", "box")
    assert component.preprocess({"file": None}) is None and component.preprocess("x") is None
    assert component.postprocess({"crop": {"x": 1}}) == {"restore": {"crop": {"x": 1}}}
