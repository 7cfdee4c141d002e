"""The study of found faces: true places are true, figures tell what was found."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demo.photos import faces as finder
from demo.photos.crop import Crop, cut
from demo.photos.faces import Face
from studies.aligner import change
from studies.faces import COLUMNS, eye_error, load_aligned, measure, scene, tabulate
from tests.conftest import REPOSITORY
from tests.studies.conftest import Command

SHEET = REPOSITORY / "checkpoints" / "celeba64" / "sheet.png"


@pytest.fixture(scope="session")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces with a border, as large as aligned CelebA: train and val, 16 each."""
    folder = tmp_path_factory.mktemp("aligned")
    with Image.open(SHEET) as sheet:
        tiles = np.asarray(sheet.convert("RGB").reduce(2)).reshape(8, 64, 8, 64, 3).swapaxes(1, 2)
    for index, tile in enumerate(tiles.reshape(64, 64, 64, 3)[:32]):
        whole = np.pad(tile, ((28, 17), (12, 13), (0, 0)), mode="edge")
        place = folder / ("train", "val")[index % 2]
        place.mkdir(exist_ok=True)
        Image.fromarray(whole).save(place / f"{index:06d}.png")
    return folder


def test_the_study_says_how_many_are_found(run: Command, aligned: Path) -> None:
    status, tables = run("faces", "--data", str(aligned / "train"), "--count", "8")
    assert status == 0
    [rows] = tables.values()
    assert rows[0]["pictures"] == "all" and rows[0]["number"] == 8
    assert rows[0]["found"] >= 0.5 and rows[0]["eye error, median"] < 4
    for kind in ("scale", "turned"):
        assert sum(row["number"] for row in rows if row["pictures"].startswith(kind)) == 8


def test_the_finder_learns_from_aligned_pictures(
    run: Command, aligned: Path, tmp_path: Path
) -> None:
    out = tmp_path / "faces.npz"
    status, tables = run("faces", "--data", str(aligned / "train"), "--fit", str(out))
    [rows] = tables.values()
    assert status == 0 and len(rows) == 4
    with np.load(out) as learned, np.load(finder.LEARNED) as shipped:
        assert {name: learned[name].shape for name in learned} == {
            name: shipped[name].shape for name in shipped
        }


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--data", "nosuch"), "no data at nosuch"),
        (("--data", "train"), "not aligned CelebA"),
        (("--data", "{aligned}/train", "--count", "9"), "at most 8"),
        (("--data", "{aligned}/val"), "--val"),
    ],
)
def test_bad_arguments_are_a_sentence(
    run: Command, aligned: Path, capsys, arguments: tuple[str, ...], wanted: str
) -> None:
    assert run("faces", *(word.format(aligned=aligned) for word in arguments))[0] == 1
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(4))
def test_the_true_crop_of_a_scene_shows_the_face(aligned: Path, seed: int) -> None:
    pictures = load_aligned(aligned / "train")
    made = scene(pictures[1], pictures, np.random.default_rng(seed))
    shown = np.asarray(cut(made.photo, made.truth, 32), float)
    face = (
        Image.fromarray(pictures[1]).crop((12, 28, 76, 92)).resize((32, 32), Image.Resampling.BOX)
    )
    off = np.abs(shown - np.asarray(face, float))[6:-6, 6:-6].mean()
    assert off < 8
    x, y = made.truth.x, made.truth.y
    assert 0 < x < made.photo.width and 0 < y < made.photo.height


def test_a_finders_figures(aligned: Path) -> None:
    """One that finds each face 2 pixels to the right, and one more; and one that finds none."""
    pictures = load_aligned(aligned / "train")
    made = [scene(one, pictures, np.random.default_rng(0)) for one in pictures[:4]]

    def outcomes(hit: bool) -> list:
        found = []
        for one in made:
            x, y = one.truth.to_photo(64) @ (34, 32, 1)
            faces = [Face(Crop(x, y, one.truth.side, one.truth.angle)), Face(Crop(0, 0, 9))]
            found.append(measure(one, lambda photo, faces=faces: faces if hit else []))
        return found

    row = dict(zip(COLUMNS, tabulate(outcomes(True), 0).rows[0], strict=True))
    assert row["found"] == 1 and row["false faces a picture"] == 1
    assert row["eye error, median"] == pytest.approx(2) == row["eye error, 90 %"]
    row = dict(zip(COLUMNS, tabulate(outcomes(False), 0).rows[0], strict=True))
    assert row["found"] == 0 == row["false faces a picture"] and row["eye error, median"] is None


def test_eye_error_is_in_pixels_of_the_true_crop() -> None:
    truth = Crop(100, 100, 128, 20)
    assert eye_error(truth, truth) == 0
    assert eye_error(Crop(100, 104, 128, 20), truth) == pytest.approx(2)


def test_a_change_leads_from_one_crop_to_the_other() -> None:
    crop, wanted = Crop(50, 40, 30, -20), Crop(55, 38, 36, 5)
    there = finder.changed(crop, change(crop, wanted))
    assert np.allclose([there.x, there.y, there.side, there.angle], [55, 38, 36, 5])
    assert math.isclose(eye_error(there, wanted), 0, abs_tol=1e-9)
