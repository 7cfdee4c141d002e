"""How the page is wired: examples on load, faces that travel between the tabs, the one queue."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from demo import imaging, page, views
from demo.inputs import Upload, upload
from demo.models import Models
from demo.operation import Operation, Pictures
from demo.params import Model, Picture, Whole
from demo.photos.box import PhotoBox
from demo.runs import Report, Result, Update
from demo.server.queue import CAPACITY
from demo.tab import Accepts, Form, Tab, operate
from demo.tabs import generate
from demo.wiring import run_buttons
from sbcore import Evaluations, Step
from tests.conftest import TINY, save_tiny
from tests.demo.studio import CONTRACT

SIZE = TINY.image_size
META = {"meta": {"_type": "gradio.FileData"}}
FILLED = 6  # tabs with an example for each model


@pytest.fixture(scope="module")
def built(checkpoints):
    return page.build(Models(checkpoints, device="cpu"))


def component(built, name):
    """By its element's id, or its label."""
    return next(
        block for block in built.blocks.values()
        if name in (getattr(block, "elem_id", None), getattr(block, "label", None))
    )  # fmt: skip


def triggered(built, name, event):
    """Functions that an event of a component starts."""
    wanted = (component(built, name)._id, event)
    return [block for block in built.fns.values() if wanted in block.targets]


def html(values):
    """The HTML among a handler's outputs, whether a tuple or by component."""
    values = values.values() if isinstance(values, dict) else values
    return [value for value in values if isinstance(value, str)]


# ---- examples


def examples(built):
    """Handlers that fill a tab from (model, status)."""
    model = component(built, "model")._id
    given = [[block._id for block in one.inputs] for one in built.fns.values()]
    return [
        one for one, ids in zip(built.fns.values(), given, strict=True)
        if len(ids) == 2 and ids[0] == model and one.outputs[-1]._id == ids[1]
        and one.inputs[1] is one.outputs[-1]
    ]  # fmt: skip


def test_every_tab_has_an_example_for_a_good_model_and_a_sentence_for_a_broken_one(built):
    found = examples(built)
    assert len(found) == 2 * FILLED  # on load, and when the model changes
    kept = [block for block in found if not html(block.fn("tiny", "Stopped."))]
    assert len(kept) == FILLED  # on load an example never replaces what a visitor did
    for block in found:
        good, bad = html(block.fn("tiny", "")), html(block.fn("zbroken", ""))
        assert "evaluations" in good[-1]
        assert len(bad) == 1 and "The model zbroken cannot be used" in bad[0]


def test_the_device_is_named_by_any_model_that_works(tmp_path):
    empty = Models(tmp_path)
    assert page.device_text(empty) == "no model" and page.build(empty)
    save_tiny(tmp_path / "tiny", ratio=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text("{}")
    assert "CPU" in page.device_text(Models(tmp_path, device="cpu"))


def test_paper_mode_takes_no_other_start(built):
    mode = next(b for b in built.blocks.values() if getattr(b, "label", "") == "Mode")
    start = next(b for b in built.blocks.values() if getattr(b, "label", "") == "Start from")
    changed = (b for b in built.fns.values() if (mode._id, "change") in b.targets)
    (block,) = (b for b in changed if start in b.outputs)
    paper, fast = block.fn("paper"), block.fn("fast")
    assert paper["value"] == generate.DEFAULT_START and not paper["interactive"]
    assert fast["interactive"] and "value" not in fast and paper["info"] != fast["info"]


# ---- faces that travel


@pytest.fixture
def send(built):
    """Press a button of a face: the updates by component."""
    (block,) = triggered(built, "generate-grid", "click")
    faces = [np.full((SIZE, SIZE, 3), k / 4, np.float32) for k in range(3)]
    drawn = views.Drawn(faces, 20, np.zeros((SIZE, SIZE, 3), np.float32))
    return lambda action, index=1: block.fn(drawn, SimpleNamespace(action=action, index=index))


@pytest.mark.parametrize(
    ("action", "tab", "note"),
    [
        ("evolve", "evolution", "Seed 21 is set; now press Evolve."),
        ("a", "interpolate", "Picture A is set"),
        ("b", "interpolate", "Picture B is set"),
        ("inpaint", "inpaint", "Paint over what shall be new"),
        ("denoise", "denoise", "now press Reimagine"),
    ],
)
def test_a_face_travels_to_its_tab_and_says_what_is_next(send, action, tab, note):
    updates = send(action)
    (tabs,) = (value for value in updates.values() if isinstance(value, gr.Tabs))
    assert tabs.selected == tab and any(note in text for text in html(updates))


def test_a_seed_travels_with_its_face(send):
    updates = {type(c): value for c, value in send("evolve", 2).items()}
    assert updates[gr.Number] == 22 and updates[gr.Checkbox] is False


@pytest.mark.parametrize(("action", "index"), [("evolve", -1), ("evolve", 3), ("nowhere", 0)])
def test_a_face_that_is_not_there_goes_nowhere(send, action, index):
    assert send(action, index) and all(value == gr.skip() for value in send(action, index).values())


# ---- a new tab


def mirror(model, image, count):
    """An operation: a picture turned round, so often."""
    step = Step(2, 1, 1, 1.0, 0.0, None, None, Evaluations())
    pictures = [image.seen[:, ::-1]] * count
    report = Report.of(Update(step, 0.1), model=model.name, seed=0, mode="fast", solver="none")
    yield Result(pictures, {"pictures": pictures}, report)


MIRROR = Operation(
    "mirror",
    "Turn a picture round.",
    [Picture("image"), Whole("count", 1, 1, 4, (1, 4, 1), label="Copies"), Model()],
    [Pictures()],
    mirror,
)


def build_mirror(studio):
    """All of its tab."""
    image = upload("Picture")
    form = Form(MIRROR.params, model=studio.model, image=image, seed=gr.State(0))
    form.add()
    buttons, grid, status = run_buttons("Mirror"), gr.HTML(elem_id="mirror"), gr.HTML()

    def show(moment):
        return [views.face_grid(moment.shown, ["mirrored"] * len(moment.shown))]

    operate(studio, MIRROR, form, buttons, status, [grid], show)
    accepts = {"a": Accepts([image], lambda sent: [sent.picture], "Seed {seed}; press Mirror.")}
    return Tab(status, MIRROR, accepts=accepts)


def test_a_new_tab_is_one_module_and_one_line(tmp_path, monkeypatch, face):
    module = SimpleNamespace(__name__="mine.mirror", build=build_mirror)
    monkeypatch.setattr(page, "TABS", {"Generate": generate, "Mirror": module})
    save_tiny(tmp_path / "tiny", ratio=False)
    built = page.build(Models(tmp_path, device="cpu"))
    endpoint = built.get_api_info()["named_endpoints"]["/mirror"]
    assert [p["parameter_name"] for p in endpoint["parameters"]] == ["image", "count", "model"]
    (button,) = (b for b in built.blocks.values() if getattr(b, "value", "") == "Mirror")
    run = next(b for b in built.fns.values() if b.queue and b.api_visibility == "private"
               and component(built, "Copies") in b.inputs)  # fmt: skip
    assert button.variant == "primary"
    *_, (grid, seed, line) = run.fn("tiny", imaging.to_image(face), 0, 2)
    assert grid.count(">mirrored<") == 2 and seed == 0 and "recipe" in line
    *_, (grid, seed, line) = run.fn("tiny", imaging.to_image(face), 0, 5)
    assert grid == gr.skip() and "The count must be a whole number from 1 to 4" in line
    (block,) = triggered(built, "generate-grid", "click")
    event = SimpleNamespace(action="a", index=0)
    updates = block.fn(views.Drawn([face], seed=4), event)
    assert any(getattr(value, "selected", "") == "mirror" for value in updates.values())
    assert any("Seed 4; press Mirror." in text for text in html(updates))


# ---- what comes in, and how


def test_no_picture_component_takes_a_data_address(built):
    doors = []
    for block in built.fns.values():
        for place, door in enumerate(block.inputs):
            address = {"path": None, "url": "data:image/png;base64,", **META}
            values = [address, address | {"url": " DATA:,"}, META | {"path": "data:,"}]
            if isinstance(door, PhotoBox):
                values = [{"file": address}, {"patches": [{"file": address}]}, {"stage": address}]
            elif not isinstance(door, gr.Image):
                continue
            doors.append(type(door))
            for value in values:
                given = [None] * len(block.inputs)
                given[place] = value
                with pytest.raises(gr.Error) as caught:
                    asyncio.run(built.preprocess_data(block, given, None))
                assert caught.value.message == page.DATA_ADDRESS
                assert not caught.value.print_exception
    assert doors.count(PhotoBox) >= 8 and doors.count(Upload) >= 6


def test_all_that_computes_is_a_generator_in_one_queue_and_all_else_stays_out(built):
    assert not built.api_open
    computing = [block for block in built.fns.values() if block.queue]
    assert {f"/{b.api_name}" for b in computing if b.api_visibility == "public"} == CONTRACT.keys()
    assert len(computing) >= 2 * len(CONTRACT)  # and the buttons, pens and sliders of the tabs
    for block in built.fns.values():
        if block.queue:
            assert inspect.isgeneratorfunction(block.fn)
            assert (block.concurrency_id, block.concurrency_limit) == ("model", CAPACITY)
        else:
            assert block.api_visibility == "private"


def test_what_a_browser_gets_of_the_page_is_plain_data(built):
    """Gradio copies it for each visitor: an object in it brings the whole page along."""

    def strange(value):
        if isinstance(value, dict | list | tuple):
            inside = value.values() if isinstance(value, dict) else value
            return [found for one in inside for found in strange(one)]
        plain = isinstance(value, str | int | float | type(None)) or inspect.isfunction(value)
        return [] if plain else [value]

    assert strange(built.get_config_file()) == []
