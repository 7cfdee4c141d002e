"""Loading a recipe sets the controls of its tab, whatever the tab; an address does the same."""

from __future__ import annotations

import json

import gradio as gr
import pytest

from demo import page, recipe, restore
from demo.models import Models
from demo.params import Painted, Region
from demo.tab import runner
from demo.tabs import generate
from tests.conftest import save_tiny
from tests.demo.tabs.test_translate import save_translator
from tests.demo.test_recipe import LINE, OPERATIONS, SEVEN

CHANGED = {
    "generate": {"count": 9, "seed": 17, "steps": 7, "solver": "ddim", "start": "gaussian"},
    "evolve": {"seed": 5, "frames": 12, "solver": None, "mode": "paper"},
    "interpolate": {"frames": 5, "variance": 1.5, "seed": 9, "steps": None},
    "inpaint": {"count": 2, "seed": 3, "method": "algorithm2", "steps": 40},
    "denoise": {"count": 2, "variance": 0.5, "seed": 8},
    "translate": {"count": 2, "seed": 4, "direction": "backward", "image": SEVEN, "back": True},
    "toy": {"seed": 4, "dataset": "drawn", "strokes": LINE, "mode": "paper", "n1": 5, "n3": 2},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder / "tiny", ratio=False)
    save_tiny(folder / "zother", ratio=False)
    save_translator(folder / "letters")
    return Models(folder, device="cpu")


@pytest.fixture(scope="module")
def restorer(models):
    """Of the page as it is built."""
    made = []

    class Spy(restore.Restorer):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, "Restorer", Spy)
        page.build(models)
    return made[0]


@pytest.fixture
def load(restorer):
    """Load a recipe onto a page that shows examples, on the model that is picked: the changes."""

    def load(operation, parameters, status="an example", chosen="tiny", **facts):
        text = json.dumps({"operation": operation, "parameters": parameters} | facts)
        return restorer.loaded(text, chosen, dict.fromkeys(restorer.built, status))

    return load


def value_of(change):
    return change["value"] if isinstance(change, dict) and "value" in change else change


def tab_of(restorer, operation):
    return restorer.built[restorer.homes[operation]]


@pytest.mark.parametrize("operation", CHANGED)
def test_every_control_shows_what_the_recipe_says(operation, restorer, load):
    changes, tab = load(operation, CHANGED[operation]), tab_of(restorer, operation)
    assert changes[restorer.tabs].selected == restorer.homes[operation]
    assert changes[restorer.loader] == ""
    for name, value in CHANGED[operation].items():
        shown = OPERATIONS[operation][name].shown_as(value)
        assert json.dumps(value_of(changes[tab.form[name]])) == json.dumps(shown)
    assert tab.form.fresh is None or changes[tab.form.fresh] is False
    assert changes[tab.form.loaded].operation == operation
    hint = changes[tab.status]
    assert f"Recipe of {operation}, seed {CHANGED[operation]['seed']}: " in hint
    assert f"press {tab.run.value} to draw it again." in hint


def test_every_operation_of_the_page_can_be_loaded_and_every_control_be_set(restorer):
    assert restorer.operations.keys() == CHANGED.keys() == OPERATIONS.keys()
    for operation in OPERATIONS.values():
        form = tab_of(restorer, operation.name).form
        assert {one.name for one in operation.params if one.page} <= form.parts.keys()


def test_what_a_recipe_does_not_name_stays(restorer, load):
    changes, tab = load("generate", {"seed": 3}), tab_of(restorer, "generate")
    assert tab.form["count"] not in changes and restorer.model not in changes


def test_uploads_are_asked_for_by_name(load, restorer):
    hint = load("interpolate", {"seed": 3})[tab_of(restorer, "interpolate").status]
    assert "bring its Picture A and Picture B, then press Interpolate" in hint


def test_crop_and_mask_reach_the_component_that_holds_them(restorer, load):
    params = OPERATIONS["inpaint"].params
    crop = {"x": 8.0, "y": 8.0, "side": 12.0, "angle": 5.0}
    assert any(isinstance(one, Painted) for one in params)
    (region,) = (one.name for one in params if isinstance(one, Region))
    changes, form = load("inpaint", {region: crop}), tab_of(restorer, "inpaint").form
    assert changes[form[region]] == {"crop": crop}


def test_a_tab_that_is_empty_gets_its_example_and_another_model_all_of_them(restorer, load):
    empty = load("denoise", {"variance": 0.5}, status="")
    tab = tab_of(restorer, "denoise")
    assert set(tab.fills) <= empty.keys()
    bounds = empty[tab.form["variance"]]
    assert bounds["maximum"] == 4.0 and bounds["value"] == 0.5  # the slider keeps its end
    assert not set(tab_of(restorer, "evolve").fills) & empty.keys()
    other = load("denoise", {"model": "zother", "variance": 0.5})
    assert other[restorer.model] == "zother"
    for tab in restorer.built.values():
        assert set(tab.fills) <= other.keys()
    same = load("denoise", {"model": "tiny", "variance": 0.5})
    assert not set(tab_of(restorer, "evolve").fills) & same.keys()


def test_remarks_are_part_of_the_hint(restorer, load):
    hint = load("generate", {"seed": 3}, studio="0.1.0")[tab_of(restorer, "generate").status]
    assert "to draw it again. It was drawn by 0.1.0, this is" in hint


def test_what_cannot_be_used_is_said_beside_the_button_and_changes_nothing(restorer, load):
    for changes in (load("paint", {}), load("generate", {"seed": -1})):
        ((component, sentence),) = changes.items()
        assert component is restorer.loader and sentence.endswith(".")
    statuses = dict.fromkeys(restorer.built, "")
    assert restorer.loaded("", "tiny", statuses) == {restorer.loader: recipe.NONE}


def test_an_address_restores_and_nonsense_in_it_stands_in_its_tab(restorer):
    def follow(**query):
        return restorer.followed(query, "tiny", dict.fromkeys(restorer.built, "an example"))

    assert follow() == {restorer.loader: gr.skip()} == follow(view="api", seed="3")
    tab = tab_of(restorer, "generate")
    changes = follow(op="generate", seed="17", count="4", start="gaussian")
    assert [changes[tab.form[name]] for name in ("seed", "count", "start")] == [17, 4, "gaussian"]
    changes = follow(op="generate", seed="many")
    assert changes.keys() == {restorer.tabs, tab.status}
    assert "The seed must be" in changes[tab.status] and "error" in changes[tab.status]
    changes = follow(op="paint")
    assert changes.keys() == {restorer.loader} and "no operation" in changes[restorer.loader]


def test_the_next_run_says_whether_it_has_the_same_bytes(restorer, load, models):
    tab = tab_of(restorer, "generate")
    *_, first = OPERATIONS["generate"].start(models, {"count": 1, "seed": 3, "model": "tiny"})
    facts = {name: first.recipe[name] for name in ("studio", "weights", "device")}

    def line(**changed):
        loaded = load("generate", first.recipe["parameters"], **facts | changed)
        values = {name: value_of(loaded[part]) for name, part in tab.form.parts.items()
                  if part in loaded} | {"model": "tiny"}  # fmt: skip
        given = [values[name] for name in tab.form.parts]
        handler = runner(models, OPERATIONS["generate"], tab.form, [None] * 2, generate.show)
        *_, last = handler(*given, loaded[tab.form.loaded], False)
        return last[-1]

    assert "same bytes" in line(pixels=first.recipe["pixels"])
    assert "other bytes: another version" in line(pixels=["0" * 16], studio="0.1.0")
    assert "bytes" not in line(pixels=[])
