"""The Wiener filter against dense linear algebra."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sbcore.twostage.wiener import WienerFilter
from tests.twostage.loops import DIM, MASKS, SHAPE, noise, random_wiener

LEVELS = [0.01, 0.5, 3.0, 40.0]


def dense(linear: WienerFilter) -> Tensor:
    """Sigma = U diag(l) U^T + rest (I - U U^T)."""
    projector = linear.basis.T @ linear.basis
    leading = linear.basis.T @ torch.diag(linear.eigenvalues) @ linear.basis
    return leading + linear.rest * (torch.eye(linear.dim, dtype=torch.float64) - projector)


def power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values**exponent) @ vectors.T


EYE = torch.eye(DIM, dtype=torch.float64)
ranks = pytest.mark.parametrize("rank", [0, 5, DIM])


@ranks
def test_wiener_filter_equals_dense_linear_algebra_each_picture_at_its_level(rank: int) -> None:
    linear, v = random_wiener(rank), noise(4, *SHAPE)
    sigma, got = dense(linear), linear(v, torch.tensor(LEVELS, dtype=torch.float64))
    assert got.shape == v.shape
    for s, picture, found in zip(LEVELS, v.flatten(1), got.flatten(1), strict=True):
        expected = sigma @ torch.linalg.inv(sigma + s**2 * EYE) @ picture
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@ranks
def test_rms_error_equals_the_trace_formula(rank: int) -> None:
    """tr[Sigma - Sigma (Sigma + s^2)^-1 Sigma] / d, the posterior variance per value."""
    linear = random_wiener(rank)
    sigma = dense(linear)
    for s in LEVELS:
        posterior = sigma - sigma @ torch.linalg.inv(sigma + s**2 * EYE) @ sigma
        got = linear.rms_error(torch.tensor([s], dtype=torch.float64))
        assert got.item() == pytest.approx(math.sqrt(posterior.trace() / DIM), rel=1e-9)


@pytest.mark.parametrize("s", LEVELS[:2])
def test_rank_0_is_edm_preconditioning(s: float) -> None:
    """Karras et al. 2022, Table 1: c_skip = d^2 / (s^2 + d^2), c_out = s d / sqrt(s^2 + d^2)."""
    data_std = 0.25
    linear, v = random_wiener(0), noise(2, *SHAPE)
    linear.rest.fill_(data_std**2)
    level = torch.full((2,), s, dtype=torch.float64)
    torch.testing.assert_close(linear(v, level), data_std**2 / (s**2 + data_std**2) * v)
    c_out = s * data_std / math.sqrt(s**2 + data_std**2)
    assert linear.rms_error(level)[0].item() == pytest.approx(c_out, rel=1e-12)


@ranks
@pytest.mark.parametrize("s", [0.0, 2.0])
def test_samples_have_the_smoothed_covariance(rank: int, s: float) -> None:
    """`sample` is linear in the noise, so its matrix gives the covariance exactly."""
    linear = random_wiener(rank)
    root = linear.sample(EYE.view(DIM, *SHAPE), s).flatten(1)
    torch.testing.assert_close(root.T @ root, dense(linear) + s**2 * EYE, rtol=1e-9, atol=1e-9)


@ranks
def test_flow_equals_the_closed_form_and_carries_samples_to_samples(rank: int) -> None:
    """The flow of dv/ds = (v - W_s v) / s: (Sigma + s'^2)^(1/2) (Sigma + s^2)^(-1/2)."""
    linear, v = random_wiener(rank), noise(2, *SHAPE)
    sigma = dense(linear)
    matrix = power(sigma + 0.3**2 * EYE, 0.5) @ power(sigma + 5.0**2 * EYE, -0.5)
    carried = linear.flow(v, 5.0, 0.3)
    torch.testing.assert_close(carried.flatten(1), v.flatten(1) @ matrix.T, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(linear.flow(linear.sample(v, 40.0), 40.0, 0), linear.sample(v, 0))


@ranks
@pytest.mark.parametrize("name", MASKS)
def test_sample_given_equals_dense_conditioning_in_the_hole(rank: int, name: str) -> None:
    """Matheron's rule is affine in the noise: its offset is the mean, its matrix the covariance."""
    linear, known = random_wiener(rank), noise(*SHAPE, seed=5)
    sigma, mask = dense(linear), torch.tensor(MASKS[name]).bool()
    drawn = linear.sample_given(
        known, mask.view(1, 3, 4), torch.cat([0 * EYE[:1], EYE]).view(-1, *SHAPE)
    ).flatten(1)
    mean, root = drawn[0], drawn[1:] - drawn[0]

    hole = ~mask
    gain = sigma[hole][:, mask] @ torch.linalg.inv(sigma[mask][:, mask])
    expected_mean = gain @ known.flatten()[mask]
    expected_covariance = sigma[hole][:, hole] - gain @ sigma[mask][:, hole]
    torch.testing.assert_close(mean[hole], expected_mean, rtol=1e-8, atol=1e-8)
    covariance = root[:, hole].T @ root[:, hole]
    torch.testing.assert_close(covariance, expected_covariance, rtol=1e-8, atol=1e-8)


def test_sample_given_agrees_with_known_pixels_up_to_rest_and_ignores_the_hole() -> None:
    linear, z = random_wiener(5), noise(2000, *SHAPE)
    known = linear.sample(noise(1, *SHAPE, seed=9), 0.0)[0]
    mask = torch.tensor(MASKS["left"]).view(1, 3, 4)
    drawn = linear.sample_given(known, mask, z)
    apart = (drawn - known)[:, :, mask[0].bool()]
    assert apart.square().mean().item() < 4 * linear.rest.item()
    scribbled = torch.where(mask > 0, known, torch.full_like(known, math.nan))
    assert torch.equal(linear.sample_given(scribbled, mask, z), drawn)
