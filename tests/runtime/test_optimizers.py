"""Muon: orthogonal updates of hidden weights, Adam elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sbcore.runtime.optimizers import Muon, is_hidden, orthogonal
from sbcore.twostage.denoiser import image_denoiser
from tests.conftest import TINY


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(shape, generator=generator)
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert 0.6 < values.min() and values.max() < 1.3
    # The singular vectors stay.
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    rotated = u.T @ orthogonal(matrix) @ v.T
    assert (rotated - rotated.diagonal().diag()).abs().max() < 1e-3


def test_update_has_the_size_of_adams() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(64, 32, bias=False)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.randn(32, 64, generator=generator)
    Muon(layer, lr=0.01).step()
    size = (layer.weight - before).square().mean().sqrt()
    assert 0.0015 < size < 0.0025  # 0.2 lr


def test_ends_vectors_and_embeddings_follow_adam() -> None:
    denoiser = image_denoiser(TINY)
    hidden = {name for name, p in denoiser.named_parameters() if is_hidden(name, p)}
    assert hidden and all(name.endswith("weight") for name in hidden)
    assert not any("stem" in n or "head" in n or "norm" in n or "embedding" in n for n in hidden)
    layer = nn.Linear(1, 4)
    layer.bias.grad = torch.tensor([1.0, -2.0, 3e-3, 0.0])
    before = layer.bias.detach().clone()
    Muon(layer, lr=0.1).step()
    torch.testing.assert_close(before - layer.bias, torch.tensor([0.1, -0.1, 0.1, 0.0]))
