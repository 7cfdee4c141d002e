"""The 2-D lab: particles from 0 over q_sigma to a distribution in the plane (Fig. 2 and 3)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import gradio as gr

from demo import plane, runs, widgets
from sbcore import (
    DISTRIBUTIONS,
    PLANE_SOLVER,
    SOLVERS,
    Distribution,
    DivergedError,
    PaperMode,
    PlaneBridge,
    drawn_distribution,
)

DRAWN = "drawn"
FRAMES = 41  # states of a film, of a long run
PARTICLES, MAX_PARTICLES, PREVIEW_PARTICLES = 2000, 5000, 1000
TRAINING_SECONDS, MAX_TRAINING_SECONDS = 40, 300
PREVIEW_SECONDS = 4  # between two looks at what the networks know so far
NETWORKS = {"closed form (the truth)": "exact", "learned": "learned"}
DRIFTS = {
    "exact drift": "exact",
    "density ratio as printed": "ratio",
    "density ratio self-normalised": "self-normalised",
}
MODES = {"fast": "fast", "paper: Algorithm 1": "paper"}
DIVERGED_ADVICE = "please take the self-normalised or the exact drift, or more steps"
DRAW_HINT = "Draw on the left square; the particles follow when you lift the pen."


@dataclass(frozen=True)
class Settings:
    """What a run depends on, beside the bridge; checked by `checked`."""

    networks: str = "exact"
    mode: str = "fast"
    steps: Any = 20
    solver: str | None = None
    n1: Any = 100
    n2: Any = 100
    n3: Any = 1
    drift: str = "exact"
    seed: int = 0
    particles: Any = PARTICLES

    def checked(self) -> Settings:
        """The same with whole numbers.

        Raises:
            ValueError: If a setting is out of range; one sentence.
        """
        for name, value, known in (
            ("The networks", self.networks, NETWORKS),
            ("The mode", self.mode, MODES),
            ("The drift", self.drift, DRIFTS),
        ):
            if value not in known.values():
                names = ", ".join(known.values())
                raise ValueError(f"{name} must be one of {names}; got {value!s:.40}.")
        return replace(
            self,
            steps=runs.whole("The number of evaluations", self.steps, 2, runs.MAX_STEPS),
            n1=runs.whole("N1", self.n1, 1, runs.MAX_STEPS),
            n2=runs.whole("N2", self.n2, 1, runs.MAX_STEPS),
            n3=runs.whole("N3", self.n3, 1, 100),
            particles=runs.whole("The number of particles", self.particles, 2, MAX_PARTICLES),
        )

    @property
    def total(self) -> int:
        """Updates of a run."""
        return self.n1 + self.n2 if self.mode == "paper" else self.steps

    @property
    def options(self) -> dict[str, Any]:
        """Of `PlaneBridge.run_steps`."""
        if self.mode == "fast":
            return {"steps": self.steps, "solver": self.solver, "networks": self.networks}
        settings = PaperMode(self.n1, self.n2, self.n3, **self._drift)
        return {"mode": "paper", "paper": settings, "networks": self.networks}

    @property
    def estimate(self) -> dict[str, Any] | None:
        """Of `PlaneBridge.velocity`, where it is not the truth."""
        if self.mode == "fast" or self.drift == "exact":
            return {"networks": "learned"} if self.networks == "learned" else None
        return {"networks": self.networks, "n3": self.n3} | self._drift

    @property
    def _drift(self) -> dict[str, Any]:
        drift = "exact" if self.drift == "exact" else "ratio"
        return {"drift": drift, "self_normalised": self.drift == "self-normalised"}


@dataclass
class Trained:
    """Networks of one visitor."""

    key: str
    """What they were trained for."""
    bridge: PlaneBridge
    training: bool = True
    """False once the training has come to its end, or Stop was seen to."""


def bridge_to(shape: str, strokes: Any, sigma: Any, tau: Any) -> PlaneBridge:
    """An untrained bridge.

    Raises:
        ValueError: If the drawing or a number cannot be used; one sentence.
    """
    sigma = runs.number("Sigma", sigma, 0.05, 10)
    tau = runs.number("Tau", tau, 0.05, 100)
    return PlaneBridge(distribution_of(shape, strokes), sigma, tau)


def distribution_of(shape: str, strokes: Any = ()) -> Distribution:
    """A distribution by name, or the visitor's own; errors as `bridge_to`."""
    if shape == DRAWN:
        return drawn_distribution(strokes or [])
    if shape not in DISTRIBUTIONS:
        names = ", ".join(DISTRIBUTIONS)
        raise ValueError(f"The distribution must be one of {names}; got {shape!s:.40}.")
    return DISTRIBUTIONS[shape]


def particles(
    bridge: PlaneBridge, settings: Settings
) -> Iterator[tuple[plane.Trajectory, runs.Update, dict[str, Any]]]:
    """Carry particles to the data: (states so far, update, report) as they go.

    The report of the last update holds the distances.

    Raises:
        ValueError: If a setting is out of range, or the run diverged; one sentence.
    """
    settings = settings.checked()
    trajectory = plane.Trajectory(bridge.sigma)
    border = settings.n1 if settings.mode == "paper" else 0
    run = bridge.generate(settings.particles, settings.seed, **settings.options)
    watched = trajectory.watch(run, plane.kept(settings.total, border, FRAMES))
    try:
        for update in runs.watch(watched):
            yield trajectory, update, _report(bridge, settings, update)
    except DivergedError as error:  # the engine's advice is for programs
        raise DivergedError(f"{str(error).split(';')[0]}; {DIVERGED_ADVICE}.") from error


def _report(bridge: PlaneBridge, settings: Settings, update: runs.Update) -> dict[str, Any]:
    solver = "euler_maruyama" if settings.mode == "paper" else settings.solver or PLANE_SOLVER
    facts = runs.report(bridge.distribution, update, settings.seed, settings.mode, solver)
    facts |= {"networks": settings.networks, "particles": settings.particles}
    facts |= {"sigma": bridge.sigma, "tau": bridge.tau}
    if settings.mode == "paper":
        facts |= {"n3": settings.n3, "drift": settings.drift}
    if update.final:
        found = bridge.distances(update.step.x)
        facts |= {
            key: [round(share, 4) for share in value] if key == "mode_mass" else round(value, 4)
            for key, value in found.items()
        }
    return facts


# ----------------------------------------------------------------------------------------------
# What the page shows of a run


def show(bridge: PlaneBridge, settings: Settings, note: str = "") -> Iterator[tuple[Any, ...]]:
    """A run as (film, numbers, status).

    A diverged run shows its film up to there before it raises.
    """
    title = _title(settings)
    drawing = bridge.distribution.name == DRAWN
    try:
        for trajectory, update, facts in particles(bridge, settings):
            if update.final:
                fields = plane.velocities(bridge, settings.checked().estimate)
                film = plane.film(trajectory, bridge, title, fields=fields, drawing=drawing)
                table = plane.numbers(facts, bridge.distribution, _name(settings))
                yield film, table, widgets.done_html(facts, note)
            elif update.seconds > 0.5:
                yield gr.skip(), gr.skip(), widgets.progress_html(update)
    except DivergedError:
        film = plane.film(trajectory, bridge, f"diverged · {title}", drawing=drawing)
        yield film, plane.NO_NUMBERS, gr.skip()
        raise


def _name(settings: Settings) -> str:
    return "learned networks" if settings.networks == "learned" else "closed form"


def _title(settings: Settings) -> str:
    name = _name(settings)
    if settings.mode == "fast":
        return name
    (drift,) = (text for text, drift in DRIFTS.items() if drift == settings.drift)
    return f"{name} · {drift}"


@cache
def example() -> tuple[str, str, str]:
    """What the tab shows before the first click: film, numbers, status; worked out once."""
    bridge = bridge_to("six-gaussians", None, 1.0, 5.0)
    *_, last = show(bridge, Settings())
    return last


def known(trained: Trained | None, key: str, networks: str) -> tuple[PlaneBridge | None, str]:
    """The visitor's bridge, if learned networks are wanted and fit; else a sentence why not."""
    if networks != "learned":
        return None, ""
    if trained is None or not trained.bridge.trained:
        return None, "Not trained yet, so shown in closed form: press Train."
    if trained.key != key:
        old = trained.bridge
        drawn = old.distribution.name == DRAWN
        shape = "a drawing" if drawn else plane.within(old.distribution)
        return None, (
            f"The networks were trained on {shape}, sigma {old.sigma:g}, tau {old.tau:g}: "
            "train again; shown in closed form until then."
        )
    return trained.bridge, ""


def training_html(fraction: float, left: float, iteration: int) -> str:
    """Progress of a training."""
    return widgets.bar_html(fraction, f"training · {left:.0f} s left · {iteration:,} iterations")


def train(
    bridge: PlaneBridge, seconds: Any, settings: Settings
) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Train, then run: (film, numbers, status, loss curves) as it goes.

    Every few seconds the particles show what the networks know so far.
    """
    seconds = runs.whole("The seconds of training", seconds, 1, MAX_TRAINING_SECONDS)
    settings = replace(settings, networks="learned").checked()
    preview = Settings("learned", particles=PREVIEW_PARTICLES)
    drawing = bridge.distribution.name == DRAWN
    history: list[tuple[float, float, float]] = []
    looked = time.monotonic()
    yield gr.skip(), gr.skip(), training_html(0, seconds, 0), plane.curve(history)
    for now in bridge.train(seconds):
        history.append((now.seconds, now.score_loss, now.ratio_loss))
        film = gr.skip()
        if time.monotonic() - looked > PREVIEW_SECONDS and now.fraction < 1:
            *_, (trajectory, _, _) = particles(bridge, preview)
            film = plane.film(trajectory, bridge, "learning", play=False, drawing=drawing)
            looked = time.monotonic()
        status = training_html(now.fraction, now.seconds_left, now.iteration)
        yield film, gr.skip(), status, plane.curve(history)
    note = f"trained in {now.seconds:.0f} s"
    for values in show(bridge, settings, note):
        yield *values, gr.skip()


# ----------------------------------------------------------------------------------------------
# The page


@dataclass(frozen=True)
class _Controls:
    """The inputs of every run, in the order of `Chosen`."""

    shape: gr.Radio
    strokes: gr.State
    sigma: widgets.Dial
    tau: widgets.Dial
    networks: gr.Radio
    mode: gr.Radio
    steps: widgets.Dial
    solver: gr.Dropdown
    n1: widgets.Dial
    n2: widgets.Dial
    n3: widgets.Dial
    drift: gr.Radio
    seed: gr.Number

    def all(self) -> list[Any]:
        """As a list of inputs."""
        return list(self.__dict__.values())


class Chosen:
    """The values of the controls."""

    def __init__(self, shape: str, strokes: Any, sigma: Any, tau: Any, *run: Any) -> None:
        self.shape, self.strokes, self.sigma, self.tau = shape, strokes, sigma, tau
        *others, seed = run
        networks, mode, steps, solver, n1, n2, n3, drift = others
        self.settings = Settings(
            networks, mode, steps, solver or None, n1, n2, n3, drift, runs.seed_of(seed)
        )

    @property
    def key(self) -> str:
        """What trained networks depend on."""
        strokes = self.strokes if self.shape == DRAWN else None
        return json.dumps([self.shape, strokes, self.sigma, self.tau])

    def bridge(self) -> PlaneBridge:
        """A new bridge; errors as `bridge_to`."""
        return bridge_to(self.shape, self.strokes, self.sigma, self.tau)


def build(tab: gr.Tab) -> None:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="controls", min_width=280):
            controls, buttons, seconds, paper = _controls()
        with gr.Column(elem_classes="stage"):
            stage = widgets.film_component(elem_id="lab-stage", min_height=480)
            status = widgets.status_component()
            with gr.Row(elem_classes="lab-below"):
                table = gr.HTML("", elem_id="lab-numbers", min_height=190)
                curves = gr.HTML(plane.curve([]), elem_id="lab-curves", min_height=190)
    tab.select(
        lambda shown: (gr.skip(),) * 3 if shown else example(),
        status,
        [stage, table, status],
        **widgets.QUIET,
    )
    fast, slow = paper
    controls.mode.input(
        lambda mode: (gr.update(visible=mode == "fast"), gr.update(visible=mode == "paper")),
        controls.mode,
        [fast, slow],
        **widgets.QUIET,
    )
    _wire(controls, buttons, seconds, stage, table, curves, status)


def _controls() -> tuple[_Controls, tuple[gr.Button, ...], gr.Slider, tuple[gr.Column, ...]]:
    """The left column: controls, buttons, seconds of training, the groups of the two modes."""
    shapes = [(distribution.title, name) for name, distribution in DISTRIBUTIONS.items()]
    shape = gr.Radio([*shapes, ("Draw one", DRAWN)], value="six-gaussians", label="Distribution")
    networks = gr.Radio(list(NETWORKS.items()), value="exact", label="Networks")
    train_button, stop = widgets.run_buttons("Train the networks")
    run = gr.Button("Run the particles", size="sm")
    info = "Standard deviation of the noise between the stages."
    sigma = widgets.Dial(0.2, 4, value=1, step=0.1, label="sigma", info=info)
    info = "Variance of the walk of stage 1."
    tau = widgets.Dial(0.5, 20, value=5, step=0.5, label="tau", info=info)
    mode = gr.Radio(list(MODES.items()), value="fast", label="Mode")
    with gr.Column() as fast:
        steps = widgets.Dial(2, 60, value=20, step=1, label="Network evaluations")
        choices = [("default", "")] + [(solver.title, solver.name) for solver in SOLVERS.values()]
        solver = gr.Dropdown(choices, value="", label="Solver")
    with gr.Column(visible=False) as slow:
        drift = gr.Radio(list(DRIFTS.items()), value="exact", label="Drift of stage 1")
        n1 = widgets.Dial(1, 1000, value=100, step=1, label="N1", info="Steps of stage 1.")
        n2 = widgets.Dial(1, 1000, value=100, step=1, label="N2", info="Steps of stage 2.")
        info = "Draws behind each drift by density ratio."
        n3 = widgets.Dial(1, 100, value=1, step=1, label="N3", info=info)
    with gr.Accordion("Advanced", open=False):
        seed = gr.Number(0, label="Seed of the particles", precision=0)
        seconds = widgets.Dial(10, 120, value=TRAINING_SECONDS, step=5, label="Seconds of training")
    gr.Markdown(
        "Particles start at one point, are pushed to q_sigma, the data under noise, and from "
        "there to the data. Here the truth is known in closed form: train two small networks "
        "from nothing and see what they make of it.",
        elem_classes="note",
    )
    strokes = gr.State([], time_to_live=3600)
    controls = _Controls(
        shape, strokes, sigma, tau, networks, mode, steps, solver, n1, n2, n3, drift, seed
    )
    return controls, (train_button, stop, run), seconds, (fast, slow)


def _wire(
    controls: _Controls,
    buttons: tuple[gr.Button, ...],
    seconds: widgets.Dial,
    stage: gr.HTML,
    table: gr.HTML,
    curves: gr.HTML,
    status: gr.HTML,
) -> None:
    """Train, run, stop, and a run whenever a control or the drawing changes."""
    train_button, stop, run = buttons
    trained = gr.State(None, time_to_live=3600)

    def train_handler(seconds: Any, *values: Any) -> Iterator[Any]:
        chosen = Chosen(*values)
        mine = Trained(chosen.key, chosen.bridge())
        for film, numbers, line, losses in train(mine.bridge, seconds, chosen.settings):
            yield film, numbers, losses, mine, "learned", line
        mine.training = False

    def run_handler(mine: Trained | None, *values: Any) -> Iterator[Any]:
        chosen = Chosen(*values)
        if chosen.shape == DRAWN and not chosen.strokes:
            yield plane.empty_film(DRAW_HINT), "", widgets.note_html(DRAW_HINT)
            return
        bridge, note = known(mine, chosen.key, chosen.settings.networks)
        settings = chosen.settings
        if bridge is None:
            bridge, settings = chosen.bridge(), replace(settings, networks="exact")
        yield from show(bridge, settings, note)

    def changed(mine: Trained | None, *values: Any) -> Iterator[Any]:
        """Run at once what is quick."""
        if Chosen(*values).settings.mode == "paper":
            yield gr.skip(), gr.skip(), widgets.note_html("Now press Run the particles.")
        else:
            yield from run_handler(mine, *values)

    def resume(mine: Trained | None, *values: Any) -> Iterator[Any]:
        """After Stop: what a training that was cut short has learned."""
        if mine is None or not mine.training or not mine.bridge.trained:
            yield (gr.skip(),) * 3
            return
        mine.training = False
        settings = replace(Chosen(*values).settings, networks="learned")
        yield from show(mine.bridge, settings, "training stopped early")

    inputs, shown = controls.all(), [stage, table]
    ran = [trained, *inputs]
    widgets.run_and_stop(
        *(train_button, stop, status, train_handler, [seconds, *inputs]),
        [*shown, curves, trained, controls.networks],
        beside=[run],
    )
    stopped = widgets.run_and_stop(
        run, stop, status, run_handler, ran, shown, beside=[train_button]
    )
    widgets.compute(stopped.then, resume, ran, shown, status)
    quick = [
        *(radio.input for radio in (controls.shape, controls.networks, controls.mode)),
        *(slider.release for slider in (controls.sigma, controls.tau, controls.steps)),
        controls.solver.input,
    ]
    at_once = partial(gr.on, quick, trigger_mode="always_last")
    drawn = stage.input(_strokes, None, controls.strokes, **widgets.QUIET)
    for listen in (at_once, drawn.then):
        widgets.compute(listen, changed, ran, shown, status)


def _strokes(event: gr.EventData) -> Any:
    """The drawing, as the browser sends it; `drawn_distribution` checks it."""
    return event.strokes
