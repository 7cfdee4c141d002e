"""The networks of both directions: untrained, they are the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sbcore.ipf.network import NetworkConfig, Pair
from tests.ipf.truth import noise


@pytest.mark.parametrize(
    "config", [NetworkConfig((1,)), NetworkConfig((2,)), NetworkConfig((5,), width=8)]
)
def test_untrained_networks_are_the_reference(config: NetworkConfig) -> None:
    pair, x = Pair(config), noise((3, *config.shape))()
    assert torch.equal(pair["forward"](x, 0.7), x)


def test_network_of_pictures_is_the_reference_too() -> None:
    config = NetworkConfig((1, 8, 8), channels=(8,), blocks=(1,), attention=(False,))
    x = noise((2, 1, 8, 8))()
    assert torch.equal(Pair(config)["backward"](x, torch.tensor([0.2, 1.0])), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (1, 28)}, "shape"),
        ({"shape": (1, 28, 27)}, "squares"),
        ({"shape": (1, 30, 30)}, "divisible by 4"),
        ({"shape": (1, 28, 28), "channels": (12, 16)}, "multiples of 8"),
        ({"shape": (1, 28, 28), "channels": (16,)}, "same length"),
    ],
)
def test_networks_that_cannot_be_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkConfig(**options)


@pytest.mark.parametrize(
    "options",
    [{"width": 0}, {"patch": 0}, {"patch": -2}, {"blocks": (0, 2)}, {"channels": (12, 16)}],
)
@pytest.mark.parametrize("shape", [(2,), (1, 16, 16)])
def test_networks_that_are_none(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    if "channels" in options and len(shape) == 1:
        assert NetworkConfig(shape, **options)  # points have no use for them
        return
    with pytest.raises(ValueError, match=r"at least 1|multiples of 8"):
        NetworkConfig(shape, **options)
