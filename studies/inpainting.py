"""Inpainting of held-out faces: the conditional denoiser against the paper's and classical ways.

Ways: conditional denoiser; Algorithm 2 of the paper; resampling as in RePaint (Lugmayr et al.
2022); the Gaussian conditional mean, which is the linear part of the denoiser alone; the mean
picture; OpenCV's Telea and Navier-Stokes. All fill the same holes of the same pictures.

Example: python evaluate.py inpainting checkpoints/celeba64 --data train.zip --count 10 --fills 4
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sbcore.data.masks import brush_hole, preset_holes
from sbcore.runtime import checkpoints, checks
from sbcore.runtime.metrics import diversity, psnr, seam_error, ssim
from sbcore.runtime.noise import Noise
from sbcore.twostage.bridge import DEFAULTS, S_END, Bridge
from sbcore.twostage.denoiser import Denoiser, load_denoiser
from sbcore.twostage.grids import karras_grid
from sbcore.twostage.solvers import SOLVERS
from sbcore.twostage.wiener import WienerFilter
from studies.report import Progress, Report, Table, contact_sheet
from studies.sets import load_sets

WAYS = ("conditional", "algorithm2", "repaint", "gaussian", "mean", "telea", "navier-stokes")
HOLES = ("left half", "centre", "eyes", "brush", "75 %")
JUMP, RESAMPLE = 3, 3  # of RePaint: steps between jumps back, passes over each of them
SHOWN = 6  # pictures on a contact sheet
COLUMNS = (
    *("hole", "way", "evaluations", "PSNR, one fill", "PSNR, mean of fills", "its standard error"),
    *("SSIM, one fill", "SSIM, mean of fills", "seam error", "diversity", "known-pixel error"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py inpainting``."""
    parser.add_argument("model", help="checkpoint folder or Hub repository id")
    parser.add_argument("--data", required=True, help="the pictures that it was trained on")
    parser.add_argument("--val", help="held-out pictures (default: val beside train)")
    parser.add_argument("--count", type=int, default=50, help="held-out pictures")
    parser.add_argument("--fills", type=int, default=10, help="fills of each picture")
    parser.add_argument(
        "--steps", type=int, default=DEFAULTS["inpaint"].steps, help="network evaluations"
    )
    parser.add_argument("--paper-steps", type=int, default=100, help="of Algorithm 2; paper: 1000")
    parser.add_argument("--repaint-steps", type=int, default=30, help=f"each taken {RESAMPLE} x")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="which of them")
    parser.add_argument("--holes", nargs="+", choices=HOLES, default=HOLES, help="which of them")
    parser.add_argument("--bf16", action="store_true", help="bf16 inside the network")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Fill every hole of every picture in every way."""
    settings = Settings.of(options)
    bridge = Bridge.from_pretrained(options.model, bf16=options.bf16 or None)
    pictures = load_sets(bridge.shape, options.data, options.val).of("reporting", settings.count)
    denoiser, _ = load_denoiser(checkpoints.locate(options.model))
    ways = list(all_ways(bridge, denoiser.to(bridge.device), settings))
    table = Table("Held-out pictures, filled", COLUMNS, note=NOTE)
    sheets = {}
    for name in options.holes:
        holes = [_hole(name, bridge.shape[1], settings.seed + i) for i in range(len(pictures))]
        filled = {way: _fill_all(way, pictures, holes, name, settings, progress) for way in ways}
        for way, fills in filled.items():
            figures = _measure(fills, pictures, holes)
            table.rows.append([name, way.title, way.evaluations, *figures])
        sheets[name.replace(" %", "-percent").replace(" ", "-")] = _sheet(filled, pictures, holes)
    facts = {
        "model": bridge.name,
        "pictures": settings.count,
        "fills": settings.fills,
        "seed": settings.seed,
        "device": bridge.device_name + (", bf16" if options.bf16 else ""),
    }
    title = f"Inpainting by {bridge.name}"
    return Report(f"inpainting-{bridge.name}", title, [table], pictures=sheets, facts=facts)


NOTE = (
    "PSNR (dB) and diversity (mean absolute difference of two fills) over the hole, SSIM over the "
    "whole picture, seam error: mean gradient mismatch across the border of the hole, known-pixel "
    "error: largest change of a pixel that was given. One-fill figures are means over all fills. "
    "Standard error: of the mean over pictures; ways share the pictures, so they differ by less."
)


@dataclass(frozen=True)
class Settings:
    """Sizes of the study."""

    count: int
    fills: int
    steps: int
    paper_steps: int
    repaint_steps: int
    seed: int
    ways: tuple[str, ...] = WAYS

    @classmethod
    def of(cls, options: argparse.Namespace) -> Settings:
        """Check the options; ``--quick`` makes them small."""
        names = ("count", "fills", "steps", "paper_steps", "repaint_steps")
        least = {"fills": 2}  # diversity needs two
        asked = {
            name: checks.whole(name, getattr(options, name), least.get(name, 1)) for name in names
        }
        small = {"count": 2, "fills": 2, "steps": 5, "paper_steps": 5, "repaint_steps": 3}
        sizes = {k: min(v, small[k]) for k, v in asked.items()} if options.quick else asked
        return cls(**sizes, seed=options.seed, ways=tuple(options.ways))


@dataclass(frozen=True)
class Way:
    """One way to fill a hole."""

    name: str
    title: str
    evaluations: int
    """Network evaluations of one fill."""
    fill: Callable[[Tensor, Tensor, int], Tensor]
    """Maps (picture (c, h, w), hole (h, w), seed) to fills (n, c, h, w)."""


def all_ways(bridge: Bridge, denoiser: Denoiser, settings: Settings) -> Iterator[Way]:
    """The ways that were asked for, the model's own first."""
    ways = [*own_ways(bridge, settings), *other_ways(bridge, denoiser, settings)]
    return (way for way in ways if way.name in settings.ways)


def own_ways(bridge: Bridge, settings: Settings) -> Iterator[Way]:
    """Those of `Bridge.inpaint`."""
    n, paper, steps = settings.fills, settings.paper_steps, settings.steps

    def conditional(picture: Tensor, hole: Tensor, seed: int) -> Tensor:
        return bridge.inpaint(picture, ~hole, n, seed, steps=steps).result().cpu()

    def algorithm2(picture: Tensor, hole: Tensor, seed: int) -> Tensor:
        run = bridge.inpaint(picture, ~hole, n, seed, method="algorithm2", steps=paper)
        return run.result().cpu()

    solver = SOLVERS[DEFAULTS["inpaint"].solver].title
    yield Way("conditional", f"conditional denoiser, {solver}", steps, conditional)
    yield Way("algorithm2", f"Algorithm 2, {paper:,} steps", paper + 1, algorithm2)


def other_ways(bridge: Bridge, denoiser: Denoiser, settings: Settings) -> Iterator[Way]:
    """Resampling, the Gaussian and the classical ways."""
    n, steps, device = settings.fills, settings.repaint_steps, bridge.device
    grid = karras_grid(steps, bridge.sigma, min(S_END, bridge.sigma / 2))

    def resampling(picture: Tensor, hole: Tensor, seed: int) -> Tensor:
        known = picture.to(device) - denoiser.mean
        noise = Noise(range(seed, seed + n), bridge.shape, "resampling", device)
        denoise = partial(denoiser, bf16=bridge.bf16)
        filled = repaint(denoise, denoiser.linear, known, ~hole.to(device), noise, grid)
        return torch.where(hole, (filled + denoiser.mean).clamp(0, 1).cpu(), picture)

    def gaussian(picture: Tensor, hole: Tensor, seed: int) -> Tensor:
        known = picture.to(device) - denoiser.mean
        zero = torch.zeros(1, *bridge.shape, device=device)
        centred = denoiser.linear.sample_given(known, ~hole.to(device)[None], zero)
        filled = (centred + denoiser.mean).clamp(0, 1)
        return torch.where(hole, filled.cpu(), picture)

    def mean_fill(picture: Tensor, hole: Tensor, seed: int) -> Tensor:
        return torch.where(hole, denoiser.mean.cpu(), picture)[None]

    title = f"RePaint-style, {steps} steps, {RESAMPLE} passes"
    yield Way("repaint", title, steps * RESAMPLE, resampling)
    yield Way("gaussian", "Gaussian conditional mean", 0, gaussian)
    yield Way("mean", "mean picture", 0, mean_fill)
    methods = {"Telea": cv2.INPAINT_TELEA, "Navier-Stokes": cv2.INPAINT_NS}
    for name, method in methods.items():
        fill = partial(_classical, method=method)
        yield Way(name.lower(), f"{name} (OpenCV)", 0, fill)


def repaint(
    denoise: Callable[[Tensor, float], Tensor],
    linear: WienerFilter,
    known: Tensor,
    known_mask: Tensor,
    noise: Noise,
    grid: list[float],
) -> Tensor:
    """Resampling with an unconditional denoiser, a light version of RePaint's Algorithm 1.

    The grid is taken in segments of `JUMP` ancestral steps. Each segment is run `RESAMPLE` times:
    noise carries the state back to its first level in between, so that hole and surroundings
    agree. Known pixels are ``known + s z`` after every step.

    Args:
        denoise: D(v, s).
        linear: Its linear part, which draws the start.
        known: Clean centred picture, (c, h, w).
        known_mask: (h, w), True = known.
        noise: Source of random numbers; one fill a seed.
        grid: Falling noise levels, the last of them 0.

    Returns:
        Centred fills, (n, c, h, w).
    """
    v = linear.sample(noise.draw(), grid[0])
    v = torch.where(known_mask, known + grid[0] * noise.draw(), v)
    for first in range(0, len(grid) - 1, JUMP):
        levels = grid[first : first + JUMP + 1]
        for again in range(RESAMPLE):
            if again:
                v = v + (levels[0] ** 2 - levels[-1] ** 2) ** 0.5 * noise.draw()
            for s, s_next in pairwise(levels):
                keep = (s_next / s) ** 2  # exponential SDE step
                drawn = s_next * (1 - keep) ** 0.5 * noise.draw()
                v = keep * v + (1 - keep) * denoise(v, s) + drawn
                v = torch.where(known_mask, known + s_next * noise.draw(), v)
    return v


def _classical(picture: Tensor, hole: Tensor, seed: int, method: int) -> Tensor:
    """OpenCV's inpainting with the radius of its examples, 3 pixels: (1, c, h, w)."""
    bgr = (picture * 255).round().byte().permute(1, 2, 0).numpy()[..., ::-1]
    filled = cv2.inpaint(np.ascontiguousarray(bgr), hole.byte().numpy(), 3, method)
    rgb = np.ascontiguousarray(filled.reshape(bgr.shape)[..., ::-1])
    return torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255.0


def _hole(name: str, size: int, seed: int) -> Tensor:
    """The hole of that name, (h, w) bool; brush strokes differ by seed."""
    hole = brush_hole(size, seed) if name == "brush" else preset_holes(size)[name]
    return torch.from_numpy(hole)


@torch.no_grad()
def _fill_all(
    way: Way,
    pictures: Tensor,
    holes: list[Tensor],
    name: str,
    settings: Settings,
    progress: Progress,
) -> list[Tensor]:
    """Fills (n, c, h, w) of each picture."""
    filled = []
    for i, (picture, hole) in enumerate(zip(pictures, holes, strict=True)):
        filled.append(way.fill(picture, hole, settings.seed + i * settings.fills))
        progress(f"{name}, {way.title}", i + 1, len(pictures))
    return filled


def _measure(fills: list[Tensor], pictures: Tensor, holes: list[Tensor]) -> list[float | None]:
    """The figures of a row, each a mean over the pictures."""
    rows = []
    for drawn, picture, hole in zip(fills, pictures, holes, strict=True):
        truth, mean = picture[None], drawn.mean(0, keepdim=True)
        known = (drawn - truth)[..., ~hole].abs().max()
        differ = diversity(drawn, hole) if len(drawn) > 1 else 0.0
        one = [f(drawn, truth, hole).mean() for f in (psnr, seam_error)]
        likeness = [ssim(x, truth.expand_as(x)).mean() for x in (drawn, mean)]
        row = [one[0], psnr(mean, truth, hole)[0], *likeness, one[1], differ, known]
        rows.append([float(value) for value in row])
    first, second, *others, _ = np.mean(rows, axis=0).tolist()
    error = np.std(rows, axis=0, ddof=1)[1] / len(rows) ** 0.5 if len(rows) > 1 else math.nan
    return [first, second, float(error), *others, max(row[-1] for row in rows)]


def _sheet(filled: dict[Way, list[Tensor]], pictures: Tensor, holes: list[Tensor]) -> Image.Image:
    """A row a picture: what is given, the truth, one fill of each way."""
    rows = []
    for i, (picture, hole) in enumerate(zip(pictures[:SHOWN], holes, strict=False)):
        given = torch.where(hole, 0.5, picture)
        rows += [given, picture, *(fills[i][0] for fills in filled.values())]
    return contact_sheet(torch.stack(rows), columns=2 + len(filled))
