"""Inpaint: what lies outside the hole stays, in the square and in the photo; what it exports."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from demo.imaging import PictureError
from demo.photos.crop import Crop
from demo.photos.export import PhotoExport
from demo.photos.mask import Mask
from demo.photos.photo import Photo
from demo.tabs import inpaint
from demo.tabs.inpaint import OPERATION, WAYS
from tests.conftest import TINY
from tests.demo.studio import moments, recipe

SIZE = TINY.image_size


@pytest.fixture(scope="session")
def marked(hole) -> Mask:
    return Mask(hole)


@pytest.fixture(scope="session")
def scene() -> Photo:
    """A photo of 90 x 70 with a turned crop."""
    pixels = np.random.default_rng(1).integers(0, 256, (70, 90, 3), np.uint8)
    return Photo.of(Image.fromarray(pixels), SIZE, crop=Crop(40, 35, 40, 17))


@pytest.fixture(scope="session")
def blob() -> Mask:
    pixels = np.zeros((70, 90), bool)
    pixels[30:45, 35:60] = True
    return Mask(pixels)


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("method", WAYS)
def test_known_pixels_stay_bit_for_bit_in_every_preview(bridge, photo, marked, method):
    hole = marked.pixels
    given = {"image": photo, "mask": marked, "count": 2, "seed": 5, "method": method, "steps": 3}
    run = moments(OPERATION, model=bridge, **given)
    for moment in run:
        fills = moment.shown.fills
        assert all(np.array_equal(fill[~hole], photo.seen[~hole]) for fill in fills)
    assert len(run) >= 3 and not np.array_equal(fills[0][hole], fills[1][hole])
    assert not np.array_equal(fills[0][hole], photo.seen[hole])
    assert run[-1].report.method == method and run[-1].report.changed_outside == 0


def test_the_methods_stand_side_by_side_at_equal_evaluations(bridge, scene, blob):
    given = {"image": scene, "mask": blob, "count": 2, "seed": 5, "paste": True}
    result = OPERATION.result(model=bridge, method="side by side", steps=4, **given)
    steps = {"algorithm2": 3}  # and its last step
    alone = [
        OPERATION.result(model=bridge, method=way, steps=steps.get(way, 4), **given) for way in WAYS
    ]
    fills = [fill for one in alone for fill in one.shown.fills]
    assert np.array_equal(result.shown.fills, fills)
    assert {one.report.nfe for one in alone} == {4}
    shown, _ = inpaint.show(result)
    assert shown.labels[::2] == [f"{way}, seed 5" for way in WAYS.values()]


def test_a_full_mask_is_a_picture_from_nothing(bridge, photo, other):
    full = Mask(np.ones((SIZE, SIZE), bool))
    fills = [
        OPERATION.result(model=bridge, image=image, mask=full, count=1).shown.fills[0]
        for image in (photo, other)
    ]
    assert np.array_equal(*fills)


def test_a_pasted_fill_changes_the_photo_inside_the_mask_alone(bridge, scene, blob):
    result = OPERATION.result(model=bridge, image=scene, mask=blob, count=2, paste=True)
    before, photos = np.asarray(scene.whole), result.outputs["pictures"]
    for after in map(np.asarray, photos):
        assert after.shape == before.shape
        assert np.array_equal(after[~blob.pixels], before[~blob.pixels])
        assert not np.array_equal(after[blob.pixels], before[blob.pixels])
    assert result.report.changed_outside == 0 and result.report.crop == scene.crop.facts()
    assert result.report.enlarged == 2.5
    assert result.note.startswith("0 of 6,300 pixels changed outside the mask")


def test_a_soft_edge_lies_inside_of_the_mask(bridge, scene, blob):
    given = {"image": scene, "mask": blob, "count": 1, "paste": True}
    before, middle = np.asarray(scene.whole, int), (slice(34, 41), slice(44, 51))
    changes = []
    for soften in (0, 10):
        result = OPERATION.result(model=bridge, soften=soften, **given)
        after = np.asarray(result.outputs["pictures"][0], int)
        assert np.array_equal(after[~blob.pixels], before[~blob.pixels])
        changes.append(abs(after - before).sum(-1))
    hard, soft = changes
    assert soft[30, 40:55].sum() < 0.6 * hard[30, 40:55].sum()  # at the rim
    assert soft[middle].sum() > 0.7 * hard[middle].sum()


def test_a_model_sized_picture_gets_exactly_the_models_pixels(bridge, photo, marked):
    result = OPERATION.result(model=bridge, image=photo, mask=marked, count=1, paste=True)
    fill = np.rint(result.shown.fills[0] * 255)
    assert np.array_equal(np.asarray(result.outputs["pictures"][0]), fill)


def test_a_crop_given_beside_goes_before_that_of_the_photo(bridge, scene, blob):
    crop = Crop(50, 35, 30)
    result = OPERATION.result(model=bridge, image=scene, mask=blob, crop=crop, paste=True, count=1)
    assert result.report.crop == crop.facts()


def test_a_hole_outside_of_the_crop_is_refused(bridge, scene):
    corner = np.zeros((70, 90), bool)
    corner[:4, 85:] = True
    with pytest.raises(PictureError):
        OPERATION.result(model=bridge, image=scene, mask=Mask(corner), paste=True)


def test_finished_fills_can_be_sent_on(bridge, scene, blob):
    result = OPERATION.result(model=bridge, image=scene, mask=blob, paste=True)
    candidates, drawn = inpaint.show(result)
    assert len(candidates.labels) == len(drawn.pictures) == 3
    assert np.array_equal(drawn.source, scene.seen)


# ---- export


@pytest.fixture
def export(bridge, scene, blob):
    """Makes a file of a kind for a document, after a run."""
    made = PhotoExport(OPERATION, None)
    last = made.keep(OPERATION.result(model=bridge, image=scene, mask=blob, count=2, paste=True))

    def make(kind, document, ran=True):
        return made.file_of(kind, last if ran else None, document)

    return make


def test_the_photo_is_exported_as_it_is_seen(export, scene, tmp_path):
    scene.whole.save(tmp_path / "photo.png")
    Image.new("RGB", (9, 9), "red").save(tmp_path / "patch.png")
    stage = {"left": 3, "top": 4, "index": 1, "file": {"path": str(tmp_path / "patch.png")}}
    document = {"file": {"path": str(tmp_path / "photo.png")}, "stage": stage}
    png, jpeg = export("photo", document), export("photo-jpeg", document)
    (tmp_path / png.name).write_bytes(png.content)
    with Image.open(tmp_path / png.name) as picture:
        pixels = np.asarray(picture)
    assert (pixels[4:13, 3:12] == (255, 0, 0)).all()
    assert np.array_equal(pixels[20:], np.asarray(scene.whole)[20:])
    assert recipe(tmp_path / png.name)["picture"] == 1
    assert Image.open(io.BytesIO(jpeg.content)).size == scene.whole.size


def test_all_fills_are_exported_with_their_recipe(export):
    with zipfile.ZipFile(io.BytesIO(export("zip", None).content)) as files:
        assert files.namelist() == ["00.png", "01.png", "recipe.json"]


@pytest.mark.parametrize("kind", ["photo", "zip"])
def test_nothing_to_export_is_said_in_a_sentence(export, kind):
    with pytest.raises(ValueError, match=r"nothing to download|no picture"):
        export(kind, None, ran=False)
