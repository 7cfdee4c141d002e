"""A photo: what the model sees of it, edits that stay, documents of the page."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from demo.imaging import PictureError
from demo.photos.crop import Crop, cut
from demo.photos.faces import Face
from demo.photos.paste import Patch
from demo.photos.photo import Photo, default_crop

RED = Patch(10, 20, np.full((9, 8, 3), (255, 0, 0), np.uint8))


def saved(picture: Image.Image, path) -> dict[str, str]:
    picture.save(path)
    return {"path": str(path)}


def document(scene, folder, **more) -> dict:
    return {"file": saved(scene, folder / "photo.png"), "patches": [], "crop": None, **more}


def patch_of(folder, left, top) -> dict:
    file = saved(Image.fromarray(RED.pixels), folder / f"{left}-{top}.png")
    return {"left": left, "top": top, "file": file}


def test_what_the_model_sees_is_the_crop(scene):
    crop = Crop(60, 40, 50, 20)
    photo = Photo.of(scene, 16, crop=crop)
    assert np.array_equal(photo.seen, np.asarray(cut(scene, crop, 16), np.float32) / 255)
    assert Photo.of(scene, 16, 1, crop).seen.shape == (16, 16, 1)
    assert photo.cropped(Crop(30, 30, 20)).crop.x == 30


def test_without_a_face_the_crop_is_in_the_middle_and_a_models_picture_is_kept(scene):
    crop, faces = default_crop(scene, 16)
    assert (crop, faces) == (Crop.middle(scene.size), [])
    small = scene.resize((16, 16))
    assert np.array_equal(Photo.of(small, 16).seen * 255, np.asarray(small, np.float32))


@pytest.mark.parametrize(("size", "corner"), [((89, 109), (12, 28)), ((178, 218), (25, 57))])
def test_aligned_celeba_is_cropped_as_in_the_paper(size, corner):
    crop, _ = default_crop(Image.new("RGB", size), 64)
    assert tuple(crop.corners()[0]) == corner and crop.side in (64, 128)


def test_edits_change_their_place_and_nothing_else(scene):
    edited = np.asarray(Photo.of(scene, 16).edited(RED).whole)
    expected = np.array(scene)
    expected[20:29, 10:18] = (255, 0, 0)
    assert np.array_equal(edited, expected)


def test_a_document_has_its_edits_and_what_is_looked_at_only_when_asked(scene, tmp_path):
    given = document(scene, tmp_path, patches=[patch_of(tmp_path, 10, 20)])
    given["stage"] = patch_of(tmp_path, 50, 60)
    kept, seen = (np.asarray(Photo.document(given, 16, 3, staged=s).whole) for s in (False, True))
    assert np.array_equal(kept, np.asarray(Photo.of(scene, 16).edited(RED).whole))
    assert (seen[60:69, 50:58] == (255, 0, 0)).all() and not np.array_equal(seen, kept)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"file": None}, "no longer on the server"),
        ({"file": {"path": 3}}, "no longer on the server"),
        ({"patches": "many"}, "at most 64 edits"),
        ({"patches": [None]}, "cannot be read"),
        ({"patches": [{"left": 1, "top": 1, "file": {}}]}, "no longer on the server"),
        ({"crop": {"x": 1}}, "must have x"),
        ({"crop": {"x": 900, "y": 1, "side": 20}}, "outside of the photo"),
    ],
)
def test_a_document_with_nonsense_is_refused(scene, tmp_path, changes, words):
    with pytest.raises(PictureError, match=words):
        Photo.document(document(scene, tmp_path) | changes, 16, 3)


@pytest.mark.parametrize(("left", "top"), [(115, 20), (10, 85), (-1, 5), (0.5, 5)])
def test_an_edit_outside_of_the_photo_is_refused(scene, tmp_path, left, top):
    given = document(scene, tmp_path, patches=[patch_of(tmp_path, left, top)])
    with pytest.raises(PictureError, match="does not fit"):
        Photo.document(given, 16, 3)


def test_what_was_decoded_is_not_decoded_again(scene, monkeypatch):
    photo = Photo.of(scene, 16)
    monkeypatch.setattr("demo.imaging.open_picture", lambda source: pytest.fail("decoded again"))
    assert photo.edited(RED).cropped(Crop(60, 40, 50, 20)).seen.shape == (16, 16, 3)


def test_the_crop_that_is_found_is_the_one_that_a_recipe_tells(monkeypatch, scene):
    found = Face(Crop(50.123456, 40.654321, 30.000049, 7.7777777))
    monkeypatch.setattr("demo.photos.photo.find_faces", lambda whole: [found])
    crop = Photo.of(scene, 16).crop
    assert Crop.of(crop.facts(), scene.size) == crop == Crop(50.123, 40.654, 30.0, 7.778)
