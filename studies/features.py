"""Does a feature network see damage? Distances of damaged real pictures to held-out ones.

Blur, noise, mode drop (fewer pictures, repeated) and lower resolution, each in growing doses: a
measure that may rank models must grow with every dose, from the floor of undamaged pictures.

Example: python evaluate.py features checkpoints/features-faces --data train.zip --write
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from sbcore.features import FeatureNet, load_features
from sbcore.runtime import checkpoints, checks
from sbcore.runtime.metrics import frechet_distance, precision_recall
from studies.report import Progress, Report, Table
from studies.sets import load_sets

FLOORS = 4  # sets of undamaged pictures; the largest distance of them is the floor
COLUMNS = ("pictures", "Frechet distance of features", "precision", "recall")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py features``."""
    parser.add_argument("features", type=Path, help="folder of the feature network")
    parser.add_argument("--data", required=True, help="the pictures that it was trained on")
    parser.add_argument("--val", help="held-out pictures (default: val beside train)")
    parser.add_argument("--count", type=int, default=250, help="pictures of each set")
    parser.add_argument("--write", action="store_true", help="write README.md beside the weights")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Measure every dose; with ``--write``, put the table beside the weights."""
    network = load_features(options.features)
    sets = load_sets(network.shape, options.data, options.val)
    count = checks.whole("count", options.count, least=8)
    count = min(count, 64) if options.quick else count
    held_out = sets.of("reporting", count)
    pictures, real = sets.training[-count:] / 255.0, network.features(held_out)
    table = Table(f"Distances of {count} pictures to {count} held-out ones", COLUMNS)
    floors = _floors(network, sets.training, real, count)
    distances: dict[str, float] = {}
    damaged = {"training pictures": lambda x: x, **damages(options.seed)}
    for index, (name, damage) in enumerate(damaged.items()):
        found = network.features(damage(pictures))
        distances[name] = frechet_distance(found, real)
        table.rows.append([name, distances[name], *precision_recall(real, found)])
        progress("damaging", index + 1, len(damaged))
    table.rows[0][0] += " (floor)"
    table.note = verdict(distances, max(floors))
    report = Report(f"features-{options.features.name}", "Feature network", [table])
    report.text = card(options.features, table)
    if options.write:
        (options.features / "README.md").write_text(report.text, encoding="utf-8")
    return report


def _floors(network: FeatureNet, training: Tensor, real: Tensor, count: int) -> list[float]:
    """Distances of undamaged sets of training pictures, from the end of the training set."""
    found = []
    for last in range(len(training), count - 1, -count)[:FLOORS]:
        features = network.features(training[last - count : last])
        found.append(frechet_distance(features, real))
    return found


def verdict(distances: dict[str, float], floor: float) -> str:
    """Whether the distance grows with every dose, and which doses it does not see."""
    series: dict[str, list[float]] = {}
    for name, distance in distances.items():
        series.setdefault(name.split(",")[0], []).append(max(distance, floor))
    failed = [kind for kind, row in series.items() if sorted(row) != row]
    unseen = [name for name, x in distances.items() if x <= floor and "," in name]
    parts = [
        f"It does not grow with every dose of: {'; '.join(failed)}."
        if failed
        else "Above the floor, the distance grows with every dose of every damage.",
        f"The floor of undamaged sets reaches {floor:.3f}.",
        f"Within it, so not seen: {'; '.join(unseen)}." if unseen else "It sees every dose.",
    ]
    return " ".join(parts)


def damages(seed: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Each damage in growing doses, by name; maps pictures (n, c, h, w) to as many."""
    generator = torch.Generator().manual_seed(seed)

    def noisy(std: float) -> Callable[[Tensor], Tensor]:
        return lambda x: (x + std * torch.randn(x.shape, generator=generator)).clamp(0, 1)

    found = {f"blur, std {std:g} px": lambda x, std=std: blur(x, std) for std in (0.5, 1.0, 2.0)}
    found |= {f"noise, std {std:g}": noisy(std) for std in (0.02, 0.05, 0.1)}
    found |= {
        f"mode drop, 1/{k} of the pictures": lambda x, k=k: repeated(x, k) for k in (2, 8, 32)
    }
    return found | {f"resolution, 1/{k}": lambda x, k=k: coarse(x, k) for k in (2, 4)}


def blur(pictures: Tensor, std: float) -> Tensor:
    """Gaussian blur of a standard deviation in pixels, mirrored at the border."""
    radius, channels = round(3 * std + 0.5), pictures.shape[1]
    line = torch.exp(-(torch.arange(-radius, radius + 1.0) ** 2) / (2 * std**2))
    kernel = (line[:, None] * line / line.sum() ** 2).expand(channels, 1, -1, -1)
    padded = F.pad(pictures, (radius,) * 4, mode="reflect")
    return F.conv2d(padded, kernel, groups=channels)


def repeated(pictures: Tensor, k: int) -> Tensor:
    """The first of every k pictures, k times."""
    return pictures[::k].repeat(k, 1, 1, 1)[: len(pictures)]


def coarse(pictures: Tensor, k: int) -> Tensor:
    """Averaged over blocks of k x k pixels and enlarged again."""
    enlarge = {"size": pictures.shape[2:], "mode": "bicubic"}
    return F.interpolate(F.avg_pool2d(pictures, k), **enlarge).clamp(0, 1)


def card(folder: Path, table: Table) -> str:
    """README.md of a feature network."""
    config = checkpoints.read_config(folder, "features")
    training, source = config.get("training", {}), config.get("data", {})
    digest = hashlib.sha256((folder / "features.safetensors").read_bytes()).hexdigest()
    width = config["network"]["channels"][-1]
    return (
        f"# {folder.name}\n\nA frozen network with {width} features, trained without labels "
        "(SimCLR), whose distances compare sets of pictures in the tables of `evaluate.py`. "
        "They rank variants of one model on one data set; they are no FID.\n\n"
        f"- **Data**: {source.get('name', 'unknown')}; {training.get('pictures', 0):,} pictures.\n"
        f"- **Licence of the weights**: {source.get('license', 'unknown')}.\n"
        f"- **Training**: {training.get('images', 0):,} pictures seen, "
        f"{training.get('seconds', 0) / 60:.0f} minutes on {training.get('device', 'unknown')}; "
        f"contrastive loss on held-out pictures {training.get('score', 0):.2f}.\n"
        f"- **sha256** of features.safetensors: `{digest}`\n\n{table.markdown()}\n"
        "Printed by `python evaluate.py features`, trained by `python train.py features`.\n"
    )
