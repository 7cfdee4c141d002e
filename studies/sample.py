"""Draw many pictures into a folder, as PNG files that any FID tool reads; on several devices, too.

The file of a picture is named after its seed. A run that was stopped goes on where it was; the
bytes do not depend on how many processes share the work.

Examples:
  python evaluate.py sample checkpoints/celeba64 --n 50000 --out samples
  accelerate launch evaluate.py sample checkpoints/celeba64 --n 50000 --out samples
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

from accelerate import PartialState
from PIL import Image
from torch import Tensor

from sbcore.runtime import checks
from sbcore.runtime.checkpoints import write_atomically
from sbcore.twostage.bridge import DEFAULTS, Bridge
from sbcore.twostage.solvers import SOLVERS
from studies.report import Progress, Report

OUT = Path("results/samples")
SETTINGS = "settings.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py sample``."""
    default = DEFAULTS["generate"]
    parser.add_argument("model", help="checkpoint folder or Hub repository id")
    parser.add_argument(  # torchrun takes --n for its own
        "--n", "--count", type=int, default=50_000, help="pictures, of seeds from --seed on"
    )
    parser.add_argument("--batch", type=int, default=64, help="pictures drawn at a time")
    parser.add_argument("--mode", choices=("fast", "instant"), default="fast", help="of sampling")
    parser.add_argument("--steps", type=int, default=default.steps, help="of fast mode")
    parser.add_argument("--solver", choices=SOLVERS, default=default.solver, help="of fast mode")
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def run(options: argparse.Namespace, progress: Progress) -> Report | None:
    """Draw the pictures that are missing; the first process reports."""
    n, batch = checks.whole("n", options.n), checks.whole("batch", options.batch)
    n = min(n, 8) if options.quick else n
    state = PartialState(cpu=options.cpu)
    bridge = Bridge.from_pretrained(options.model, state.device)
    fast = {"steps": options.steps, "solver": options.solver} if options.mode == "fast" else {}
    sampler: dict[str, Any] = {"mode": options.mode, **fast}
    bridge.generate(1, options.seed, **sampler)  # refuses what cannot be drawn
    settings = {"model": bridge.fingerprint, "seed": options.seed, "batch": batch, **sampler}
    settings |= {"device": bridge.device.type, "bf16": bridge.bf16}
    claim(options.out, settings, state.is_main_process)

    seeds = range(options.seed, options.seed + n)
    there = {path.name for path in options.out.iterdir()}
    chunks = (seeds[first : first + batch] for first in range(0, n, batch))
    missing = [chunk for chunk in chunks if not {name(seed) for seed in chunk} <= there]
    state.wait_for_everyone()  # all have looked before one draws
    began, total, processes = time.perf_counter(), sum(map(len, missing)), state.num_processes
    for i, chunk in enumerate(missing[state.process_index :: processes], start=1):
        drawn = bridge.generate(len(chunk), chunk[0], **sampler).result().cpu()
        for seed, picture in zip(chunk, drawn, strict=True):
            save(options.out / name(seed), picture)
        if state.is_main_process:  # the others are about as far
            progress("drawing", min(i * batch * processes, total), total)
    state.wait_for_everyone()
    if not state.is_main_process:
        return None
    speed = round(total / (time.perf_counter() - began), 2)
    facts = {"pictures": n, "drawn now": total, "pictures/s": speed, "processes": processes}
    return Report("", f"Pictures of {bridge.name}", facts=facts | settings)


def claim(folder: Path, settings: dict[str, Any], main: bool) -> None:
    """Make a folder that of these settings.

    Raises:
        ValueError: If it holds pictures of others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SETTINGS
    if path.exists():
        for key, found in json.loads(path.read_text(encoding="utf-8")).items():
            if settings.get(key) != found:
                what = f"another {key} ({found}, not {settings.get(key)})"
                raise ValueError(f"{folder} holds pictures of {what}; choose another --out")
    elif any(folder.glob("*.png")):
        raise ValueError(f"{folder} holds other pictures; choose another --out")
    elif main:
        write_atomically(path, json.dumps(settings, indent=1).encode())


def name(seed: int) -> str:
    """File name of the picture of a seed."""
    return f"{seed:06d}.png"


def save(path: Path, picture: Tensor) -> None:
    """Write a picture (c, h, w) in [0, 1] as PNG; a file that is there is whole."""
    pixels = (picture * 255).round().byte().permute(1, 2, 0).squeeze(2).numpy()
    part = path.with_suffix(".part")  # not of `write_atomically`, which looks through the folder
    Image.fromarray(pixels).save(part, "PNG")
    os.replace(part, path)
