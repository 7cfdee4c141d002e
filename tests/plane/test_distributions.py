"""Distributions of the plane: closed forms against the oracle, drawings, bad input."""

from __future__ import annotations

import math

import pytest
import torch

from sbcore import DISTRIBUTIONS, EXTENT, drawn_distribution
from sbcore.plane import distributions
from sbcore.plane.distributions import MOST_CENTRES, MOST_POINTS
from tests.oracles import ring
from tests.plane.truth import RING, SIGMA, TAU, oracle, points

LINE = [[(-3.0, 1.0), (2.0, 1.5), (4.0, -2.0)]]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_fit_the_canvas_and_are_centred(name: str) -> None:
    distribution = DISTRIBUTIONS[name]
    sample = distribution.sample(4000, seed=1)
    assert distribution.name == name and sample.shape == (4000, 2)
    assert float(sample.abs().max()) < EXTENT
    assert float(distribution.mean.abs().max()) < 1e-5
    torch.testing.assert_close(sample.T.cov(), distribution.covariance, atol=0.6, rtol=0)
    assert torch.equal(sample, distribution.sample(4000, seed=1))
    assert not torch.equal(sample, distribution.sample(4000, seed=2))


def test_the_papers_toy_has_its_numbers() -> None:
    torch.testing.assert_close(RING.centres.double(), ring().means, atol=1e-5, rtol=0)
    assert RING.std**2 == pytest.approx(0.01) and torch.equal(RING.modes, RING.centres)


@pytest.mark.parametrize("name", ["six-gaussians", "spirals"])
@pytest.mark.parametrize("s", [0.02, 1.0, 50.0])
def test_closed_forms_are_those_of_the_oracle(name: str, s: float) -> None:
    distribution, x = DISTRIBUTIONS[name], points()
    truth = oracle(distribution)
    near = distribution.sample(50) + s * points(seed=1) / 3
    torch.testing.assert_close(
        distribution.denoised(near, s), truth.denoised(near.double(), s).float(), atol=2e-3, rtol=0
    )
    ratio = truth.log_ratio(x.double(), max(s, SIGMA), TAU).float()
    torch.testing.assert_close(
        distribution.log_ratio(x, max(s, SIGMA), TAU), ratio, atol=1e-3, rtol=1e-4
    )


def test_closed_forms_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    spirals, x = DISTRIBUTIONS["spirals"], points()
    whole = spirals.denoised(x, 0.5), spirals.log_density(x, 0.5)
    monkeypatch.setattr(distributions, "BLOCK", 1)
    torch.testing.assert_close(spirals.denoised(x, 0.5), whole[0])
    torch.testing.assert_close(spirals.log_density(x, 0.5), whole[1])


def test_a_drawing_is_even_along_its_length() -> None:
    uneven = [[(-6.0, 0.0), (-5.9, 0.0), (-5.8, 0.0), (6.0, 0.0)]]
    drawn = drawn_distribution(uneven, std=0.2)
    across = drawn.centres[:, 0].sort().values
    torch.testing.assert_close(across.diff(), across.diff().mean().expand(len(across) - 1))
    assert float(across.diff().mean()) == pytest.approx(0.2, rel=0.05)
    assert (drawn.centres[:, 1] == 0).all()


def test_strokes_have_mass_by_length_and_a_dot_counts() -> None:
    drawn = drawn_distribution([[(0.0, 5.0), (4.0, 5.0)], [(0.0, -5.0), (2.0, -5.0)], [(7.0, 0.0)]])
    y = drawn.centres[:, 1]
    assert int((y == 5).sum()) == pytest.approx(2 * int((y == -5).sum()), abs=1)
    assert 1 <= int((y == 0).sum()) < int((y == -5).sum())


def test_two_dots_and_a_long_scribble_are_drawings() -> None:
    assert len(drawn_distribution([[(0, 0)], [(1, 1)]]).centres) >= 2
    scribble = [[(7.0 * (-1) ** i, -7 + 0.01 * i) for i in range(1400)]]
    assert len(drawn_distribution(scribble).centres) <= MOST_CENTRES + 1


@pytest.mark.parametrize(
    ("strokes", "says"),
    [
        ([], "empty"),
        ([[]], "empty"),
        ([[(1.0, 1.0)]], "single point"),
        ([[(1.0, 1.0), (1.0, 1.0)], [(1.0, 1.0)]], "single point"),
        ([[(0.0, 0.0), (EXTENT + 1, 0.0)]], "leaves the canvas"),
        ([[(0.0, 0.0), (math.nan, 0.0)]], "finite"),
        ([[(0.0, 0.0)] * (MOST_POINTS + 1)], "more than"),
        ([[(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)]], "strokes"),
        ([["a", "b"]], "strokes"),
        (None, "strokes"),
    ],
)
def test_bad_drawings_are_a_sentence(strokes: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        drawn_distribution(strokes)


@pytest.mark.parametrize("std", [0.0, math.nan, 100.0])
def test_a_pen_has_a_width(std: object) -> None:
    with pytest.raises(ValueError, match="std"):
        drawn_distribution(LINE, std)
