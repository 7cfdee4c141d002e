"""Parameters check what visitors send; controls and endpoints come from their declaration."""

from __future__ import annotations

import math

import gradio as gr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from demo import inputs, params, tab
from demo.imaging import PictureError
from demo.models import Models
from demo.operation import Operation
from demo.photos.crop import Crop
from demo.tabs import denoise, evolution, generate, inpaint, interpolate, lab, pairs, translate
from tests.conftest import SIGMA
from tests.demo.studio import refused

OPERATIONS = [
    module.OPERATION
    for module in (generate, evolution, interpolate, inpaint, denoise, translate, lab)
]
DECLARED = [p for operation in OPERATIONS for p in operation.params] + pairs.PARAMS
NUMBERS = [p for p in DECLARED if isinstance(p, params.Number)]
CHOICES = [p for p in DECLARED if isinstance(p, params.Choice)]
COUNT = params.Whole("count", 4, 1, 10)
VARIANCE = params.Number("variance", 0.4, 0.5, 10)
ANYTHING = st.none() | st.booleans() | st.text(max_size=5) | st.floats() | st.integers()


def refusal(param, value, model=None):
    """The one sentence that refuses a value."""
    with refused(ValueError, "must be") as error:
        param.check(value, {"model": model})
    return str(error.value)


# ---- numbers


@pytest.mark.parametrize("value", [1, 10, 3.0, np.int64(4)])
def test_a_whole_number_is_converted(value):
    number = COUNT.check(value, {})
    assert number == value and type(number) is int


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, None, "7", "", True, [3], 0, -1, 1e300, 10**400],
    ids=lambda value: str(value)[:12],
)
def test_a_bad_number_is_named_with_its_range(value):
    assert refusal(COUNT, value).startswith("The count must be a whole number from 1 to 10, got ")
    text = refusal(VARIANCE, value)
    assert text.startswith("The variance must be a number from 0.5 to 10, got ")
    assert "whole number" in refusal(COUNT, 2.5)


@given(value=ANYTHING, index=st.integers(0, len(NUMBERS) - 1))
def test_whatever_comes_a_number_is_in_range_or_refused_by_name(value, index):
    param, given = NUMBERS[index], {"model": type("Model", (), {"sigma": SIGMA})}
    try:
        found = param.check(value, given)
    except ValueError as error:
        assert str(error).startswith(param.title) and "from" in str(error)
    else:
        assert found == param.default or param.least <= found <= param.limit(given)


def test_the_variance_of_noise_is_bounded_by_the_model(bridge):
    variance = denoise.OPERATION["variance"]
    assert variance.check(SIGMA**2, {"model": bridge}) == SIGMA**2
    assert "to 4, got 4.01" in refusal(variance, 4.01, bridge)


@pytest.mark.parametrize("value", [None, 0, ""])
def test_no_steps_mean_the_default(value):
    assert params.steps("generate").check(value, {}) is None


def test_a_new_seed_is_one_that_nobody_has_chosen():
    seeds = {params.Seed.new() for _ in range(20)}
    assert len(seeds) > 15 and all(params.Seed().check(seed, {}) == seed for seed in seeds)


# ---- choices, pictures, models


@pytest.mark.parametrize("param", CHOICES, ids=lambda param: param.name)
def test_a_bad_choice_is_named_with_what_there_is(param):
    text = refusal(param, "magic")
    assert text.startswith(f"{param.title} must be one of {param.names[0]}")
    assert text.endswith("got magic.")


def test_none_means_the_default_where_there_is_one():
    assert params.solver().check("", {}) is None and params.solver().check("ddim", {}) == "ddim"
    assert "must be one of" in refusal(params.mode("paper"), None)


def test_a_picture_is_cut_and_kept_whole(bridge):
    photo = params.Picture("image").check(Image.new("RGB", (40, 60), "red"), {"model": bridge})
    assert photo.whole.size == (40, 60) and photo.seen.shape == (16, 16, 3)
    with pytest.raises(PictureError, match=r"^image: Please choose a picture first\.$"):
        params.Picture("image").check(None, {"model": bridge})


def test_a_mask_is_read_with_its_picture(bridge):
    picture, mask = Image.new("RGB", (218, 109)), np.zeros((109, 218), np.uint8)
    mask[:, :109] = 255
    given = {"model": bridge, "image": params.Picture("image").check(picture, {"model": bridge})}
    hole = params.Painted("mask").check(mask, given).in_crop(given["image"])
    assert hole[:, :7].all() and not hole[:, 9:].any()


def test_a_crop_is_checked_against_its_picture(bridge):
    picture = params.Picture("image").check(Image.new("RGB", (80, 60)), {"model": bridge})
    region, given = params.Region("crop"), {"image": picture}
    assert region.check(None, given) == picture.crop
    assert region.check('{"x": 20, "y": 20, "side": 30}', given) == Crop(20, 20, 30)
    with pytest.raises(PictureError, match="outside of the photo"):
        region.check({"x": 99, "y": 2, "side": 30}, given)


def test_the_model_is_loaded_first_and_what_is_not_given_has_its_default(tiny_folder):
    declared = [denoise.OPERATION["variance"], COUNT, params.Model()]
    checked = params.check(declared, {"variance": 2}, Models(tiny_folder.parent, device="cpu"))
    assert checked["model"].name == "tiny" and checked["variance"] == 2 and checked["count"] == 4


# ---- what comes from a declaration


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_default_passes_its_own_check(operation, bridge):
    for param in operation.params:
        if param.default is not params.REQUIRED and not isinstance(param, params.Model):
            assert param.check(param.default, {"model": bridge}) == param.default


@pytest.mark.parametrize("param", NUMBERS, ids=lambda param: param.name)
def test_a_control_begins_within_its_bounds(param):
    control = param.control()
    if isinstance(control, inputs.Dial):
        assert control.minimum <= control.value <= control.maximum
        assert control.preprocess("many") == "many"  # the check is the parameter's


def test_a_form_lays_out_every_control_once_the_advanced_ones_last():
    declared = [
        COUNT,
        params.steps("generate"),
        params.Seed(fresh=True),
        params.Switch("x", page=False),
    ]
    with gr.Blocks():
        form = tab.Form(declared, x=gr.State(7))
        form.add()
        assert list(form.parts) == ["x", "count", "seed"]
        form.advanced()
        assert len(form.inputs) == 6 and form.inputs[-1] is form.fresh
    given = form.read([7, 4, 21, 0, False])
    assert given == {"x": 7, "count": 4, "seed": 21, "steps": 0}
    assert form.read([7, 4, None, 0, True])["seed"] is not None


def test_a_form_says_that_a_picture_is_missing():
    with gr.Blocks():
        form = tab.Form([params.Picture("image")], image=gr.State())
    with pytest.raises(
        ValueError, match="There is no picture: drop one into the box, or send a face here"
    ):
        form.read([None])


def test_an_endpoint_has_the_names_defaults_and_words_of_its_operation(tmp_path):
    operation = Operation("count", "Count.", [COUNT, params.Switch("x", http=False)], [], iter)
    with gr.Blocks() as page:
        operation.publish(Models(tmp_path))
    (endpoint,) = page.get_api_info()["named_endpoints"].items()
    name, info = endpoint
    assert name == "/count" and "- count: a whole number from 1 to 10" in info["description"]
    assert [(p["parameter_name"], p["parameter_default"]) for p in info["parameters"]] == [
        ("count", 4)
    ]
