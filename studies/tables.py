"""What Tables 1 and 2 share: drawing, measuring, sizes."""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor

from sbcore.runtime import checks
from sbcore.runtime.run import DivergedError
from sbcore.twostage.bridge import DEFAULTS, Bridge
from sbcore.twostage.paper import PaperMode
from sbcore.twostage.solvers import SOLVERS
from studies import distances
from studies.report import Cell, Progress

BATCH = 16
CIFAR10 = "CIFAR-10, 50,000 pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of both tables."""
    distances.add_arguments(parser)
    parser.add_argument("--paper-steps", type=int, default=PaperMode().n1, help="of each stage")


def draw(
    bridge: Bridge,
    count: int,
    seed: int,
    progress: Progress,
    what: str,
    paper: PaperMode | None = None,
) -> tuple[Tensor | None, int | None]:
    """Draw ``count`` pictures, by the fast default or by paper mode.

    Returns:
        Pictures (count, c, h, w) on the CPU, None if the run diverged; evaluations of each.
    """
    mode = {"mode": "fast"} if paper is None else {"mode": "paper", "paper": paper}
    drawn, step = [], None
    try:
        for first in range(0, count, BATCH):
            n = min(BATCH, count - first)
            for step in bridge.generate(n, seed + first, **mode):
                done = first * step.total + n * step.index
                progress(what, done, count * step.total)
            drawn.append(step.x.clamp(0, 1).cpu())
    except DivergedError:
        return None, step.nfe.total
    pictures = torch.cat(drawn)
    return (pictures if bool(pictures.isfinite().all()) else None), step.nfe.total


def cells(ruler: distances.Ruler, pictures: Tensor | None) -> list[Cell]:
    """The distances of a set; of a run that diverged, that it did."""
    if pictures is None:
        return [math.nan, *[None] * (len(distances.COLUMNS) - 1)]
    return ruler.cells(pictures)


def sizes(options: argparse.Namespace) -> tuple[int, int]:
    """Pictures of each set and Euler-Maruyama steps of each stage."""
    count = checks.whole("count", options.count, least=4)
    steps = checks.whole("paper_steps", options.paper_steps)
    return (min(count, 8), min(steps, 4)) if options.quick else (count, steps)


def facts(options: argparse.Namespace, bridge: Bridge, count: int) -> dict[str, Cell]:
    """What the numbers depend on."""
    default = DEFAULTS["generate"]
    return {
        "model": bridge.name,
        "pictures": count,
        "seed": options.seed,
        "fast default": f"{SOLVERS[default.solver].title}, {default.steps} evaluations",
        "device": bridge.device_name + (", bf16" if options.bf16 else ""),
    }
