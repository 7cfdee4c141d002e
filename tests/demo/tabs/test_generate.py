"""What the tabs do, without a page: their generators, examples and pieces of HTML."""

from __future__ import annotations

import json
import time
from functools import partial
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import imaging, media, runs, widgets
from demo.tabs import evolution, generate, inpaint, interpolate
from sbcore import PaperMode, preset_holes
from tests.conftest import TINY

SIZE = TINY.image_size
REPORT = {"model", "seed", "mode", "solver", "steps", "nfe", "seconds"}
HOSTILE = '<script>alert("1")</script>'


@pytest.fixture
def slow(bridge):
    """Make every network call last longer than the pause between two previews."""
    hook = bridge.denoiser.register_forward_pre_hook(lambda *_: time.sleep(0.11))
    yield
    hook.remove()


@pytest.fixture
def face():
    return imaging.to_uint8(noise(0)).astype(np.float32) / 255


@pytest.fixture
def hole():
    hole = np.zeros((SIZE, SIZE), bool)
    hole[4:10, 5:12] = True
    return hole


def noise(seed):
    return np.random.default_rng(seed).random((SIZE, SIZE, 3), dtype=np.float32)


def refused(run, *words):
    """The message of a refused run: it starts before anything is drawn and names the thing."""
    with pytest.raises(ValueError) as error:
        next(run)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def assert_pictures(pictures, count):
    assert len(pictures) == count
    for picture in pictures:
        assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.float32
        assert picture.min() >= 0 and picture.max() <= 1


# ---- Generate


def test_generate_previews_then_ends(bridge, slow):
    run = list(generate.generate(bridge, 2, 5, steps=4, solver="ddim"))
    for index, (pictures, update, facts) in enumerate(run, start=1):
        assert_pictures(pictures, 2)
        assert facts.keys() == REPORT
        assert update.step.index == facts["nfe"] == index and update.final == (index == 4)
    believed, final = run[-2][0], run[-1][0]
    assert not np.array_equal(believed[0], final[0])
    expected = {"model": "tiny", "seed": 5, "mode": "fast", "solver": "ddim", "steps": 4}
    assert run[-1][2].items() >= expected.items()


def test_generate_draws_what_the_engine_draws(bridge):
    *_, (pictures, _, _) = generate.generate(bridge, 3, 7)
    assert np.array_equal(pictures, runs.pictures(bridge.generate(3, 7).result()))


@pytest.mark.parametrize("start", generate.STARTS.values())
def test_every_start_on_offer_draws(bridge, start):
    *_, (pictures, _, _) = generate.generate(bridge, 1, 0, steps=4, start=start)
    assert_pictures(pictures, 1)


def test_leaving_generate_stops_the_engine(bridge, slow, calls):
    run = generate.generate(bridge, 1, 0, steps=50)
    next(run)
    run.close()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, ["number of pictures", "1 to 16"]),
        ({"count": float("nan")}, ["number of pictures", "nan"]),
        ({"count": None}, ["number of pictures"]),
        ({"steps": -1}, ["number of steps"]),
        ({"steps": 1e9}, ["number of steps"]),
        ({"solver": "magic"}, ["solver", "dpmpp_2m", "magic"]),
        ({"mode": "warp"}, ["mode", "fast", "warp"]),
        ({"start": "nowhere"}, ["start", "closed form"]),
    ],
)
def test_generate_names_what_is_wrong(bridge, options, words):
    refused(generate.generate(bridge, **{"count": 1, "seed": 0} | options), *words)


def test_paper_mode_needs_its_network(bridge_without_ratio):
    for run in (
        generate.generate(bridge_without_ratio, 1, 0, mode="paper"),
        evolution.evolve(bridge_without_ratio, 0, mode="paper"),
    ):
        refused(run, "Paper mode", "tiny", "choose fast mode")


def test_generate_has_an_example_with_buttons_for_every_face(bridge):
    grid, drawn, status = generate.examples(bridge)
    count = generate.EXAMPLE_COUNT
    assert_pictures(drawn.pictures, count)
    assert drawn.seed == generate.EXAMPLE_SEED
    assert grid.count("<figure") == grid.count("download=") == count
    for action, _ in generate.ACTIONS:
        assert grid.count(f'data-action="{action}"') == count
    first = generate.EXAMPLE_SEED
    assert f"seed {first}" in grid and f"seed {first + count - 1}" in grid
    assert "evaluations" in status


# ---- Evolution


@pytest.mark.parametrize("frames", [4, 9, 24])
def test_evolution_grows_to_the_frames_asked_for(bridge, frames):
    counts = []
    for states, update, facts in evolution.evolve(bridge, 3, frames):
        counts.append(len(states.steps))
        assert facts.keys() == REPORT and update.final == (len(counts) == frames)
    assert counts == list(range(1, frames + 1))
    assert len(states.particles) == len(states.beliefs) == frames


@pytest.mark.parametrize("mode", ["fast", "paper"])
@pytest.mark.parametrize("frames", [6, 7])
def test_the_stages_meet_at_the_split(bridge, monkeypatch, mode, frames):
    monkeypatch.setattr("sbcore.bridge.PaperMode", partial(PaperMode, n1=20, n2=20))
    *_, (states, _, _) = evolution.evolve(bridge, 3, frames, mode)
    assert len(states.particles) == frames
    stages = [step.stage for step in states.steps]
    assert stages == [1] * (states.split + 1) + [2] * (frames - states.split - 1)
    if mode == "fast":
        assert states.steps[states.split].t == 1


def test_evolution_ends_at_the_picture_of_the_seed(bridge):
    *_, (states, _, _) = evolution.evolve(bridge, 3, 24)
    expected = runs.pictures(bridge.generate(1, 3).result())[0]
    assert np.allclose(states.beliefs[-1], expected, atol=1e-5)


def test_captions_tell_the_way(bridge):
    *_, (states, _, _) = evolution.evolve(bridge, 3, 8)
    captions = [evolution.caption(step) for step in states.steps]
    assert captions[0].startswith("stage 1, t = 0") and captions[-1] == "end of stage 2: a picture"
    assert "q_sigma" in captions[states.split] and "deviation 2" in captions[states.split]
    assert len(set(captions)) == 8


@pytest.mark.parametrize("frames", [3, 121, 4.5, None, "8", float("inf")])
def test_evolution_names_bad_frames(bridge, frames):
    refused(evolution.evolve(bridge, 0, frames), "number of frames", "4 to 120")


def film_of(value):
    """The data of a film."""
    return json.loads(value)


def test_an_unfinished_film_keeps_the_track_of_the_whole(bridge):
    run = evolution.evolve(bridge, 3, 9)
    for _ in range(3):
        states, _, _ = next(run)
    film = film_of(states.film())
    assert film["layers"].keys() == set(evolution.LAYERS)
    assert len(film["captions"]) == 3 and all(len(f) == 3 for f in film["layers"].values())
    assert film["track"]["length"] == 8 and film["track"]["split"] == 4 and film["start"] == 2


def test_evolution_has_an_example(bridge):
    film, strip, status = evolution.examples(bridge)
    assert len(film_of(film)["captions"]) == evolution.FRAMES
    assert isinstance(strip, Image.Image) and f"seed {evolution.EXAMPLE_SEED} " in status


# ---- Interpolate


def test_interpolation_previews_then_ends(bridge, slow):
    run = list(interpolate.interpolate(bridge, noise(0), noise(1), 3, steps=3))
    assert len(run) == 3
    for pictures, update, facts in run:
        assert_pictures(pictures, 3)
        assert facts.keys() == REPORT and facts["nfe"] == update.step.index


def test_a_morph_with_little_noise_ends_at_its_pictures(bridge):
    a, b = noise(0), noise(1)
    *_, (pictures, _, _) = interpolate.interpolate(bridge, a, b, 3, variance=0.001, steps=8)
    for picture, end in ((pictures[0], a), (pictures[-1], b)):
        assert abs(picture - imaging.to_uint8(end) / 255).mean() < 0.05


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_a": None}, ["Picture A is missing"]),
        ({"image_b": None}, ["Picture B is missing"]),
        ({"image_a": __file__}, ["Picture A", "cannot be read as a picture"]),
        ({"image_b": __file__}, ["Picture B", "cannot be read as a picture"]),
        ({"frames": 1}, ["number of frames"]),
        ({"frames": 34}, ["number of frames"]),
        ({"variance": 0}, ["noise variance", "0.001 to 4"]),
        ({"variance": 4.5}, ["noise variance"]),
        ({"variance": float("nan")}, ["noise variance", "nan"]),
        ({"variance": None}, ["noise variance"]),
        ({"steps": 1.5}, ["number of steps"]),
        ({"solver": "magic"}, ["solver", "magic"]),
        ({"mode": "warp"}, ["mode", "warp"]),
    ],
)
def test_interpolation_names_what_is_wrong(bridge, options, words):
    run = interpolate.interpolate(bridge, **{"image_a": noise(0), "image_b": noise(1)} | options)
    refused(run, *words)


def test_the_pixel_mix_goes_from_a_to_b():
    a, b = noise(0), noise(1)
    mixes = interpolate.mixes(a, b, 5)
    assert np.array_equal(mixes[0], a) and np.array_equal(mixes[-1], b)
    assert np.allclose(mixes[2], (a + b) / 2)


def test_a_morph_opens_in_its_middle():
    value = interpolate.film([noise(k) for k in range(5)])
    assert film_of(value)["start"] == 2
    assert film_of(value)["captions"][2] == "50 % of B"


def test_interpolation_has_an_example(bridge):
    values = interpolate.examples(bridge, [noise(k) for k in range(8)])
    assert sum(isinstance(value, Image.Image) for value in values) == 4  # A, B, strip, mix
    assert "evaluations" in values[-1]


# ---- Inpaint


@pytest.mark.parametrize("method", inpaint.METHODS.values())
def test_known_pixels_stay_bit_for_bit_in_every_preview(bridge, face, hole, method, slow):
    for fills, update, facts in inpaint.inpaint(bridge, face, hole, 2, 5, method, steps=3):
        assert_pictures(fills, 2)
        assert facts.keys() == REPORT and facts["mode"] == method
        assert update.final == (update.step.index == 3)
        assert inpaint.changed_outside(fills, face, hole) == 0
        for fill in fills:
            assert np.array_equal(fill[~hole], face[~hole])
    assert not np.array_equal(fills[0][hole], fills[1][hole])
    assert not np.array_equal(fills[0][hole], face[hole])


def test_fill_i_is_that_of_seed_plus_i(bridge, face, hole):
    *_, (three, _, _) = inpaint.inpaint(bridge, face, hole, 3, 5)
    *_, (one, _, _) = inpaint.inpaint(bridge, face, hole, 1, 7)
    assert np.allclose(three[2], one[0], atol=1e-6)


def test_a_full_mask_is_a_picture_from_nothing(bridge, face):
    full = np.ones((SIZE, SIZE), bool)
    *_, (fills, _, _) = inpaint.inpaint(bridge, face, full, 1)
    *_, (others, _, _) = inpaint.inpaint(bridge, np.zeros_like(face), full, 1)
    assert np.array_equal(fills[0], others[0])


def test_an_empty_mask_is_a_sentence(bridge, face):
    refused(inpaint.inpaint(bridge, face, np.zeros((SIZE, SIZE), bool)), "Nothing is marked")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": 0}, ["number of fills", "1 to 9"]),
        ({"count": float("nan")}, ["number of fills"]),
        ({"steps": 1e9}, ["number of steps"]),
        ({"method": "magic"}, ["method", "conditional", "algorithm2"]),
        ({"solver": "magic"}, ["solver", "dpmpp_2m"]),
    ],
)
def test_inpainting_names_what_is_wrong(bridge, face, hole, options, words):
    refused(inpaint.inpaint(bridge, face, hole, **options), *words)


def test_changed_outside_counts_what_a_visitor_could_see(face, hole):
    changed = face.copy()
    changed[0, 0] = 1 - changed[0, 0]
    changed[6, 6] = 1 - changed[6, 6]  # in the hole
    assert inpaint.changed_outside([face, changed], face, hole) == 1


def test_the_editor_shows_the_picture_and_gives_the_ready_mask_back(face):
    value = inpaint.editor_value(face, preset_holes(SIZE)["eyes"])
    assert value["background"].shape == (inpaint.CANVAS, inpaint.CANVAS, 3)
    drawn = imaging.hole_from_editor(value, SIZE)
    assert np.array_equal(drawn, preset_holes(SIZE)["eyes"])
    assert not imaging.hole_from_editor(inpaint.editor_value(face), SIZE).any()
    assert inpaint.editor_value(None) == {"background": None, "layers": [], "composite": None}


def test_before_and_after_are_equally_large(face):
    before, after = inpaint.compare(face, 1 - face)
    assert before.size == after.size


def test_inpainting_has_an_example(bridge):
    values = inpaint.examples(bridge, [noise(k) for k in range(8)])
    assert "0 pixels changed outside the mask" in values[-1]
    grid = next(v for v in values if isinstance(v, str) and 'data-action="keep"' in v)
    assert grid.count("<figure") == 3


# ---- Pieces of HTML


def test_labels_are_escaped_everywhere():
    face = noise(0)
    pieces = [
        widgets.face_grid([face], [HOSTILE], recipe={}),
        widgets.error_html(HOSTILE),
        widgets.note_html(HOSTILE),
        widgets.done_html({"seed": 1, "nfe": 2, "seconds": 3, "solver": HOSTILE}, HOSTILE),
    ]
    for piece in pieces:
        assert "<script" not in piece and "&lt;script" in piece
        assert 'alert("' not in piece  # a quote would end its attribute


def test_a_face_carries_its_recipe():
    grid = widgets.face_grid([noise(0)], ["seed 7"], recipe={"seed": 7})
    assert 'download="seed-7.png"' in grid and 'alt="seed 7"' in grid
    assert "download" not in widgets.face_grid([noise(0)], ["drawing"])


def test_progress_tells_the_time_left():
    step = SimpleNamespace(index=20, total=2000)
    early = runs.Update(step, False, False, 0.01, 0.1)
    soon = runs.Update(step, False, False, 0.5, 30)
    late = runs.Update(step, False, False, 0.01, 10)
    assert "left" not in widgets.progress_html(early)
    assert "step 20 of 2,000 · 30 s left" in widgets.progress_html(soon)
    assert "16 min left" in widgets.progress_html(late) and "width:1.0%" in widgets.progress_html(
        late
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("solver must be one of a, b; got 'c'"), "Solver must be one of a, b; got 'c'."),
        (imaging.PictureError("Too small."), "Too small."),
        (media.MediaError("a.png could not be saved."), "A.png could not be saved."),
        (RuntimeError("boom at 0x1234"), widgets.OOPS),
        (gr.Error("Said already."), "Said already."),
    ],
)
def test_whatever_goes_wrong_becomes_a_sentence(error, message):
    with pytest.raises(gr.Error) as caught, widgets.sentences():
        raise error
    assert caught.value.message == message


def test_a_bad_picture_of_several_is_named():
    with pytest.raises(imaging.PictureError, match=r"^mask: Please choose"), widgets.about("mask"):
        imaging.open_picture(None)
