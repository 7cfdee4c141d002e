"""A small frozen network whose features compare sets of pictures, trained without labels.

SimCLR (Chen et al. 2020): two random views of a picture shall have like features, views of
different pictures unlike ones. A view is an unscaled crop, mirrored or not, with other colours; it
is neither resized, nor blurred, nor noisy, so that the features may see sharpness and noise. Their
distances rank variants of one model on one data set. They are not FID: never call them so.
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbcore.data.batches import Batches
from sbcore.data.statistics import data_identity
from sbcore.runtime import checkpoints
from sbcore.runtime.devices import channels_last, device_name, uses_bf16
from sbcore.runtime.learner import open_accelerator
from sbcore.runtime.trainer import NetworkPlan, NetworkTrainer

TEMPERATURE = 0.2
CROP = 5 / 8  # side of a view, as a part of the picture's
BATCH = 100  # pictures of one network call; bounds memory
DRAWS = 6  # random numbers of a view, besides one for each colour


class FeatureNet(nn.Module):
    """Pictures in [0, 1] to feature vectors.

    A residual network on 2x2 pixel-unshuffled input, averaged over all positions: pictures of any
    even size pass. Features have total variance 1 on the training set.

    Args:
        shape: Shape (c, h, w) of the pictures that it is meant for.
        channels: Width of each resolution, finest first; the last is the number of features.
    """

    def __init__(
        self, shape: tuple[int, int, int], channels: tuple[int, ...] = (32, 64, 128)
    ) -> None:
        super().__init__()
        self.shape, self.channels = tuple(shape), channels
        self.scale: Tensor
        self.stem = nn.Conv2d(4 * shape[0], channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(_Block(c) for c in channels)
        pairs = pairwise(channels)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairs)
        self.norm = nn.GroupNorm(8, channels[-1])
        self.register_buffer("scale", torch.ones(()))

    def forward(self, pictures: Tensor) -> Tensor:
        """Map pictures (n, c, h, w) to features (n, channels[-1])."""
        x = self.stem(F.pixel_unshuffle(4 * pictures - 2, 2))
        for index, block in enumerate(self.blocks):
            x = block(self.down[index - 1](x) if index else x)
        return self.scale * F.silu(self.norm(x)).mean((2, 3))

    @torch.no_grad()
    def features(self, pictures: Tensor) -> Tensor:
        """Features (n, f), float32, on the CPU.

        Args:
            pictures: (n, c, h, w), float in [0, 1] or uint8.

        Raises:
            ValueError: If the pictures have another shape than the network's.
        """
        if tuple(pictures.shape[1:]) != self.shape:
            got = tuple(pictures.shape[1:])
            raise ValueError(f"pictures must have shape {self.shape} for these features, got {got}")
        whole = 1.0 if pictures.is_floating_point() else 255.0
        device = self.scale.device
        chunks = [self(chunk.to(device) / whole).cpu() for chunk in pictures.split(BATCH)]
        return torch.cat(chunks)


class _Block(nn.Module):
    """Two normalised 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, channels) for _ in range(2))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            h = convolution(F.silu(norm(h)))
        return x + h


# Training


class Contrast(nn.Module):
    """The network and the projection head of SimCLR, which is thrown away after training."""

    def __init__(self, network: FeatureNet) -> None:
        super().__init__()
        width = network.norm.num_channels
        self.network = network
        self.head = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width // 2))

    def forward(self, views: Tensor) -> Tensor:
        """Map views (n, c, h, w) to projections (n, f / 2)."""
        return self.head(self.network(views))


def contrastive_loss(first: Tensor, second: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """NT-Xent of the projections of two views of each picture (Chen et al. 2020, equation 1).

    Args:
        first: (n, f); row i belongs to the same picture as row i of ``second``.
        second: (n, f).
        temperature: Divides the cosines.
    """
    z = F.normalize(torch.cat([first, second]), dim=1)
    n = len(first)
    logits = (z @ z.T / temperature).fill_diagonal_(-math.inf)
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(logits, partner)


def random_views(pictures: Tensor, draws: Tensor) -> Tensor:
    """One view of each picture: crop, mirror, other brightness, contrast and colours.

    Args:
        pictures: (n, c, h, w) in [0, 1].
        draws: What the views are made from: (n, DRAWS + c), uniform in [0, 1).

    Returns:
        (n, c, side, side), even side.
    """
    n, c, h, w = pictures.shape
    device, left_over = pictures.device, iter(draws.split([1] * DRAWS + [c], dim=1))

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * next(left_over)[..., None, None]

    side = 2 * round(CROP * h / 2)
    top, left = ((uniform(0, x - side + 1)[:, 0]).long() for x in (h, w))  # (n, 1, 1)
    offset = torch.arange(side, device=device)
    index = torch.arange(n, device=device).view(n, 1, 1)
    views = pictures.permute(0, 2, 3, 1)[index, top + offset[:, None], left + offset]
    views = views.permute(0, 3, 1, 2)
    views = torch.where(uniform(0, 1) < 0.5, views.flip(-1), views)
    grey = views.mean(1, keepdim=True)
    views = grey + uniform(0.4, 1.6) * (views - grey)
    mean = views.mean((1, 2, 3), keepdim=True)
    views = mean + uniform(0.6, 1.4) * (views - mean)
    return (uniform(0.6, 1.4) * uniform(0.85, 1.15) * views).clamp(0, 1)


def feature_trainer(
    pictures: Tensor,
    held_out: Tensor,
    plan: NetworkPlan,
    folder: Path,
    *,
    precision: str = "auto",
    resume: bool = False,
    cpu: bool = False,
    facts: dict[str, Any] | None = None,
) -> NetworkTrainer:
    """Trainer of a feature network; ``features.safetensors`` and ``features.json`` are published.

    Args:
        pictures: uint8 (n, c, h, w), the training set.
        held_out: uint8 (m, c, h, w), never trained on.
        plan: Length and speed of the run.
        folder: Where the network goes.
        precision: "bf16", "fp32", or "auto" (bf16 where the device computes it fast).
        resume: Continue the run in ``folder``.
        cpu: Do not use an accelerator.
        facts: Further entries of features.json, e.g. the data set and its licence.
    """
    accelerator = open_accelerator(cpu)
    device = accelerator.device
    bf16 = uses_bf16(precision, device)
    torch.manual_seed(plan.seed)
    c, h, w = pictures.shape[1:]
    network = channels_last(Contrast(FeatureNet((c, h, w))).to(device))
    batches = Batches(pictures, plan.batch_size, accelerator)

    def draws(n: int, generator: torch.Generator) -> Tensor:
        return torch.rand(2, n, DRAWS + c, generator=generator, device=device)

    def projections(contrast: nn.Module, batch: Tensor, *draws: Tensor) -> tuple[Tensor, ...]:
        views = torch.cat([random_views(batch, each) for each in draws])
        views = views.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return contrast(views).float().chunk(2)

    def loss(contrast: nn.Module, generator: torch.Generator) -> Tensor:
        batch, views = batches.draw(generator), draws(batches.size, generator)
        first, second = projections(contrast, batch, *map(batches.own, views))
        return contrastive_loss(batches.whole(first), batches.whole(second))  # against all others

    def evaluate(average: nn.Module) -> dict[str, Any]:
        generator = torch.Generator(device).manual_seed(1234)
        chunks = (held_out[: 8 * batches.size].to(device) / 255.0).split(batches.size)
        views = [projections(average, each, *draws(len(each), generator)) for each in chunks]
        losses = [contrastive_loss(first, second) for first, second in views]
        return {"score": float(torch.stack(losses).mean())}

    def publish(average: Contrast, run: dict[str, Any]) -> None:
        frozen = copy.deepcopy(average.network)
        frozen.scale /= frozen.features(pictures[:2000]).var(0).sum().sqrt().to(device)
        training = run | {"device": device_name(device), "pictures": len(pictures)}
        save_features(folder, frozen, **(facts or {}), training=training)

    return NetworkTrainer(
        network,
        loss,
        evaluate,
        publish,
        plan,
        folder / "training-features",
        accelerator,
        identity={"network": [c, h, w], **data_identity(pictures, held_out)},
        settings={"bf16": bf16},
        resume=resume,
    )


# Files


def save_features(folder: Path, network: FeatureNet, **facts: Any) -> None:
    """Write ``features.safetensors`` (half precision) and ``features.json`` atomically."""
    built_from = {"shape": list(network.shape), "channels": list(network.channels)}
    config = {"kind": "features", "network": built_from, **facts}
    checkpoints.save_network(folder, "features.safetensors", "features", network, config)


def load_features(folder: str | Path) -> FeatureNet:
    """Load a feature network, in evaluation mode, on the CPU, float32.

    Args:
        folder: Folder that holds ``features.json``.

    Raises:
        CheckpointError: If it holds no usable one; one sentence says why.
    """
    folder = Path(folder)
    config = checkpoints.read_config(folder, "features")
    if config.get("kind") != "features":
        raise checkpoints.CheckpointError(f"{folder / 'features.json'} describes no feature net.")
    network = checkpoints.build_network(lambda: FeatureNet(**config["network"]), folder)
    checkpoints.load_weights(network, folder / "features.safetensors")
    return network.eval().requires_grad_(False)
