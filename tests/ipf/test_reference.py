"""The schedule, and the coupling of Gaussians against the definition of entropic transport."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sbcore.ipf.reference import gaussian_coupling, schedule
from tests.ipf.truth import SIGMA


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("contrast", [1.0, 20.0])
def test_schedule_is_symmetric_for_any_number_of_steps(steps: int, contrast: float) -> None:
    parts = schedule(steps, contrast)
    assert len(parts) == steps
    assert parts == pytest.approx(parts[::-1])
    assert sum(parts) == pytest.approx(1)
    assert max(parts) <= contrast * min(parts) * (1 + 1e-9)
    if steps > 2:
        assert max(parts) == pytest.approx(contrast * min(parts))


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, None])
def test_schedule_refuses_what_is_no_number_of_steps(steps: Any) -> None:
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1"):
        schedule(steps)


@pytest.mark.parametrize("contrast", [0.5, math.inf, math.nan])
def test_schedule_refuses_a_contrast_below_one(contrast: float) -> None:
    with pytest.raises(ValueError, match="contrast"):
        schedule(3, contrast)


@pytest.mark.parametrize("dim", [1, 4])
def test_coupling_of_gaussians_is_that_of_entropic_transport(dim: int) -> None:
    """Its density is a(x) b(y) exp(-|x - y|^2 / 2 sigma^2): the precision couples by -1/sigma^2."""
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(2, dim, dim, generator=generator, dtype=torch.double)
    s, t = roots @ roots.mT + 0.3 * torch.eye(dim)
    c = gaussian_coupling(s, t, SIGMA)
    joint = torch.cat([torch.cat([s, c], 1), torch.cat([c.T, t], 1)])
    precision = torch.linalg.inv(joint)
    assert torch.allclose(precision[:dim, dim:], -torch.eye(dim).double() / SIGMA**2, atol=1e-8)
