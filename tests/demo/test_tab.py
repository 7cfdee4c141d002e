"""What a tab is made of: the handler of its operation."""

from __future__ import annotations

import gradio as gr
import pytest
from PIL import Image

from demo.runs import Stopped
from demo.tab import Form, runner
from demo.tabs import evolution, generate


@pytest.fixture(scope="module")
def start(studio):
    """Begin an operation as its tab does, with values by parameter."""

    def begin(module, outputs, **changes):
        with gr.Blocks():
            form = Form(module.OPERATION.params, model=gr.State("tiny"))
            form.add()
            form.advanced()
        values = [changes.get(name, part.value) for name, part in form.parts.items()]
        show = runner(studio[1], module.OPERATION, form, [None] * outputs, module.show)
        return show(*values, False)

    return begin


@pytest.mark.usefixtures("slow")
def test_stopped_pictures_are_a_result(start):
    moments = start(generate, 2, count=2, seed=7, steps=30)
    grid, drawn, _, line = next(moments)
    assert "data-action" not in grid and drawn == gr.skip() and "step 1 of 30" in line
    ((grid, drawn, seed, line),) = [moments.throw(Stopped()), *moments]
    assert len(drawn.pictures) == 2 and drawn.seed == seed == 7
    assert "drawing" not in grid and 'data-action="evolve"' in grid
    assert "Stopped at step" in line and "left" not in line


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("steps", [1, 25])
def test_a_stopped_particle_has_its_own_strip_and_not_the_last_one(start, steps):
    moments = start(evolution, 2, seed=3, frames=12, mode="paper")
    for _ in range(steps):
        film, strip, _, _ = next(moments)
    assert film != gr.skip() or steps > 1
    assert strip in (None, gr.skip())
    ((_, strip, _, line),) = [moments.throw(Stopped()), *moments]
    assert isinstance(strip, Image.Image) and "Stopped at step" in line and "of 2,000" in line
