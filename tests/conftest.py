"""Fixtures: one thread, no network, and a tiny real model instead of a mock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported: no test needs the Hub

import pytest
import torch
from hypothesis import settings

from sbcore import Bridge
from sbcore.twostage.denoiser import Denoiser, DenoiserConfig, image_denoiser, save_denoiser
from sbcore.twostage.ratio import DensityRatioNet, save_density_ratio

settings.register_profile("studio", deadline=None, derandomize=True)  # a busy machine is no bug
settings.load_profile("studio")

REPOSITORY = Path(__file__).parents[1]
TINY = DenoiserConfig(
    image_size=16, rank=8, channels=(16, 32), blocks=(1, 1), attention=(False, True)
)
SIGMA, TAU = 2.0, 8.0


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and a training run may share the machine."""
    torch.set_num_threads(1)
    yield


NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NO_CUDA)])
def device(request: pytest.FixtureRequest) -> str:
    """Each kind of device that is here."""
    return request.param


@pytest.fixture(scope="session")
def data() -> Path:
    """The development data beside the repository."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the development data is not beside the repository")
    return folder


def perturb(network: torch.nn.Module, scale: float = 0.02, seed: int = 0) -> None:
    """Move every weight: heads start at zero, and a network of zeros hides mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator)


def smooth_pictures(n: int, size: int = 16, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Random smooth pictures, uint8 (n, channels, size, size): data with a covariance."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 4, 4, generator=generator)
    pictures = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")
    return (255 * pictures.clamp(0, 1)).round().to(torch.uint8)


def tiny_denoiser(config: DenoiserConfig = TINY, seed: int = 0) -> Denoiser:
    """A denoiser of random weights whose linear part is a plausible covariance."""
    torch.manual_seed(seed)
    denoiser = image_denoiser(config)
    perturb(denoiser, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    if config.rank:
        start = torch.randn(config.dim, config.rank, generator=generator)
        denoiser.linear.basis.copy_(torch.linalg.qr(start).Q.T)
        denoiser.linear.eigenvalues.copy_(20.0 / torch.arange(1, config.rank + 1) ** 1.5)
    denoiser.linear.rest.fill_(0.02)
    denoiser.data_std.fill_(0.25)
    denoiser.mean.copy_(0.3 + 0.4 * torch.rand(config.shape, generator=generator))
    return denoiser.eval()


def save_tiny(folder: Path, *, ratio: bool = True) -> Path:
    """Write a tiny model, with its density-ratio network or without."""
    facts = {"name": "tiny", "sigma": SIGMA, "tau": TAU}
    save_denoiser(folder, tiny_denoiser(), TINY, **facts)
    if ratio:
        torch.manual_seed(0)
        arguments = {"shape": list(TINY.shape), "channels": 8}
        bridge = {"sigma": SIGMA, "tau": TAU}
        save_density_ratio(folder, DensityRatioNet(**arguments), arguments, **bridge)
    return folder


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A fresh copy of the tiny model on disk, to be damaged at will."""
    return save_tiny(tmp_path / "tiny")


@pytest.fixture(scope="session")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Bridge:
    """The tiny model with both networks."""
    return Bridge.from_pretrained(save_tiny(tmp_path_factory.mktemp("model") / "tiny"), "cpu")


@pytest.fixture(scope="session")
def bridge_without_ratio(tmp_path_factory: pytest.TempPathFactory) -> Bridge:
    """The tiny model as `train.py score` leaves it."""
    folder = save_tiny(tmp_path_factory.mktemp("model") / "tiny", ratio=False)
    return Bridge.from_pretrained(folder, "cpu")


@pytest.fixture
def calls(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Batch sizes of the network calls, in order."""
    sizes: list[int] = []
    forward = bridge.denoiser.forward

    def counted(v: torch.Tensor, *given: Any, **options: Any) -> torch.Tensor:
        sizes.append(len(v))
        return forward(v, *given, **options)

    monkeypatch.setattr(bridge.denoiser, "forward", counted)
    return sizes
