"""A small classifier of 28x28 glyphs: a judge of translated pictures, trained in a minute."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbcore.runtime.devices import has_fast_bf16
from studies.report import Progress

FEATURES = 64
STEP = 100  # pictures of one training step
BATCH = 500  # pictures of one network call; bounds memory
TURN, ZOOM, SHIFT = 0.2, 0.12, 0.1  # largest rotation (radians), scaling, shift (of half the side)


class Classifier(nn.Module):
    """Pictures (n, 1, 28, 28) in [0, 1] to logits (n, classes), by way of `FEATURES` features."""

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *_stage(1, width, 1), *_stage(width, 2 * width, 1), *_stage(2 * width, 4 * width, 2),
            nn.Flatten(), nn.Linear(4 * width * 9, FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(FEATURES, classes))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        return self.head(self.trunk(2 * pictures - 1))

    @torch.no_grad()
    def features(self, pictures: Tensor) -> Tensor:
        """Features (n, `FEATURES`) below the last layer."""
        return torch.cat([self.trunk(2 * part - 1) for part in pictures.split(BATCH)])

    @torch.no_grad()
    def probabilities(self, pictures: Tensor) -> Tensor:
        """Probabilities (n, classes)."""
        return self.head(self.features(pictures)).softmax(1)


def _stage(inputs: int, outputs: int, depth: int) -> list[nn.Module]:
    """Convolutions, then half the side, rounded down."""
    layers: list[nn.Module] = []
    for c in [inputs] + [outputs] * (depth - 1):
        layers += [nn.Conv2d(c, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)]
        layers.append(nn.ReLU())
    return [*layers, nn.MaxPool2d(2)]


def train_classifier(
    pictures: Tensor,
    labels: Tensor,
    epochs: int,
    seed: int,
    progress: Progress,
    what: str = "classifier",
) -> Classifier:
    """Train on pictures (n, 1, 28, 28) in [0, 1] and labels (n,), turned, scaled and shifted.

    Raises:
        ValueError: If there are fewer pictures than one batch.
    """
    if len(pictures) < STEP:
        raise ValueError(f"a classifier needs {STEP} labelled pictures, got {len(pictures)}")
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(int(labels.max()) + 1).train().to(memory_format=torch.channels_last)
        size, fast = STEP, has_fast_bf16(torch.device("cpu"))
        per_epoch = len(pictures) // size
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, epochs * per_epoch)
        for epoch in range(epochs):
            progress(what, epoch, epochs)
            order = torch.randperm(len(pictures), generator=generator)
            for index in order[: per_epoch * size].split(size):
                batch = _turned(pictures[index], generator)
                with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                    logits = network(batch)
                loss = F.cross_entropy(logits.float(), labels[index])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    progress(what, epochs, epochs)
    return network.eval().requires_grad_(False)


def _turned(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures under small random affine maps; what comes in from outside is black."""
    n = len(pictures)
    turn, zoom, across, down = (2 * torch.rand(4, n, generator=generator) - 1).unbind()
    angle, scale = TURN * turn, (ZOOM * zoom).exp()
    rows = torch.stack(
        [
            torch.stack([scale * angle.cos(), -scale * angle.sin(), SHIFT * across], 1),
            torch.stack([scale * angle.sin(), scale * angle.cos(), SHIFT * down], 1),
        ],
        1,
    )
    grid = F.affine_grid(rows, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def accuracy(network: Classifier, pictures: Tensor, labels: Tensor, least: float = 0.0) -> float:
    """Share whose likeliest class is the label, of pictures where it has probability >= least."""
    likeliest, found = network.probabilities(pictures).max(1)
    return float((found == labels)[likeliest >= least].float().mean())
