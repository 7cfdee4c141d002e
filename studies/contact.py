"""A blind count: numbered sheets of every variant's pictures in random order, and their key.

Variants are models, solvers of them, and their instant mode. Look at the sheets, write down the
numbers of the crooked faces, and let the key tell how many each variant has; do not open the key
before.

Examples:
  python evaluate.py contact checkpoints/celeba64 --solvers dpmpp_2m_sde unipc --steps 10
  python evaluate.py contact --key results/contact/key.json --marked crooked.txt
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sbcore.runtime import checks
from sbcore.runtime.noise import generator
from sbcore.twostage.bridge import DEFAULTS, Bridge
from studies.album import Album
from studies.report import Progress, Report, Table
from studies.solvers import COMPARED, more_solvers

ACROSS, DOWN = 10, 5  # pictures of a sheet
ENLARGED = 2
MARGIN = 16  # pixels above a picture, for its number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py contact``."""
    parser.add_argument("models", nargs="*", help="checkpoint folders or Hub repository ids")
    parser.add_argument("--count", type=int, default=200, help="seeds of each variant")
    default = DEFAULTS["generate"]
    parser.add_argument(
        "--solvers", nargs="+", choices=COMPARED, default=[default.solver], help="of each model"
    )
    parser.add_argument(
        "--steps", nargs="+", type=int, default=[default.steps], help="network evaluations"
    )
    parser.add_argument("--instant", action="store_true", help="instant mode of each model, too")
    parser.add_argument("--bf16", action="store_true", help="bf16 inside the networks")
    parser.add_argument("--key", type=Path, help="instead: count by this key of earlier sheets")
    parser.add_argument("--marked", type=Path, help="text file with the numbers that were marked")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Draw the sheets, or count what was marked on them."""
    if options.key or options.marked:
        if options.models or not (options.key and options.marked):
            raise ValueError("to count, give --key and --marked, and no model")
        return tally(options.key, options.marked)
    if not options.models:
        raise ValueError("name a model to draw, or give --key and --marked to count")
    count = checks.whole("count", options.count)
    count = min(count, 8) if options.quick else count
    variants = drawn_variants(options, count, progress)
    pictures = torch.cat(list(variants.values()))
    names = [(name, options.seed + i) for name in variants for i in range(count)]
    shuffle = generator("cpu", "blind order", options.seed, *variants)
    order = torch.randperm(len(names), generator=shuffle)
    key = [{"variant": names[i][0], "seed": names[i][1]} for i in order]
    sheets = {
        f"sheet-{number:02d}": numbered_sheet(pictures[part], 1 + (number - 1) * ACROSS * DOWN)
        for number, part in enumerate(order.split(ACROSS * DOWN), start=1)
    }
    title = "Numbered sheets for a blind count"
    table = Table("Sheets", ("sheet", "numbers"))
    table.rows = [
        [name, f"{first} to {min(first + ACROSS * DOWN - 1, len(key))}"]
        for name, first in zip(sheets, range(1, len(key) + 1, ACROSS * DOWN), strict=True)
    ]
    table.note = (
        "Write the numbers of the pictures that are wrong into a text file, then: python "
        "evaluate.py contact --key key.json --marked FILE"
    )
    facts = {"variants": len(variants), "pictures of each": count, "seed": options.seed}
    return Report("contact", title, [table], pictures=sheets, data={"key": key}, facts=facts)


@more_solvers()
def drawn_variants(
    options: argparse.Namespace, count: int, progress: Progress
) -> dict[str, Tensor]:
    """Pictures (count, c, h, w) of each variant, by its name; all variants have the same seeds."""
    variants = {}
    for model in options.models:
        bridge = Bridge.from_pretrained(model, bf16=options.bf16 or None)
        album = Album(options.out, model, bridge)
        for solver in options.solvers:
            for steps in options.steps:
                name = f"{model}, {solver}, {steps} evaluations"
                settings = {"solver": solver, "steps": steps, "start": "closed form"}
                drawn = album.generate(name, count, options.seed, progress, **settings)
                variants[name] = drawn.pictures
        if options.instant:
            name = f"{model}, instant mode"
            drawn = album.generate(name, count, options.seed, progress, mode="instant")
            variants[name] = drawn.pictures
    if len({pictures.shape for pictures in variants.values()}) > 1:
        raise ValueError("the models must draw pictures of one size")
    return variants


def numbered_sheet(pictures: Tensor, first: int) -> Image.Image:
    """Enlarged pictures (n, c, h, w), each below its number, the first of which is ``first``."""
    n, _, h, w = pictures.shape
    width, height = ENLARGED * w, ENLARGED * h
    sheet = Image.new("RGB", (ACROSS * width, -(-n // ACROSS) * (height + MARGIN)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(MARGIN - 4)
    rgb = (pictures.expand(-1, 3, -1, -1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    for place, picture in enumerate(rgb):
        x, y = place % ACROSS * width, place // ACROSS * (height + MARGIN)
        pen.text((x + width // 2, y + MARGIN // 2), str(first + place), "black", font, anchor="mm")
        enlarged = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(enlarged, (x, y + MARGIN))
    return sheet


def tally(key: Path, marked: Path) -> Report:
    """How many pictures of each variant were marked.

    Args:
        key: ``key.json`` that was written beside the sheets.
        marked: Text file; every whole number in it is a picture's.

    Raises:
        ValueError: If the key is unreadable, or a number is on no sheet.
    """
    try:
        entries: list[dict[str, Any]] = json.loads(key.read_text(encoding="utf-8"))
        shown = Counter(entry["variant"] for entry in entries)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{key} is no key of numbered sheets") from error
    numbers = {int(number) for number in re.findall(r"\d+", marked.read_text(encoding="utf-8"))}
    if strange := sorted(number for number in numbers if not 1 <= number <= len(entries)):
        raise ValueError(f"the sheets have no number {strange[0]}; they go to {len(entries)}")
    found = Counter(entries[number - 1]["variant"] for number in numbers)
    table = Table("Marked pictures", ("variant", "pictures", "marked", "share", "standard error"))
    for variant, n in sorted(shown.items()):
        share = found[variant] / n
        error = math.sqrt(share * (1 - share) / n)
        table.rows.append([variant, n, found[variant], share, error])
    return Report("contact-count", "Blind count", [table])
