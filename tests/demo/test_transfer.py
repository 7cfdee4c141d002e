"""Send to: what of it a page may say."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import transfer, views
from demo.tab import Accepts, Tab

OLD = np.full((4, 4, 3), 0.2, np.float32)
DRAWN = views.Drawn([np.zeros((4, 4, 3), np.float32)], seed=40)


@pytest.fixture
def send():
    """Press a button of a grid: what its tab gets, or None."""
    with gr.Blocks() as page:
        with gr.Tabs() as tabs:
            pass
        status, place, grid = gr.HTML(), gr.State(), gr.HTML()
        accepts = {"evolve": Accepts([place], lambda sent: [sent])}
        transfer.wire(tabs, {"one": Tab(status, accepts=accepts, offers=[(grid, gr.State(DRAWN))])})
    (block,) = page.fns.values()

    def press(**event):
        return block.fn(DRAWN, SimpleNamespace(action="evolve", **event)).get(place)

    return press


def test_a_picture_of_an_earlier_run_comes_along(send):
    sent = send(index=0, picture=views.data_uri(OLD, {"seed": 7}), seed=7)
    assert sent.seed == 7 and np.allclose(sent.picture, 0.2) and sent.source is None
    grey = send(index=0, picture=views.data_uri(OLD[..., :1]), seed=0)
    assert grey.picture.shape == (4, 4, 1)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"picture": views.data_uri(OLD)},
        {"picture": views.data_uri(OLD), "seed": -1},
        {"picture": views.data_uri(OLD), "seed": float("nan")},
        {"picture": 5, "seed": 1},
        {"picture": "data:image/png;base64,????", "seed": 1},
        {"picture": "data:image/gif;base64,R0lGODlhAQABAAAAACw=", "seed": 1},
        {"picture": views.data_uri(Image.new("L", (513, 2))), "seed": 1},
        {"picture": views.data_uri(OLD) + "A" * transfer.MOST, "seed": 1},
    ],
)
def test_what_does_not_hold_gives_way_to_the_run_that_is_remembered(send, more):
    assert send(index=0, **more).seed == 40
    assert send(index=1, **more) is None
