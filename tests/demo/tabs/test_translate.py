"""Translate: what is read, journeys there and back, the pad, the endpoint."""

from __future__ import annotations

import json
import time

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image

from demo import glyphs, runs, views
from demo.models import Models
from demo.tab import Studio
from demo.tabs import translate
from demo.tabs.translate import OPERATION
from sbcore import Bridge, CheckpointError, TranslationBridge
from sbcore.ipf.network import EndPoint, NetworkConfig, Pair, save_translation
from tests.conftest import perturb, save_tiny
from tests.demo.studio import (
    REPORT,
    computing,
    file_of,
    pixels,
    recipe,
    refused,
    sentence,
    serving,
    values_of,
)

SIZE, STEPS = 28, 6
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
def calls(monkeypatch):
    """Batch sizes of the network calls of both ways."""
    sizes, forward = [], EndPoint.forward

    def counted(end, x, *given, **options):
        sizes.append(len(x))
        return forward(end, x, *given, **options)

    monkeypatch.setattr(EndPoint, "forward", counted)
    return sizes


@pytest.fixture
def slowly(monkeypatch):
    """Make every network call last longer than the pause between two previews."""
    forward = EndPoint.forward

    def late(*given, **options):
        time.sleep(0.11)
        return forward(*given, **options)

    monkeypatch.setattr(EndPoint, "forward", late)


def ink_of(digit, size=SIZE):
    return glyphs.write(glyphs.DIGITS[digit], glyphs.SCRIPTS["digits"], size)


def ink_file(folder, digit="5", size=SIZE):
    picture = Image.fromarray(np.uint8(np.rint(255 * ink_of(digit, size)[..., 0])))
    return file_of(folder, f"{digit}.png", picture)


# ---- pictures


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


def test_a_direction_that_starts_from_noise_needs_no_picture(models):
    bridge = models.translation("zznoise")
    result = OPERATION.result(model=bridge, image=None, count=2, seed=3, back=True)
    again = OPERATION.result(model=bridge, image=None, count=2, seed=3)
    assert np.array_equal(result.shown.outcomes[1], again.shown.outcomes[1])
    assert result.shown.picture.min() < 0 and result.shown.picture.max() > 1
    assert result.report.steps == STEPS and len(result.shown.returns) == 2
    *_, grid, _, _, _, line = translate.example(models, "zznoise", "forward")
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
        (None, "There is no picture.* draw a digit"),
        ({"strokes": []}, "drawing is empty"),
        (__file__, "cannot be read as a picture"),
        (Image.new("L", (50, 50), 255), "no digit in it"),
        (Image.new("L", (SIZE, SIZE), 90), "no digit in it"),
    ],
)
def test_a_source_that_is_none_is_a_sentence(bridge, calls, source, words):
    with pytest.raises(ValueError, match=words):
        OPERATION.result(model=bridge, image=source)
    assert not calls


# ---- journeys


@pytest.mark.usefixtures("slowly")
def test_a_journey_there_and_back_previews_then_ends(bridge):
    seen = []
    for moment in OPERATION.run(
        bridge, SEVEN, direction="forward", count=2, seed=5, steps=None, back=True
    ):
        seen.append((list(moment.shown.outcomes), list(moment.shown.returns), moment))
    *updates, (outcomes, returns, result) = seen
    for there, home, update in updates:
        index = update.step.index
        assert update.step.nfe.total == index + (index not in (STEPS, 2 * STEPS))
        assert len(there) == 2 and len(home) == (2 if index > STEPS else 0)
        for picture in (*there, *home):
            assert picture.shape == (SIZE, SIZE, 1) and 0 <= picture.min() <= picture.max() <= 1
    indices = {update.step.index for *_, update in updates}
    # The last evaluation of each way ends two steps, which may come as one.
    assert indices >= {*range(1, 2 * STEPS)} - {STEPS - 1, STEPS, 2 * STEPS - 1}
    assert len(outcomes) == len(returns) == len(result.report.round_trip) == 2
    wanted = {"model": "tiny", "seed": 5, "direction": "forward", "method": "dsbm", "steps": STEPS}
    assert result.report.facts().items() >= wanted.items()
    assert result.report.line().endswith("dsbm")


def test_it_translates_what_the_engine_translates_and_takes_fresh_noise_back(bridge):
    given = {"image": SEVEN, "count": 3, "seed": 9}
    journey = OPERATION.result(model=bridge, **given, back=True).shown
    start = runs.to_engine(journey.picture)[None]
    there = runs.pictures(bridge.translate(start, "forward", 3, 9).result())
    assert np.abs(np.array(journey.outcomes) - there).max() <= 0.5 / 255 + 1e-6
    assert not np.array_equal(journey.outcomes[0], journey.outcomes[1])
    shown = np.stack([runs.to_engine(outcome) for outcome in journey.outcomes])
    back = runs.pictures(bridge.translate(shown, "backward", 1, 9).result())
    assert np.abs(np.array(journey.returns) - back).max() <= 0.5 / 255 + 1e-6


def test_a_journey_that_is_stopped_shows_how_far_it_came(bridge):
    run = OPERATION.run(bridge, SEVEN, "forward", count=2, seed=0, steps=50, back=True)
    next(run).stop()
    (result,) = run
    grid, film, strip = translate.show(result)
    assert grid.count("<figure") == 2 and isinstance(strip, Image.Image)  # no way back
    assert len(json.loads(film)["captions"]) < 5 and result.report.stopped_at == 1


def test_leaving_stops_the_engine(bridge, calls):
    run = OPERATION.run(bridge, SEVEN, direction="forward", count=1, seed=0, steps=50, back=True)
    next(run)
    run.close()
    assert len(calls) == 2  # at the start, and at the end of the first step


def colours(strip):
    return {colour for _, colour in strip.convert("RGB").getcolors(2**20)}


@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_the_film_and_the_strip_fit_any_number_of_steps(bridge, steps):
    there, back = (79, 70, 229), (217, 97, 32)  # the bars of the ways
    journey = OPERATION.result(model=bridge, image=SEVEN, count=2, steps=steps, back=True).shown
    kept = [step.index for step in journey.steps]
    assert kept == sorted(set(kept)) and {steps, 2 * steps} <= set(kept)
    assert len(kept) <= 2 * translate.WAY
    film = json.loads(translate.film(journey))
    assert len(film["layers"]["path"]) == len(film["captions"]) == len(kept) + 1
    assert film["captions"][0] == film["captions"][-1] == "the digit"
    assert "the letter" in film["captions"] and film["width"] == 360
    assert {there, back} <= colours(translate.strip(journey))
    alone = OPERATION.result(model=bridge, image=SEVEN, steps=steps)
    assert there in (found := colours(alone.outputs["film strip"])) and back not in found
    times = [step.t for step in translate.spread(alone.shown.steps)]
    assert times == sorted(set(times)) and times[-1] == 1  # it ends with the outcome
    assert len(times) == min(steps, translate.STRIP)


# ---- models of two kinds


def test_each_kind_of_model_is_offered_apart(models, checkpoints):
    assert models.names == ["faces"] and isinstance(models.get(), Bridge)
    assert models.translations == ["tiny", "zcolour", "zznoise"]
    assert isinstance(models.translation(), TranslationBridge)
    models = Models(checkpoints, ("owner/unknown",))  # a repository may be of either kind
    assert models.names[0] == "unknown" and "unknown" in models.translations
    assert models.translations[0] == "tiny"  # a model that is sure to translate


def test_a_model_of_the_other_kind_is_a_sentence(models, tmp_path):
    with refused(CheckpointError, r"tiny only translates .* Translate tab\.$"):
        models.get("tiny")
    with refused(CheckpointError, r"draws pictures, but cannot translate\.$"):
        models.translation("faces")
    with refused(CheckpointError, "no model 'nobody'; choose tiny"):
        models.translation("nobody")
    with refused(CheckpointError, "no model that translates"):
        Models(tmp_path).translation()


# ---- the page


@pytest.fixture(scope="module")
def page(models):
    with gr.Blocks() as page, gr.Tabs(), gr.Tab("Translate") as tab:
        translate.build(Studio(models, gr.Dropdown(), tab))
    return page


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_direction_begins_with_an_example(models, direction):
    shown = translate.example(models, "tiny", direction)
    offered, pad, source, grid, film, strip, kept, status = shown
    assert [name for _, name in offered["choices"]] == ["forward", "backward"]
    assert offered["choices"][0][0] == "digits to letters" and offered["value"] == direction
    pad = json.loads(pad)
    assert pad["strokes"] and pad["strokes"] in pad["glyphs"].values()
    assert json.loads(json.dumps(source))["strokes"] == pad["strokes"]
    assert grid.count("<figure") == grid.count("download=") == 6 and "and back" in grid
    assert "layers" in film and isinstance(strip, Image.Image) and "evaluations" in status
    assert len(kept.outputs["pictures"]) == 3


def test_a_model_without_examples_invites_to_draw(models):
    _, pad, source, grid, *_, status = translate.example(models, "zcolour", "forward")
    assert json.loads(pad)["glyphs"] == {} and source is None and grid == ""
    assert "Draw on the square" in status


def beginning(page):
    """What a choice of a direction leads to."""
    [choice] = [b for b in page.blocks.values() if getattr(b, "label", None) == "Direction"]
    events = [b for b in page.fns.values() if (choice._id, "input") in b.targets]
    (begin,) = (block.fn for block in events if len(block.inputs) == 4)
    return begin


def test_each_direction_keeps_its_own_drawing_and_what_became_of_it(page):
    begin, (button, *_) = beginning(page), computing(page)
    desk = translate.Desk()
    _, _, source, *first = begin(desk, None, "tiny", "forward")
    assert source["strokes"] == glyphs.DIGITS["2"] and first[0].count("<figure") == 6
    _, _, letter, *there = begin(desk, source, "tiny", "backward")
    again = begin(desk, letter, "tiny", "forward")
    assert again[2] == source and list(again[3:]) == first  # the example, untouched
    values = values_of(button, state=SEVEN, Outcomes=2, Seed=3)
    *_, mine = button.fn(desk, *values[1:-1], False)
    _, _, kept, *back = begin(desk, SEVEN, "tiny", "backward")
    assert kept == letter and back == there
    _, pad, source, *result = begin(desk, letter, "tiny", "forward")
    assert json.loads(pad)["strokes"] == json.loads(json.dumps(SEVEN["strokes"]))
    assert source == SEVEN
    assert result[:3] == list(mine[:3]) and "seed 3 " in result[4]


def test_a_drawing_that_was_not_run_is_kept_and_old_results_are_not_shown_as_its_own(page):
    begin, desk = beginning(page), translate.Desk()
    begin(desk, None, "tiny", "forward")
    picture = ink_of("5")
    for source in (SEVEN, picture):
        begin(desk, source, "tiny", "backward")
        _, pad, kept, *shown, last, status = begin(desk, None, "tiny", "forward")
        assert kept is source and shown == ["", "", None] and last is None
        assert "press Translate" in status
    assert json.loads(pad)["picture"] == views.data_uri(picture)


def test_a_person_on_the_pad_is_a_warning_and_a_sign_is_none(tmp_path):
    ramp = np.add.outer(np.linspace(0, 255, 90), np.zeros(90)).astype(np.uint8)  # all greys
    assert not glyphs.is_ink(ramp / 255)
    noise = np.random.default_rng(0).normal(0, 10, (280, 280))
    for paper, ink in ((230, -180), (20, 220)):
        photo = np.clip(paper + ink * ink_of("5", 280)[..., 0] + noise, 0, 255)
        assert glyphs.is_ink(photo / 255)


def test_every_change_of_mind_ends_both_runs_and_brings_the_button_back(page):
    button, pen, *_ = (block._id for block in computing(page))  # then those of the plane
    [pad] = [block for block in page.blocks.values() if block.elem_id == "translate-pad"]
    ending = [block for block in page.fns.values() if {button, pen} <= set(block.cancels)]
    events = [event for block in ending for event in block.targets]
    assert (pad._id, "edit") in events  # at once; its "input" comes after a pause
    assert sorted(name for _, name in events) == ["clear", "edit", "input", "input", "upload"]


def test_the_button_translates_what_is_drawn(page):
    button, pen, *_ = computing(page)
    *_, last = button.fn(*values_of(button, state=SEVEN, Outcomes=2))
    assert last[0].count("<figure") == 4 and "evaluations" in last[-1]
    *_, last = pen.fn(*values_of(pen, state=SEVEN, Seed=3))
    assert last[4] == 3 and "letter, seed 3" in last[0]  # the seed stays


def test_bad_input_is_a_sentence_and_nothing_is_lost(page):
    button, pen, *_ = computing(page)
    for changes, words in (
        ({}, "There is no picture"),
        ({"state": SEVEN, "Outcomes": None}, "number of outcomes"),
        ({"state": SEVEN, "Model": "points"}, "points of the plane"),
        ({"state": SEVEN, "Model": "faces"}, "cannot translate"),
    ):
        (values,) = button.fn(*values_of(button, **changes))
        assert words in values[-1] and "error" in values[-1]
        assert all(value == gr.skip() for value in values[:-1])
    (values,) = pen.fn(*values_of(pen, state={"strokes": []}))  # an empty square invites
    assert "square is empty" in values[-1] and "error" not in values[-1]


def test_an_upload_is_shown_as_the_model_sees_it(page, tmp_path):
    [upload] = [b for b in page.blocks.values() if getattr(b, "label", None) == "Picture"]
    events = [b for b in page.fns.values() if (upload._id, "upload") in b.targets]
    [opened] = [block for block in events if len(block.inputs) == 3]
    face = Image.linear_gradient("L")
    *_, status = opened.fn("tiny", "forward", file_of(tmp_path, "face.png", face))
    assert translate.NO_INK in status
    *_, status = opened.fn("zcolour", "forward", file_of(tmp_path, "face.png", face))
    assert translate.SET in status  # no signs, no warning
    pad, picture, status = opened.fn("tiny", "forward", ink_file(tmp_path, size=90))
    assert json.loads(pad)["picture"].startswith("data:image/png") and "press" in status
    assert picture.shape == (SIZE, SIZE, 1)
    bad = opened.fn("tiny", "forward", __file__)
    assert bad[:2] == (gr.skip(), gr.skip()) and "cannot be read" in bad[2]


# ---- the endpoint


@pytest.fixture(scope="module")
def call(checkpoints):
    with serving(checkpoints) as (address, _):
        client = Client(address, verbose=False)
        yield lambda image, **given: client.predict(image, **given, api_name="/translate")


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return handle_file(ink_file(tmp_path_factory.mktemp("digits")))


def test_translate_by_default_and_with_options(call, five):
    files, strip, report = call(five)
    assert len(files) == 1 and pixels(files[0]).shape[:2] == (SIZE, SIZE)
    assert report.keys() == REPORT | {"direction", "method"}
    assert (report["model"], report["mode"], report["nfe"]) == ("tiny", "fast", STEPS)
    assert recipe(files[0]).items() >= (report | {"picture": 0}).items()
    assert recipe(strip).items() >= report.items()
    assert pixels(strip).shape[1] > 7 * 96
    options = {"direction": "backward", "model": "tiny"}
    files, _, report = call(five, **options, count=3, seed=4)
    one, _, _ = call(five, **options, count=1, seed=6)
    assert len(files) == 3 and (report["direction"], report["seed"]) == ("backward", 4)
    assert abs(pixels(files[2]).astype(int) - pixels(one[0])).max() <= 1
    assert len(call(None, count=2, model="zznoise")[0]) == 2  # from noise: no picture needed


def test_translate_refuses_with_a_sentence(call, five, tmp_path):
    bad = tmp_path / "text.png"
    bad.write_text("I am no picture")
    for picture, options, words in (
        (five, {"direction": "sideways"}, "one of forward, backward; got sideways"),
        (five, {"count": 0}, "number of outcomes must be a whole number from 1 to 6"),
        (five, {"model": "points"}, "points of the plane"),
        (None, {}, "There is no picture"),
        (handle_file(bad), {}, "Image: This cannot be read"),
    ):
        assert words in sentence(lambda p=picture, o=options: call(p, **o))
