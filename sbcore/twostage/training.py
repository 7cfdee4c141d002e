"""Training of the denoiser (equation 9) and of the density-ratio network (equation 7)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sbcore.data.batches import Batches
from sbcore.data.masks import random_masks
from sbcore.data.statistics import data_identity, mean_and_std, principal_components
from sbcore.runtime import checkpoints
from sbcore.runtime.devices import channels_last, device_name, uses_bf16
from sbcore.runtime.learner import open_accelerator
from sbcore.runtime.trainer import NetworkPlan, NetworkTrainer
from sbcore.twostage.denoiser import (
    Denoiser,
    DenoiserConfig,
    image_denoiser,
    load_denoiser,
    save_denoiser,
)
from sbcore.twostage.losses import denoising_error, denoising_loss
from sbcore.twostage.ratio import DensityRatioNet, density_ratio_loss, save_density_ratio

NOISE_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10.0)
HELD_OUT = 256  # pictures of a measurement


@dataclass(frozen=True, kw_only=True)
class ScorePlan(NetworkPlan):
    """How to train a denoiser."""

    noise_mean: float = -1.6
    """Mean of ln s in training (P_mean of EDM)."""
    noise_std: float = 1.4
    """Standard deviation of ln s in training (P_std of EDM)."""
    noise_tail: float = 0.1
    """Part of the noise levels drawn log-uniformly from [1, 40] instead, for stage 1."""
    conditional: float = 0.4
    """Part of the batch that is trained with known pixels."""


@dataclass(frozen=True)
class Preset:
    """A data set's picture shape, bridge and network."""

    name: str
    network: DenoiserConfig
    sigma: float
    """Standard deviation of the smoothed density q_sigma between the two stages."""
    tau: float
    """Variance of the Wiener reference of stage 1."""
    flip: bool = True


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("celeba64", DenoiserConfig(), sigma=2.0, tau=8.0),
        Preset("cifar10", DenoiserConfig(image_size=32, patch=1), sigma=1.0, tau=2.0),
        Preset(
            "digits",
            DenoiserConfig(28, image_channels=1, patch=1, channels=(32, 64, 128), rank=256),
            sigma=1.0,
            tau=2.0,
            flip=False,
        ),
    )
}


# The two networks of the paper


def score_trainer(
    pictures: Tensor,
    held_out: Tensor,
    preset: Preset,
    plan: ScorePlan,
    folder: Path,
    *,
    precision: str = "auto",
    compile: bool = False,
    resume: bool = False,
    cpu: bool = False,
    init: str | Path | None = None,
    facts: dict[str, Any] | None = None,
) -> NetworkTrainer:
    """Trainer of the denoiser; the averaged weights that are best on held-out data are published.

    Args:
        pictures: uint8 (n, c, h, w), the training set.
        held_out: uint8 (m, c, h, w), never trained on.
        preset: Shape, bridge and network.
        plan: Length and speed of the run.
        folder: The checkpoint folder.
        precision: "bf16", "fp32", or "auto" (bf16 where the device computes it fast).
        compile: Use torch.compile.
        resume: Continue the run in ``folder``.
        cpu: Do not use an accelerator.
        init: Checkpoint whose weights a new run starts from.
        facts: Further entries of config.json, e.g. the data set and its licence.

    Raises:
        CheckpointError: If ``init`` is unusable or of another shape.
    """
    accelerator = open_accelerator(cpu)
    device, flip = accelerator.device, preset.flip
    # As many components as pictures would leave no variance for what is unseen.
    config = replace(preset.network, rank=min(preset.network.rank, len(pictures) // 2))
    torch.manual_seed(plan.seed)
    denoiser = image_denoiser(config)
    mean, std = mean_and_std(pictures, flip)
    denoiser.mean.copy_(mean)
    denoiser.data_std.fill_(std)
    set_covariance(denoiser, pictures, flip, device)
    if init is not None:
        start_from(denoiser, config, init)
    channels_last(denoiser.to(device))
    if compile:
        denoiser.trunk.compile()
    bf16 = uses_bf16(precision, device)
    batches = Batches(pictures, plan.batch_size, accelerator)
    mean, seen = mean.to(device), held_out[:HELD_OUT].to(device)

    def loss(network: nn.Module, generator: torch.Generator) -> Tensor:
        x0 = random_batch(batches, mean, flip, generator)
        s, noise, known_mask = map(batches.own, random_corruption(batches.shape, plan, generator))
        return denoising_loss(network, x0, s, noise, known_mask, bf16=bf16)

    def publish(average: Denoiser, run: dict[str, Any]) -> None:
        bridge = {"name": preset.name, "sigma": preset.sigma, "tau": preset.tau}
        training = run | {"device": device_name(device), "pictures": len(pictures), "flip": flip}
        save_denoiser(folder, average, config, **bridge, **(facts or {}), training=training)

    return NetworkTrainer(
        denoiser,
        loss,
        lambda average: held_out_loss(average, seen, bf16=bf16),
        publish,
        plan,
        folder / "training",
        accelerator,
        identity={"network": asdict(config), **data_identity(pictures, held_out)},
        settings={"bf16": bf16},
        resume=resume,
    )


def start_from(denoiser: Denoiser, config: DenoiserConfig, init: str | Path) -> None:
    """Take the weights of a published denoiser; statistics stay those of the data at hand."""
    published, _ = load_denoiser(checkpoints.locate(init))
    weights = published.trunk.state_dict()
    own = denoiser.trunk.state_dict()
    # A missing attention layer starts as the identity, so a checkpoint without it serves too.
    added = {name for name in own.keys() - weights.keys() if "attention" in name}
    if weights.keys() | added != own.keys() or any(
        weights[name].shape != own[name].shape for name in weights
    ):
        raise checkpoints.CheckpointError(f"{init} has another network than this run ({config}).")
    denoiser.trunk.load_state_dict(weights, strict=False)


def set_covariance(denoiser: Denoiser, pictures: Tensor, flip: bool, device: Any) -> None:
    """Measure the covariance of the training set and store it in the Wiener filter.

    With rank 0 (EDM preconditioning) the one variance is that of the pixels.
    """
    linear = denoiser.linear
    if linear.rank == 0:
        linear.rest.copy_(denoiser.data_std**2)
        return
    basis, eigenvalues, rest = principal_components(
        pictures.to(device), denoiser.mean.to(device), linear.rank, flip
    )
    linear.basis.copy_(basis)
    linear.eigenvalues.copy_(eigenvalues)
    linear.rest.copy_(rest)


def random_batch(batches: Batches, mean: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """Draw centred pictures, one for each own row, (b, c, h, w), half of them mirrored."""
    pictures = batches.draw(generator)
    if flip:
        draws = torch.rand(batches.size, 1, 1, 1, generator=generator, device=mean.device)
        pictures = torch.where(batches.own(draws) < 0.5, pictures.flip(-1), pictures)
    return pictures - mean


def random_corruption(
    shape: tuple[int, ...], plan: ScorePlan, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw noise levels (b,), standard normal noise (b, c, h, w) and known masks (b, 1, h, w).

    Args:
        shape: Of the pictures, (b, c, h, w).
        plan: Which levels, and how many masks.
        generator: On the device of the draws.
    """
    n, device = shape[0], generator.device
    log_s = torch.randn(n, generator=generator, device=device) * plan.noise_std + plan.noise_mean
    tail = torch.rand(n, generator=generator, device=device) * math.log(40)
    in_tail = torch.rand(n, generator=generator, device=device) < plan.noise_tail
    s = torch.where(in_tail, tail, log_s).exp()
    noise = torch.randn(shape, generator=generator, device=device)
    known_mask = random_masks(n, shape[-1], generator)
    conditional = torch.rand(n, generator=generator, device=device) < plan.conditional
    return s, noise, known_mask & conditional.view(-1, 1, 1, 1)


@torch.no_grad()
def held_out_loss(
    denoiser: Denoiser, pictures: Tensor, seed: int = 1234, *, bf16: bool = False
) -> dict[str, Any]:
    """Denoising error on held-out pictures, by noise level, under fixed noise.

    Returns:
        ``by_noise_level``: mean squared error for each of `NOISE_LEVELS`; ``linear``: the same
        of the Wiener filter alone; ``score``: mean over the levels of error / c_out^2.
    """
    device = denoiser.mean.device
    x0 = pictures / 255.0 - denoiser.mean
    by_level, linear, relative = {}, {}, []
    for level in NOISE_LEVELS:
        generator = torch.Generator(device).manual_seed(seed)
        noise = torch.randn(x0.shape, generator=generator, device=device)
        errors, filtered = [], []
        for x, z in zip(x0.split(64), noise.split(64), strict=True):
            s = torch.full((len(x),), level, device=device)
            errors.append(denoising_error(partial(denoiser, bf16=bf16), x, s, z))
            filtered.append(denoising_error(denoiser.linear, x, s, z))
        by_level[f"{level:g}"] = float(torch.cat(errors).mean())
        linear[f"{level:g}"] = float(torch.cat(filtered).mean())
        c_out = denoiser.linear.rms_error(torch.tensor([level], device=device)).item()
        relative.append(by_level[f"{level:g}"] / c_out**2)
    return {
        "score": sum(relative) / len(relative),
        "by_noise_level": by_level,
        "linear": linear,
    }


def ratio_trainer(
    pictures: Tensor,
    held_out: Tensor,
    mean: Tensor,
    plan: NetworkPlan,
    folder: Path,
    *,
    sigma: float,
    tau: float,
    flip: bool = True,
    channels: int = 64,
    precision: str = "auto",
    resume: bool = False,
    cpu: bool = False,
) -> NetworkTrainer:
    """Trainer of the density-ratio network of paper mode (equation 7).

    Args:
        pictures: uint8 (n, c, h, w), the training set.
        held_out: uint8 (m, c, h, w).
        mean: Mean picture (c, h, w) of the denoiser it will be used with.
        plan: Length and speed of the run.
        folder: The checkpoint folder, which already holds the denoiser.
        sigma: Standard deviation of the smoothed density.
        tau: Variance of the reference.
        flip: Mirror half of the pictures, as for the denoiser.
        channels: Width of the network.
        precision: "bf16", "fp32" or "auto".
        resume: Continue the run in ``folder``.
        cpu: Do not use an accelerator.
    """
    accelerator = open_accelerator(cpu)
    device = accelerator.device
    bf16 = uses_bf16(precision, device)
    torch.manual_seed(plan.seed)
    arguments = {"shape": list(pictures.shape[1:]), "channels": channels}
    network = channels_last(DensityRatioNet(**arguments).to(device))
    batches = Batches(pictures, plan.batch_size, accelerator)
    mean, seen = mean.to(device), held_out[:HELD_OUT].to(device)

    def batch_loss(log_ratio: nn.Module, x0: Tensor, first: Tensor, second: Tensor) -> Tensor:
        smoothed, reference = x0 + sigma * first, math.sqrt(tau) * second
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return density_ratio_loss(lambda x: log_ratio(x).float(), smoothed, reference)

    def loss(log_ratio: nn.Module, generator: torch.Generator) -> Tensor:
        x0 = random_batch(batches, mean, flip, generator)
        noise = torch.randn(2, *batches.shape, generator=generator, device=device)
        return batch_loss(log_ratio, x0, *map(batches.own, noise))

    def evaluate(average: nn.Module) -> dict[str, Any]:
        generator = torch.Generator(device).manual_seed(1234)
        x0 = seen / 255.0 - mean
        noise = torch.randn(2, *x0.shape, generator=generator, device=device)
        chunks = zip(x0.split(64), *(each.split(64) for each in noise), strict=True)
        losses = [batch_loss(average, *chunk) for chunk in chunks]
        return {"score": float(torch.stack(losses).mean())}

    def publish(average: DensityRatioNet, run: dict[str, Any]) -> None:
        save_density_ratio(folder, average, arguments, sigma=sigma, tau=tau, training=run)

    return NetworkTrainer(
        network,
        loss,
        evaluate,
        publish,
        plan,
        folder / "training-ratio",
        accelerator,
        identity={
            "network": arguments,
            "sigma": sigma,
            "tau": tau,
            **data_identity(pictures, held_out),
        },
        settings={"bf16": bf16},
        resume=resume,
    )
