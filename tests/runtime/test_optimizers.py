"""Muon: orthogonal updates of hidden weights, Adam elsewhere, exact resume, branches, starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sbcore import CheckpointError
from sbcore.runtime.optimizers import Muon, is_hidden, orthogonal
from sbcore.twostage.denoiser import DenoiserConfig, image_denoiser
from sbcore.twostage.training import Preset
from tests.conftest import SIGMA, TAU, TINY
from tests.test_training import assert_equal_bit_for_bit, run, score


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


MUON = {"optimizer": "muon", "long_ema": 0.2}


def test_muon_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole = score(tmp_path / "whole", **MUON)
    run(whole)
    run(score(tmp_path / "parts", **MUON), steps=3)
    resumed = score(tmp_path / "parts", resume=True, **MUON)
    run(resumed)
    assert_equal_bit_for_bit(whole, resumed)
    for a, b in zip(whole.long.parameters(), resumed.long.parameters(), strict=True):
        assert torch.equal(a, b)


def test_averages_hold_no_graph(tmp_path: Path) -> None:
    trainer = score(tmp_path, **MUON)
    run(trainer, steps=2)
    for average in (trainer.average, trainer.long):
        assert all(p.grad_fn is None and not p.requires_grad for p in average.parameters())


def test_a_branch_leaves_the_trunk_alone(tmp_path: Path) -> None:
    trunk = score(tmp_path, images=None, open_ended=True, optimizer="muon")
    run(trunk, steps=4)
    state = (tmp_path / "training" / "training.safetensors").read_bytes()
    branch = score(tmp_path, images=None, finish=24, optimizer="muon")
    assert branch.images == trunk.images
    last = run(branch)
    assert last.fraction == 1 and branch.images == trunk.images + 24
    assert (tmp_path / "training" / "training.safetensors").read_bytes() == state
    assert (tmp_path / "model.safetensors").exists()
    with pytest.raises(ValueError, match="no run to finish"):
        score(tmp_path / "nothing", images=None, finish=24)


def test_a_run_starts_from_published_weights_of_its_own_shape(tmp_path: Path) -> None:
    first = score(tmp_path / "first")
    run(first)
    again = score(tmp_path / "again", init=tmp_path / "first")
    for a, b in zip(again.raw.trunk.parameters(), first.average.trunk.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)  # half precision
    wider = DenoiserConfig(**{**vars(TINY), "channels": tuple(2 * c for c in TINY.channels)})
    with pytest.raises(CheckpointError, match="another network"):
        preset = Preset("wider", wider, SIGMA, TAU)
        score(tmp_path / "wider", preset=preset, init=tmp_path / "first")


def test_moments_of_another_optimiser_are_refused(tmp_path: Path) -> None:
    run(score(tmp_path, optimizer="adam"), steps=2)
    with pytest.raises(CheckpointError, match="another optimiser"):
        score(tmp_path, resume=True, optimizer="muon")
