"""The HTTP API: endpoints of their own, apart from the page's widgets, in the same queue.

Pictures go in and out as files. Components, invisible ones, carry them: Gradio then checks that
an input file was really uploaded. Every call ends with a report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from demo import imaging, media, runs, widgets
from demo.models import Models
from demo.tabs import evolution, generate, inpaint, interpolate


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
        variance = gr.Number(0.4, label="variance")
    _endpoint(_generate(models), [count, seed, steps, solver, mode, model], [files, report])
    _endpoint(_evolve(models), [seed, frames, mode, model], [film, strip, report])
    _endpoint(_interpolate(models), [a, b, morphs, variance, seed, model], [files, film, report])
    _endpoint(_inpaint(models), [image, mask, fills, seed, method, model], [files, report])


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


def _waiting(outputs: int, update: runs.Update) -> tuple[Any, ...]:
    """Intermediate value: a yield between evaluations is where a cancelled call stops."""
    return (*[None] * outputs, {"progress": round(update.fraction, 3)})


def _save(pictures: list[Any], folder: Path, facts: dict[str, Any]) -> list[str]:
    """Write pictures as PNG files that carry the recipe."""
    return [
        str(media.save_png(picture, folder, f"{i:02d}", facts | {"picture": i}))
        for i, picture in enumerate(pictures)
    ]


def _generate(models: Models) -> Callable[..., Iterator[Any]]:
    def generate_(count=1, seed=0, steps=None, solver=None, mode="fast", model=None):
        """Draw random pictures. Returns a list of PNG files and a report."""
        with widgets.sentences(), widgets.downloads() as folder:
            run = generate.generate(
                models.get(model or None), count, runs.seed_of(seed), steps, solver, mode
            )
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


def _named(function: Callable[..., Iterator[Any]], name: str) -> Callable[..., Iterator[Any]]:
    function.__name__ = name
    return function
