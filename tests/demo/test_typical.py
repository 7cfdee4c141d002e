"""What is said of photos that a model has not learned."""

from __future__ import annotations

import numpy as np
import pytest

from demo.photos.photo import Photo
from demo.typical import unlike


@pytest.fixture
def like(bridge):
    """The mean picture: nothing is more like the training set."""
    return Photo.drawn(bridge.denoiser.mean.permute(1, 2, 0).numpy())


@pytest.fixture
def flat(face):
    return Photo.drawn(np.full_like(face, 0.5))


def test_only_what_is_unlike_is_spoken_of(bridge, like, flat):
    assert unlike(bridge, like) == ""
    assert unlike(bridge, flat) == "This is unlike the pictures that the model has learned."
    assert unlike(bridge, flat, "Picture B").startswith("Picture B is unlike")


def test_a_model_of_faces_says_so(bridge, like, flat, monkeypatch):
    monkeypatch.setitem(bridge.facts, "data", {"name": "CelebA, aligned"})
    said = "This does not look like a face: the model has only learned faces."
    assert unlike(bridge, flat) == said and unlike(bridge, like) == ""
