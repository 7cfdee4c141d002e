"""The 2-D lab without a page: runs, training, the film for the browser, what is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from itertools import pairwise

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import plane
from demo.runs import Result
from demo.tab import Studio
from demo.tabs import lab
from sbcore import DISTRIBUTIONS, EXTENT, DivergedError, PlaneBridge
from tests.demo.studio import computing, points_of, values_of

CIRCLE = [[[3 * np.cos(a), 3 * np.sin(a)] for a in np.linspace(0, 6, 40)]]


@pytest.fixture
def bridge():
    return lab.bridge_to("six-gaussians", None, 1.0, 5.0)


@pytest.fixture(scope="module")
def run():
    """The bridge and the finished example run."""
    bridge = lab.bridge_to("six-gaussians", None, 1.0, 5.0)
    *_, result = lab.particles(bridge, lab.Settings(seed=3))
    return bridge, result


# ---- runs


def test_a_run_ends_at_the_truth_and_says_so(run):
    _, result = run
    report, clock = result.report, result.shown.clock
    assert isinstance(result, Result) and report.model == "six-gaussians"
    assert report.nfe == report.steps == 20 and report.sliced_w2 < 1.5 * report.floor
    assert sum(report.mode_mass) == pytest.approx(1, abs=1e-3) and min(report.mode_mass) > 0.13
    assert not result.shown.states[0].any()  # nothing
    assert clock[0] == 0 and clock[-1] == 2 and 1 in clock
    assert all(a < b for a, b in pairwise(clock))


@pytest.mark.parametrize("drift", ["exact", "self-normalised"])
def test_paper_mode_runs_with_every_stable_drift(bridge, drift):
    settings = lab.Settings(mode="paper", n1=30, n2=10, n3=4, drift=drift, particles=50)
    *_, result = lab.particles(bridge, settings)
    assert (result.report.steps, result.report.drift, result.report.n3) == (40, drift, 4)
    assert [step.stage for step in result.shown.steps].count(2) == 10
    assert result.report.nfe >= 30 + 10


@pytest.mark.parametrize(("total", "border"), [(20, 0), (110, 100), (2000, 1000)])
def test_a_film_keeps_start_border_and_end(total, border):
    kept = plane.kept(total, border, lab.FRAMES)
    assert {0, border, total} <= set(kept) and len(kept) <= lab.FRAMES + 1


def test_a_diverged_run_shows_how_far_it_came_and_says_what_to_do(bridge):
    shown = lab.show(bridge, lab.Settings(mode="paper", drift="ratio", n1=30, n2=10))
    film, numbers, _ = next(shown)
    film = json.loads(film)
    assert "diverged" in film["title"] and 0 < film["times"][-1] < 2
    assert abs(points_of(film["particles"])).max() > EXTENT  # one sees them leave
    assert "diverged" in numbers  # not those of the run before
    with pytest.raises(DivergedError, match="self-normalised or the exact drift") as error:
        next(shown)
    assert "PaperMode" not in str(error.value)


# ---- the film


def test_the_film_holds_the_particles_in_the_colours_of_their_ends(run):
    bridge, result = run
    film = json.loads(plane.film(result.shown, bridge, "closed form"))
    states = np.stack(result.shown.states)
    assert film["count"] == states.shape[1] and len(film["times"]) == len(states)
    points = points_of(film["particles"]).reshape(states.shape)
    assert abs(points - states).max() <= plane.STEP
    colours = np.frombuffer(base64.b64decode(film["colours"]), np.uint8)
    assert len(colours) == film["count"] and len(film["palette"]) == 6
    shares = np.bincount(colours, minlength=6) / len(colours)
    assert shares == pytest.approx(result.report.mode_mass, abs=1e-4)
    rings = DISTRIBUTIONS["rings"]  # without modes: by direction
    around = plane.colours(rings.sample(2000).numpy(), rings)
    assert len(np.unique(around)) == plane.HUES


def test_the_truth_of_a_film_is_the_distribution_and_two_noises(run):
    bridge, result = run
    film = json.loads(plane.film(result.shown, bridge, ""))
    ends, smoothing, walk = points_of(film["truth"]).reshape(-1, 3, 2).transpose(1, 0, 2)
    apart = np.linalg.norm(ends[:, None] - bridge.distribution.modes.numpy(), axis=2).min(1)
    assert apart.max() < 6 * bridge.distribution.std
    for noise in (smoothing, walk):
        assert abs(noise.mean()) < 0.1 and abs(noise.std() - 1) < 0.05


def test_what_leaves_every_bound_is_still_a_film(run):
    lost = (step := run[1].shown.steps[3]).x.clone()
    lost[0], lost[1, 0], lost[2] = float("nan"), float("inf"), -1e9
    broken = plane.Trajectory(1.0, [replace(step, x=lost)])
    points = points_of(json.loads(plane.film(broken, run[0], ""))["particles"])
    assert abs(points).max() <= plane.REACH + plane.STEP


def test_velocities_are_sent_for_both_stages(bridge):
    fields = plane.velocities(bridge, None)
    assert "estimate" not in fields
    times, arrows = fields["fieldClock"], points_of(fields["field"])
    assert times == sorted(times) and times[0] > 0 and times[-1] < 2
    assert len(times) == 2 * plane.FIELD_TIMES
    assert len(arrows) == len(times) * len(points_of(fields["where"]))
    assert np.hypot(*arrows.T).max() < 1.6 * 2 * EXTENT / plane.GRID


def test_the_estimate_is_what_the_run_uses(bridge):
    paper = {"mode": "paper", "n3": 2}
    assert lab.Settings().estimate is lab.Settings(**paper, drift="exact").estimate is None
    assert lab.Settings("learned").estimate == {"networks": "learned"}
    estimate = lab.Settings(**paper, drift="self-normalised").estimate
    fields = plane.velocities(bridge, estimate, grid=4)
    assert len(fields["estimate"]) == len(fields["field"])
    assert fields["estimate"] != fields["field"]


def test_numbers_stand_beside_their_floor(run):
    bridge, facts = run[0], run[1].report.facts()
    text = plane.numbers(facts, bridge.distribution, "<closed form>")
    assert f"{facts['sliced_w2']:.3f}" in text and f"{facts['floor']:.3f}" in text
    assert text.count("<i ") == 6 and "<closed" not in text
    assert "mass" not in plane.numbers({"sliced_w2": 1, "floor": 1}, DISTRIBUTIONS["moons"], "")


def test_the_strip_marks_both_stages(run):
    strip = plane.strip(run[1].shown, run[0].distribution)
    assert isinstance(strip, Image.Image) and strip.width > plane.STRIP_FRAMES * plane.TILE
    colours = {colour for _, colour in strip.convert("RGB").getcolors(2**20)}
    assert {(79, 70, 229), (217, 97, 32)} <= colours  # the bars


def test_the_example_plays_is_small_and_worked_out_once():
    film, numbers, status = lab.example()
    assert json.loads(film)["play"] and "floor" in numbers and "20 evaluations" in status
    assert len(film) < 500_000
    assert lab.example()[0] is film


# ---- training


def test_training_shows_its_losses_and_ends_with_particles(monkeypatch):
    monkeypatch.setattr(lab, "PREVIEW_SECONDS", 0.1)
    bridge = lab.bridge_to(lab.DRAWN, CIRCLE, 1.0, 5.0)
    list(lab.bridge_to(lab.DRAWN, CIRCLE, 1.0, 5.0).train(iterations=1))  # imports
    values = list(lab.train(bridge, 1, lab.Settings(particles=100)))
    films = [json.loads(film) for film, *_ in values if isinstance(film, str)]
    assert len(films) > 1 and all(film["drawing"] for film in films)
    assert films[0]["title"] == "learning" and not films[0]["play"]
    assert films[-1]["title"] == "learned networks" and "estimate" in films[-1]
    assert "left" in values[0][2] and "trained in" in values[-1][2]
    curves = [curve for *_, curve in values if isinstance(curve, str)]
    assert "<svg" not in curves[0] and curves[-1].count("<polyline") == 2
    assert bridge.trained


def test_training_that_is_left_can_be_used(bridge):
    training = lab.train(bridge, 60, lab.Settings())
    for _ in range(3):
        next(training)
    training.close()
    assert lab.known(lab.Trained("key", bridge), "key", "learned") == (bridge, "")
    *_, (film, _, status) = lab.show(bridge, lab.Settings("learned", particles=50))
    assert json.loads(film)["title"] == "learned networks" and "evaluations" in status


def test_what_the_networks_do_not_know_is_said(bridge):
    mine = lab.Trained("old", bridge)
    assert lab.known(None, "key", "exact") == (None, "")
    for trained in (None, mine):  # stopped before its first step
        assert "press Train" in lab.known(trained, "old", "learned")[1]
    with pytest.raises(ValueError, match="not trained"):
        next(lab.particles(bridge, lab.Settings("learned")))
    next(bridge.train(iterations=1))
    used, note = lab.known(mine, "new", "learned")
    assert used is None and "six Gaussians, sigma 1, tau 5: train again" in note
    assert "closed form" in note


# ---- the page


@pytest.fixture(scope="module")
def page():
    with gr.Blocks() as page, gr.Tabs(), gr.Tab("2-D lab") as tab:
        lab.build(Studio(None, gr.Dropdown(), tab))
    return page


@pytest.fixture
def changed(page):
    """What a changed control leads to."""
    (block,) = (block for block in computing(page) if len(block.targets) > 1)
    return lambda **changes: list(block.fn(*values_of(block, **changes)))[-1]


def test_networks_belong_to_one_visitor(page):
    states = [one for one in page.blocks.values() if isinstance(one, gr.State)]
    assert states and not any(state.value for state in states)
    assert not any(isinstance(value, PlaneBridge) for value in vars(lab).values())


def test_a_changed_control_runs_at_once_in_fast_mode_only(changed):
    film, numbers, status = changed()
    assert json.loads(film)["title"] == "closed form" and "recipe" in status
    film, _, status = changed(Networks="learned")
    assert json.loads(film)["title"] == "closed form" and "Not trained yet" in status
    film, numbers, status = changed(Mode="paper")
    assert film == numbers == gr.skip() and "press Run" in status
    film, _, status = changed(Distribution=lab.DRAWN)
    assert json.loads(film)["drawing"] and json.loads(film)["times"] == []
    assert lab.DRAW_HINT in status


def test_bad_input_to_train_is_a_sentence_and_nothing_is_lost(page):
    train = computing(page)[0]
    for changes, words in (
        ({"Width of the first walk": float("nan")}, "Tau must be"),
        ({"N1": 0}, "N1 must be"),
        ({"N2": 1.5}, "N2 must be"),
        ({"Distribution": lab.DRAWN}, "drawing is empty"),
        ({"Seconds of training": None}, "The seconds of training must be"),
    ):
        (values,) = train.fn(*values_of(train, **changes))
        assert words in values[-1] and 'role="alert"' in values[-1]
        assert all(value == gr.skip() for value in values[:-1])
