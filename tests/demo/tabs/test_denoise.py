"""Denoise: the noisy twin, the restorations, what is shown of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from demo import media, runs
from demo.photos.photo import Photo
from demo.tabs import denoise
from demo.tabs.denoise import OPERATION
from sbcore import DEFAULTS, SOLVERS
from sbcore.twostage.bridge import LEAST_VARIANCE
from tests.conftest import SIGMA
from tests.demo.conftest import SIZE
from tests.demo.studio import moments, refused


@pytest.mark.usefixtures("slowly")
def test_previews_then_the_restorations(bridge, photo):
    given = {"image": photo, "count": 2, "seed": 5, "steps": 4, "solver": "ddim"}
    *updates, result = moments(OPERATION, model=bridge, **given)
    assert [update.step.index for update in updates] == [1, 2, 3]
    for moment in (*updates, result):
        shown = moment.shown
        for picture in (shown.photo.seen, shown.noisy, *shown.restorations):
            assert picture.min() >= 0 and picture.max() <= 1
    before, after = (moment.shown.restorations[0] for moment in (updates[0], result))
    assert not np.array_equal(before, after)
    assert (result.report.variance, result.report.solver, result.report.nfe) == (1.0, "ddim", 4)


def test_it_restores_what_the_engine_restores(bridge, photo):
    restored = OPERATION.result(model=bridge, image=photo, variance=0.7, count=3, seed=9).shown
    source = runs.to_engine(photo.seen)
    expected = runs.pictures(bridge.denoise(source, 0.7, 3, 9).result())
    assert np.array_equal(restored.restorations, expected)
    assert not np.array_equal(expected[0], expected[1])
    (noisy,) = runs.pictures(bridge.perturb(source, 0.7, 9)[None])
    assert np.array_equal(restored.noisy, media.normalise_contrast(noisy))


def test_more_noise_hides_more(bridge, photo):
    def alike(variance):
        given = {"image": photo, "variance": variance, "count": 1, "steps": 1}
        noisy = OPERATION.result(model=bridge, **given).shown.noisy
        return np.corrcoef(noisy.ravel(), photo.seen.ravel())[0, 1]

    assert OPERATION["variance"].least == LEAST_VARIANCE
    found = [alike(variance) for variance in (LEAST_VARIANCE, 0.1, 1.0, SIGMA**2)]
    assert found == sorted(found, reverse=True) and found[0] > 0.99 and found[-1] < 0.3
    given = {"image": photo, "variance": LEAST_VARIANCE, "count": 1}
    (restored,) = OPERATION.result(model=bridge, **given).shown.restorations
    assert abs(restored - photo.seen).mean() < 0.01


def test_paper_mode_keeps_the_step_of_the_paper(bridge_without_ratio, photo):
    given = {"image": photo, "variance": 0.1, "count": 1, "mode": "paper"}
    report = OPERATION.result(model=bridge_without_ratio, **given).report
    assert report.mode == "paper" and report.solver == "euler_maruyama"
    assert report.steps == round(1000 * 0.1 / SIGMA**2)


def test_the_result_has_downloads_and_buttons(bridge, photo):
    pair, grid, drawn, film = denoise.show(OPERATION.result(model=bridge, image=photo))
    assert len(json.loads(film)["captions"]) == DEFAULTS["denoise"].steps
    assert set(json.loads(film)["layers"]) == set(denoise.LAYERS)
    assert pair.count("<figure") == pair.count("download=") == 2
    assert "the picture" in pair and "noise, variance 1" in pair
    assert len(drawn.pictures) == len(grid.labels) == len(grid.filled.patches) == 4
    assert np.array_equal(drawn.source, photo.seen)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_solver_without_noise_says_that_all_are_alike(bridge, photo, solver):
    given = {"image": photo, "steps": 4, "solver": solver}
    result = OPERATION.result(model=bridge, count=2, **given)
    alike = np.allclose(*result.shown.restorations, atol=1e-5)
    assert alike != SOLVERS[solver].stochastic and ("all alike" in result.note) == alike
    assert "all alike" not in OPERATION.result(model=bridge, count=1, **given).note


@pytest.mark.parametrize("s", [0.1, 0.3])
def test_a_noisy_picture_is_cleaned_as_it_is(bridge, s):
    rng = np.random.default_rng(1)
    clean = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    noisy = Photo.drawn(np.float32(clean + s * rng.standard_normal(clean.shape)))
    given = {"image": noisy, "method": "as it is", "count": 1, "seed": 3}
    result = OPERATION.result(model=bridge, **given)
    assert result.report.variance**0.5 == pytest.approx(s, rel=0.15)
    assert result.report.method == "as it is" and result.shown.noisy is None
    assert np.array_equal(result.outputs["perturbed"], noisy.seen)
    expected = bridge.denoise(runs.to_engine(noisy.seen), None, 1, 3, add_noise=False).result()
    assert np.array_equal(result.shown.restorations, runs.pictures(expected))
    pair, *_ = denoise.show(result)
    level = 255 * result.report.variance**0.5
    assert pair.count("<figure") == 1 and f"noise of {level:.0f} levels" in pair
    told = OPERATION.result(model=bridge, noise=0.2, **given)
    assert told.report.variance == pytest.approx(0.04)
    assert not np.array_equal(told.shown.restorations, result.shown.restorations)


@pytest.mark.parametrize("nothing", [None, "", 0])
def test_noise_in_the_picture_is_measured_unless_it_is_told(bridge, nothing):
    noise = OPERATION["noise"]
    assert noise.check(nothing, {"model": bridge}) is None
    assert noise.check(0.2, {"model": bridge}) == 0.2
    for bad in (False, -0.1, SIGMA + 0.1, "much"):
        with refused(ValueError, "The noise in the picture must be a number"):
            noise.check(bad, {"model": bridge})


def test_the_page_begins_gently(bridge):
    variance = OPERATION["variance"]
    assert variance.default == 1.0 and variance.control().value == denoise.GENTLE < 0.1
