"""Whatever is sent for a parameter means what is declared, or is refused in one sentence."""

from __future__ import annotations

import math
from numbers import Real

import gradio as gr
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from demo import params, wiring
from demo.models import Models
from demo.operation import Operation
from demo.page import TABS
from demo.photos.crop import Crop
from demo.photos.mask import Mask
from demo.photos.photo import Photo
from demo.tabs import lab, pairs, translate
from tests.conftest import SIGMA, save_tiny
from tests.demo.tabs.test_translate import save_translator

DECLARED = {
    one.name: one.params
    for module in TABS.values()
    for one in vars(module).values()
    if isinstance(one, Operation)
} | {"pairs": pairs.PARAMS, "training": [lab.SECONDS]}
CASES = [(name, param) for name, declared in DECLARED.items() for param in declared]
NUMBERS = [case for case in CASES if isinstance(case[1], params.Number)]
WORDS = {  # how else it is called
    "strokes": ["strokes", "drawing"], "image": ["image", "drawing", "picture"],
    "mask": ["mask", "marked"],
}  # fmt: skip
TAKEN = {
    params.Picture: Photo | None, params.Painted: Mask, params.Region: Crop | None,
    params.Switch: bool, lab.Drawing: list | None, translate.Sketch: object,
}  # fmt: skip
HOSTILE_STROKES = ([[[0, 0], [1, 10**400]]], [[[0, 0], ["a", None]]], [[[0, math.nan]]])
NASTY = [
    *(math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e300, 10**400, 10**5000, -(10**5000)),
    *(True, False, 0, -1, 0.5, 2**31, 1j, b"1", np.zeros(3), np.float64("nan")),
    *("", " ", "7", "NaN", "null", "\n\0\ud800", "x" * 100_000, [], [[]], [7], [math.nan], {}),
    *({"path": "/etc/passwd"}, {"file": {"path": "/etc/passwd"}}, {"strokes": 5}, {"x": math.nan}),
    *({"strokes": one} for one in HOSTILE_STROKES),
    *HOSTILE_STROKES,
    {"file": 1},
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3),
    max_leaves=6,
)
NAMED = pytest.mark.parametrize(
    ("group", "param"), CASES, ids=lambda one: one if isinstance(one, str) else one.name
)
RANGED = pytest.mark.parametrize(
    ("group", "param"), NUMBERS, ids=lambda one: one if isinstance(one, str) else one.name
)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder / "faces")
    save_translator(folder / "signs")
    return Models(folder, device="cpu")


@pytest.fixture(scope="module")
def sound(face_file, hole_file):
    """Values that can be used, for what has no default."""
    pictures = dict.fromkeys(("image", "image_a", "image_b"), face_file)
    return pictures | {"mask": hole_file, "dataset": "drawn"}


def sent(group, param, value, models, sound):
    """What a check makes of a value: it, and the sentence that refuses it; one of them None."""
    declared = DECLARED[group]
    values = {one.name: sound[one.name] for one in declared if one.name in sound}
    try:
        with wiring.sentences():
            checked = params.check(declared, values | {param.name: value}, models)
            if isinstance(param, translate.Sketch):  # it is read once the direction is known
                translate.read(checked["model"], checked["image"], "forward")
            return checked[param.name], None
    except gr.Error as error:
        return None, str(error.message)


def is_real(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def examine(group, param, value, models, sound):
    """A value is taken as it is declared, or its refusal says what would be."""
    found, sentence = sent(group, param, value, models, sound)
    if sentence is not None:
        assert sentence[0].isupper() and sentence.endswith(".") and len(sentence) < 900, sentence
        assert sentence.isprintable() and sentence != wiring.OOPS, (sentence, value)
        called = WORDS.get(param.name, [param.name, param.title])
        assert any(word.lower() in sentence.lower() for word in called), sentence
    if isinstance(param, params.Number):
        most = param.limit({"model": models.get()} if models.names else {})
        if sentence is not None:
            assert f"from {param.least:g} to {most:.10g}" in sentence
        elif is_real(value) and not (param.default is None and value == 0):
            assert found == value and param.least <= found <= most
        else:  # none: the default, or that of another parameter
            assert value in (None, "", 0)
    elif isinstance(param, params.Choice):
        assert found in param.names or found == param.default or sentence is not None
        assert sentence is None or all(name in sentence for name in param.names)
    elif isinstance(param, params.Model):
        assert sentence is not None or found.name in models.names + models.translations
    elif sentence is None:
        assert isinstance(found, TAKEN[type(param)])


@NAMED
def test_what_no_page_sends_is_refused_in_a_sentence_or_means_what_it_says(
    group, param, models, sound
):
    for value in [*NASTY, None]:
        examine(group, param, value, models, sound)


@NAMED
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_so_is_any_json(group, param, models, sound, value):
    examine(group, param, value, models, sound)


@RANGED
def test_the_ends_of_a_range_belong_to_it_and_nothing_beyond(group, param, models, sound):
    most = param.limit({"model": models.get()})
    assert most == param.most or most in (SIGMA, SIGMA**2)
    whole = isinstance(param, params.Whole)
    below = param.least - 1 if whole else math.nextafter(param.least, -math.inf)
    above = most + 1 if whole else math.nextafter(most, math.inf)
    for value in (param.least, most):
        found, sentence = sent(group, param, value, models, sound)
        assert sentence is None and found == value and type(found) is (int if whole else float)
    for value in (below, above, *([param.least + 0.5] if whole else [])):
        if value == 0 and param.default is None:  # the default
            continue
        assert "must be" in sent(group, param, value, models, sound)[1], value
