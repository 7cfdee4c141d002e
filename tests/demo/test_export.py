"""Downloads: every kind of file that a result offers opens again."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from demo import media, page
from demo.export import NOTHING, Export, Made, ResultExport, Written
from demo.operation import Film, Picture
from demo.photos.photo import Photo
from demo.runs import Result
from demo.tab import Studio
from demo.tabs import evolution, generate, interpolate


def press(export, kind, *values):
    """Press a button: the file and the status line."""
    with gr.Blocks() as blocks:
        status = gr.HTML()
        for part in (export.row, export.file):
            part.render()
        export.wire(status)
    (block,) = (one for one in blocks.fns.values() if (export.row._id, "click") in one.targets)
    assert not block.queue and block.api_visibility == "private"
    return block.fn(SimpleNamespace(kind=kind), *values)


def result_of(module, bridge, photo, **options):
    given = {"image_a": photo, "image_b": photo} if module is interpolate else {}
    return module.OPERATION.result(model=bridge, **given, **options)


@pytest.fixture(scope="module")
def photo(face):
    return Photo.drawn(face)


def test_one_picture_is_a_file_and_several_are_a_zip(bridge, photo):
    export = ResultExport(generate.OPERATION)
    assert list(export.kinds) == ["png", "jpeg", "zip"]
    one = export.keep(result_of(generate, bridge, photo, seed=7))
    made, _ = press(export, "png", one)
    assert made.name == "generate-7.png"
    image = Image.open(io.BytesIO(made.content))
    assert (
        json.loads(image.text["recipe"]).items() >= {"operation": "generate", "picture": 0}.items()
    )
    made, _ = press(ResultExport(generate.OPERATION), "jpeg", one)
    assert made.name == "generate-7.jpg" and Image.open(io.BytesIO(made.content)).format == "JPEG"
    several = export.keep(result_of(generate, bridge, photo, seed=7, count=3))
    for kind, ending, form in (("png", "png", "PNG"), ("jpeg", "jpg", "JPEG")):
        made, _ = press(ResultExport(generate.OPERATION), kind, several)
        files = zipfile.ZipFile(io.BytesIO(made.content))
        assert made.name == "generate-7.zip" and files.namelist() == [
            f"{index:02d}.{ending}" for index in range(3)
        ]
        assert {Image.open(files.open(name)).format for name in files.namelist()} == {form}


def test_films_and_strips_of_a_particle(bridge, photo, tmp_path):
    kept = ResultExport(evolution.OPERATION).keep(
        result_of(evolution, bridge, photo, seed=3, frames=6)
    )
    assert kept.shown is None
    for kind in media.FILMS:
        made, _ = press(ResultExport(evolution.OPERATION), kind, kept)
        assert made.name == f"evolve-3.{kind}"
        (tmp_path / made.name).write_bytes(made.content)
        assert len(imageio.mimread(tmp_path / made.name, memtest=False)) >= 6
    made, _ = press(ResultExport(evolution.OPERATION), "film strip", kept)
    strip = Image.open(io.BytesIO(made.content))
    assert made.name == "evolve-3.png" and json.loads(strip.text["recipe"])["seed"] == 3


def test_a_zip_of_all_has_pictures_film_strip_and_recipe(bridge, photo):
    strip = Picture("film strip", "strip")
    kept = result_of(interpolate, bridge, photo, frames=3, seed=5)
    export = ResultExport(interpolate.OPERATION, strip)
    assert list(export.kinds) == ["png", "jpeg", *media.FILMS, "film strip", "zip"]
    made, _ = press(export, "zip", kept)
    files = zipfile.ZipFile(io.BytesIO(made.content))
    pictures = ["00.png", "01.png", "02.png", "morph-5.mp4", "strip.png", "recipe.json"]
    assert made.name == "interpolate-5.zip" and sorted(files.namelist()) == sorted(pictures)
    assert json.loads(files.read("recipe.json")) == json.loads(json.dumps(kept.recipe))


def test_nothing_and_failures_are_sentences_and_a_stranger_gets_nothing(bridge):
    made, line = press(ResultExport(generate.OPERATION), "png", None)
    assert made is None and NOTHING in line

    def fail(kind):
        raise media.MediaError("photo.jpg could not be saved: no space.")

    made, line = press(Export({"jpeg": "JPEG"}, fail, []), "jpeg")
    assert made is None and "Photo.jpg could not be saved: no space." in line
    made, line = press(Export({"jpeg": "JPEG"}, fail, []), "exe")
    assert made is None and line == gr.skip()


@pytest.mark.parametrize("tab", ["generate", "evolution", "interpolate", "inpaint", "denoise"])
def test_the_opening_example_can_be_exported(studio, tab):
    module = page.TABS[next(t for t, m in page.TABS.items() if m.__name__.endswith(tab))]
    with gr.Blocks() as blocks, gr.Tabs(), gr.Tab(tab) as place:
        built = module.build(Studio(studio[1], gr.Dropdown(["tiny"], value="tiny"), place))
    values = dict(zip(built.fills, built.example("tiny"), strict=False))
    kept = next(value for value in values.values() if isinstance(value, Result))
    (button,) = (b for b in blocks.fns.values() if any(isinstance(o, Written) for o in b.outputs))
    given = [kept if values.get(one) is kept else None for one in button.inputs]
    made, _ = button.fn(SimpleNamespace(kind="zip"), *given)
    names = zipfile.ZipFile(io.BytesIO(made.content)).namelist()
    assert "recipe.json" in names and any(name.endswith(".png") for name in names)


def test_a_file_is_served_by_its_name_and_goes_with_the_cache(tmp_path):
    with gr.Blocks():
        file = Written()
    file.GRADIO_CACHE = str(tmp_path)
    served = file.postprocess(Made("generate-7.png", b"bytes"))
    assert served.orig_name == "generate-7.png" and Path(served.path).read_bytes() == b"bytes"
    assert Path(served.path).is_relative_to(tmp_path) and file.postprocess(None) is None


def test_a_film_of_another_kind_is_declared(bridge, tmp_path):
    frames = [np.full((4, 4, 3), k / 3, np.float32) for k in range(3)]
    assert Film("a", kind="gif").save(frames, tmp_path, {"seed": 2}).endswith("a-2.gif")
