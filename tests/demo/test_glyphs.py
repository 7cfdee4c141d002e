"""Digits and letters as strokes, and as the sets hold them."""

from __future__ import annotations

import numpy as np
import pytest

from demo import glyphs

SIZE = 28


@pytest.mark.parametrize("name", glyphs.SCRIPTS)
@pytest.mark.parametrize("size", [28, 56])
def test_examples_lie_where_their_set_has_its_ink(name, size):
    script = glyphs.SCRIPTS[name]
    assert len(script.glyphs) == 10
    pictures = [glyphs.write(strokes, script, size) for strokes in script.glyphs.values()]
    for picture in pictures:
        assert picture.shape == (size, size, 1) and picture.dtype == np.float32
        assert picture.min() == 0 and 0.95 < picture.max() <= 1
        ink = picture[..., 0] > glyphs.INK
        sides = [np.ptp(np.flatnonzero(ink.any(axis))) + 1 for axis in (0, 1)]
        assert abs(max(sides) * 28 / size - script.box) <= 1
    apart = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(apart) > 0.02


def test_digits_have_their_centre_of_mass_in_the_middle():
    for strokes in glyphs.DIGITS.values():
        picture = glyphs.write(strokes, glyphs.SCRIPTS["digits"], SIZE)[..., 0]
        for axis in (0, 1):
            middle = (picture.sum(1 - axis) * (np.arange(SIZE) + 0.5)).sum() / picture.sum()
            assert abs(middle - SIZE / 2) <= 0.6


def test_where_and_how_large_one_draws_does_not_matter():
    small = [[(0.6 + 0.3 * x, 0.1 + 0.3 * y) for x, y in line] for line in glyphs.DIGITS["4"]]
    one, other = (
        glyphs.write(strokes, glyphs.SCRIPTS["digits"], SIZE)
        for strokes in (small, glyphs.DIGITS["4"])
    )
    assert np.abs(one - other).mean() < 0.02


def test_a_plain_pen_draws_where_it_is_drawn():
    picture = glyphs.write([[(0.25, 0.5), (0.75, 0.5)]], glyphs.script_of("cats"), 40)[..., 0]
    assert picture[20, 20] == 1 and not picture[:15].any() and not picture[:, :8].any()


@pytest.mark.parametrize(
    ("strokes", "words"),
    [
        (None, "drawing is empty"),
        ([[]], "drawing is empty"),
        ([[(0.5, 0.5), (0.51, 0.5)]], "a dot"),
        ([[(0.1, 0.1), (2, 0.5)]], "leaves its square"),
        ([[(0.1, 0.1), (float("nan"), 0.5)]], "leaves its square"),
        ([[1, 2]], "list of lists"),
        ([[(1, 2, 3)]], "list of lists"),
        ([[{"x": 1}]], "list of lists"),
        (7, "list of lists"),
        ([[(0.1, 0.1)] * 30_000], "20,000 points"),
    ],
)
def test_a_drawing_that_is_none_is_a_sentence(strokes, words):
    with pytest.raises(glyphs.DrawingError, match=words):
        glyphs.write(strokes, glyphs.SCRIPTS["digits"], SIZE)
