"""The model of faces on held-out faces: what is promised of morphs, cleaning and warnings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sbcore import TYPICAL, Bridge
from sbcore.data.pictures import load_images, split_held_out
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def faces_bridge() -> Bridge:
    return Bridge.from_pretrained(REPOSITORY / "checkpoints" / "celeba64", "cpu")


@pytest.fixture(scope="module")
def faces(data: Path) -> Tensor:
    """Half of the held-out faces, the one on which nothing was chosen."""
    held_out = load_images(data / "celeba-10k" / "val.zip", 64, 3)
    return split_held_out(held_out)[1] / 255


def psnr(found: Tensor, truth: Tensor) -> Tensor:
    """In dB, (n,)."""
    return -10 * (found - truth).square().flatten(1).mean(1).log10()


def noise(shape: torch.Size) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_faces_are_typical_and_pictures_of_other_things_are_not(
    faces_bridge: Bridge, faces: Tensor, data: Path
) -> None:
    def typical(pictures: Tensor) -> float:
        found = [faces_bridge.typicality(picture) > TYPICAL for picture in pictures]
        return sum(found) / len(found)

    assert typical(faces) >= 0.97
    assert typical(faces[:100] * 0.4) >= 0.96 and typical(faces[:100] * 0.4 + 0.6) >= 0.96
    assert typical(faces[:100].flip(2)) == 0  # upside down
    assert typical(load_images(data / "cifar10", 64, 3, limit=500) / 255) < 0.12
    letters = data / "notmnist-10k" / "t10k-images-idx3-ubyte.gz"
    assert typical(load_images(letters, 64, 3, limit=500) / 255) < 0.05


def test_both_ends_of_a_morph_by_inversion_are_the_faces(
    faces_bridge: Bridge, faces: Tensor
) -> None:
    for a, b in faces[:8].split(2):
        morph = faces_bridge.interpolate(a, b, 2, method="inversion").result()
        assert psnr(morph, torch.stack([a, b])).min() > 35


@pytest.mark.parametrize("s", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("saved", [False, True], ids=["as drawn", "in 8 bits"])
def test_a_noisy_face_comes_back_cleaner(
    faces_bridge: Bridge, faces: Tensor, s: float, saved: bool
) -> None:
    clean = faces[:4]
    noisy = clean + s * noise(clean.shape)
    if saved:
        noisy = (noisy.clamp(0, 1) * 255).round() / 255
    levels = torch.tensor([faces_bridge.noise_level(picture) for picture in noisy])
    true = (noisy - clean).flatten(1).std(1)  # less than s where white and black cut it off
    assert ((levels - true).abs() < 0.15 * true).all()
    cleaned = [faces_bridge.denoise(x, None, 1, add_noise=False).result() for x in noisy]
    assert (psnr(torch.cat(cleaned), clean) > psnr(noisy, clean) + 3).all()
