"""Pieces of HTML, and sentences for whatever goes wrong."""

from __future__ import annotations

import json

import gradio as gr
import pytest

from demo import imaging, media, views, wiring
from demo.runs import Report, Update
from sbcore import Evaluations, Step

HOSTILE = '<script>alert("1")</script>'
REPORT = Report(model="m", seed=1, mode="fast", solver=HOSTILE, steps=2, nfe=2, seconds=3)


def test_labels_are_escaped_everywhere(face):
    grid = views.face_grid([face], [HOSTILE], recipe={})
    pieces = [views.error_html(HOSTILE), views.note_html(HOSTILE), views.done_html(REPORT, HOSTILE)]
    for piece in (grid, *pieces):
        assert "<script" not in piece and "&lt;script" in piece
        assert 'alert("' not in piece  # a quote would end its attribute


def test_a_film_and_a_grid_are_read_back_as_they_were(face):
    film = json.loads(views.film({HOSTILE: [face], "b": [face]}, [HOSTILE], ends=(HOSTILE,) * 3))
    assert film["captions"] == [HOSTILE] and film["track"]["ends"] == [HOSTILE] * 3
    assert all(frame.startswith("data:image/png") for frame in film["layers"][HOSTILE])
    grid = views.face_grid([face], ["seed 7"], recipe={"seed": 7})
    assert 'download="seed-7.png"' in grid and 'alt="seed 7"' in grid
    assert "download" not in views.face_grid([face], ["drawing"])


@pytest.mark.parametrize(
    ("index", "seconds", "wanted"),
    [(20, 0.1, "step 20 of 2,000<"), (1000, 30, "of 2,000 · 30 s left"), (20, 10, "16 min left")],
)
def test_progress_tells_the_time_left(index, seconds, wanted):
    step = Step(1, index, 2000, 0.5, 1.0, None, None, Evaluations())
    line = views.progress_html(Update(step, seconds))
    assert wanted in line and f"width:{index / 20:.1f}%" in line


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("solver must be one of a, b; got 'c'"), "Solver must be one of a, b; got 'c'."),
        (imaging.PictureError("Too small."), "Too small."),
        (media.MediaError("a.png could not be saved."), "A.png could not be saved."),
        (RuntimeError("boom at 0x1234"), wiring.OOPS),
        (gr.Error("Said already."), "Said already."),
    ],
)
def test_whatever_goes_wrong_becomes_a_sentence(error, message):
    with pytest.raises(gr.Error) as caught, wiring.sentences():
        raise error
    assert caught.value.message == message

    def work(*_):
        raise error

    kept, line = wiring.attempt(work, 2)()
    assert kept == gr.skip() and line == views.error_html(message)
