"""On a ZeroGPU Space: what computes is marked, and all that passes its border can be pickled."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from demo import page, zero
from demo.models import Models
from demo.photos import mask
from tests.demo.studio import CONTRACT, computing, pixels, serving, values_of


class StandIn:
    """``spaces.GPU``: runs a generator behind pickle, as the worker process of a Space does."""

    def __init__(self) -> None:
        self.seconds: list[Any] = []

    def __call__(self, *, duration: Any) -> Callable[..., Any]:
        self.seconds.append(duration)
        return self.behind_pickle

    def behind_pickle(self, work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        @wraps(work)
        def outside(*values: Any) -> Iterator[Any]:
            try:
                for moment in work(*pickle.loads(pickle.dumps(values))):
                    yield pickle.loads(pickle.dumps(moment))
            except gr.Error:
                raise
            except Exception as error:
                raise gr.Error(type(error).__name__) from error  # that is all a Space says

        return outside


@pytest.fixture(scope="module")
def gpu() -> Iterator[StandIn]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zero, "GPU", stand_in := StandIn())
        yield stand_in


@pytest.fixture(scope="module")
def space(gpu: StandIn, checkpoints) -> Iterator[tuple[Client, int]]:
    """A client of a studio that was built there, and the number of handlers that compute."""
    with serving(checkpoints) as (address, _):
        yield Client(address, verbose=False), len(gpu.seconds)


def test_elsewhere_nothing_is_changed():
    assert zero.on_gpu(len) is len


def test_every_handler_that_computes_asks_for_a_gpu_and_says_for_how_long(space, gpu, monkeypatch):
    client, marked = space
    queued = [d for d in client.config["dependencies"] if d["queue"]]
    assert marked == len(queued) >= len(CONTRACT) + 5
    assert set(gpu.seconds) == {zero.seconds} and zero.seconds() == zero.MOST
    monkeypatch.setattr(zero.BUDGET, "seconds", 20.0)
    assert zero.seconds() == 20


def test_an_endpoint_answers_as_elsewhere(space, client, face_file, hole_file):
    files = {"image": handle_file(face_file), "mask": handle_file(hole_file)}
    for name, given in (("/generate", {"steps": 3}), ("/inpaint", files), ("/toy", {"steps": 4})):
        (here, *_), (there, *_) = (
            one.predict(**given, api_name=name) for one in (client, space[0])
        )
        pair = zip(*([one] if isinstance(one, str) else one for one in (here, there)), strict=True)
        assert all(np.array_equal(pixels(a), pixels(b)) for a, b in pair)
    with pytest.raises(AppError, match=r"The number of pictures must be"):
        space[0].predict(count=99, api_name="/generate")


def test_the_page_shows_its_runs_as_elsewhere(gpu, checkpoints, face_file, hole):
    photo = {"file": {"path": face_file}, "mask": mask.encode(hole)}
    wanted = {"generate-grid", "evolution-player", "inpaint-fills"}
    for block in computing(page.build(Models(checkpoints))):
        name = getattr(block.outputs[0], "elem_id", None)
        if block.targets and name in wanted:
            *_, last = block.fn(*values_of(block, **{"Your photo": photo}))
            assert "evaluations" in last[-1]
            wanted.remove(name)
    assert not wanted
