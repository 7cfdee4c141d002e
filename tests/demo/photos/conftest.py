"""A photo with a face of the model's size somewhere in it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def scene() -> Image.Image:
    """Smooth colours and some grain, 120 x 90."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    pixels = np.asarray(coarse.resize((120, 90), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.uint8(np.clip(pixels + rng.integers(-9, 9, pixels.shape), 0, 255)))
