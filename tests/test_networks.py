"""The Wiener filter against dense linear algebra; the denoiser's contract; shapes and configs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sbcore.networks.mlp import PointMLP
from sbcore.networks.unet import UNet
from sbcore.twostage.denoiser import Denoiser, DenoiserConfig, image_denoiser, point_denoiser
from sbcore.twostage.ratio import DensityRatioNet, PointDensityRatio
from sbcore.twostage.wiener import WienerFilter
from tests.conftest import TINY, perturb, tiny_denoiser
from tests.oracles import isotropic

SHAPE = (1, 3, 4)  # a picture of 12 values
DIM = 12
LEVELS = [0.01, 0.5, 3.0, 40.0]


def random_wiener(rank: int, seed: int = 0) -> WienerFilter:
    """A float64 filter with random directions and variances."""
    generator = torch.Generator().manual_seed(seed)
    linear = WienerFilter(DIM, rank).double()
    start = torch.randn(DIM, DIM, generator=generator, dtype=torch.float64)
    linear.basis.copy_(torch.linalg.qr(start).Q[:rank])
    linear.eigenvalues.copy_(5.0 / torch.arange(1, rank + 1, dtype=torch.float64) ** 1.2)
    linear.rest.fill_(0.07)
    return linear


def dense(linear: WienerFilter) -> Tensor:
    """Sigma = U diag(l) U^T + rest (I - U U^T)."""
    projector = linear.basis.T @ linear.basis
    leading = linear.basis.T @ torch.diag(linear.eigenvalues) @ linear.basis
    return leading + linear.rest * (torch.eye(linear.dim, dtype=torch.float64) - projector)


def noise(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values**exponent) @ vectors.T


EYE = torch.eye(DIM, dtype=torch.float64)
ranks = pytest.mark.parametrize("rank", [0, 1, 5, DIM])


# ----------------------------------------------------------------------------------------------
# Wiener filter


@ranks
@pytest.mark.parametrize("s", LEVELS)
def test_wiener_filter_equals_dense_linear_algebra(rank: int, s: float) -> None:
    linear, v = random_wiener(rank), noise(4, *SHAPE)
    sigma = dense(linear)
    expected = v.flatten(1) @ (sigma @ torch.linalg.inv(sigma + s**2 * EYE)).T
    got = linear(v, torch.full((4,), s, dtype=torch.float64))
    assert got.shape == v.shape
    torch.testing.assert_close(got.flatten(1), expected, rtol=1e-9, atol=1e-9)


@ranks
def test_wiener_filter_takes_each_picture_at_its_own_level(rank: int) -> None:
    linear, v = random_wiener(rank), noise(4, *SHAPE)
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    alone = torch.cat([linear(v[i : i + 1], levels[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(linear(v, levels), alone)


@ranks
def test_rms_error_equals_the_trace_formula(rank: int) -> None:
    """tr[Sigma - Sigma (Sigma + s^2)^-1 Sigma] / d, the posterior variance per value."""
    linear = random_wiener(rank)
    sigma = dense(linear)
    for s in LEVELS:
        posterior = sigma - sigma @ torch.linalg.inv(sigma + s**2 * EYE) @ sigma
        got = linear.rms_error(torch.tensor([s], dtype=torch.float64))
        assert got.item() == pytest.approx(math.sqrt(posterior.trace() / DIM), rel=1e-9)


@pytest.mark.parametrize("s", LEVELS)
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
def test_flow_equals_the_closed_form_and_the_integrated_ode(rank: int) -> None:
    """dv/ds = (v - W_s v) / s, by classical Runge-Kutta in ln s."""
    linear, v = random_wiener(rank), noise(2, *SHAPE)
    sigma = dense(linear)
    matrix = power(sigma + 0.3**2 * EYE, 0.5) @ power(sigma + 5.0**2 * EYE, -0.5)
    carried = linear.flow(v, 5.0, 0.3)
    torch.testing.assert_close(carried.flatten(1), v.flatten(1) @ matrix.T, rtol=1e-9, atol=1e-9)

    def slope(v: Tensor, log_s: float) -> Tensor:
        return v - linear(v, torch.full((2,), math.exp(log_s), dtype=torch.float64))

    steps, log_s = 400, math.log(5.0)
    h = (math.log(0.3) - log_s) / steps
    for _ in range(steps):
        k1 = slope(v, log_s)
        k2 = slope(v + h / 2 * k1, log_s + h / 2)
        k3 = slope(v + h / 2 * k2, log_s + h / 2)
        k4 = slope(v + h * k3, log_s + h)
        v, log_s = v + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), log_s + h
    torch.testing.assert_close(carried, v, rtol=1e-8, atol=1e-8)


@ranks
def test_flow_composes_and_carries_samples_to_samples(rank: int) -> None:
    linear, z = random_wiener(rank), noise(3, *SHAPE)
    torch.testing.assert_close(linear.flow(linear.sample(z, 40.0), 40.0, 1.0), linear.sample(z, 1))
    torch.testing.assert_close(
        linear.flow(linear.flow(z, 3.0, 1.0), 1.0, 0.0), linear.flow(z, 3.0, 0.0)
    )


MASKS = {
    "left": [1, 1, 0, 0] * 3,
    "one hole": [1] * 11 + [0],
    "one known": [0] * 5 + [1] + [0] * 6,
    "nothing known": [0] * 12,
}


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


def test_sample_given_over_many_draws_has_the_conditional_moments() -> None:
    linear, known = random_wiener(5), noise(*SHAPE, seed=5)
    sigma, mask = dense(linear), torch.tensor(MASKS["left"]).bool()
    drawn = linear.sample_given(known, mask.view(1, 3, 4), noise(40_000, *SHAPE)).flatten(1)
    hole = ~mask
    gain = sigma[hole][:, mask] @ torch.linalg.inv(sigma[mask][:, mask])
    expected = sigma[hole][:, hole] - gain @ sigma[mask][:, hole]
    assert (drawn[:, hole].mean(0) - gain @ known.flatten()[mask]).abs().max() < 0.03
    assert (drawn[:, hole].T.cov() - expected).abs().max() < 0.05


def test_sample_given_agrees_with_known_pixels_up_to_rest_and_ignores_the_hole() -> None:
    linear, z = random_wiener(5), noise(2000, *SHAPE)
    known = linear.sample(noise(1, *SHAPE, seed=9), 0.0)[0]
    mask = torch.tensor(MASKS["left"]).view(1, 3, 4)
    drawn = linear.sample_given(known, mask, z)
    apart = (drawn - known)[:, :, mask[0].bool()]
    assert apart.square().mean().item() < 4 * linear.rest.item()
    scribbled = torch.where(mask > 0, known, torch.full_like(known, math.nan))
    assert torch.equal(linear.sample_given(scribbled, mask, z), drawn)


# ----------------------------------------------------------------------------------------------
# Denoiser


def box_mask(n: int) -> Tensor:
    mask = torch.zeros(n, 1, 16, 16)
    mask[..., :9, 3:] = 1
    return mask


@pytest.mark.parametrize("s", [0.01, 0.5, 40.0])
def test_untrained_denoiser_is_the_wiener_filter(s: float) -> None:
    denoiser = image_denoiser(TINY)
    denoiser.linear.load_state_dict(tiny_denoiser().linear.state_dict())
    v = torch.randn(2, *TINY.shape)
    torch.testing.assert_close(denoiser(v, s), denoiser.linear(v, torch.full((2,), s)))


def test_denoiser_adds_the_network_scaled_by_the_error_of_the_filter() -> None:
    class One(nn.Module):
        def forward(self, x: Tensor, s: Tensor) -> Tensor:
            return torch.ones(len(x), *SHAPE)

    denoiser = Denoiser(One(), SHAPE, rank=5, conditional=True)
    denoiser.linear.load_state_dict(random_wiener(5).state_dict())
    v, s = noise(3, *SHAPE).float(), torch.tensor([0.1, 1.0, 10.0])
    expected = denoiser.linear(v, s) + denoiser.linear.rms_error(s)[:, None, None, None]
    torch.testing.assert_close(denoiser(v, s), expected)


def test_denoiser_returns_the_picture_as_the_noise_vanishes() -> None:
    denoiser, v = tiny_denoiser(), torch.randn(2, *TINY.shape)
    gaps = [(denoiser(v, s) - v).abs().max().item() for s in (1e-1, 1e-2, 1e-3)]
    assert gaps[2] < 0.01
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2]


def test_denoiser_returns_the_mean_as_the_noise_grows() -> None:
    denoiser, v = tiny_denoiser(), 1e4 * torch.randn(2, *TINY.shape)
    assert denoiser.linear(v, torch.full((2,), 1e4)).abs().max() < 0.01


def test_number_and_tensor_levels_agree_and_rows_are_independent() -> None:
    denoiser, v = tiny_denoiser(), torch.randn(3, *TINY.shape)
    levels = torch.tensor([0.1, 1.0, 10.0])
    together = denoiser(v, levels)
    for i, s in enumerate(levels.tolist()):
        torch.testing.assert_close(together[i : i + 1], denoiser(v[i : i + 1], s))


def test_network_sees_the_scaled_hole_the_clean_known_pixels_the_mask_and_the_filter() -> None:
    """Known pixels without c_in, which would make them vanish at large noise."""
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor, s: Tensor) -> Tensor:
            seen.append(x)
            return torch.zeros(len(x), *SHAPE)

    denoiser = Denoiser(Spy(), SHAPE, rank=5, conditional=True)
    denoiser.linear.load_state_dict(random_wiener(5).state_dict())
    denoiser.data_std.fill_(0.25)
    v, known, s = noise(2, *SHAPE).float(), noise(2, *SHAPE, seed=3).float(), torch.tensor([0.1, 9])
    mask = torch.tensor(MASKS["left"]).view(1, 1, 3, 4).expand(2, 1, 3, 4).float()
    c_in = ((s**2 + 0.25**2) ** -0.5)[:, None, None, None]
    denoiser(v, s, known, mask)
    composite = mask * known + (1 - mask) * v
    filtered = denoiser.linear(composite, s) / 0.25
    expected = torch.cat([(1 - mask) * c_in * v, mask * known / 0.25, mask, filtered], dim=1)
    torch.testing.assert_close(seen[0], expected)
    denoiser(v, s)
    nothing = torch.zeros_like(mask)
    expected = torch.cat([c_in * v, nothing, nothing, denoiser.linear(v, s) / 0.25], dim=1)
    torch.testing.assert_close(seen[1], expected)


def test_known_pixels_pass_through_bit_exact_and_the_hole_is_filled() -> None:
    denoiser, known, mask = tiny_denoiser(), torch.randn(2, *TINY.shape), box_mask(2)
    v = 5 * torch.randn(2, *TINY.shape)
    denoised = denoiser(v, 2.0, known, mask)
    keep = mask.bool().expand_as(v)
    assert torch.equal(denoised[keep], known[keep])
    assert denoised[~keep].isfinite().all()
    assert not torch.allclose(denoised[~keep], denoiser(v, 2.0)[~keep])  # it looks at them


def test_content_of_the_hole_of_known_and_of_the_known_part_of_v_is_ignored() -> None:
    denoiser, known, mask = tiny_denoiser(), torch.randn(2, *TINY.shape), box_mask(2)
    v = torch.randn(2, *TINY.shape)
    denoised = denoiser(v, 2.0, known, mask)
    scribbled = torch.where(mask > 0, known, torch.full_like(known, math.nan))
    assert torch.equal(denoiser(v, 2.0, scribbled, mask), denoised)
    noisy = torch.where(mask > 0, torch.full_like(v, math.nan), v)
    assert torch.equal(denoiser(noisy, 2.0, known, mask), denoised)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_masks_of_any_type_mean_the_same(dtype: torch.dtype) -> None:
    denoiser, known = tiny_denoiser(), torch.randn(1, *TINY.shape)
    v, mask = torch.randn(1, *TINY.shape), box_mask(1)
    torch.testing.assert_close(
        denoiser(v, 1.0, known, mask.to(dtype)), denoiser(v, 1.0, known, mask), rtol=0, atol=0
    )


def test_empty_mask_is_the_unconditional_denoiser() -> None:
    denoiser, v = tiny_denoiser(), torch.randn(2, *TINY.shape)
    empty = torch.zeros(2, 1, 16, 16)
    assert torch.equal(denoiser(v, 1.0, torch.zeros_like(v), empty), denoiser(v, 1.0))


def test_unconditional_denoiser_refuses_a_mask() -> None:
    points = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="not trained with a mask"):
        point_denoiser()(points, 1.0, points, torch.ones(3, 2))


def test_bf16_stays_inside_the_trunk() -> None:
    denoiser, v = tiny_denoiser(), torch.randn(2, *TINY.shape)
    exact = denoiser(v, 0.5)
    denoiser.bf16 = True
    rounded = denoiser(v, 0.5)
    assert rounded.dtype == torch.float32 and not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.01)


# ----------------------------------------------------------------------------------------------
# Shapes and configs


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        DenoiserConfig(
            image_size=28,
            image_channels=1,
            rank=0,
            patch=1,
            channels=(8, 16, 24),
            blocks=(1, 2, 1),
            attention=(False, False, True),
        ),
        DenoiserConfig(
            image_size=8, rank=3, patch=4, channels=(8,), blocks=(2,), attention=(True,)
        ),
        DenoiserConfig(
            image_size=16,
            rank=0,
            patch=1,
            channels=(8, 200),
            blocks=(1, 1),
            attention=(False, True),
        ),
    ],
    ids=["tiny", "grey 28", "one level", "odd attention width"],
)
def test_image_denoiser_keeps_the_shape_and_every_weight_gets_a_gradient(
    config: DenoiserConfig,
) -> None:
    denoiser = image_denoiser(config)
    perturb(denoiser)
    v = torch.randn(2, *config.shape)
    denoised = denoiser(v, torch.tensor([0.1, 3.0]))
    assert denoised.shape == v.shape and denoised.isfinite().all()
    denoised.square().mean().backward()
    for name, parameter in denoiser.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (8, 16)}, "same length"),
        ({"attention": (False,)}, "same length"),
        ({"channels": (64, 128, 250)}, "multiples of 8"),
        ({"channels": (0, 128, 256)}, "channels"),
        ({"channels": (), "blocks": (), "attention": ()}, "channels"),
        ({"image_size": 60}, "image_size must be a multiple of 8"),
        ({"image_size": 0}, "image_size"),
        ({"image_size": -64}, "image_size"),
        ({"image_channels": 0}, "image_channels"),
        ({"patch": 0}, "patch"),
        ({"patch": -2}, "patch"),
        ({"blocks": (2, 0, 2)}, "blocks"),
        ({"rank": -1}, "rank"),
        ({"rank": 3 * 64 * 64 + 1}, "rank must be in"),
        ({"dropout": 1.5}, "dropout"),
        ({"dropout": math.nan}, "dropout"),
    ],
)
def test_impossible_network_is_refused_with_the_reason(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DenoiserConfig(**options)


def test_config_turns_lists_of_json_into_tuples() -> None:
    config = DenoiserConfig(channels=[8, 8, 8], blocks=[1, 1, 1], attention=[False] * 3)
    assert config.channels == (8, 8, 8) and config.shape == (3, 64, 64) and config.dim == 12288


def test_unet_dropout_acts_in_training_only() -> None:
    net = UNet(3, 3, 16, 2, (16, 32), (1, 1), (False, True), dropout=0.5)
    perturb(net, scale=0.1)
    x, s = torch.randn(1, 3, 16, 16), torch.ones(1)
    assert not torch.equal(net.train()(x, s), net(x, s))
    assert torch.equal(net.eval()(x, s), net(x, s))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16)])
def test_density_ratio_net_gives_one_number_a_picture(shape: tuple[int, int, int]) -> None:
    net = DensityRatioNet(shape, channels=8)
    x = torch.randn(5, *shape)
    ratios = net(x)
    assert ratios.shape == (5,)
    torch.testing.assert_close(net(x[2:3]), ratios[2:3])


def test_point_networks_have_their_shapes() -> None:
    x, s = torch.randn(7, 2), torch.rand(7) + 0.1
    assert PointMLP(2, 5)(x, s).shape == (7, 5)
    assert PointMLP(2, 5, takes_noise=False)(x).shape == (7, 5)
    assert PointDensityRatio(16)(x).shape == (7,)
    assert point_denoiser(16)(x, s).shape == (7, 2)
    assert point_denoiser(16)(x, 0.5).shape == (7, 2)


def test_point_denoiser_with_the_true_covariance_is_exact_on_a_gaussian() -> None:
    denoiser = point_denoiser()
    with torch.no_grad():
        for parameter in denoiser.trunk.layers[-1].parameters():
            parameter.zero_()
    denoiser.linear.basis.copy_(torch.eye(2))
    denoiser.linear.eigenvalues.fill_(0.3)
    v = isotropic(2, 0.3).sample(10, s=0.8)
    torch.testing.assert_close(denoiser(v.float(), 0.8), isotropic(2, 0.3).denoised(v, 0.8).float())
