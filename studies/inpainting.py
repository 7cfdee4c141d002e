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
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sbcore.data.masks import brush_hole, preset_holes
from sbcore.runtime import checkpoints, checks
from sbcore.runtime.metrics import diversity, psnr, seam_error, ssim
from sbcore.twostage.bridge import DEFAULTS, Bridge
from sbcore.twostage.denoiser import Denoiser, load_denoiser
from sbcore.twostage.repaint import RESAMPLE
from sbcore.twostage.solvers import SOLVERS
from studies.report import Progress, Report, Table, contact_sheet
from studies.sets import load_sets

WAYS = ("conditional", "algorithm2", "repaint", "gaussian", "mean", "telea", "navier-stokes")
HOLES = ("left half", "centre", "eyes", "brush", "75 %")
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
    parser.add_argument(
        "--evaluations", type=int, help="the same number for the first three ways, instead"
    )
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
    evaluations: int | None = None
    """Of the conditional denoiser, Algorithm 2 and resampling alike; None: each its own."""
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
        equal = options.evaluations
        if equal is not None:
            equal = checks.whole("evaluations", equal, 2)  # Algorithm 2 takes one beside its steps
        return cls(**sizes, seed=options.seed, evaluations=equal, ways=tuple(options.ways))


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
    solver = SOLVERS[DEFAULTS["inpaint"].solver].title
    steps, paper, repaint = settings.steps, settings.paper_steps, settings.repaint_steps * RESAMPLE
    if settings.evaluations is not None:
        steps, paper, repaint = settings.evaluations, settings.evaluations - 1, settings.evaluations
    for method, title, given, evaluations in (
        ("conditional", f"conditional denoiser, {solver}", steps, steps),
        ("algorithm2", f"Algorithm 2, {paper:,} steps", paper, paper + 1),
        ("repaint", f"RePaint-style, {RESAMPLE} passes", repaint, repaint),
    ):
        options = {"n": settings.fills, "method": method, "steps": given}
        yield Way(method, title, evaluations, partial(_own, bridge, options))


def _own(
    bridge: Bridge, options: dict[str, Any], picture: Tensor, hole: Tensor, seed: int
) -> Tensor:
    """Fills by `Bridge.inpaint`, (n, c, h, w)."""
    return bridge.inpaint(picture, ~hole, seed=seed, **options).result().cpu()


def other_ways(bridge: Bridge, denoiser: Denoiser, settings: Settings) -> Iterator[Way]:
    """The Gaussian and the classical ways."""
    device = bridge.device

    def gaussian(picture: Tensor, hole: Tensor, seed: int) -> Tensor:
        known = picture.to(device) - denoiser.mean
        zero = torch.zeros(1, *bridge.shape, device=device)
        centred = denoiser.linear.sample_given(known, ~hole.to(device)[None], zero)
        filled = (centred + denoiser.mean).clamp(0, 1)
        return torch.where(hole, filled.cpu(), picture)

    def mean_fill(picture: Tensor, hole: Tensor, seed: int) -> Tensor:
        return torch.where(hole, denoiser.mean.cpu(), picture)[None]

    yield Way("gaussian", "Gaussian conditional mean", 0, gaussian)
    yield Way("mean", "mean picture", 0, mean_fill)
    methods = {"Telea": cv2.INPAINT_TELEA, "Navier-Stokes": cv2.INPAINT_NS}
    for name, method in methods.items():
        fill = partial(_classical, method=method)
        yield Way(name.lower(), f"{name} (OpenCV)", 0, fill)


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
