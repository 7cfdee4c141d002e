"""The 2-D lab without a page: runs, training, the film for the browser, what is refused."""

from __future__ import annotations

import base64
import json
import time
from itertools import pairwise

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import plane, widgets
from demo.tabs import lab
from sbcore import DISTRIBUTIONS, EXTENT, DivergedError, PlaneBridge

REPORT = {"model", "seed", "mode", "solver", "steps", "nfe", "seconds", "sigma", "tau", "networks"}
CIRCLE = [[[3 * np.cos(a), 3 * np.sin(a)] for a in np.linspace(0, 6, 40)]]


@pytest.fixture
def bridge():
    return lab.bridge_to("six-gaussians", None, 1.0, 5.0)


@pytest.fixture(scope="module")
def run():
    """The finished example run: trajectory, update, report."""
    bridge = lab.bridge_to("six-gaussians", None, 1.0, 5.0)
    *_, last = lab.particles(bridge, lab.Settings(seed=3))
    return bridge, *last


def points_of(text):
    """Plane units of a packed field."""
    return np.frombuffer(base64.b64decode(text), "<i2").reshape(-1, 2) * plane.STEP


# ---- runs


def test_a_run_ends_at_the_truth_and_says_so(run):
    _, trajectory, update, facts = run
    assert update.final and facts.keys() >= REPORT
    assert facts["model"] == "six-gaussians" and facts["nfe"] == facts["steps"] == 20
    assert facts["sliced_w2"] < 1.5 * facts["floor"]
    assert sum(facts["mode_mass"]) == pytest.approx(1, abs=1e-3)
    assert min(facts["mode_mass"]) > 0.13
    assert not trajectory.states[0].any()  # nothing


@pytest.mark.parametrize("drift", ["exact", "self-normalised"])
def test_paper_mode_runs_with_every_stable_drift(bridge, drift):
    settings = lab.Settings(mode="paper", n1=30, n2=10, n3=4, drift=drift, particles=50)
    *_, (trajectory, update, facts) = lab.particles(bridge, settings)
    assert update.final and facts["steps"] == 40 and facts["drift"] == drift
    assert [step.stage for step in trajectory.steps].count(2) == 10
    assert facts["nfe"] >= 30 + 10


def test_the_clock_of_a_film_rises_from_nothing_over_q_sigma_to_the_data(run):
    clock = run[1].clock
    assert clock[0] == 0 and clock[-1] == 2 and 1 in clock
    assert all(a < b for a, b in pairwise(clock))


@pytest.mark.parametrize(("total", "border"), [(20, 0), (60, 0), (110, 100), (2000, 1000)])
def test_a_film_keeps_start_border_and_end(total, border):
    kept = plane.kept(total, border, lab.FRAMES)
    assert {0, border, total} <= set(kept) and len(kept) <= lab.FRAMES + 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 1}, "number of evaluations"),
        ({"steps": float("nan")}, "number of evaluations"),
        ({"mode": "paper", "n1": 0}, "N1 must be"),
        ({"mode": "paper", "n2": 1.5}, "N2 must be"),
        ({"mode": "paper", "n3": None}, "N3 must be"),
        ({"mode": "warp"}, "mode must be one of fast, paper"),
        ({"drift": "snow"}, "drift must be one of exact"),
        ({"networks": "neural"}, "networks must be one of exact, learned"),
        ({"networks": "learned"}, "not trained"),
        ({"solver": "magic"}, "solver must be one of"),
        ({"particles": 0}, "number of particles"),
        ({"particles": 10**9}, "number of particles"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_run_names_what_is_wrong(bridge, options, words):
    with pytest.raises(ValueError, match=words) as error:
        next(lab.particles(bridge, lab.Settings(**options)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("six-gaussians", None, 0, 5), "Sigma must be a number"),
        (("six-gaussians", None, float("nan"), 5), "Sigma must be a number"),
        (("six-gaussians", None, 1, 0), "Tau must be a number"),
        (("six-gaussians", None, 1, -3), "Tau must be a number"),
        (("six-gaussians", None, 1, None), "Tau must be a number"),
        (("seven", None, 1, 5), "distribution must be one of six-gaussians"),
        ((lab.DRAWN, [], 1, 5), "drawing is empty"),
        ((lab.DRAWN, None, 1, 5), "drawing is empty"),
        ((lab.DRAWN, [[[1, 1]]], 1, 5), "single point"),
        ((lab.DRAWN, [[[0, 0], [2 * EXTENT, 0]]], 1, 5), "leaves the canvas"),
        ((lab.DRAWN, [[[0, 0], [float("nan"), 0]]], 1, 5), "no finite numbers"),
        ((lab.DRAWN, "circle", 1, 5), "strokes"),
        ((lab.DRAWN, [[1, 2]], 1, 5), "strokes"),
    ],
)
def test_a_bridge_names_what_is_wrong(arguments, words):
    with pytest.raises(ValueError, match=words):
        lab.bridge_to(*arguments)


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


def test_the_film_holds_the_particles(run):
    bridge, trajectory, *_ = run
    film = json.loads(plane.film(trajectory, bridge, "closed form"))
    count = film["count"]
    points = points_of(film["particles"]).reshape(-1, count, 2)
    assert len(points) == len(film["times"]) == len(trajectory.states)
    assert abs(points - np.stack(trajectory.states)).max() <= plane.STEP
    colours = np.frombuffer(base64.b64decode(film["colours"]), np.uint8)
    assert len(colours) == count and colours.max() < len(film["palette"]) == 6


def test_the_truth_of_a_film_is_the_distribution_and_two_noises(run):
    bridge, trajectory, *_ = run
    film = json.loads(plane.film(trajectory, bridge, ""))
    ends, smoothing, walk = points_of(film["truth"]).reshape(-1, 3, 2).transpose(1, 0, 2)
    apart = np.linalg.norm(ends[:, None] - bridge.distribution.modes.numpy(), axis=2).min(1)
    assert apart.max() < 6 * bridge.distribution.std
    for noise in (smoothing, walk):
        assert abs(noise.mean()) < 0.1 and abs(noise.std() - 1) < 0.05


def test_particles_have_the_colour_of_where_they_end(run):
    bridge, trajectory, *_ = run
    ends = trajectory.states[-1]
    colour = plane.colours(ends, bridge.distribution)
    shares = np.bincount(colour, minlength=6) / len(ends)
    assert shares == pytest.approx(run[3]["mode_mass"], abs=1e-4)
    rings = DISTRIBUTIONS["rings"]
    around = plane.colours(rings.sample(2000).numpy(), rings)
    assert len(np.unique(around)) == plane.HUES


def test_what_leaves_every_bound_is_still_a_film(run):
    bridge, trajectory, *_ = run
    broken = plane.Trajectory(1.0)
    step = trajectory.steps[3]
    lost = step.x.clone()
    lost[0], lost[1, 0], lost[2] = float("nan"), float("inf"), -1e9
    object.__setattr__(step, "x", lost)  # the run is over
    list(broken.watch(iter([step]), [step.index]))
    points = points_of(json.loads(plane.film(broken, bridge, ""))["particles"])
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
    assert lab.Settings().estimate is None
    assert lab.Settings(**paper, drift="exact").estimate is None
    assert lab.Settings("learned").estimate == {"networks": "learned"}
    estimate = lab.Settings(**paper, drift="self-normalised").estimate
    fields = plane.velocities(bridge, estimate, grid=4)
    assert len(fields["estimate"]) == len(fields["field"])
    assert fields["estimate"] != fields["field"]


def test_numbers_stand_beside_their_floor(run):
    bridge, _, _, facts = run
    text = plane.numbers(facts, bridge.distribution, "<closed form>")
    assert f"{facts['sliced_w2']:.3f}" in text and f"{facts['floor']:.3f}" in text
    assert text.count("<i ") == 6 and "<closed" not in text
    assert "mass" not in plane.numbers({"sliced_w2": 1, "floor": 1}, DISTRIBUTIONS["moons"], "")


def test_the_strip_marks_both_stages(run):
    bridge, trajectory, *_ = run
    strip = plane.strip(trajectory, bridge.distribution)
    assert isinstance(strip, Image.Image) and strip.width > plane.STRIP_FRAMES * plane.TILE
    colours = {colour for _, colour in strip.convert("RGB").getcolors(2**20)}
    assert {(79, 70, 229), (217, 97, 32)} <= colours  # the bars


# ---- the example


def test_the_example_is_ready_at_once_and_worked_out_once():
    start = time.monotonic()
    film, numbers, status = lab.example()
    assert time.monotonic() - start < 10  # on a busy machine; alone 0.6 s
    assert json.loads(film)["play"] and "floor" in numbers and "20 evaluations" in status
    assert len(film) < 500_000
    assert lab.example()[0] is film


# ---- training


def test_training_shows_its_losses_and_ends_with_particles(monkeypatch):
    monkeypatch.setattr(lab, "PREVIEW_SECONDS", 0.3)
    bridge = lab.bridge_to(lab.DRAWN, CIRCLE, 1.0, 5.0)
    list(lab.bridge_to(lab.DRAWN, CIRCLE, 1.0, 5.0).train(iterations=1))  # imports
    values = list(lab.train(bridge, 2, lab.Settings(particles=100)))
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
    mine = lab.Trained("key", bridge)
    assert lab.known(mine, "key", "learned") == (bridge, "")
    film, _, status = list(lab.show(bridge, lab.Settings("learned", particles=50)))[-1]
    assert json.loads(film)["title"] == "learned networks" and "evaluations" in status


@pytest.mark.parametrize("seconds", [0, -1, None, float("nan"), 1e9])
def test_training_names_bad_seconds(bridge, seconds):
    with pytest.raises(ValueError, match="seconds of training"):
        next(lab.train(bridge, seconds, lab.Settings()))


def test_what_the_networks_do_not_know_is_said(bridge):
    mine = lab.Trained("old", bridge)
    assert lab.known(None, "key", "exact") == (None, "")
    for trained in (None, mine):  # stopped before its first step
        assert "press Train" in lab.known(trained, "old", "learned")[1]
    next(bridge.train(iterations=1))
    used, note = lab.known(mine, "new", "learned")
    assert used is None and "six Gaussians, sigma 1, tau 5: train again" in note
    assert "closed form" in note


# ---- the page


@pytest.fixture(scope="module")
def page():
    with gr.Blocks() as page, gr.Tabs(), gr.Tab("2-D lab") as tab:
        lab.build(tab)
    return page


def guarded(page):
    """The page's computing handlers: train, run, resume, and runs at once."""
    return [block for block in page.fns.values() if getattr(block.fn, "__name__", "") == "guarded"]


def values_of(block, **changes):
    """Initial values of a handler's inputs, by label where changed."""
    initial = {}
    for component in block.inputs:
        label = getattr(component, "label", None) or type(component).__name__
        initial[f"{label} {len(initial)}"] = changes.get(label, component.value)
    return list(initial.values())


def test_the_page_computes_in_the_one_queue(page):
    assert len(guarded(page)) == 5
    for block in guarded(page):
        assert block.concurrency_id == "model" and block.queue


def test_networks_belong_to_one_visitor(page):
    states = [c for c in page.blocks.values() if isinstance(c, gr.State)]
    assert {type(state.value) for state in states} == {type(None), list}
    assert not any(isinstance(value, PlaneBridge) for value in vars(lab).values())


def test_a_changed_control_runs_at_once_in_fast_mode_only(page):
    (changed,) = [block for block in guarded(page) if len(block.targets) > 1]
    film, numbers, status = list(changed.fn(*values_of(changed)))[-1]
    assert json.loads(film)["title"] == "closed form" and "recipe" in status
    *_, (film, numbers, status) = changed.fn(*values_of(changed, Mode="paper"))
    assert film == numbers == gr.skip() and "press Run" in status


def test_learned_without_training_falls_back_and_says_so(page):
    (changed,) = [block for block in guarded(page) if len(block.targets) > 1]
    film, _, status = list(changed.fn(*values_of(changed, Networks="learned")))[-1]
    assert json.loads(film)["title"] == "closed form" and "Not trained yet" in status


def test_an_empty_square_invites_to_draw(page):
    (changed,) = [block for block in guarded(page) if len(block.targets) > 1]
    film, _, status = list(changed.fn(*values_of(changed, Distribution=lab.DRAWN)))[-1]
    assert json.loads(film)["drawing"] and json.loads(film)["times"] == []
    assert lab.DRAW_HINT in status


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sigma": 0}, "Sigma must be"),
        ({"tau": float("nan")}, "Tau must be"),
        ({"Distribution": lab.DRAWN}, "drawing is empty"),
        ({"Seconds of training": None}, "seconds of training"),
    ],
)
def test_bad_input_to_train_is_a_sentence_and_nothing_is_lost(page, changes, words):
    train = guarded(page)[0]
    (values,) = train.fn(*values_of(train, **changes))
    assert words in values[-1] and values[-1].startswith(widgets.error_html("")[:18])
    assert all(value == gr.skip() for value in values[:-1])
