"""The HTTP API: endpoints of their own, apart from the page's widgets, in the same queue.

Pictures go in and out as files. Components, invisible ones, carry them: Gradio then checks that
an input file was really uploaded. Every call ends with a report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from demo import imaging, media, plane, runs, widgets
from demo.models import Models
from demo.tabs import denoise, evolution, generate, inpaint, interpolate, lab, translate
from sbcore import PlaneProgress


def build(models: Models) -> None:
    """Add the endpoints to the Blocks that is being built."""
    with gr.Column(visible=False):
        files = gr.Files(label="pictures")
        film, strip = gr.File(label="animation"), gr.File(label="film strip")
        report = gr.JSON(label="report")
        model = gr.Textbox(None, label="model")
        a, b = (widgets.Picture(label=name, type="filepath") for name in ("image_a", "image_b"))
        image, mask = (widgets.Picture(label=name, type="filepath") for name in ("image", "mask"))
        seed = gr.Number(0, label="seed")
        steps = gr.Number(None, label="steps")
        solver = gr.Textbox(None, label="solver")
        mode = gr.Textbox("fast", label="mode")
        method = gr.Textbox("conditional", label="method")
        count, fills = gr.Number(1, label="count"), gr.Number(3, label="count")
        frames, morphs = gr.Number(24, label="frames"), gr.Number(9, label="frames")
        start = gr.Textbox("closed form", label="start")
        restorations = gr.Number(4, label="count")
        variance, noise = gr.Number(0.4, label="variance"), gr.Number(1.0, label="variance")
        perturbed = gr.File(label="perturbed")
        dataset = gr.Textbox("six-gaussians", label="dataset")
        particles, evaluations = gr.Number(2000, label="particles"), gr.Number(20, label="steps")
        sigma, tau = gr.Number(1.0, label="sigma"), gr.Number(5.0, label="tau")
        networks, drift = gr.Textbox("exact", label="networks"), gr.Textbox("exact", label="drift")
        draws = gr.Number(1, label="n3")
        direction = gr.Textbox("forward", label="direction")
    _endpoint(_generate(models), [count, seed, steps, solver, mode, model, start], [files, report])
    _endpoint(_evolve(models), [seed, frames, mode, model], [film, strip, report])
    _endpoint(_interpolate(models), [a, b, morphs, variance, seed, model], [files, film, report])
    _endpoint(_inpaint(models), [image, mask, fills, seed, method, model], [files, report])
    restored = [perturbed, files, report]
    _endpoint(_denoise(models), [image, noise, restorations, seed, model], restored)
    translated = [image, direction, count, seed, model]
    _endpoint(_translate(models), translated, [files, strip, report])
    toy = [dataset, particles, sigma, tau, evaluations, seed]
    _endpoint(_named(_toy, "toy"), [*toy, networks, mode, solver, drift, draws], [strip, report])


def _endpoint(
    function: Callable[..., Iterator[Any]], inputs: list[Any], outputs: list[Any]
) -> None:
    """Publish a generator under its own name."""
    trigger = gr.Button(visible=False)
    trigger.click(
        function,
        inputs,
        outputs,
        api_name=function.__name__,
        api_description=function.__doc__,
        api_visibility="public",
        **widgets.QUEUE,
    )


def _waiting(outputs: int, update: runs.Update | PlaneProgress) -> tuple[Any, ...]:
    """Intermediate value: a yield between evaluations is where a cancelled call stops."""
    return (*[None] * outputs, {"progress": round(update.fraction, 3)})


def _save(pictures: list[Any], folder: Path, facts: dict[str, Any]) -> list[str]:
    """Write pictures as PNG files that carry the recipe."""
    return [
        str(media.save_png(picture, folder, f"{i:02d}", facts | {"picture": i}))
        for i, picture in enumerate(pictures)
    ]


def _generate(models: Models) -> Callable[..., Iterator[Any]]:
    def generate_(
        count=1, seed=0, steps=None, solver=None, mode="fast", model=None, start="closed form"
    ):
        """Draw random pictures. Returns a list of PNG files and a report.

        ``start`` is stage 1 of fast mode: "closed form", "network" (from the point mass), or
        "noise" (none, Fig. 5).
        """
        with widgets.sentences(), widgets.downloads() as folder:
            bridge = models.get(model or None)
            run = generate.generate(bridge, count, runs.seed_of(seed), steps, solver, mode, start)
            for pictures, update, facts in run:
                if update.final:
                    yield _save(pictures, folder, facts), facts
                else:
                    yield _waiting(1, update)

    return _named(generate_, "generate")


def _evolve(models: Models) -> Callable[..., Iterator[Any]]:
    def evolve_(seed=0, frames=24, mode="fast", model=None):
        """Follow one particle from the point mass to a picture.

        Returns an animation, a film strip (PNG) and a report.
        """
        with widgets.sentences(), widgets.downloads() as folder:
            run = evolution.evolve(models.get(model or None), runs.seed_of(seed), frames, mode)
            for states, update, facts in run:
                if update.final:
                    film = media.animation(states.particles, folder, "evolution")
                    strip = media.save_png(states.strip(), folder, "strip", facts)
                    yield str(film), str(strip), facts
                else:
                    yield _waiting(2, update)

    return _named(evolve_, "evolve")


def _interpolate(models: Models) -> Callable[..., Iterator[Any]]:
    def interpolate_(image_a, image_b, frames=9, variance=0.4, seed=0, model=None):
        """Morph one picture into another.

        Returns the frames as PNG files, an animation and a report.
        """
        with widgets.sentences(), widgets.downloads() as folder:
            bridge = models.get(model or None)
            run = interpolate.interpolate(
                bridge, image_a, image_b, frames, variance, runs.seed_of(seed)
            )
            for pictures, update, facts in run:
                if update.final:
                    film = media.animation(pictures, folder, "morph", boomerang=True)
                    yield _save(pictures, folder, facts), str(film), facts
                else:
                    yield _waiting(2, update)

    return _named(interpolate_, "interpolate")


def _inpaint(models: Models) -> Callable[..., Iterator[Any]]:
    def inpaint_(image, mask, count=3, seed=0, method="conditional", model=None):
        """Fill the white pixels of ``mask`` in ``image``.

        Returns PNG files at the model's resolution and a report.
        """
        with widgets.sentences(), widgets.downloads() as folder:
            bridge = models.get(model or None)
            channels, size, _ = bridge.shape
            with widgets.about("image"):
                picture = imaging.open_picture(image)
                source = imaging.fit_square(picture, size, channels)
            with widgets.about("mask"):
                hole = imaging.hole_from_picture(mask, size, picture.size)
            run = inpaint.inpaint(bridge, source, hole, count, runs.seed_of(seed), method)
            for fills, update, facts in run:
                if update.final:
                    yield _save(fills, folder, facts), facts
                else:
                    yield _waiting(1, update)

    return _named(inpaint_, "inpaint")


def _denoise(models: Models) -> Callable[..., Iterator[Any]]:
    def denoise_(image, variance=1.0, count=4, seed=0, model=None):
        """Add noise of this variance to ``image`` and restore it several times.

        Returns the noisy picture (PNG, its contrast reduced to what a file can hold), the
        restorations as PNG files and a report.
        """
        with widgets.sentences(), widgets.downloads() as folder:
            bridge = models.get(model or None)
            with widgets.about("image"):
                picture = imaging.open_picture(image)
            run = denoise.denoise(bridge, picture, variance, count, runs.seed_of(seed))
            for restored, update, facts in run:
                if update.final:
                    noisy = media.save_png(restored.noisy, folder, "perturbed", facts)
                    yield str(noisy), _save(restored.restorations, folder, facts), facts
                else:
                    yield _waiting(2, update)

    return _named(denoise_, "denoise")


def _translate(models: Models) -> Callable[..., Iterator[Any]]:
    def translate_(image, direction="forward", count=1, seed=0, model=None):
        """Carry ``image`` into the other set of a model ("forward": its source to its target).

        A direction that starts from noise needs no image. Returns the outcomes as PNG files, a film
        strip of their paths (PNG) and a report.
        """
        with widgets.sentences(), widgets.downloads() as folder:
            bridge = models.translation(model or None)
            picture = None
            if not bridge.starts_from_noise(direction):
                with widgets.about("image"):
                    picture = imaging.open_picture(image)
            run = translate.translate(bridge, picture, direction, count, runs.seed_of(seed))
            for journey, update, facts in run:
                if update.final:
                    picture = translate.strip(journey, direction, bridge)
                    strip = media.save_png(picture, folder, "strip", facts)
                    yield _save(journey.outcomes, folder, facts), str(strip), facts
                else:
                    yield _waiting(2, update)

    return _named(translate_, "translate")


def _toy(
    dataset="six-gaussians",
    particles=2000,
    sigma=1.0,
    tau=5.0,
    steps=20,
    seed=0,
    networks="exact",
    mode="fast",
    solver=None,
    drift="exact",
    n3=1,
):
    """Carry particles in the plane from one point to a distribution whose truth is known.

    ``networks`` are "exact" (closed form) or "learned" (trained first, for 40 seconds); in mode
    "paper", ``steps`` are those of each stage, ``drift`` is "exact", "ratio" (as printed) or
    "self-normalised", and ``n3`` is its number of draws. Returns a film strip (PNG) and a report
    with distances to the truth and their floors.
    """
    with widgets.sentences(), widgets.downloads() as folder:
        bridge = lab.bridge_to(dataset, None, sigma, tau)
        run = (networks, mode, steps, solver or None, steps, steps, n3, drift)
        settings = lab.Settings(*run, runs.seed_of(seed), particles).checked()
        if networks == "learned":
            for progress in bridge.train(lab.TRAINING_SECONDS):
                yield _waiting(1, progress)
        for trajectory, update, facts in lab.particles(bridge, settings):
            if update.final:
                picture = plane.strip(trajectory, bridge.distribution)
                yield str(media.save_png(picture, folder, "strip", facts)), facts
            else:
                yield _waiting(1, update)


def _named(function: Callable[..., Iterator[Any]], name: str) -> Callable[..., Iterator[Any]]:
    function.__name__ = name
    return function
