"""The Translate tab: glyphs, journeys there and back, pairs in the plane, the page, the API."""

from __future__ import annotations

import base64
import html
import json
import time
from itertools import pairwise

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from demo import glyphs, plane, runs, widgets
from demo.models import Models
from demo.tabs import pairs, translate
from sbcore import DISTRIBUTIONS, Bridge, CheckpointError, TranslationBridge
from sbcore.ipf.network import NetworkConfig, Pair, save_translation
from sbcore.runtime.metrics import sliced_w2
from tests.conftest import perturb, save_tiny
from tests.demo.studio import file_of, pixels, recipe, serving

SIZE, STEPS = 28, 6
REPORT = {"model", "seed", "mode", "solver", "steps", "nfe", "seconds"}
SEVEN = {"strokes": glyphs.DIGITS["7"]}


def save_translator(folder, shape=(1, SIZE, SIZE), sets=("digits", "letters"), **more):
    """A tiny model of random weights that translates."""
    torch.manual_seed(0)
    channels = {"channels": (8, 16), "blocks": (1, 1), "attention": (False, False)}
    pair = Pair(NetworkConfig(shape, width=16, frequencies=4, **channels))
    pair.measure(torch.randn(50, *shape) - 0.5, torch.randn(50, *shape), 1.0)
    perturb(pair)
    facts = {"name": folder.name, "sets": list(sets), "method": "dsbm", "sigma": 1.0, **more}
    save_translation(folder, pair, facts | {"steps": STEPS, "contrast": 2.0})
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder / "faces", ratio=False)
    save_translator(folder / "tiny")
    save_translator(folder / "zcolour", (3, 16, 16), ("cats", "dogs"))
    save_translator(folder / "points", (2,), ("moons", "rings"))
    save_translator(folder / "zznoise", sets=("static", "letters"), noise=[True, False])
    return folder


@pytest.fixture(scope="module")
def models(checkpoints):
    return Models(checkpoints, device="cpu")


@pytest.fixture(scope="module")
def bridge(models):
    return models.translation("tiny")


@pytest.fixture
def calls(bridge):
    """Batch sizes of the network calls, both ways."""
    sizes = []
    hooks = [
        bridge._pair[way].register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
        for way in ("forward", "backward")
    ]
    yield sizes
    for hook in hooks:
        hook.remove()


def final(run):
    *_, last = run
    return last


def refused(call, *words):
    with pytest.raises(ValueError) as error:
        call()
    text = str(error.value)
    assert all(word in text for word in words) and "\n" not in text, text


# ---- glyphs


@pytest.mark.parametrize("name", glyphs.SCRIPTS)
@pytest.mark.parametrize("size", [28, 56])
def test_examples_lie_where_their_set_has_its_ink(name, size):
    script = glyphs.SCRIPTS[name]
    assert len(script.glyphs) == 10
    pictures = [glyphs.write(strokes, script, size) for strokes in script.glyphs.values()]
    for picture in pictures:
        assert picture.shape == (size, size, 1) and picture.dtype == np.float32
        assert picture.min() == 0 and 0.95 < picture.max() <= 1
        ink = picture[..., 0] > glyphs.INK
        sides = [np.ptp(np.flatnonzero(ink.any(axis))) + 1 for axis in (0, 1)]
        assert abs(max(sides) * 28 / size - script.box) <= 1
    apart = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(apart) > 0.02


def test_digits_have_their_centre_of_mass_in_the_middle():
    for strokes in glyphs.DIGITS.values():
        picture = glyphs.write(strokes, glyphs.SCRIPTS["digits"], SIZE)[..., 0]
        for axis in (0, 1):
            middle = (picture.sum(1 - axis) * (np.arange(SIZE) + 0.5)).sum() / picture.sum()
            assert abs(middle - SIZE / 2) <= 0.6


def test_where_and_how_large_one_draws_does_not_matter():
    script = glyphs.SCRIPTS["digits"]
    small = [[(0.6 + 0.3 * x, 0.1 + 0.3 * y) for x, y in line] for line in glyphs.DIGITS["4"]]
    pair = [glyphs.write(strokes, script, SIZE) for strokes in (small, glyphs.DIGITS["4"])]
    assert np.abs(pair[0] - pair[1]).mean() < 0.02


def test_a_plain_pen_draws_where_it_is_drawn():
    picture = glyphs.write([[(0.25, 0.5), (0.75, 0.5)]], glyphs.script_of("cats"), 40)[..., 0]
    assert picture[20, 20] == 1 and not picture[:15].any() and not picture[:, :8].any()


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        (None, "drawing is empty"),
        ([], "drawing is empty"),
        ([[]], "drawing is empty"),
        ([[(0.5, 0.5)]], "a dot"),
        ([[(0.5, 0.5), (0.51, 0.5)]], "a dot"),
        ([[(0.1, 0.1), (2, 0.5)]], "leaves its square"),
        ([[(0.1, 0.1), (float("nan"), 0.5)]], "leaves its square"),
        ("circle", "list of lists"),
        ([[1, 2]], "list of lists"),
        ([[(1, 2, 3)]], "list of lists"),
        ([[{"x": 1}]], "list of lists"),
        (7, "list of lists"),
        ([[(0.1, 0.1)] * 30_000], "20,000 points"),
    ],
)
def test_a_drawing_that_is_none_is_a_sentence(strokes, words):
    refused(lambda: glyphs.write(strokes, glyphs.SCRIPTS["digits"], SIZE), words)


# ---- pictures


def ink_of(digit, size=SIZE):
    return glyphs.write(glyphs.DIGITS[digit], glyphs.SCRIPTS["digits"], size)


def test_a_photo_of_dark_ink_becomes_what_the_pen_draws(bridge):
    large = np.pad(ink_of("5", 140)[..., 0], ((20, 60), (90, 10)))
    paper = Image.fromarray((235 - 200 * large).astype(np.uint8))
    seen = translate.read(bridge, paper, "forward")
    assert seen.shape == (SIZE, SIZE, 1) and seen.max() == 1
    assert np.abs(seen - ink_of("5")).mean() < 0.05


def test_a_picture_of_the_size_of_the_model_is_taken_as_it_is(bridge, tmp_path):
    pixel = np.rint(255 * ink_of("5")[..., 0]).astype(np.uint8)
    shifted = np.roll(pixel, 4, 0)
    path = file_of(tmp_path, "five.png", Image.fromarray(shifted))
    assert np.array_equal(translate.read(bridge, path, "forward")[..., 0] * 255, shifted)
    block = np.full((SIZE, SIZE), 255, np.uint8)  # a heavy letter touches its border
    block[4:9, 6:12] = 0
    path = file_of(tmp_path, "block.png", Image.fromarray(block))
    assert np.array_equal(translate.read(bridge, path, "backward")[..., 0] * 255, block)


def test_a_grey_photo_of_no_script_stays_as_it_is(tmp_path):
    folder = save_translator(tmp_path / "grey", sets=("coats", "shoes"))
    photo = Image.new("L", (60, 60), 240)
    photo.paste(40, (20, 20, 40, 40))
    seen = translate.read(TranslationBridge.from_pretrained(folder, "cpu"), photo, "forward")
    assert seen[0, 0, 0] > 0.9 and seen[SIZE // 2, SIZE // 2, 0] < 0.3


def test_a_direction_that_starts_from_noise_needs_no_picture(tmp_path):
    folder = save_translator(tmp_path / "noisy", sets=("static", "letters"), noise=[True, False])
    bridge = TranslationBridge.from_pretrained(folder, "cpu")
    journey, _, facts = final(translate.translate(bridge, None, "forward", 2, 3, back=True))
    again, *_ = final(translate.translate(bridge, None, "forward", 2, 3))
    assert np.array_equal(journey.outcomes[1], again.outcomes[1])
    assert journey.picture.min() < 0 and journey.picture.max() > 1
    assert facts["steps"] == STEPS and len(journey.returns) == 2
    models = Models(tmp_path, device="cpu")
    *_, grid, _, _, line = translate.example(models, None, "forward")
    assert grid.count("<figure") == 6 and "evaluations" in line


def test_a_colour_model_takes_colours_and_a_plain_pen(models):
    colour = models.translation("zcolour")
    photo = Image.new("RGB", (40, 60), (200, 90, 30))
    assert np.allclose(translate.read(colour, photo, "forward")[0, 0] * 255, (200, 90, 30))
    drawn = translate.read(colour, {"strokes": [[(0.1, 0.1), (0.9, 0.9)]]}, "backward")
    assert drawn.shape == (16, 16, 3) and drawn.max() == 1


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, ["There is no picture", "draw a digit"]),
        ({}, ["drawing is empty"]),
        ({"strokes": []}, ["drawing is empty"]),
        (__file__, ["cannot be read as a picture"]),
        (Image.new("L", (50, 50), 255), ["no digit in it"]),
        (Image.new("L", (50, 50), 0), ["no digit in it"]),
        (Image.new("L", (SIZE, SIZE), 90), ["no digit in it"]),
    ],
)
def test_a_source_that_is_none_is_a_sentence(bridge, calls, source, words):
    refused(lambda: next(translate.translate(bridge, source)), *words)
    assert not calls


# ---- journeys


def test_a_journey_there_and_back_previews_then_ends(bridge):
    way = bridge._pair["forward"], bridge._pair["backward"]
    hooks = [one.register_forward_pre_hook(lambda *_: time.sleep(0.11)) for one in way]
    try:
        run = translate.translate(bridge, SEVEN, count=2, seed=5, back=True)
        seen = [(list(j.outcomes), list(j.returns), u, f) for j, u, f in run]
    finally:
        for hook in hooks:
            hook.remove()
    indices = [update.step.index for _, _, update, _ in seen]
    # The last evaluation of each way ends two steps, which may come as one.
    assert set(indices) >= {*range(1, 2 * STEPS + 1)} - {STEPS - 1, STEPS, 2 * STEPS - 1}
    assert indices == sorted(set(indices))
    for outcomes, returns, update, facts in seen:
        index = update.step.index
        assert facts["nfe"] == index + (index not in (STEPS, 2 * STEPS))
        assert update.final == (index == 2 * STEPS)
        assert len(outcomes) == 2 and len(returns) == (2 if index > STEPS else 0)
        for picture in (*outcomes, *returns):
            assert picture.shape == (SIZE, SIZE, 1)
            assert picture.min() >= 0 and picture.max() <= 1
    facts = seen[-1][-1]
    assert facts.keys() == REPORT | {"round_trip"} and len(facts["round_trip"]) == 2
    wanted = {"model": "tiny", "seed": 5, "mode": "forward", "solver": "dsbm"}
    assert facts.items() >= wanted.items()


def test_it_translates_what_the_engine_translates(bridge):
    journey, _, _ = final(translate.translate(bridge, SEVEN, "forward", 3, 9, back=True))
    start = runs.to_engine(journey.picture)[None]
    there = bridge.translate(start, "forward", 3, 9).result()
    for mine, engines in zip(journey.outcomes, runs.pictures(there), strict=True):
        assert np.abs(mine - engines).max() <= 0.5 / 255 + 1e-6
    assert not np.array_equal(journey.outcomes[0], journey.outcomes[1])
    shown = np.stack([runs.to_engine(outcome) for outcome in journey.outcomes])
    back = runs.pictures(bridge.translate(shown, "backward", 1, 9).result())
    assert all(
        np.abs(a - b).max() <= 0.5 / 255 + 1e-6 for a, b in zip(journey.returns, back, strict=True)
    )


def test_an_outcome_depends_on_its_seed_alone(bridge):
    many, _, _ = final(translate.translate(bridge, SEVEN, "backward", 3, 4))
    one, _, _ = final(translate.translate(bridge, SEVEN, "backward", 1, 6))
    assert np.abs(many.outcomes[2] - one.outcomes[0]).max() <= 1 / 255 + 1e-6


def test_leaving_stops_the_engine(bridge, calls):
    run = translate.translate(bridge, SEVEN, steps=50, back=True)
    next(run)
    run.close()
    assert len(calls) == 2  # at the start, and at the end of the first step


@pytest.mark.parametrize("steps", [1, 2, 5, 40])
def test_the_film_and_the_strip_fit_any_number_of_steps(bridge, steps):
    journey, _, _ = final(translate.translate(bridge, SEVEN, count=2, steps=steps, back=True))
    kept = [step.index for step in journey.steps]
    assert kept == sorted(set(kept)) and {steps, 2 * steps} <= set(kept)
    assert len(kept) <= translate.FRAMES
    film = translate.film(journey, "forward", bridge)
    facts = json.loads(film)
    assert len(facts["layers"]["path"]) == len(facts["captions"]) == len(kept) + 1
    assert facts["captions"][0] == facts["captions"][-1] == "the digit"
    assert "the letter" in facts["captions"]
    strip = translate.strip(journey, "forward", bridge)
    colours = {colour for _, colour in strip.convert("RGB").getcolors(2**20)}
    assert {(79, 70, 229), (217, 97, 32)} <= colours  # both ways


@pytest.mark.parametrize("steps", [1, 2, 5, 6, 7, 8, 40])
def test_the_strip_ends_with_the_outcome(bridge, steps):
    journey, _, _ = final(translate.translate(bridge, SEVEN, steps=steps))
    times = [step.t for step in translate._spread(journey.steps)]
    assert times == sorted(set(times)) and times[-1] == 1
    assert len(times) == min(steps, translate.STRIP)


def test_the_strip_of_one_way_has_one_bar(bridge):
    journey, _, _ = final(translate.translate(bridge, SEVEN))
    strip = translate.strip(journey, "forward", bridge).convert("RGB")
    colours = {colour for _, colour in strip.getcolors(2**20)}
    assert (79, 70, 229) in colours and (217, 97, 32) not in colours


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": "sideways"}, ["forward or backward", "sideways"]),
        ({"direction": None}, ["forward or backward"]),
        ({"count": 0}, ["number of outcomes", "1 to 6"]),
        ({"count": 1.5}, ["number of outcomes"]),
        ({"count": float("nan")}, ["number of outcomes"]),
        ({"steps": -1}, ["number of steps"]),
        ({"steps": 1e9}, ["number of steps"]),
    ],
)
def test_it_names_what_is_wrong(bridge, calls, options, words):
    refused(lambda: next(translate.translate(bridge, SEVEN, **options)), *words)
    assert not calls


# ---- models of two kinds


def test_each_kind_of_model_is_offered_apart(models):
    assert models.names == ["faces"]
    assert models.translations == ["tiny", "zcolour", "zznoise"]
    assert isinstance(models.get(), Bridge)
    assert isinstance(models.translation(), TranslationBridge)


def test_a_model_of_the_other_kind_is_a_sentence(models):
    with pytest.raises(CheckpointError, match=r"tiny only translates .* Translate tab\.$"):
        models.get("tiny")
    with pytest.raises(CheckpointError, match=r"draws pictures, but cannot translate\.$"):
        models.translation("faces")
    with pytest.raises(CheckpointError, match="no model 'nobody'; choose tiny"):
        models.translation("nobody")
    refused(lambda: translate.read(models.translation("points"), SEVEN, "forward"), "points")


def test_without_a_model_that_translates_the_tab_says_so(tmp_path):
    save_tiny(tmp_path / "faces", ratio=False)
    with pytest.raises(CheckpointError, match="no model that translates"):
        Models(tmp_path).translation()


def test_a_repository_may_be_of_either_kind(checkpoints):
    models = Models(checkpoints, ("owner/unknown",))
    assert models.names[0] == "unknown" and "unknown" in models.translations
    assert models.translations[0] == "tiny"  # a model that is sure to translate


# ---- the page


@pytest.fixture(scope="module")
def page(models):
    with gr.Blocks() as page, gr.Tabs(), gr.Tab("Translate") as tab:
        translate.build(models, tab)
    return page


def named(page, name):
    return [block for block in page.fns.values() if getattr(block.fn, "__name__", "") == name]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_direction_begins_with_an_example(models, direction):
    offered, pad, source, grid, film, strip, status = translate.example(models, "tiny", direction)
    assert [name for _, name in offered["choices"]] == ["forward", "backward"]
    assert offered["choices"][0][0] == "digits to letters" and offered["value"] == direction
    pad = json.loads(pad)
    assert pad["strokes"] and pad["strokes"] in pad["glyphs"].values()
    assert json.loads(json.dumps(source))["strokes"] == pad["strokes"]
    assert grid.count("<figure") == grid.count("download=") == 6 and "and back" in grid
    assert json.loads(film)["layers"] and isinstance(strip, Image.Image) and "evaluations" in status


def test_a_model_without_examples_invites_to_draw(models):
    _, pad, source, grid, *_, status = translate.example(models, "zcolour", "forward")
    assert json.loads(pad)["glyphs"] == {} and source is None and grid == ""
    assert "Draw on the square" in status


def test_the_page_computes_in_the_one_queue(page):
    assert len(named(page, "guarded")) == 4  # button and pen; training and slider
    for block in named(page, "guarded"):
        assert block.concurrency_id == "model" and block.queue


def test_every_change_of_mind_ends_both_runs_and_brings_the_button_back(page):
    button, pen, *_ = (block._id for block in named(page, "guarded"))
    [pad] = [block for block in page.blocks.values() if block.elem_id == "translate-pad"]
    ending = [block for block in page.fns.values() if {button, pen} <= set(block.cancels)]
    events = [event for block in ending for event in block.targets]
    assert (pad._id, "edit") in events  # at once; its "input" comes after a pause
    assert sorted(name for _, name in events) == ["click", "edit", "input", "input", "upload"]


def values_of(block, **changes):
    """Initial values of a handler's inputs, by label where changed; a state is "source"."""
    values = []
    for component in block.inputs:
        name = "source" if isinstance(component, gr.State) else component.label
        values.append(changes.get(name, component.value))
    return values


def test_the_button_translates_what_is_drawn(page):
    button, pen, *_ = named(page, "guarded")
    *_, last = button.fn(*values_of(button, source=SEVEN, Outcomes=2))
    assert last[0].count("<figure") == 4 and "evaluations" in last[-1]
    *_, last = pen.fn(*values_of(pen, source=SEVEN, Seed=3))
    assert last[3] == 3 and "letter, seed 3" in last[0]  # the seed stays


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "There is no picture"),
        ({"source": {"strokes": []}}, "drawing is empty"),
        ({"source": SEVEN, "Outcomes": None}, "number of outcomes"),
        ({"source": SEVEN, "Seed": -1, "new seed each time": False}, "seed"),
        ({"source": SEVEN, "Model": "points"}, "points of the plane"),
        ({"source": SEVEN, "Model": "faces"}, "cannot translate"),
    ],
)
def test_bad_input_is_a_sentence_and_nothing_is_lost(page, changes, words):
    button = named(page, "guarded")[0]
    (values,) = button.fn(*values_of(button, **changes))
    assert words in values[-1] and "error" in values[-1]
    assert all(value == gr.skip() for value in values[:-1])


def test_an_empty_square_invites_to_draw(page):
    pen = named(page, "guarded")[1]
    (values,) = pen.fn(*values_of(pen, source={"strokes": []}))
    assert "square is empty" in values[-1] and "error" not in values[-1]


def test_an_upload_is_shown_as_the_model_sees_it(page, tmp_path):
    (opened,) = named(page, "opened")
    good = file_of(tmp_path, "five.png", Image.fromarray(np.uint8(255 * ink_of("5", 90)[..., 0])))
    pad, picture, status = opened.fn("tiny", "forward", good)
    assert json.loads(pad)["picture"].startswith("data:image/png") and "press" in status
    assert picture.shape == (SIZE, SIZE, 1)
    bad = opened.fn("tiny", "forward", __file__)
    assert bad[:2] == (gr.skip(), gr.skip()) and "cannot be read" in bad[2]


# ---- pairs in the plane


@pytest.fixture(scope="module")
def trained():
    """Two short iterations from moons to rings, each way."""
    fitted = pairs.Fitted("key", "moons", "rings")
    fitter = pairs.fitter_of("moons", "rings", "dsbm", 1.0, 2, 40)
    news = [new for _, new in pairs.fit(fitter, fitted)]
    return fitted, news


def points_of(text):
    return np.frombuffer(base64.b64decode(text), "<i2").reshape(-1, 2) * plane.STEP


def test_every_iteration_is_kept(trained):
    fitted, news = trained
    assert len(fitted.bridges) == 3 and sum(news) == 2
    assert [one["trained"] for one in fitted.history] == ["backward", "forward"] * 2
    starts = DISTRIBUTIONS["moons"].sample(200, 0)
    ends = [bridge.translate(starts, "forward").result() for bridge in fitted.bridges]
    assert all(float((a - b).abs().mean()) > 0.05 for a, b in pairwise(ends))


def test_training_brings_the_particles_nearer(trained):
    fitted, _ = trained
    starts, rings = DISTRIBUTIONS["moons"].sample(1000, 0), DISTRIBUTIONS["rings"].sample(1000, 1)
    apart = [sliced_w2(b.translate(starts, "forward").result(), rings) for b in fitted.bridges]
    assert apart[-1] < 0.5 * apart[0]


def test_the_film_holds_both_ways_from_their_sets(trained):
    fitted, _ = trained
    text, facts = pairs.film(fitted, 2, 3)
    film = json.loads(text)
    assert film["times"][0] == 0 and film["times"][-1] == 2
    assert facts.keys() >= REPORT and facts["nfe"] == 2 * pairs.STEPS
    for panel, start, end in (("truth", "moons", "rings"), ("run", "rings", "moons")):
        way = film["ways"][panel]
        states = points_of(way["particles"]).reshape(-1, film["count"], 2)
        assert len(states) == len(film["times"])
        expected = DISTRIBUTIONS[start].sample(pairs.PARTICLES, 3).numpy()
        assert abs(states[0] - expected).max() <= plane.STEP
        ground = points_of(way["ground"])
        assert abs(ground - DISTRIBUTIONS[end].sample(pairs.PARTICLES, 3).numpy()).max() < 0.01


def test_the_table_has_a_row_for_each_iteration_and_a_floor(trained):
    fitted, _ = trained
    text = pairs.table(fitted, 1)
    assert text.count("<tr") == 1 + 2 + 1 and text.count('class="chosen"') == 1
    assert f"{fitted.history[-1]['forward']['distance']:.3f}" in text and "floor" in text
    assert "<table" not in pairs.table(pairs.Fitted("", "moons", "rings"), 0)


@pytest.mark.parametrize("method", ["dsb", "dsbm"])
def test_the_page_trains_and_looks_at_any_iteration(page, method):
    *_, train, look = named(page, "guarded")
    changes = {"Method": method, "Iterations of a training": 1, "To": "rings"}
    short = changes | {"Training steps of a half-bridge": 10}
    seen = list(train.fn(*values_of(train, **short)))
    film, table, slider, fitted, status = seen[-1]
    assert json.loads(film)["ways"].keys() == {"truth", "run"} and "trained in" in status
    assert slider["maximum"] == slider["value"] == 1 and "floor" in table
    options = {"source": fitted, "IPF iteration": 0}
    *_, (film, _, status) = look.fn(*values_of(look, **options, **short))
    assert "iteration 0" in html.unescape(status) and "train again" not in status
    *_, (_, _, status) = look.fn(*values_of(look, **options, **short | {"sigma": 2}))
    assert "moons to rings: train again" in status
    (values,) = look.fn(*values_of(look, **short, **options | {"IPF iteration": 2}))
    assert "iteration must be" in values[-1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"From": "seven"}, "source must be one of"),
        ({"To": None}, "target must be one of"),
        ({"Method": "magic"}, "method must be one of dsbm, dsb"),
        ({"sigma": 0}, "Sigma must be"),
        ({"sigma": float("nan")}, "Sigma must be"),
        ({"Iterations of a training": 0}, "number of iterations"),
        ({"Training steps of a half-bridge": 1e9}, "steps of a half-bridge"),
        ({"Seed of the particles": -1}, "seed"),
    ],
)
def test_bad_input_to_a_training_is_a_sentence(page, changes, words):
    train = named(page, "guarded")[2]
    (values,) = train.fn(*values_of(train, **changes))
    assert words in values[-1] and all(value == gr.skip() for value in values[:-1])


def test_before_any_training_the_reference_is_shown(page):
    film, table, status = pairs.example()
    assert json.loads(film)["play"] and "Brownian motion" in status and "iteration" in table
    look = named(page, "guarded")[3]
    (values,) = look.fn(*values_of(look))
    assert values[0] is film and "Not trained yet" in values[-1]


# ---- the API


@pytest.fixture(scope="module")
def client(checkpoints):
    with serving(checkpoints) as (address, _):
        yield Client(address, verbose=False)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    picture = Image.fromarray(np.uint8(255 * ink_of("5")[..., 0]))
    return handle_file(file_of(tmp_path_factory.mktemp("digits"), "five.png", picture))


def sentence(call):
    with pytest.raises(AppError) as caught:
        call()
    text = str(caught.value)
    assert "Traceback" not in text and text[0].isupper() and text.rstrip().endswith("."), text
    return text


def test_translate_from_noise_needs_no_image(client):
    files, _, report = client.predict(None, count=2, model="zznoise", api_name="/translate")
    assert len(files) == 2 and report["steps"] == STEPS


def test_translate_by_default(client, five):
    files, strip, report = client.predict(five, api_name="/translate")
    assert len(files) == 1 and pixels(files[0]).shape[:2] == (SIZE, SIZE)
    assert report.keys() == REPORT and report["model"] == "tiny" and report["nfe"] == STEPS
    assert recipe(files[0]) == report | {"picture": 0} and recipe(strip) == report
    assert pixels(strip).shape[1] > 7 * 96


def test_translate_with_options(client, five):
    options = {"direction": "backward", "count": 3, "seed": 4, "model": "tiny"}
    files, _, report = client.predict(five, **options, api_name="/translate")
    one, _, _ = client.predict(five, **options | {"count": 1, "seed": 6}, api_name="/translate")
    assert len(files) == 3 and (report["mode"], report["seed"]) == ("backward", 4)
    apart = pixels(files[2]).astype(int) - pixels(one[0])
    assert abs(apart).max() <= 1 and not np.array_equal(pixels(files[0]), pixels(files[1]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"direction": "sideways"}, "forward or backward"),
        ({"count": 0}, "number of outcomes"),
        ({"count": 99}, "number of outcomes"),
        ({"seed": -1}, "seed"),
        ({"model": "nobody"}, "no model 'nobody'"),
        ({"model": "faces"}, "cannot translate"),
        ({"model": "points"}, "points of the plane"),
    ],
)
def test_translate_refuses_with_a_sentence(client, five, options, words):
    assert words in sentence(lambda: client.predict(five, **options, api_name="/translate"))


def test_pictures_that_are_none(client, tmp_path):
    blank = file_of(tmp_path, "blank.png", Image.new("L", (60, 60), 255))
    text = tmp_path / "text.png"
    text.write_text("I am no picture")
    for path, words in ((blank, "no digit"), (str(text), "cannot be read")):
        found = sentence(lambda path=path: client.predict(handle_file(path), api_name="/translate"))
        assert words in found
    assert "Image: Please" in sentence(lambda: client.predict(None, api_name="/translate"))


def test_a_model_that_translates_cannot_draw(client):
    text = sentence(lambda: client.predict(model="tiny", api_name="/generate"))
    assert "only translates" in text
    files, _ = client.predict(steps=1, api_name="/generate")
    assert files and widgets.OOPS not in text
