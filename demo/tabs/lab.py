"""The 2-D lab: particles from 0 over q_sigma to a distribution in the plane (Fig. 2 and 3)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import Any

import gradio as gr

from demo import params, plane, runs, tab, views, wiring
from demo.operation import Operation, Picture
from demo.recipe import Recipe
from demo.runs import Kept, Report, Result, Stopped, Update
from sbcore import (
    DISTRIBUTIONS,
    PLANE_SOLVER,
    DivergedError,
    PaperMode,
    PlaneBridge,
    PlaneProgress,
    drawn_distribution,
)

DRAWN = "drawn"
SHAPES = {one.title: name for name, one in DISTRIBUTIONS.items()} | {"Draw one": DRAWN}
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
DIVERGED_ADVICE = "please take the self-normalised or the exact drift, or more steps"
DRAW_HINT = "Draw on the left square; the particles follow when you lift the pen."


@dataclass(frozen=True, kw_only=True)
class Carried(Report):
    """Report of particles; the distances are those of `PlaneBridge.distances`."""

    networks: str
    particles: int
    sigma: float
    tau: float
    n3: int | None = None
    drift: str | None = None
    sliced_w2: float
    floor: float
    energy: float | None = None
    energy_floor: float | None = None
    mode_mass: list[float] | None = None


@dataclass(frozen=True)
class Settings:
    """What a run depends on, beside the bridge."""

    networks: str = "exact"
    mode: str = "fast"
    steps: int = 20
    solver: str | None = None
    n1: int = 100
    n2: int = 100
    n3: int = 1
    drift: str = "exact"
    seed: int = 0
    particles: int = PARTICLES

    @property
    def total(self) -> int:
        """Updates of a run."""
        return self.n1 + self.n2 if self.mode == "paper" else self.steps

    @property
    def options(self) -> dict[str, Any]:
        """Of `PlaneBridge.generate`."""
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


def bridge_to(shape: str, strokes: Any, sigma: float, tau: float) -> PlaneBridge:
    """An untrained bridge.

    Raises:
        ValueError: If the drawing cannot be used; one sentence.
    """
    drawn = shape == DRAWN
    distribution = drawn_distribution(strokes or []) if drawn else DISTRIBUTIONS[shape]
    return PlaneBridge(distribution, sigma, tau)


def toy(
    dataset: str, strokes: Any, sigma: float, tau: float, n1: Any, n2: Any, **settings: Any
) -> Iterator[Update | PlaneProgress | Result]:
    """Carry particles, on networks that are trained first if they are to be learned."""
    bridge, steps = bridge_to(dataset, strokes, sigma, tau), settings["steps"]
    if settings["networks"] == "learned":
        yield from bridge.train(TRAINING_SECONDS)
    yield from particles(bridge, Settings(n1=n1 or steps, n2=n2 or steps, **settings))


def particles(bridge: PlaneBridge, settings: Settings) -> Iterator[Update | Result]:
    """Carry particles to the data; what is shown is the `plane.Trajectory` so far.

    Raises:
        DivergedError: With one sentence.
    """
    trajectory = plane.Trajectory(bridge.sigma)
    border = settings.n1 if settings.mode == "paper" else 0
    run = bridge.generate(settings.particles, settings.seed, **settings.options)
    wanted = plane.kept(settings.total, border, FRAMES)
    kept = Kept(lambda step: step.index in wanted, trajectory.steps)
    try:
        for update in runs.watch(kept.passing(run)):
            if not update.step.final:
                yield update.showing(trajectory)
    except DivergedError as error:  # the engine's advice is for programs
        raise DivergedError(f"{str(error).split(';')[0]}; {DIVERGED_ADVICE}.") from error
    strip = plane.strip(trajectory, bridge.distribution)
    yield Result(trajectory, {"film strip": strip}, _report(bridge, settings, update))


def _report(bridge: PlaneBridge, settings: Settings, update: Update) -> Carried:
    paper, found = settings.mode == "paper", bridge.distances(update.step.x)
    facts = {"seed": settings.seed, "networks": settings.networks, "mode": settings.mode}
    facts |= {"solver": "euler_maruyama" if paper else settings.solver or PLANE_SOLVER}
    facts |= {"particles": settings.particles, "sigma": bridge.sigma, "tau": bridge.tau}
    if paper:
        facts |= {"n3": settings.n3, "drift": settings.drift}
    shares = found.pop("mode_mass", None)
    facts |= {key: round(value, 4) for key, value in found.items()}
    shares = shares and [round(share, 4) for share in shares]
    return Carried.of(update, model=bridge.distribution.name, mode_mass=shares, **facts)


@dataclass(frozen=True)
class Drawing(params.Param):
    """Strokes of the distribution that is drawn; none of another."""

    def convert(self, value: Any, given: Mapping[str, Any]) -> Any:
        """As they are; errors as `drawn_distribution`."""
        nothing = params.is_absent(value) or (isinstance(value, list) and not value)
        if given.get("dataset") != DRAWN or nothing:
            return None
        drawn_distribution(value)
        return value

    def facts(self, value: Any) -> dict[str, Any]:
        """The strokes, if any."""
        return {self.name: value} if value else {}

    def kind(self) -> str:
        """What it takes."""
        return "JSON: strokes, each a list of points [x, y], of the distribution that is drawn"


@dataclass(frozen=True)
class StageSteps(params.Whole):
    """Steps of a stage of paper mode; none for those of fast mode."""

    default: Any = None
    least: float = 1
    most: float = params.MAX_STEPS

    def check(self, value: Any, given: Mapping[str, Any]) -> int | None:
        """A whole number in range."""
        return given.get("steps") if params.is_absent(value) else self.convert(value, given)


OPERATION = Operation(
    "toy",
    """Carry particles in the plane from one point to a distribution whose truth is known.

    ``networks`` are "exact" (closed form) or "learned" (trained first, for 40 seconds); in mode
    "paper", ``steps`` are those of each stage, ``drift`` is "exact", "ratio" (as printed) or
    "self-normalised", and ``n3`` is its number of draws. Returns a film strip (PNG) and a report
    with distances to the truth and their floors.""",
    params=[
        params.Choice(
            "dataset", "six-gaussians", choices=SHAPES, said="The distribution",
            label="Distribution",
        ),
        Drawing("strokes", None, http=False),
        params.Whole(
            "particles", PARTICLES, 2, MAX_PARTICLES, said="The number of particles", page=False
        ),
        params.Number(
            "sigma", 1.0, 0.05, 10, (0.2, 4, 0.1), said="Sigma",
            label="Noise between the stages", help="sigma, its standard deviation.",
        ),
        params.Number(
            "tau", 5.0, 0.05, 100, (0.5, 20, 0.5), said="Tau",
            label="Width of the first walk", help="tau, its variance.",
        ),
        params.Whole(
            "steps", 20, 2, params.MAX_STEPS, (2, 60, 1), said="The number of evaluations",
            label="Network evaluations", optional=True,
        ),
        params.Seed(label="Seed of the particles", advanced=True),
        params.Choice("networks", "exact", choices=NETWORKS, label="Networks"),
        params.Choice(
            "mode", "fast", choices={"fast": "fast", "paper: Algorithm 1": "paper"}, label="Mode"
        ),
        params.solver(),
        params.Choice("drift", "exact", choices=DRIFTS, label="Drift of stage 1"),
        params.Whole(
            "n3", 1, 1, 100, (1, 100, 1), said="N3", label="N3",
            help="Draws behind each drift by density ratio.",
        ),
        *(
            StageSteps(
                name, span=(1, 1000, 1), said=name.upper(), shown=100,
                label=name.upper(), help=f"Steps of stage {stage}.", http=False,
            )
            for stage, name in ((1, "n1"), (2, "n2"))
        ),
    ],
    outputs=[Picture("film strip", "strip")],
    run=toy,
)  # fmt: skip
SECONDS = params.Whole(
    "seconds", TRAINING_SECONDS, 1, MAX_TRAINING_SECONDS, (10, 120, 5),
    said="The seconds of training", label="Seconds of training",
)  # fmt: skip


# ----------------------------------------------------------------------------------------------
# What the page shows of a run


def show(
    bridge: PlaneBridge,
    settings: Settings,
    note: str = "",
    strokes: Any = None,
    loaded: Recipe | None = None,
) -> Iterator[tuple[Any, ...]]:
    """A run as (film, numbers, status).

    A diverged run shows its film up to there before it raises.
    """
    name = "learned networks" if settings.networks == "learned" else "closed form"
    title = _title(name, settings)
    drawing = bridge.distribution.name == DRAWN
    values = {"dataset": bridge.distribution.name, "sigma": bridge.sigma, "tau": bridge.tau}
    values |= asdict(settings) | {"strokes": strokes if drawing else None}
    trajectory = None
    try:
        for moment in OPERATION.recorded(particles(bridge, settings), values):
            trajectory = moment.shown
            if isinstance(moment, Result):
                fields = plane.velocities(bridge, settings.estimate)
                film = plane.film(trajectory, bridge, title, fields=fields, drawing=drawing)
                table = plane.numbers(moment.report.facts(), bridge.distribution, name)
                yield film, table, tab.finished(replace(moment, note=note), loaded)
            elif moment.seconds > 0.5:
                try:
                    yield gr.skip(), gr.skip(), views.progress_html(moment)
                except Stopped:
                    moment.stop()
    except DivergedError:
        if trajectory is not None:
            film = plane.film(trajectory, bridge, f"diverged · {title}", drawing=drawing)
            yield film, plane.NO_NUMBERS, gr.skip()
        raise


def _title(name: str, settings: Settings) -> str:
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
    return views.bar_html(fraction, f"training · {left:.0f} s left · {iteration:,} iterations")


def train(
    bridge: PlaneBridge, seconds: int, settings: Settings, strokes: Any = None
) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Train, then run: (film, numbers, status, loss curves) as it goes.

    Every few seconds the particles show what the networks know so far.
    """
    settings = replace(settings, networks="learned")
    preview = Settings("learned", particles=PREVIEW_PARTICLES)
    drawing = bridge.distribution.name == DRAWN
    history: list[tuple[float, float, float]] = []
    looked = time.monotonic()
    yield gr.skip(), gr.skip(), training_html(0, seconds, 0), plane.curve(history)
    for now in bridge.train(seconds):
        history.append((now.seconds, now.score_loss, now.ratio_loss))
        film = gr.skip()
        if time.monotonic() - looked > PREVIEW_SECONDS and now.fraction < 1:
            *_, result = particles(bridge, preview)
            film = plane.film(result.shown, bridge, "learning", play=False, drawing=drawing)
            looked = time.monotonic()
        status = training_html(now.fraction, now.seconds_left, now.iteration)
        yield film, gr.skip(), status, plane.curve(history)
    note = f"trained in {now.seconds:.0f} s"
    for values in show(bridge, settings, note, strokes):
        yield *values, gr.skip()


# ----------------------------------------------------------------------------------------------
# The page


class Chosen:
    """The values of the controls, checked; errors as `params.check`."""

    def __init__(self, form: tab.Form, values: Any) -> None:
        given = params.check(OPERATION.params, form.read(values))
        self.shape, self.strokes = given.pop("dataset"), given.pop("strokes")
        self.sigma, self.tau = given.pop("sigma"), given.pop("tau")
        self.settings, self.loaded = Settings(**given), form.loaded_of(values)

    @property
    def key(self) -> str:
        """What trained networks depend on."""
        strokes = self.strokes if self.shape == DRAWN else None
        return json.dumps([self.shape, strokes, self.sigma, self.tau])

    def bridge(self) -> PlaneBridge:
        """A new bridge; errors as `bridge_to`."""
        return bridge_to(self.shape, self.strokes, self.sigma, self.tau)


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    form = tab.Form(OPERATION.params, strokes=gr.State(None, time_to_live=3600))
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            buttons, run, seconds, status = _controls(form)
        with tab.stage():
            stage = views.film_component(elem_id="lab-stage", min_height=480)
            with gr.Row(elem_classes="lab-below"):
                table = gr.HTML("", elem_id="lab-numbers", min_height=190)
                curves = gr.HTML(plane.curve([]), elem_id="lab-curves", min_height=190)
    studio.tab.select(
        lambda shown: (gr.skip(),) * 3 if shown else example(),
        status,
        [stage, table, status],
        **wiring.QUIET,
    )
    _wire(form, buttons, run, seconds, [stage, table], curves, status)

    def restore(values: Mapping[str, Any]) -> tuple[str, str]:
        """An empty stage, with the drawing where a distribution is drawn."""
        drawn = values.get("dataset") == DRAWN
        return plane.empty_film(DRAW_HINT, values.get("strokes")) if drawn else "", ""

    return tab.Tab(status, OPERATION, form=form, run=run, restores=[stage, table], restore=restore)


def _controls(form: tab.Form) -> tuple[tuple[gr.Button, gr.Button], gr.Button, Any, gr.HTML]:
    """The left column: Train and Stop, Run, the seconds of training, the status line."""
    form.add("dataset", "networks")
    with gr.Column(elem_classes="go", scale=0):
        buttons = wiring.run_buttons("Train the networks")
        run = gr.Button("Run the particles", size="sm")
        status = views.status_component()
    form.add("sigma", "tau", "mode")
    with gr.Column() as fast:
        form.add("steps", "solver")
    with gr.Column(visible=False) as slow:
        form.add("drift", "n1", "n2", "n3")
    with gr.Accordion("Advanced", open=False):
        form.add("seed")
        seconds = SECONDS.control()
    gr.Markdown(
        "Particles start at one point; one bridge carries them to the data deep in noise, a second "
        "one takes the noise away. Here the truth is known in closed form: train two small "
        "networks from nothing and see what they make of it.",
        elem_classes="note",
    )
    form["mode"].change(
        lambda mode: (gr.update(visible=mode == "fast"), gr.update(visible=mode == "paper")),
        form["mode"],
        [fast, slow],
        **wiring.QUIET,
    )
    return buttons, run, seconds, status


def _wire(
    form: tab.Form,
    buttons: tuple[gr.Button, gr.Button],
    run: gr.Button,
    seconds: Any,
    shown: list[gr.HTML],
    curves: gr.HTML,
    status: gr.HTML,
) -> None:
    """Train, run, stop, and a run whenever a control or the drawing changes."""
    train_button, stop = buttons
    trained = gr.State(None, time_to_live=3600)
    chosen_of = partial(Chosen, form)

    def train_handler(seconds: Any, *values: Any) -> Iterator[Any]:
        chosen, length = chosen_of(values), SECONDS.check(seconds, {})
        mine = Trained(chosen.key, chosen.bridge())
        try:
            for film, numbers, line, losses in train(
                mine.bridge, length, chosen.settings, chosen.strokes
            ):
                yield film, numbers, losses, mine, "learned", line
        except Stopped:  # what the networks have learned until then
            if not mine.bridge.trained:
                raise
            settings = replace(chosen.settings, networks="learned")
            note = "training stopped early"
            for film, numbers, line in show(mine.bridge, settings, note, chosen.strokes):
                yield film, numbers, gr.skip(), mine, "learned", line

    def run_handler(mine: Trained | None, *values: Any) -> Iterator[Any]:
        chosen = chosen_of(values)
        if chosen.shape == DRAWN and not chosen.strokes:
            yield plane.empty_film(DRAW_HINT), "", views.note_html(DRAW_HINT)
            return
        bridge, note = known(mine, chosen.key, chosen.settings.networks)
        settings = chosen.settings
        if bridge is None:
            bridge, settings = chosen.bridge(), replace(settings, networks="exact")
        yield from show(bridge, settings, note, chosen.strokes, chosen.loaded)

    def changed(mine: Trained | None, *values: Any) -> Iterator[Any]:
        """Run at once what is quick."""
        if chosen_of(values).settings.mode == "paper":
            yield gr.skip(), gr.skip(), views.note_html("Now press Run the particles.")
        else:
            yield from run_handler(mine, *values)

    ran = [trained, *form.inputs]
    stops = wiring.run_and_stop(
        *(buttons, status, train_handler, [seconds, *form.inputs]),
        [*shown, curves, trained, form["networks"]],
        beside=[run],
    )
    wiring.run_and_stop(
        (run, stop), status, run_handler, ran, shown, beside=[train_button], stops=stops
    )
    quick = [
        *(form[name].input for name in ("dataset", "networks", "mode", "solver")),
        *(form[name].release for name in ("sigma", "tau", "steps")),
    ]
    at_once = partial(gr.on, quick, trigger_mode="always_last")
    drawn = shown[0].input(_strokes, None, form["strokes"], **wiring.QUIET)
    for listen in (at_once, drawn.then):
        wiring.compute(listen, changed, ran, shown, status)


def _strokes(event: gr.EventData) -> Any:
    """The drawing, as the browser sends it; `drawn_distribution` checks it."""
    return event.strokes
