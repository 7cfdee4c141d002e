"""Pairs in the plane: a bridge for every iteration, its film, its numbers, the page."""

from __future__ import annotations

import json
from itertools import pairwise

import gradio as gr
import pytest

from demo import plane
from demo.tabs import pairs
from sbcore import DISTRIBUTIONS
from sbcore.runtime.metrics import sliced_w2
from tests.demo.studio import computing, points_of, values_of


@pytest.fixture(scope="module")
def trained():
    """Two short iterations from moons to rings, each way."""
    fitted = pairs.Fitted("key", "moons", "rings")
    fitter = pairs.fitter_of("moons", "rings", "dsbm", 1.0, 2, 40)
    news = [new for _, new in pairs.fit(fitter, fitted)]
    return fitted, news


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
    text, report = pairs.film(fitted, 2, 3)
    film = json.loads(text)
    assert film["times"][0] == 0 and film["times"][-1] == 2
    assert (report.nfe, report.method, report.iteration) == (2 * pairs.STEPS, "dsbm", 2)
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


@pytest.fixture(scope="module")
def page():
    with gr.Blocks() as page, gr.Tabs(), gr.Tab("Points") as tab:
        pairs.build(tab)
    return page


@pytest.mark.parametrize("method", ["dsb", "dsbm"])
def test_the_page_trains_and_looks_at_any_iteration(page, method):
    train, look = computing(page)  # a training, and the slider
    changes = {"Method": method, "Iterations of a training": 1, "To": "rings"}
    short = changes | {"Training steps of a half-bridge": 10}
    seen = list(train.fn(*values_of(train, **short)))
    film, table, slider, fitted, status = seen[-1]
    assert json.loads(film)["ways"].keys() == {"truth", "run"} and "trained in" in status
    assert slider["maximum"] == slider["value"] == 1 and "floor" in table
    options = {"state": fitted, "IPF iteration": 0}
    *_, (film, _, status) = look.fn(*values_of(look, **options, **short))
    assert f"{method}, iteration 0<" in status and "train again" not in status
    *_, (_, _, status) = look.fn(
        *values_of(look, **options, **short | {"Randomness of the paths": 2})
    )
    assert "moons to rings: train again" in status
    (values,) = look.fn(*values_of(look, **short, **options | {"IPF iteration": 2}))
    assert "iteration must be" in values[-1]


def test_the_best_iteration_is_kept_and_it_is_said_why():
    def after(iteration, forward, backward):
        ways = {"forward": {"distance": forward}, "backward": {"distance": backward}}
        return [{"iteration": iteration, **ways}] * 2

    history = after(1, 0.5, 0.5) + after(2, 0.2, 0.25) + after(3, 0.21, 0.4)
    fitted = pairs.Fitted("", "moons", "rings", [None] * 4, history)
    assert fitted.best == 2
    for words in ("iteration 2 is shown", "backward rose from 0.250 to 0.400", "forward rose"):
        assert words in fitted.verdict
    fitted = pairs.Fitted("", "moons", "rings", [None] * 3, history[:4])
    assert fitted.best == 2 and fitted.verdict == ""
    assert pairs.Fitted("", "moons", "rings", [None]).best == 0  # nothing is trained


def test_a_training_that_is_stopped_shows_its_best(page):
    train, _ = computing(page)
    press, ask = (
        next(block.fn for block in page.fns.values() if block.targets == [(button._id, "click")])
        for text in ("Train both ways", "Stop")
        for button in page.blocks.values()
        if getattr(button, "value", None) == text
    )
    lengths = {"Iterations of a training": 9, "Training steps of a half-bridge": 20}
    press()
    moments = train.fn(*values_of(train, **lengths))
    while (moment := next(moments))[3] == gr.skip():  # the bridges after the first iteration
        pass
    ask()
    *_, (film, table, slider, fitted, line) = moments
    assert json.loads(film)["ways"] and "training stopped after" in line
    assert slider["value"] == fitted.best >= 1 and 'class="chosen"' in table
    assert len(fitted.bridges) < 10 and moment[3] is fitted


def test_the_time_that_is_left_is_a_bound_until_it_is_known():
    fitter = pairs.fitter_of("moons", "rings", "dsbm", 1.0, 1, 10)
    progress = next(iter(fitter))
    assert "at least" in pairs.training_html(fitter, progress)
    fitter.half = 1
    assert "about" in pairs.training_html(fitter, progress)


def test_bad_input_to_a_training_is_a_sentence(page):
    train = computing(page)[0]
    for changes, words in (
        ({"From": "seven"}, "source must be one of"),
        ({"To": None}, "target must be one of"),
        ({"Method": "magic"}, "method must be one of dsbm, dsb"),
        ({"Randomness of the paths": float("nan")}, "Sigma must be"),
        ({"Iterations of a training": 0}, "number of iterations"),
        ({"Training steps of a half-bridge": 1e9}, "steps of a half-bridge"),
        ({"Seed of the particles": -1}, "seed"),
    ):
        (values,) = train.fn(*values_of(train, **changes))
        assert words in values[-1] and all(value == gr.skip() for value in values[:-1])


def test_before_any_training_the_reference_is_shown(page):
    film, table, status = pairs.example()
    assert json.loads(film)["play"] and "Brownian motion" in status and "iteration" in table
    look = computing(page)[1]
    (values,) = look.fn(*values_of(look))
    assert values[0] is film and "Not trained yet" in values[-1]
