"""How the page is wired: examples on load, faces that travel between the tabs, the one queue."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from demo import ui, widgets
from demo.models import Models
from tests.conftest import TINY, save_tiny

SIZE = TINY.image_size
META = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder / "tiny", ratio=False)
    save_tiny(folder / "broken", ratio=False)
    (folder / "broken" / "model.safetensors").write_bytes(b"no weights")
    return ui.build(Models(folder, device="cpu"))


def handlers(page, name):
    """Functions of `demo.ui` that the page calls, by name."""

    def wanted(handler):
        function = getattr(handler, "func", handler)  # of a partial
        return inspect.isfunction(function) and (function.__module__, function.__name__)

    fns = [block.fn for block in page.fns.values()]
    return [handler for handler in fns if wanted(handler) == (ui.__name__, name)]


def texts(values):
    """The HTML among a handler's outputs, whether a tuple or by component."""
    values = values.values() if isinstance(values, dict) else values
    return [value for value in values if isinstance(value, str)]


# ---- examples


def test_every_tab_has_an_example_for_a_good_model_and_a_sentence_for_a_broken_one(page):
    shows = handlers(page, "show")
    assert len(shows) == 2 * 6  # on load, and when the model changes; for each tab
    for show in shows:
        good, bad = texts(show("tiny", "")), texts(show("broken", ""))
        assert "evaluations" in good[-1]
        assert len(bad) == 1 and "The model broken cannot be used" in bad[0]


def test_an_example_never_replaces_what_a_visitor_did(page):
    kept = [show for show in handlers(page, "show") if not texts(show("tiny", "Stopped."))]
    assert len(kept) == 6  # those on load; another model brings its own examples


def test_examples_are_drawn_once(page):
    show = handlers(page, "show")[0]
    assert show("tiny", "")[0] is show("tiny", "")[0]


def test_the_device_is_named_by_any_model_that_works(page, tmp_path):
    assert ui.device_text(Models(tmp_path)) == "no model"
    save_tiny(tmp_path / "tiny", ratio=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.json").write_text("{}")
    assert "CPU" in ui.device_text(Models(tmp_path, device="cpu"))


# ---- faces that travel


@pytest.fixture
def sent(page):
    """Press a button of a face: the updates by kind of component and text."""
    send = handlers(page, "send")[0]
    faces = [np.full((SIZE, SIZE, 3), k / 4, np.float32) for k in range(3)]
    drawn = widgets.Drawn(faces, 20, np.zeros((SIZE, SIZE, 3), np.float32))

    def press(action, index=1):
        return send(drawn, SimpleNamespace(action=action, index=index))

    return press


@pytest.mark.parametrize(
    ("action", "tab", "note"),
    [
        ("evolve", "evolution", "Seed 21 is set; now press Evolve."),
        ("a", "interpolate", "Picture A is set"),
        ("b", "interpolate", "Picture B is set"),
        ("inpaint", "inpaint", "Paint over a part"),
        ("denoise", "denoise", "now press Denoise"),
    ],
)
def test_a_face_travels_to_its_tab_and_says_what_is_next(sent, action, tab, note):
    updates = sent(action)
    (tabs,) = (value for value in updates if isinstance(value, gr.Tabs))
    assert updates[tabs].selected == tab
    assert any(note in text for text in texts(updates))


def test_a_seed_travels_with_its_face(sent):
    updates = {type(k).__name__: v for k, v in sent("evolve", 2).items()}
    assert updates["Number"] == 22 and updates["Checkbox"] is False


def test_a_fill_is_kept_or_compared(sent):
    kept, compared = sent("keep"), sent("compare")
    assert {type(k).__name__ for k in kept} == {"State", "ImageEditor", "ImageSlider", "HTML"}
    assert {type(k).__name__ for k in compared} == {"ImageSlider", "Accordion"}


@pytest.mark.parametrize("index", [-1, 3, 10**9])
def test_a_face_that_is_not_there_goes_nowhere(sent, index):
    assert sent("evolve", index) == {}


def test_paper_mode_takes_no_other_start(page):
    (block,) = (b for b in page.fns.values() if getattr(b.fn, "__name__", "") == "offer_start")
    paper, fast = block.fn("paper"), block.fn("fast")
    assert paper["value"] == "closed form" and not paper["interactive"]
    assert "Algorithm 1" in paper["info"] and paper["info"] != fast["info"]
    assert fast["interactive"] and "value" not in fast


def test_the_header_leads_to_about(page):
    (block,) = (b for b in page.fns.values() if getattr(b.fn, "__name__", "") == "open_about")
    assert block.fn().selected == "about"


# ---- what comes in


def test_no_picture_component_takes_a_data_address(page):
    doors = []
    for block in page.fns.values():
        for place, component in enumerate(block.inputs):
            address = {"path": None, "url": "data:image/png;base64,", **META}
            values = [address, address | {"url": " DATA:,"}, META | {"path": "data:,"}]
            if isinstance(component, gr.ImageEditor):
                empty = {"background": None, "layers": [], "composite": None}
                keys = (
                    {"background": address},
                    {"layers": [None, address]},
                    {"composite": address},
                )
                values = [empty | key for key in keys]
            elif not isinstance(component, gr.Image):
                continue
            doors.append(type(component))
            for value in values:
                inputs = [None] * len(block.inputs)
                inputs[place] = value
                with pytest.raises(gr.Error) as caught:
                    asyncio.run(page.preprocess_data(block, inputs, None))
                assert caught.value.message == ui.DATA_ADDRESS
                assert not caught.value.print_exception
    assert doors.count(gr.ImageEditor) >= 1 and doors.count(widgets.Picture) > 6


# ---- the queue


def test_there_is_no_way_past_the_queue(page):
    assert not page.api_open


def test_all_that_computes_is_a_generator_in_one_queue(page):
    names = ("guarded", "generate", "evolve", "interpolate", "inpaint", "denoise", "translate")
    names += ("toy",)
    computing = [block for block in page.fns.values() if getattr(block.fn, "__name__", "") in names]
    counts = Counter(block.fn.__name__ for block in computing)
    assert counts.pop("guarded") >= 5  # the tabs'
    assert set(counts) == set(names[1:]) and set(counts.values()) == {1}  # the API's
    for block in computing:
        assert inspect.isgeneratorfunction(block.fn)
        assert block.concurrency_id == "model" and block.concurrency_limit == 1 and block.queue


def test_all_else_stays_out_of_the_queue_and_of_the_api(page):
    for block in page.fns.values():
        if block.concurrency_id != "model":
            assert not block.queue and block.api_visibility == "private"
