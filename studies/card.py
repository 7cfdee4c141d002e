"""A model card: distances with their floors, held-out loss, memorising."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sbcore.runtime.metrics import frechet_distance, nearest_neighbours, sliced_wasserstein
from sbcore.twostage.bridge import DEFAULTS, Bridge, Default
from sbcore.twostage.solvers import SOLVERS
from studies.distances import COMPONENTS
from studies.report import Progress, Report, contact_sheet, silent
from studies.sets import load_sets

BATCH = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py card``."""
    parser.add_argument("model", type=Path, help="checkpoint folder")
    parser.add_argument("--data", required=True, help="the pictures that it was trained on")
    parser.add_argument("--val", help="held-out pictures (default: val beside train)")
    parser.add_argument("--count", type=int, default=500, help="pictures of each set")
    default = DEFAULTS["generate"]
    parser.add_argument("--solver", choices=SOLVERS, default=default.solver)
    parser.add_argument("--steps", type=int, default=default.steps, help="network evaluations")
    parser.add_argument("--write", action="store_true", help="write README.md and sheet.png there")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Measure a model; with ``--write``, put card and sheet beside its weights."""
    bridge = Bridge.from_pretrained(options.model)
    sets = load_sets(bridge, options.data, options.val)
    count = min(options.count, 16) if options.quick else options.count
    sampler = Default(options.solver, options.steps)
    found = measure(bridge, sets.training, sets.held_out, count, progress, sampler, options.seed)
    command = f"python evaluate.py card {options.model} --data {Path(options.data).name}"
    text = card(bridge.name, bridge.facts, found, command)
    sheet = contact_sheet(found["pictures"])
    if options.write:
        (options.model / "README.md").write_text(text, encoding="utf-8")
        sheet.save(options.model / "sheet.png", optimize=True)
    # The neighbours are training pictures: they stay out of the model's folder.
    pictures = {"sheet": sheet, "neighbours": neighbour_sheet(found)}
    return Report(f"card-{bridge.name}", bridge.name, pictures=pictures, text=text)


def measure(
    bridge: Bridge,
    training: Tensor,
    held_out: Tensor,
    count: int = 500,
    progress: Progress = silent,
    sampler: Default = DEFAULTS["generate"],
    seed: int = 0,
) -> dict[str, Any]:
    """Measure drawn pictures against held-out ones.

    Args:
        bridge: The model.
        training: uint8 (n, c, h, w), its training set.
        held_out: uint8 (m, c, h, w), never trained on.
        count: Pictures of each set.
        progress: Told how many are drawn.
        sampler: Solver and network evaluations; the default quality if not given.
        seed: Of the first picture; picture i has seed + i.

    Returns:
        ``pictures`` (the first 64, a tensor) and the figures of the card.

    Raises:
        ValueError: If there are fewer than ``count`` held-out or training pictures.
    """
    if min(len(held_out), len(training)) < count:
        raise ValueError(f"{count} held-out and training pictures are needed")
    drawn = []
    for first in range(0, count, BATCH):
        n = min(BATCH, count - first)
        drawn.append(bridge.generate(n, seed=seed + first, **sampler._asdict()).result().cpu())
        progress("drawing", first + n, count)
    drawn = torch.cat(drawn)
    real, other = held_out[:count] / 255.0, training[-count:] / 255.0
    gaussian = bridge.gaussian(count, seed=0).cpu()
    sets = {"model": drawn, "training pictures (floor)": other, "Gaussian (no network)": gaussian}
    distances = {
        name: {
            "swd": sliced_wasserstein(pictures, real),
            "frechet": frechet_distance(pictures, real, bridge.components(COMPONENTS).cpu()),
        }
        for name, pictures in sets.items()
    }
    found = {
        "model": nearest_neighbours(drawn, training),
        "held-out": nearest_neighbours(real, training),
    }
    return {
        "pictures": drawn[:64],
        "seed": seed,
        "count": count,
        "distances": distances,
        "same": sliced_wasserstein(real, real)["mean"],
        "sampler": f"{SOLVERS[sampler.solver].title}, {sampler.steps} evaluations",
        "steps": sampler.steps,
        "copies": {name: n.copies for name, n in found.items()},
        "nearest": {name: float(n.nearest.median()) for name, n in found.items()},
        "closest": {name: float(n.nearest.min()) for name, n in found.items()},
        "neighbours": training[found["model"].index[:16]] / 255.0,
        "milliseconds": _evaluation_time(bridge),
        "device": bridge.device_name,
    }


def _evaluation_time(bridge: Bridge) -> float:
    """Milliseconds of one network evaluation of one picture: the median of five runs of ten."""
    bridge.generate(1).result()
    times = []
    for seed in range(5):
        start = time.perf_counter()
        bridge.generate(1, seed=seed, steps=10).result()
        times.append(1000 * (time.perf_counter() - start) / 10)
    return sorted(times)[2]


def neighbour_sheet(found: dict[str, Any]) -> Image.Image:
    """16 pictures of the model, in two rows, each above its nearest training picture."""
    drawn, near = found["pictures"], found["neighbours"]
    return contact_sheet(torch.cat([drawn[:8], near[:8], drawn[8:16], near[8:16]]))


def card(name: str, config: dict[str, Any], found: dict[str, Any], command: str) -> str:
    """The model card in Markdown."""
    training, data = config["training"], config.get("data", {})
    hours = training["seconds"] / 3600
    seeds = f"seeds {found['seed']} to {found['seed'] + len(found['pictures']) - 1}"
    licence = data.get("license", "unknown")
    front = f"---\nlicense: other\nlicense_name: {licence!r}\nlibrary_name: sbcore\n---\n\n"
    facts = [
        f"- **Data**: {data.get('name', 'unknown')}; {training['pictures']:,} pictures"
        f"{' and their mirror images' if training.get('flip') else ''}.",
        f"- **Licence of the weights**: {licence}.",
        f"- **Training**: {training['images']:,} images seen, {hours:.1f} hours on "
        f"{training['device']}; the weight average that was best on held-out pictures.",
        f"- **Bridge**: sigma = {config['sigma']:g}, tau = {config['tau']:g}; "
        f"{config['network']['rank']} principal components in the Wiener filter.",
        f"- **Speed**: {found['milliseconds']:.0f} ms for one evaluation of one picture on "
        f"{found['device']}; a picture above takes {found['steps']}.",
    ]
    parts = [
        f"{front}# {name}\n\n![64 random pictures, {seeds}](sheet.png)\n",
        f"{seeds.capitalize()}, not selected; {found['sampler']}.\n",
        "\n".join(facts) + "\n",
        _distance_table(found),
        _loss_table(training),
        _memory_table(found),
        f"All figures above are printed by\n\n    {command}\n",
        "Faces are drawn, not recognised: the model is for research and play. It has learned the "
        "biases of its training set, and it must not be used to depict real people.\n",
    ]
    return "\n".join(parts)


def _distance_table(found: dict[str, Any]) -> str:
    """Distances of each set to the held-out pictures."""
    names = [name for name in found["distances"]["model"]["swd"] if name != "mean"]
    head = " | ".join(f"SWD {name} px" for name in names)
    rows = [
        f"| {name} | **{d['swd']['mean']:.1f}** | "
        + " | ".join(f"{d['swd'][level]:.1f}" for level in names)
        + f" | {d['frechet']:.2f} |"
        for name, d in found["distances"].items()
    ]
    return (
        f"## Distances to {found['count']} held-out pictures\n\n"
        f"| {found['count']} of | SWD, mean | {head} | Frechet, {COMPONENTS} components |\n"
        f"|---|---|{'---|' * (len(names) + 1)}\n" + "\n".join(rows) + "\n\n"
        "SWD: sliced Wasserstein distance of 7x7 patches of the Laplacian pyramid, x 1000. "
        f"The held-out pictures against themselves: {found['same']:.1f}.\n"
    )


def _loss_table(training: dict[str, Any]) -> str:
    """Held-out loss by noise level."""
    levels = training["by_noise_level"]
    row = " | ".join(f"{error:.5f}" for error in levels.values())
    linear = " | ".join(f"{training['linear'][level]:.5f}" for level in levels)
    return (
        "## Held-out loss\n\nMean squared error of the denoiser by noise level s.\n\n"
        f"| s | {' | '.join(levels)} |\n|---|{'---|' * len(levels)}\n"
        f"| model | {row} |\n| Wiener filter alone | {linear} |\n"
    )


def _memory_table(found: dict[str, Any]) -> str:
    """Nearest-neighbour test against memorising."""
    rows = [
        f"| {label} | {found['copies'][key]:.1%} | {found['nearest'][key]:.3f} | "
        f"{found['closest'][key]:.3f} |"
        for key, label in (("model", "pictures of the model"), ("held-out", "held-out pictures"))
    ]
    return (
        "## Memorising\n\nNearest training picture of each picture, mirrored ones included; "
        "root-mean-square distance per value.\n\n"
        "| | nearest / second nearest < 1/3 | median distance | smallest |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )
