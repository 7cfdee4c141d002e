"""What a morph is measured by."""

from __future__ import annotations

import numpy as np
import pytest

from demo import morphs


def test_the_plain_mix_goes_through_all_pictures(face):
    other, third = face[::-1], face[:, ::-1]
    mixes = morphs.mixes([face, other], 5)
    assert np.array_equal(mixes[0], face) and np.array_equal(mixes[-1], other)
    assert np.allclose(mixes[2], (face + other) / 2) and mixes[2].dtype == np.float32
    path = morphs.mixes([face, other, third], 5)
    assert all(np.array_equal(path[2 * k], p) for k, p in enumerate((face, other, third)))


def test_distances_are_levels_of_8_bits():
    frames = [np.full((4, 4, 3), value / 255, np.float32) for value in (0, 10, 13)]
    assert morphs.distances(frames) == pytest.approx([10, 3], rel=1e-4)


def test_psnr_is_that_of_the_literature(face):
    rng = np.random.default_rng(0)
    noisy = face + 0.1 * rng.standard_normal(face.shape)
    assert morphs.psnr(noisy, face) == pytest.approx(20, abs=0.5)
    assert morphs.psnr(face, face) == morphs.MOST_PSNR


def test_curves_share_their_scale_and_say_their_range():
    chart = morphs.chart([4, 8], [5, 5])
    first, second = chart.split("</figure>")[:2]
    assert "<b>4.0 to 8.0</b>" in first and "<b>5.0</b>" in second
    assert "86.0,41.0 186.0,10.0" in first and "86.0,33.2 186.0,33.2" in second
    assert "nan" not in morphs.chart([0, 0], [0, 0])
