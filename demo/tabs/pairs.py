"""Particles between two sets in the plane, both ways, by IPF iteration: half of Translate."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np

from demo import plane, runs, widgets
from sbcore import (
    DIRECTIONS,
    DISTRIBUTIONS,
    BridgePlan,
    BridgeTrainer,
    NetworkConfig,
    Step,
    TranslationBridge,
    plane_end,
)

PARTICLES = 1500
METHODS = {
    "DSBM: iterative Markovian fitting": "dsbm",
    "DSB: iterative proportional fitting": "dsb",
}
STEPS, HALF_STEPS, ITERATIONS, MAX_ITERATIONS = 20, 200, 4, 12
EXAMPLE = ("moons", "spirals")
LOOKS = 0.25  # seconds between two signs of life of a training
UNTRAINED = "not trained yet, so both ways are Brownian motion: press Train"


@dataclass
class Fitted:
    """The bridges of one visitor, by iteration; the first is the reference, untrained."""

    key: str
    """What they were trained for."""
    source: str
    target: str
    bridges: list[TranslationBridge] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    """Distances after each half-bridge."""


def fitter_of(
    source: str, target: str, method: str, sigma: Any, iterations: Any, half_steps: Any
) -> BridgeTrainer:
    """The training of a pair, not begun.

    Raises:
        ValueError: If a set, the method or a number cannot be used; one sentence.
    """
    for name, value in (("source", source), ("target", target)):
        if value not in DISTRIBUTIONS:
            names = ", ".join(DISTRIBUTIONS)
            raise ValueError(f"The {name} must be one of {names}; got {value!s:.40}.")
    if method not in METHODS.values():
        names = ", ".join(METHODS.values())
        raise ValueError(f"The method must be one of {names}; got {method!s:.40}.")
    plan = BridgePlan(
        method,
        sigma=runs.number("Sigma", sigma, 0.1, 10),
        steps=STEPS,
        iterations=runs.whole("The number of iterations", iterations, 1, MAX_ITERATIONS),
        half_steps=runs.whole("The steps of a half-bridge", half_steps, 10, 5000),
        first=2,
        batch_size=512,
        learning_rate=2e-3,
        cache=8000,
        evaluate=PARTICLES,
    )
    return BridgeTrainer(plane_end(source, 0), plane_end(target, 1), NetworkConfig((2,)), plan)


def fit(fitter: BridgeTrainer, fitted: Fitted) -> Iterator[tuple[Any, bool]]:
    """Train, and keep the bridge of every iteration: (progress, whether one is new) as it goes."""
    fitted.bridges[:], fitted.history[:] = [fitter.model()], []
    shown = time.monotonic()
    for progress in fitter:
        new = False
        if progress.evaluation is not None:
            fitted.history.append(progress.evaluation)
            new = progress.evaluation["trained"] == "forward"  # the second half of an iteration
            if new:
                fitted.bridges.append(fitter.model())
        if new or time.monotonic() - shown > LOOKS:
            shown = time.monotonic()
            yield progress, new


# ----------------------------------------------------------------------------------------------
# What the page shows


def way(
    bridge: TranslationBridge, start: np.ndarray, direction: str, seed: int
) -> tuple[list[np.ndarray], Step]:
    """All states of particles on their way, each (n, 2), and the last step."""
    states = [start]
    for step in bridge.translate(start, direction, 1, seed):
        states.append(step.x.numpy())
    return states, step


def film(
    fitted: Fitted, iteration: int, seed: int, play: bool = True
) -> tuple[str, dict[str, Any]]:
    """Both ways at one iteration: the text that `lab.js` plays, and the report."""
    began = time.monotonic()
    bridge = fitted.bridges[iteration]
    ends = [DISTRIBUTIONS[name] for name in (fitted.source, fitted.target)]
    points = [end.sample(PARTICLES, seed).numpy() for end in ends]
    ways, evaluations = {}, 0
    for panel, direction, here in zip(("truth", "run"), DIRECTIONS, (0, 1), strict=True):
        there = 1 - here
        states, last = way(bridge, points[here], direction, seed)
        evaluations += last.nfe.total
        title = f"{direction}: {plane.within(ends[here])} to {plane.within(ends[there])}"
        ways[panel] = plane.one_way(states, points[there], ends[here], title)
    clock = [2 * k / (len(states) - 1) for k in range(len(states))]
    facts = {
        "model": f"{fitted.source} to {fitted.target}",
        "seed": seed,
        "mode": f"iteration {iteration}",
        "solver": bridge.method,
        "steps": last.total,
        "nfe": evaluations,
        "seconds": round(time.monotonic() - began, 3),
        "sigma": bridge.sigma,
    }
    return plane.film_of_ways(ways, clock, PARTICLES, play), facts


def table(fitted: Fitted, chosen: int) -> str:
    """Distances of both ways after every iteration, beside their floors."""
    if not fitted.history:
        return (
            '<div class="numbers"><p>After each iteration, the distance of the particles to the '
            "set that they should end in appears here.</p></div>"
        )
    rows = ""
    for evaluation in fitted.history[1::2]:
        ways = [evaluation[direction] for direction in DIRECTIONS]
        cells = "".join(f"<td>{one['distance']:.3f}</td>" for one in ways)
        mark = ' class="chosen"' if evaluation["iteration"] == chosen else ""
        rows += f"<tr{mark}><th>{evaluation['iteration']}</th>{cells}</tr>"
    floors = "".join(f"<td>{fitted.history[-1][way]['floor']:.3f}</td>" for way in DIRECTIONS)
    return (
        '<div class="numbers"><table><thead><tr><th>iteration</th><th>forward</th>'
        f"<th>backward</th></tr></thead><tbody>{rows}<tr><th>floor</th>{floors}</tr></tbody>"
        "</table><p>Sliced W2 to the set where a way should end; floor: of the set to itself."
        "</p></div>"
    )


@lru_cache(maxsize=1)
def example() -> tuple[Any, ...]:
    """What the tab shows before the first click: film, table, status; worked out once."""
    fitted = Fitted("", *EXAMPLE, [fitter_of(*EXAMPLE, "dsbm", 1.0, 1, HALF_STEPS).model()])
    text, facts = film(fitted, 0, 0)
    return text, table(fitted, 0), widgets.done_html(facts, UNTRAINED)


# ----------------------------------------------------------------------------------------------
# The page


def build(tab: gr.Tab) -> None:
    """Lay out the half and wire it; its example is ready by the time that it is seen."""
    titles = [(one.title, name) for name, one in DISTRIBUTIONS.items()]
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="controls", min_width=280):
            with gr.Row():
                source = gr.Dropdown(titles, value=EXAMPLE[0], label="From", min_width=120)
                target = gr.Dropdown(titles, value=EXAMPLE[1], label="To", min_width=120)
            train, stop = widgets.run_buttons("Train both ways")
            iteration = widgets.Dial(
                0, 1, value=0, step=1, label="IPF iteration", interactive=False,
                info="0 is Brownian motion; each iteration trains both ways once.",
                elem_id="pairs-iteration",
            )  # fmt: skip
            method = gr.Radio(list(METHODS.items()), value="dsbm", label="Method")
            info = "Standard deviation of the Brownian motion over the whole way."
            sigma = widgets.Dial(0.2, 5, value=1, step=0.1, label="sigma", info=info)
            with gr.Accordion("Advanced", open=False):
                iterations = widgets.Dial(
                    1, MAX_ITERATIONS, value=ITERATIONS, step=1, label="Iterations of a training"
                )
                half_steps = widgets.Dial(
                    50, 2000, value=HALF_STEPS, step=50, label="Training steps of a half-bridge"
                )
                seed = gr.Number(0, label="Seed of the particles", precision=0)
            gr.Markdown(
                "Two networks learn to carry one set into the other and back, each from the "
                "paths of the other. Both ways of the finished bridge are the same paths, read "
                "from either end.",
                elem_classes="note",
            )
        with gr.Column(elem_classes="stage"):
            stage = widgets.film_component(elem_id="pairs-stage", min_height=340)
            status = widgets.status_component()
            numbers = gr.HTML("", elem_id="pairs-numbers", min_height=90)
    fitted = gr.State(None, time_to_live=3600)
    tab.select(
        lambda shown: (gr.skip(),) * 3 if shown else example(),
        status,
        [stage, numbers, status],
        **widgets.QUIET,
    )
    chosen = [source, target, method, sigma, iterations, half_steps]
    _wire(chosen, seed, iteration, fitted, (train, stop), [stage, numbers], status)


def _wire(
    chosen: list[Any],
    seed: gr.Number,
    iteration: widgets.Dial,
    fitted: gr.State,
    buttons: tuple[gr.Button, gr.Button],
    views: list[gr.HTML],
    status: gr.HTML,
) -> None:
    """Train, stop, and a film whenever another iteration is chosen."""

    def train(seed: Any, *values: Any) -> Iterator[Any]:
        fitter, seed = fitter_of(*values), runs.seed_of(seed)
        mine = Fitted(json.dumps(values[:4]), *values[:2])
        yield gr.skip(), gr.skip(), gr.skip(), gr.skip(), training_html(fitter, None)
        for progress, new in fit(fitter, mine):
            if not new:
                yield *[gr.skip()] * 4, training_html(fitter, progress)
                continue
            done = len(mine.bridges) - 1
            text, facts = film(mine, done, seed)
            slider = gr.update(maximum=done, value=done, interactive=True)
            last = done == fitter.plan.iterations
            note = f"trained in {fitter.seconds:.0f} s"
            line = widgets.done_html(facts, note) if last else training_html(fitter, progress)
            yield text, table(mine, done), slider, mine, line

    def look(mine: Fitted | None, iteration: Any, seed: Any, *values: Any) -> Iterator[Any]:
        if mine is None:
            yield *example()[:2], widgets.note_html(f"{UNTRAINED.capitalize()}.")
            return
        most = len(mine.bridges) - 1
        number = runs.whole("The iteration", iteration, 0, most)
        text, facts = film(mine, number, runs.seed_of(seed))
        old = mine.key != json.dumps(values[:4])
        note = f"{mine.source} to {mine.target}: train again for your new choice" if old else ""
        yield text, table(mine, number), widgets.done_html(facts, note)

    widgets.run_and_stop(*(*buttons, status, train, [seed, *chosen]), [*views, iteration, fitted])
    widgets.compute(iteration.release, look, [fitted, iteration, seed, *chosen], views, status)


def training_html(fitter: BridgeTrainer, progress: Any) -> str:
    """Progress of a training."""
    fraction, left = (progress.fraction, progress.seconds_left) if progress else (0.0, None)
    text = f"training · iteration {fitter.iteration} of {fitter.plan.iterations}"
    text += f", {fitter.direction}" + ("" if left is None else f" · {left:.0f} s left")
    return widgets.bar_html(fraction, text)
