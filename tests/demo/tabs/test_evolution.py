"""Evolution: the states of a film, their captions, the picture at its end."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from PIL import Image

from demo import runs
from demo.tabs import evolution
from demo.tabs.evolution import OPERATION
from sbcore import PaperMode
from tests.demo.studio import moments


@pytest.mark.parametrize("mode", ["fast", "paper"])
@pytest.mark.parametrize("frames", [4, 7])
def test_it_has_the_frames_asked_for_and_its_stages_meet_at_the_split(
    bridge, monkeypatch, mode, frames
):
    monkeypatch.setattr("sbcore.twostage.bridge.PaperMode", partial(PaperMode, n1=20, n2=20))
    result = OPERATION.result(model=bridge, seed=3, frames=frames, mode=mode)
    states, split = result.shown.steps, result.shown.split
    assert len(states) == len(result.outputs["animation"]) == result.report.frames == frames
    assert [step.stage for step in states] == [1] * (split + 1) + [2] * (frames - split - 1)
    assert states[0].index == 0 and states[split].t == states[-1].t == 1


@pytest.mark.usefixtures("slowly")
def test_the_film_grows_while_the_particle_walks(bridge):
    *updates, result = moments(OPERATION, model=bridge, seed=3, frames=12)
    grown = [len(update.shown.steps) for update in updates if update.shown is not None]
    assert len(grown) > 2 and grown == sorted(set(grown)) and grown[-1] < 12
    film = json.loads(updates[0].shown.film())
    assert film["track"]["length"] == 11 and film["track"]["split"] == 5
    assert len(film["captions"]) == grown[0] and film["start"] == grown[0] - 1
    assert film["layers"].keys() == set(evolution.LAYERS)
    assert len(json.loads(result.shown.film())["captions"]) == 12


def test_it_ends_at_the_picture_of_the_seed(bridge):
    result = OPERATION.result(model=bridge, seed=3)
    expected = runs.pictures(bridge.generate(1, 3).result())[0]
    assert np.allclose(result.shown.beliefs[-1], expected, atol=1e-5)


def test_captions_tell_the_way_and_the_strip_comes_in_the_end(bridge):
    result = OPERATION.result(model=bridge, seed=3, frames=8)
    states, (film, strip) = result.shown, evolution.show(result)
    captions = [evolution.caption(step) for step in states.steps]
    assert captions[0].startswith("stage 1, t = 0") and captions[-1] == "end of stage 2: a picture"
    assert "deep in noise" in captions[states.split] and "deviation 2" in captions[states.split]
    assert len(set(captions)) == 8 and json.loads(film)["captions"] == captions
    assert isinstance(strip, Image.Image)
