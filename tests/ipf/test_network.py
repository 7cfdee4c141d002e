"""The networks of both directions: untrained, they are the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sbcore.ipf.network import NetworkConfig, Pair
from tests.ipf.truth import noise

PICTURES = NetworkConfig((1, 8, 8), channels=(8,), blocks=(1,), attention=(False,))


@pytest.mark.parametrize("config", [NetworkConfig((2,)), NetworkConfig((5,), width=8), PICTURES])
def test_untrained_networks_are_the_reference(config: NetworkConfig) -> None:
    pair, x = Pair(config), noise((3, *config.shape))()
    assert torch.equal(pair["forward"](x, 0.7), x)
    assert torch.equal(pair["backward"](x, torch.tensor([0.2, 0.5, 1.0])), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (1, 28)}, "shape"),
        ({"shape": (1, 28, 27)}, "squares"),
        ({"shape": (1, 30, 30)}, "divisible by 4"),
        ({"channels": (12, 16)}, "multiples of 8"),
        ({"channels": (16,)}, "same length"),
        ({"width": 0}, "at least 1"),
        ({"patch": 0}, "at least 1"),
        ({"blocks": (0, 2)}, "at least 1"),
        ({"shape": (2,), "width": 0}, "at least 1"),
    ],
)
def test_networks_that_cannot_be_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**{"shape": (1, 28, 28)} | options)


def test_points_have_no_use_for_channels() -> None:
    assert NetworkConfig((2,), channels=(12, 16))
