"""The Denoise tab without a page: its generator, example, views, and what it refuses."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from demo import imaging, media, runs
from demo.models import Models
from demo.tabs import denoise
from sbcore import SOLVERS
from sbcore.twostage.bridge import LEAST_VARIANCE
from tests.conftest import SIGMA, TINY, save_tiny

SIZE = TINY.image_size
REPORT = {"model", "seed", "mode", "solver", "steps", "nfe", "seconds"}


@pytest.fixture
def face():
    picture = np.random.default_rng(0).random((SIZE, SIZE, 3), dtype=np.float32)
    return imaging.to_uint8(picture).astype(np.float32) / 255


def final(run):
    *_, last = run
    return last


def test_denoising_previews_then_ends(bridge, face):
    hook = bridge.denoiser.register_forward_pre_hook(lambda *_: time.sleep(0.11))
    try:
        run = list(denoise.denoise(bridge, face, count=2, seed=5, steps=4, solver="ddim"))
    finally:
        hook.remove()
    for index, (restored, update, facts) in enumerate(run, start=1):
        assert facts.keys() == REPORT and facts["nfe"] == update.step.index == index
        assert update.final == (index == 4)
        assert len(restored.restorations) == 2
        for picture in (restored.picture, restored.noisy, *restored.restorations):
            assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.float32
            assert picture.min() >= 0 and picture.max() <= 1
    assert not np.array_equal(run[0][0].restorations[0], run[-1][0].restorations[0])
    assert facts.items() >= {"model": "tiny", "seed": 5, "solver": "ddim", "steps": 4}.items()


def test_it_restores_what_the_engine_restores(bridge, face):
    restored, _, _ = final(denoise.denoise(bridge, face, 0.7, 3, 9))
    source = runs.to_engine(face)
    expected = runs.pictures(bridge.denoise(source, 0.7, 3, 9).result())
    assert np.array_equal(restored.restorations, expected)
    assert not np.array_equal(expected[0], expected[1])
    (noisy,) = runs.pictures(bridge.perturb(source, 0.7, 9)[None])
    assert np.array_equal(restored.noisy, media.normalise_contrast(noisy))
    assert np.array_equal(restored.picture, face)


def test_more_noise_hides_more(bridge, face):
    def hidden(variance):
        restored, _, _ = final(denoise.denoise(bridge, face, variance, 1, steps=1))
        return np.corrcoef(restored.noisy.ravel(), face.ravel())[0, 1]

    alike = [hidden(variance) for variance in (LEAST_VARIANCE, 0.1, 1.0, SIGMA**2)]
    assert alike == sorted(alike, reverse=True) and alike[0] > 0.99 and alike[-1] < 0.3


def test_paper_mode_keeps_the_step_of_the_paper(bridge_without_ratio, face):
    run = denoise.denoise(bridge_without_ratio, face, 0.1, 1, mode="paper")
    _, _, facts = final(run)
    assert facts["mode"] == "paper" and facts["solver"] == "euler_maruyama"
    assert facts["steps"] == round(1000 * 0.1 / SIGMA**2)


def test_leaving_stops_the_engine(bridge, face, calls):
    run = denoise.denoise(bridge, face, count=1, steps=50)
    next(run)
    run.close()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": None}, ["There is no picture"]),
        ({"image": __file__}, ["cannot be read as a picture"]),
        ({"variance": 0}, ["noise variance", "1e-06 to 4"]),
        ({"variance": 4.01}, ["noise variance", "to 4"]),
        ({"variance": float("nan")}, ["noise variance", "nan"]),
        ({"variance": float("inf")}, ["noise variance"]),
        ({"variance": "much"}, ["noise variance", "much"]),
        ({"variance": None}, ["noise variance"]),
        ({"count": 0}, ["number of restorations", "1 to 9"]),
        ({"count": 2.5}, ["number of restorations"]),
        ({"count": float("nan")}, ["number of restorations"]),
        ({"steps": 1e9}, ["number of steps"]),
        ({"solver": "magic"}, ["solver", "magic"]),
        ({"mode": "warp"}, ["mode", "warp"]),
    ],
)
def test_it_names_what_is_wrong(bridge, face, calls, options, words):
    with pytest.raises(ValueError) as error:
        next(denoise.denoise(bridge, **{"image": face} | options))
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)
    assert not calls  # before anything is drawn


def test_its_least_variance_is_that_of_the_engine():
    assert denoise.LEAST_VARIANCE == LEAST_VARIANCE


def test_it_has_an_example_with_buttons_for_every_restoration(bridge, face):
    faces = [np.roll(face, k, 0) for k in range(8)]
    _, samples, image, noise, pair, grid, drawn, status = denoise.examples(bridge, faces)
    assert len(samples.pictures) == 8 and isinstance(image, Image.Image)
    assert noise["maximum"] == SIGMA**2 and noise["value"] == denoise.VARIANCE
    assert "sigma² = 4" in noise["info"]
    assert pair.count("<figure") == pair.count("download=") == 2
    assert "the picture" in pair and "noise, variance 1" in pair
    assert len(drawn.pictures) == grid.count("<figure") == grid.count("download=") == 4
    for action, _ in denoise.ACTIONS:
        assert grid.count(f'data-action="{action}"') == 4
    assert "evaluations" in status
    assert np.array_equal(drawn.source, faces[denoise.EXAMPLE_FACE])


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_solver_without_noise_says_that_all_are_alike(bridge, face, solver):
    restored, _, facts = final(denoise.denoise(bridge, face, count=2, steps=4, solver=solver))
    alike = np.allclose(*restored.restorations, atol=1e-5)
    assert alike != SOLVERS[solver].stochastic
    assert ("all alike" in denoise._status(restored, facts)) == alike


def test_one_restoration_is_alike_to_none(bridge, face):
    last = final(denoise.denoise(bridge, face, count=1, steps=2, solver="ddim"))
    assert "alike" not in denoise._status(last[0], last[2])


# ---- on the page


@pytest.fixture(scope="module")
def handlers(tmp_path_factory):
    """Handlers of the tab by name."""
    import gradio as gr

    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder / "tiny", ratio=False)
    with gr.Blocks() as page:
        denoise.build(Models(folder, device="cpu"), gr.Dropdown(["tiny"], value="tiny"))
    return {getattr(block.fn, "__name__", ""): block.fn for block in page.fns.values()}


def test_the_button_restores_and_then_shows_the_recipe(handlers, face):
    options = ("tiny", 3, False, face, 1.0, 2, 4, "", "fast")
    *_, (pair, grid, drawn, seed, status) = handlers["guarded"](*options)
    assert pair.count("download=") == 2 and grid.count("restoration ") >= 2
    assert len(drawn.pictures) == 2 and seed == 3 and "seed 3 · 4 evaluations" in status


def test_a_mistake_costs_nothing_but_a_sentence(handlers, face):
    (values,) = handlers["guarded"]("tiny", 3, False, face, 9.0, 2, 4, "", "fast")
    *kept, status = values
    assert all(value == {"__type__": "update"} for value in kept)
    assert "The noise variance must be a number" in status and 'role="alert"' in status


def test_a_broken_upload_is_refused_at_once(handlers, tmp_path):
    path = tmp_path / "face.png"
    path.write_text("I am no picture")
    picture, status = handlers["opened"]("tiny", str(path))
    assert picture is None and 'role="alert"' in status
    Image.new("RGB", (40, 60), "red").save(path)
    assert "press Denoise" in handlers["opened"]("tiny", str(path))[1]
