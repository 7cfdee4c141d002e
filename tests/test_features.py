"""The feature network: its loss in closed form, its views, its training, its files."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import train
from sbcore import CheckpointError
from sbcore.features import (
    DRAWS,
    FeatureNet,
    contrastive_loss,
    feature_trainer,
    load_features,
    random_views,
    save_features,
)
from sbcore.runtime.trainer import NetworkPlan
from tests.conftest import smooth_pictures
from tests.studies.conftest import save_pictures


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(pictures: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return torch.rand(len(pictures), DRAWS + pictures.shape[1], generator=generator(seed))


def small_net(shape: tuple[int, int, int] = (3, 16, 16)) -> FeatureNet:
    torch.manual_seed(0)
    return FeatureNet(shape, (8, 16)).eval()


# ----------------------------------------------------------------------------------------------
# Loss


def test_contrastive_loss_of_orthogonal_pairs_is_the_closed_form() -> None:
    """Equal views, different pictures at right angles: -log of e^{1/T} over all terms."""
    n, temperature = 5, 0.5
    z = 3 * torch.eye(n)  # length does not count
    expected = math.log(1 + (2 * n - 2) * math.exp(-1 / temperature))
    loss = contrastive_loss(z, z, temperature)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    same = torch.ones(8, 3)  # tells nothing: the loss of guessing
    assert contrastive_loss(same, same).item() == pytest.approx(math.log(15), rel=1e-5)


# ----------------------------------------------------------------------------------------------
# Views


def test_views_are_crops_in_range_that_repeat_with_the_draws() -> None:
    pictures = smooth_pictures(20, 32) / 255.0
    first, again = (random_views(pictures, draws(pictures, 3)) for _ in range(2))
    assert first.shape == (20, 3, 20, 20)
    assert torch.equal(first, again)
    assert not torch.equal(first, random_views(pictures, draws(pictures, 4)))
    assert first.min() >= 0 and first.max() <= 1


def test_views_reach_the_border_and_are_mirrored_half_of_the_time() -> None:
    """A grey ramp along x stays a ramp up to brightness: its slope tells mirrored views."""
    ramp = (torch.arange(32.0) / 64 + 0.25).expand(400, 1, 32, 32)
    views = random_views(ramp, draws(ramp))
    slope = (views[..., -1] - views[..., 0]).mean((1, 2))
    assert 0.4 < (slope < 0).float().mean() < 0.6
    marked = torch.zeros(400, 1, 32, 32)
    marked[..., 0] = 1
    seen = random_views(marked, draws(marked, 1)).flatten(1).amax(1) > 0.05
    assert seen.any() and not seen.all()


# ----------------------------------------------------------------------------------------------
# Network


def test_features_depend_on_neither_batch_nor_type_of_pictures_of_one_shape() -> None:
    network, pictures = small_net(), smooth_pictures(130)
    whole = network.features(pictures)
    assert whole.shape == (130, 16)
    torch.testing.assert_close(network.features(pictures[120:]), whole[120:])
    torch.testing.assert_close(network.features(pictures / 255.0), whole)
    with pytest.raises(ValueError, match=r"\(3, 16, 16\)"):
        network.features(smooth_pictures(2, 32))


def gratings(n: int) -> torch.Tensor:
    """Waves of random direction and length, which any crop tells; uint8 (n, 3, 16, 16)."""
    wave = 3 * torch.rand(2, n, 1, 1, 1, generator=generator())
    axis = torch.arange(16.0)
    waves = torch.sin(wave[0] * axis + wave[1] * axis[:, None])
    return (127 + 120 * waves).byte().expand(-1, 3, -1, -1)


def test_training_learns_what_views_share_and_leaves_unit_variance(tmp_path: Path) -> None:
    pictures = gratings(64)
    plan = NetworkPlan(images=40 * 16, batch_size=16, learning_rate=5e-4, warmup_steps=5)
    progress = list(feature_trainer(pictures, pictures[:32], plan, tmp_path, cpu=True))
    assert progress[-1].evaluation["score"] < math.log(31) - 0.5  # that of guessing
    network = load_features(tmp_path)
    variance = network.features(pictures).var(0).sum()
    assert float(variance) == pytest.approx(1, rel=0.02)  # half precision


def test_command_line_trains_and_resumes(tmp_path, monkeypatch) -> None:
    save_pictures(tmp_path / "data", smooth_pictures(40))
    options = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--size", "16"]
    for images in ("16", "32"):
        command = ["train.py", "features", *options, "--cpu", "--images", images, "--resume"]
        monkeypatch.setattr(sys, "argv", [*command, "--batch-size", "8"])
        assert train.main() == 0
    config = json.loads((tmp_path / "out" / "features.json").read_text(encoding="utf-8"))
    assert config["training"]["images"] in (16, 32)
    assert load_features(tmp_path / "out").shape == (3, 16, 16)


# ----------------------------------------------------------------------------------------------
# Files


def test_network_comes_back_up_to_half_precision(tmp_path: Path) -> None:
    network, pictures = small_net(), smooth_pictures(10)
    save_features(tmp_path, network, data={"name": "noise"})
    loaded = load_features(tmp_path)
    found, wanted = loaded.features(pictures), network.features(pictures)
    torch.testing.assert_close(found, wanted, rtol=0.01, atol=0.01)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def change_config(folder: Path, **change: object) -> None:
    path = folder / "features.json"
    config = json.loads(path.read_text(encoding="utf-8")) | change
    path.write_text(json.dumps(config), encoding="utf-8")


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "features.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


DAMAGES = {
    r"features\.json": lambda folder: (folder / "features.json").unlink(),
    "no feature net": lambda folder: change_config(folder, kind="denoiser"),
    "cannot be built": lambda folder: change_config(folder, network={"channels": "x"}),
    "not finite": lambda folder: change_weights(folder, lambda x: x["scale"].fill_(math.nan)),
    "does not fit": lambda folder: change_weights(folder, lambda x: x.pop("scale")),
    "truncated": lambda folder: (folder / "features.safetensors").write_bytes(b"nonsense"),
}


@pytest.mark.parametrize("sentence", DAMAGES)
def test_broken_files_are_a_sentence(sentence: str, tmp_path: Path) -> None:
    save_features(tmp_path, small_net())
    DAMAGES[sentence](tmp_path)
    with pytest.raises(CheckpointError, match=sentence):
        load_features(tmp_path)
