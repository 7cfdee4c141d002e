"""Morphs of held-out faces: by inversion, by the paper's shared noise, and the plain pixel mix.

All ways take the same pairs. How exactly a morph begins and ends is a PSNR; how evenly it goes,
the spread of the changes from frame to frame; whether its middle is a face, the Frechet distance
of features to other held-out faces.

Example: python evaluate.py morphs checkpoints/celeba64 --data train.zip --pairs 100
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sbcore.features import load_features
from sbcore.runtime import checks
from sbcore.runtime.metrics import frechet_distance
from sbcore.twostage.bridge import Bridge
from sbcore.twostage.inversion import linear_mix, path_positions
from studies.report import Progress, Report, Table, contact_sheet
from studies.sets import load_sets

MIX = "plain pixel mix"
COLUMNS = (
    *("way", "evaluations", "PSNR of the ends", "its standard deviation", "the worst"),
    *("change a frame", "its variation along a morph", "Frechet distance of middles"),
)
SHOWN = 6  # pairs on the sheet
Way = Callable[[Tensor, Tensor, int], tuple[Tensor, int]]
"""Maps (a, b, seed) to frames (f, c, h, w) and the evaluations of a frame."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py morphs``."""
    parser.add_argument("model", help="checkpoint folder or Hub repository id")
    parser.add_argument("--data", required=True, help="the pictures that it was trained on")
    parser.add_argument("--val", help="held-out pictures (default: val beside train)")
    parser.add_argument("--pairs", type=int, default=60, help="held-out pairs")
    parser.add_argument("--frames", type=int, default=9, help="of a morph, an odd number")
    parser.add_argument(
        "--features", type=Path, default=Path("checkpoints/features-faces"), help="feature network"
    )


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Morph every pair in every way."""
    bridge = Bridge.from_pretrained(options.model)
    sets, network = (
        load_sets(bridge.shape, options.data, options.val),
        load_features(options.features),
    )
    pairs = min(checks.whole("pairs", options.pairs, 2), 8 if options.quick else math.inf)
    frames = min(checks.whole("frames", options.frames, 3), 3 if options.quick else math.inf)
    pictures = sets.of("reporting", 2 * pairs)
    real = network.features(sets.selection)
    table, strips = Table("Morphs of held-out pairs", COLUMNS, note=NOTE), []
    for name, way in ways(bridge, frames):
        morphs, evaluations = [], 0
        for i, (a, b) in enumerate(pictures.split(2)):
            morph, evaluations = way(a, b, options.seed + i)
            morphs.append(morph)
            progress(name, i + 1, pairs)
        drawn = torch.stack(morphs)
        middles = network.features(drawn[:, frames // 2])
        distance = frechet_distance(middles, real)
        table.rows.append([name, evaluations, *measured(drawn, pictures), distance])
        strips.append(drawn[:SHOWN])
    floor = frechet_distance(network.features(pictures[::2]), real)
    table.rows.append(["held-out pictures (floor)", *[None] * 6, floor])
    sheet = contact_sheet(torch.stack(strips, 1).flatten(0, 2), columns=frames)
    facts = {"model": bridge.name, "pairs": pairs, "frames": frames, "device": bridge.device_name}
    title = f"Morphs by {bridge.name}"
    return Report(f"morphs-{bridge.name}", title, [table], pictures={"sheet": sheet}, facts=facts)


NOTE = (
    "PSNR (dB) of the first and the last frame against the pictures given. Change: root mean "
    "square in levels of 8 bits; its variation is the standard deviation along a morph over its "
    "mean. Evaluations: of the network, for one frame. The sheet has a row a way, pair by pair."
)


def ways(bridge: Bridge, frames: int) -> Iterator[tuple[str, Way]]:
    """Those of `Bridge.interpolate`, and the baseline."""

    def own(method: str) -> Way:
        def drawn(a: Tensor, b: Tensor, seed: int) -> tuple[Tensor, int]:
            run = bridge.interpolate(a, b, frames, seed=seed, method=method)
            *_, last = run
            return last.x.clamp(0, 1).cpu(), last.nfe.total

        return drawn

    def mixed(a: Tensor, b: Tensor, seed: int) -> tuple[Tensor, int]:
        return linear_mix(torch.stack([a, b]), path_positions(frames, 2)), 0

    yield "inversion", own("inversion")
    yield "shared noise, variance 0.4", own("shared noise")
    yield MIX, mixed


def measured(morphs: Tensor, pictures: Tensor) -> list[float | None]:
    """PSNR of the ends (mean, spread, least), change a frame and how it varies.

    Args:
        morphs: (pairs, frames, c, h, w).
        pictures: The given ones, (2 pairs, c, h, w), pair by pair.
    """
    ends = morphs[:, [0, -1]].flatten(0, 1)
    errors = (ends - pictures).square().flatten(1).mean(1)
    changes = 255 * morphs.diff(dim=1).square().flatten(2).mean(2).sqrt()  # (pairs, frames - 1)
    variation = (changes.std(1, correction=0) / changes.mean(1)).mean()
    psnr: list[float | None] = [None, None, None]
    if bool((errors > 0).all()):
        found = -10 * np.log10(errors.double().numpy())
        psnr = [float(found.mean()), float(found.std(ddof=1)), float(found.min())]
    return [*psnr, float(changes.mean()), float(variation)]
