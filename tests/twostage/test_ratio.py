"""The density-ratio networks: one number a picture or point."""

from __future__ import annotations

import pytest
import torch

from sbcore.twostage.ratio import DensityRatioNet


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16)])
def test_density_ratio_net_gives_one_number_a_picture(shape: tuple[int, int, int]) -> None:
    net = DensityRatioNet(shape, channels=8)
    x = torch.randn(5, *shape)
    ratios = net(x)
    assert ratios.shape == (5,)
    torch.testing.assert_close(net(x[2:3]), ratios[2:3])
