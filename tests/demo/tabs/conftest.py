"""A bridge whose network calls last long enough to be seen one by one, and a face."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from demo.photos.photo import Photo
from sbcore import Bridge


@pytest.fixture
def slowly(bridge: Bridge) -> Iterator[None]:
    """Make every network call last longer than the pause between two previews."""
    hook = bridge.denoiser.register_forward_pre_hook(lambda *_: time.sleep(0.11))
    yield
    hook.remove()


@pytest.fixture(scope="session")
def photo(face: np.ndarray) -> Photo:
    return Photo.drawn(face)


@pytest.fixture(scope="session")
def other(face: np.ndarray) -> Photo:
    return Photo.drawn(np.roll(face, 5, 0)[:, ::-1])
