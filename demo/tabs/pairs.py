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

from demo import params, plane, tab, views, wiring
from demo.inputs import Dial
from demo.runs import Report, Stopped
from demo.server.turns import spell
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


@dataclass(frozen=True, kw_only=True)
class Walked(Report):
    """Report of particles that went both ways; ``nfe`` counts both."""

    method: str
    iteration: int
    sigma: float

    @property
    def way(self) -> str:
        """How they were drawn, in words."""
        return f"{self.method}, iteration {self.iteration}"


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

    @property
    def best(self) -> int:
        """The iteration after which both ways together end nearest to their sets."""
        apart = [sum(one[way]["distance"] for way in DIRECTIONS) for one in self.history[1::2]]
        return 1 + apart.index(min(apart)) if apart else 0

    @property
    def verdict(self) -> str:
        """Why that iteration is shown, where it is not the last."""
        best, last = self.best, len(self.bridges) - 1
        if best == last:
            return ""
        before, after = (self.history[2 * k - 1] for k in (best, last))
        rose = [way for way in DIRECTIONS if after[way]["distance"] > before[way]["distance"]]
        moved = " and ".join(
            f"{way} rose from {before[way]['distance']:.3f} to {after[way]['distance']:.3f}"
            for way in rose
        )
        return f"iteration {best} is shown, the nearest: {moved} by iteration {last}"


TITLES = {one.title: name for name, one in DISTRIBUTIONS.items()}
PARAMS = [
    params.Choice("source", EXAMPLE[0], choices=TITLES, menu=True, label="From"),
    params.Choice("target", EXAMPLE[1], choices=TITLES, menu=True, label="To"),
    params.Choice("method", "dsbm", choices=METHODS, label="Method"),
    params.Number(
        "sigma", 1.0, 0.1, 10, (0.2, 5, 0.1), said="Sigma",
        label="Randomness of the paths",
        help="sigma, the standard deviation of Brownian motion over the whole way.",
    ),
    params.Whole(
        "iterations", ITERATIONS, 1, MAX_ITERATIONS, (1, MAX_ITERATIONS, 1), advanced=True,
        said="The number of iterations", label="Iterations of a training",
    ),
    params.Whole(
        "half_steps", HALF_STEPS, 10, 5000, (50, 2000, 50), advanced=True,
        said="The steps of a half-bridge", label="Training steps of a half-bridge",
    ),
    params.Seed(label="Seed of the particles", advanced=True),
]  # fmt: skip


def fitter_of(
    source: str, target: str, method: str, sigma: float, iterations: int, half_steps: int
) -> BridgeTrainer:
    """The training of a pair, not begun."""
    plan = BridgePlan(
        method,
        sigma=sigma,
        steps=STEPS,
        iterations=iterations,
        half_steps=half_steps,
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


def film(fitted: Fitted, iteration: int, seed: int, play: bool = True) -> tuple[str, Walked]:
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
    report = Walked(
        model=f"{fitted.source} to {fitted.target}",
        seed=seed,
        mode="fast",
        solver="walk",
        steps=last.total,
        nfe=evaluations,
        seconds=round(time.monotonic() - began, 3),
        method=bridge.method,
        iteration=iteration,
        sigma=bridge.sigma,
    )
    return plane.film_of_ways(ways, clock, PARTICLES, play), report


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
    return text, table(fitted, 0), views.done_html(facts, UNTRAINED)


# ----------------------------------------------------------------------------------------------
# The page


def build(shown_in: gr.Tab) -> None:
    """Lay out the half and wire it; its example is ready by the time that it is seen."""
    form = tab.Form(PARAMS)
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            with gr.Row():
                form.add("source", "target")
            buttons, status = tab.go("Train both ways")
            iteration = Dial(
                0, 1, value=0, step=1, label="IPF iteration", interactive=False,
                info="0 is Brownian motion; each iteration trains both ways once.",
                elem_id="pairs-iteration",
            )  # fmt: skip
            form.add()
            form.advanced()
            gr.Markdown(
                "Two networks learn to carry one set into the other and back, each from the "
                "paths of the other. Both ways of the finished bridge are the same paths, read "
                "from either end.",
                elem_classes="note",
            )
        with tab.stage():
            stage = views.film_component(elem_id="pairs-stage", min_height=340)
            numbers = gr.HTML("", elem_id="pairs-numbers", min_height=90)
    shown_in.select(
        lambda shown: (gr.skip(),) * 3 if shown else example(),
        status,
        [stage, numbers, status],
        **wiring.QUIET,
    )
    _wire(form, iteration, buttons, [stage, numbers], status)


def _wire(
    form: tab.Form,
    iteration: Dial,
    buttons: tuple[gr.Button, gr.Button],
    shown: list[gr.HTML],
    status: gr.HTML,
) -> None:
    """Train, stop, and a film whenever another iteration is chosen."""
    fitted = gr.State(None, time_to_live=3600)

    def seen(mine: Fitted, iteration: int, seed: int) -> tuple[Any, ...]:
        """Film, table, slider, bridges and report of an iteration."""
        text, report = film(mine, iteration, seed)
        most = len(mine.bridges) - 1
        slider = gr.update(maximum=max(1, most), value=iteration, interactive=most > 0)
        return text, table(mine, iteration), slider, mine, report

    def train(*values: Any) -> Iterator[Any]:
        chosen = params.check(PARAMS, form.read(values))
        seed = chosen.pop("seed")
        fitter, mine = fitter_of(**chosen), Fitted(key(chosen), chosen["source"], chosen["target"])
        yield *[gr.skip()] * 4, training_html(fitter, None)
        ended = "trained in"
        try:
            for progress, new in fit(fitter, mine):
                line = training_html(fitter, progress)
                if new:
                    yield *seen(mine, len(mine.bridges) - 1, seed)[:-1], line
                else:
                    yield *[gr.skip()] * 4, line
        except Stopped:
            ended = "training stopped after"
        *shown, report = seen(mine, mine.best, seed)
        notes = f"{ended} {fitter.seconds:.0f} s", mine.verdict
        yield *shown, views.done_html(report, "; ".join(filter(None, notes)))

    def look(mine: Fitted | None, iteration: Any, *values: Any) -> Iterator[Any]:
        if mine is None:
            yield *example()[:2], views.note_html(f"{UNTRAINED.capitalize()}.")
            return
        chosen = params.check(PARAMS, form.read(values))
        wanted = params.Whole("iteration", 0, 0, len(mine.bridges) - 1).check(iteration, {})
        text, report = film(mine, wanted, chosen["seed"])
        old = mine.key != key(chosen)
        note = f"{mine.source} to {mine.target}: train again for your new choice" if old else ""
        yield text, table(mine, wanted), views.done_html(report, note)

    wiring.run_and_stop(buttons, status, train, form.inputs, [*shown, iteration, fitted])
    inputs = [fitted, iteration, *form.inputs]
    wiring.compute(iteration.release, look, inputs, shown, status)


def key(chosen: dict[str, Any]) -> str:
    """What trained networks depend on, but for how long."""
    return json.dumps([chosen[name] for name in ("source", "target", "method", "sigma")])


def training_html(fitter: BridgeTrainer, progress: Any) -> str:
    """Progress of a training.

    Its first half-bridge simulates no network and is the quickest: until it is over, the time
    that is left is a lower bound.
    """
    text = f"training · iteration {fitter.iteration} of {fitter.plan.iterations}"
    text += f", {fitter.direction}"
    if progress is None:
        return views.bar_html(0.0, text)
    bound = "about" if fitter.half else "at least"
    return views.bar_html(
        progress.fraction, f"{text} · {bound} {spell(progress.seconds_left)} left"
    )
