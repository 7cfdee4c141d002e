"""Networks: shapes, gradients, dropout."""

from __future__ import annotations

import pytest
import torch

from sbcore.networks.mlp import PointMLP
from sbcore.networks.unet import UNet
from sbcore.twostage.denoiser import DenoiserConfig, image_denoiser, point_denoiser
from sbcore.twostage.ratio import PointDensityRatio
from tests.conftest import TINY, perturb

GREY = {"image_channels": 1, "rank": 0, "patch": 1, "attention": (False, False, True)}
SMALL = {"image_size": 16, "channels": (8, 200), "blocks": (1, 1), "attention": (False, True)}
FLAT = {"image_size": 8, "rank": 3, "patch": 4, "channels": (8,), "attention": (True,)}
CONFIGS = {
    "tiny": TINY,
    "grey 28": DenoiserConfig(28, channels=(8, 16, 24), blocks=(1, 2, 1), **GREY),
    "one level": DenoiserConfig(blocks=(2,), **FLAT),
    "odd attention width": DenoiserConfig(rank=0, patch=1, **SMALL),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
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


def test_unet_dropout_acts_in_training_only() -> None:
    net = UNet(3, 3, 16, 2, (16, 32), (1, 1), (False, True), dropout=0.5)
    perturb(net, scale=0.1)
    x, s = torch.randn(1, 3, 16, 16), torch.ones(1)
    assert not torch.equal(net.train()(x, s), net(x, s))
    assert torch.equal(net.eval()(x, s), net(x, s))


def test_point_networks_have_their_shapes() -> None:
    x, s = torch.randn(7, 2), torch.rand(7) + 0.1
    assert PointMLP(2, 5)(x, s).shape == (7, 5)
    assert PointMLP(2, 5, takes_noise=False)(x).shape == (7, 5)
    assert PointDensityRatio(16)(x).shape == (7,)
    assert point_denoiser(16)(x, s).shape == (7, 2)
    assert point_denoiser(16)(x, 0.5).shape == (7, 2)
