"""Speed and memory against their budgets, as ratios taken in one run.

Engine overhead over bare network calls, the fast default against the paper's 1,000 + 1,000 steps,
pictures a second by batch size in float32 and bf16, what share of the device's measured convolution
peak one evaluation reaches, training, peak memory; with --app the running studio over HTTP as
well. Ratios hold on a busy machine, seconds do not.

Example: python evaluate.py bench checkpoints/celeba64 --app
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sbcore.data.masks import preset_holes
from sbcore.runtime import checkpoints, checks
from sbcore.runtime.devices import check_device, has_fast_bf16
from sbcore.twostage.bridge import DEFAULTS, S_END, Bridge
from sbcore.twostage.denoiser import DenoiserConfig
from sbcore.twostage.grids import karras_grid
from sbcore.twostage.paper import PaperMode
from sbcore.twostage.training import Preset, ScorePlan, score_trainer
from studies.report import Progress, Report, Table

BATCHES = (1, 2, 4, 8, 16)
SHARED = (1, 16)  # batches whose share of the peak is measured
ROOT = Path(__file__).parents[1]  # of the repository, where app.py is
START_SECONDS = 120  # after which a studio that does not answer is given up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py bench``."""
    parser.add_argument("model", help="checkpoint folder or Hub repository id")
    parser.add_argument("--repeats", type=int, default=15, help="pairs of runs for the overhead")
    parser.add_argument("--device", help="where to compute; without: the best there is")
    parser.add_argument("--app", action="store_true", help="also start the studio and time it")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Measure everything."""
    if options.app and not (ROOT / "app.py").exists():
        raise ValueError(f"there is no app.py in {ROOT}: run the study from the repository")
    check_device(options.device)
    bridge = Bridge.from_pretrained(options.model, options.device, bf16=False)
    repeats = checks.whole("repeats", options.repeats)
    memory = {"the model is loaded": peak_memory()}
    pairs = min(repeats, 3) if options.quick else repeats
    ratio = overhead(bridge, bridge.posterior_mean, pairs, progress)
    memory["one picture at a time"] = peak_memory()
    per_stage = 5 if options.quick else PaperMode().n1
    fast, paper = end_to_end(bridge, per_stage, progress)
    batches = BATCHES[:2] if options.quick else BATCHES
    plain = throughput(bridge, batches, progress)
    memory[f"batches of up to {batches[-1]}"] = peak_memory()
    half, bridges = {}, {"float32": bridge}
    if has_fast_bf16(bridge.device):
        bridges["bf16"] = copy.copy(bridge)  # shares the networks
        bridges["bf16"].bf16 = True
        half = throughput(bridges["bf16"], batches, progress)
    budgets = Table("Budgets", ("what", "measured", "budget", "kept"), note=BUDGET_NOTE)
    budgets.rows += [
        _at_most("engine overhead over bare network calls, %", 100 * (ratio - 1), 5.0),
        ["fast default, times faster than paper mode", paper / fast, "at least 80",
         _kept(paper / fast >= 80)],
    ]  # fmt: skip
    if per_stage < PaperMode().n1:
        budgets.note += f" Paper mode: {per_stage} steps of each stage, extrapolated to 1,000."
    tables = [budgets, _end_to_end_table(fast, paper), _throughput_table(plain, half)]
    tables += [
        shares(bridges, SHARED[: len(batches)], progress),
        training(bridges, 2 if options.quick else 10, progress),
    ]
    tables.append(Table("Peak memory", ("after", "MB"), [*map(list, memory.items())], digits=4))
    if options.app:
        tables.append(
            Table(
                "The studio over HTTP", budgets.columns, time_app(checkpoints.locate(options.model))
            )
        )
    facts = {
        "model": bridge.name,
        "device": bridge.device_name,
        "seed": options.seed,
        "solver": DEFAULTS["generate"].solver,
        "steps": DEFAULTS["generate"].steps,
    }
    return Report(f"bench-{bridge.name}", f"Speed of {bridge.name}", tables, facts=facts)


BUDGET_NOTE = "Overhead: median over pairs of runs, one right after the other, of one picture."


def _at_most(what: str, measured: float, budget: float) -> list[Any]:
    return [what, measured, f"at most {budget:g}", _kept(measured <= budget)]


def _kept(holds: bool) -> str:
    return "yes" if holds else "no"


def seconds_of(work: Callable[[], Any]) -> float:
    """Seconds that ``work`` takes; it must wait for its device."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def overhead(
    bridge: Bridge, denoise: Callable[[Tensor, float], Tensor], pairs: int, progress: Progress
) -> float:
    """Seconds of an engine run over those of its network calls alone, at batch 1.

    Args:
        bridge: The engine.
        denoise: One network call and no more: `Bridge.posterior_mean`.
        pairs: Interleaved runs of each, in turns first.
        progress: Told how many are done.

    Returns:
        Median of the ratios.
    """
    nfe = list(bridge.generate(1))[-1].nfe.denoiser  # warms up, too
    levels = karras_grid(nfe, bridge.sigma, S_END)[:-1]
    noise = torch.randn(1, *bridge.shape, generator=torch.Generator().manual_seed(0))
    noise = noise.to(bridge.device)

    def bare() -> None:
        for s in levels:
            denoised = denoise(s * noise, s)
        denoised.cpu()

    ratios = []
    for pair in range(pairs):
        order = (bare, lambda: bridge.generate(1).result().cpu())
        times = [seconds_of(work) for work in (order if pair % 2 else order[::-1])]
        ratios.append(times[1] / times[0] if pair % 2 else times[0] / times[1])
        progress("engine overhead", pair + 1, pairs)
    return statistics.median(ratios)


def end_to_end(bridge: Bridge, per_stage: int, progress: Progress) -> tuple[float, float]:
    """Seconds of one picture: fast default; paper mode, extrapolated to 1,000 steps a stage."""
    fast = statistics.median(
        seconds_of(lambda: bridge.generate(1).result().cpu()) for _ in range(3)
    )
    # A clipped ratio costs the same and cannot diverge.
    drift = "ratio" if bridge.has_density_ratio else "exact"
    settings = PaperMode(n1=per_stage, n2=per_stage, drift=drift, clip=3.0)

    def paper() -> None:
        for step in bridge.generate(1, mode="paper", paper=settings):
            progress("paper mode", step.index, step.total)
        step.x.cpu()

    return fast, seconds_of(paper) * PaperMode().n1 / per_stage


def throughput(bridge: Bridge, batches: tuple[int, ...], progress: Progress) -> dict[int, float]:
    """Pictures a second by batch size, default quality."""
    found = {}
    for index, batch in enumerate(batches):
        bridge.generate(batch, steps=2).result()
        found[batch] = batch / seconds_of(lambda batch=batch: bridge.generate(batch).result().cpu())
        progress("pictures a second", index + 1, len(batches))
    return found


def shares(bridges: dict[str, Bridge], batches: tuple[int, ...], progress: Progress) -> Table:
    """What part of the device's convolution peak one evaluation reaches.

    Args:
        bridges: The model by the type that its network computes in.
        batches: Pictures of an evaluation.
        progress: Told how many are done.
    """
    table = Table("One evaluation", ("batch", "type", "ms", "GFLOP", "share of the peak, %"))
    rates = []
    for name, bridge in bridges.items():
        peak = convolution_peak(torch.bfloat16 if bridge.bf16 else torch.float32, bridge.device)
        rates.append(f"{peak / 1e9:,.0f} GFLOP/s in {name}")
        with FlopCounterMode(display=False) as counter:
            bridge.denoiser(torch.zeros(8, *bridge.shape, device=bridge.device), 1.0)
        for index, batch in enumerate(batches):
            noise = torch.randn(batch, *bridge.shape, device=bridge.device)
            seconds = least_seconds(lambda v=noise, b=bridge: b.posterior_mean(v, 1.0))
            flops = counter.get_total_flops() * batch / 8
            share = 100 * flops / seconds / peak
            table.rows.append([batch, name, 1e3 * seconds, flops / 1e9, share])
            progress(f"evaluations in {name}", index + 1, len(batches))
    table.note = f"Peak: {', '.join(rates)}, the best of some 3x3 convolutions."
    return table


def convolution_peak(dtype: torch.dtype, device: torch.device) -> float:
    """Floating-point operations a second of the fastest of some 3x3 convolutions."""
    rates = []
    for channels, side in ((128, 64), (128, 32), (256, 32)):
        shapes = (16, channels, side, side), (channels, channels, 3, 3)
        x, weight = (
            torch.ones(shape, dtype=dtype, device=device).to(memory_format=torch.channels_last)
            for shape in shapes
        )
        seconds = least_seconds(lambda x=x, weight=weight: F.conv2d(x, weight, padding=1))
        rates.append(2 * 9 * channels * x.numel() / seconds)
    return max(rates)


def least_seconds(work: Callable[[], Tensor], repeats: int = 12) -> float:
    """The shortest of some times, after two that warm up: what others do only adds to it."""
    return min([seconds_of(lambda: work().flatten()[0].item()) for _ in range(repeats + 2)][2:])


def training(bridges: dict[str, Bridge], steps: int, progress: Progress) -> Table:
    """Pictures a second that `score_trainer` trains on, by the type that it computes in."""
    table = Table("Training", ("type", "pictures a second"), note="Batches of 32, Adam.")
    for index, (name, bridge) in enumerate(bridges.items()):
        table.rows.append([name, training_rate(bridge, "bf16" if bridge.bf16 else "fp32", steps)])
        progress("training", index + 1, len(bridges))
    return table


def training_rate(bridge: Bridge, precision: str, steps: int) -> float:
    """Pictures a second that a run trains on at batch 32."""
    config = DenoiserConfig(**bridge.facts["network"])
    pictures = torch.randint(256, (64, *bridge.shape), dtype=torch.uint8)
    preset = Preset(bridge.name, config, bridge.sigma, bridge.tau)
    with tempfile.TemporaryDirectory() as folder:
        cpu = bridge.device.type == "cpu"
        trainer = score_trainer(
            pictures, pictures[:1], preset, ScorePlan(images=10**6), Path(folder),
            precision=precision, cpu=cpu,
        )  # fmt: skip
        times = [time.perf_counter() for _ in islice(trainer, 2 + steps)]
    return 32 * steps / (times[-1] - times[1])


def peak_memory() -> float | None:
    """Largest resident memory of this process so far, in MB; None where the system hides it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _end_to_end_table(fast: float, paper: float) -> Table:
    rows = [["fast default", fast], ["paper mode, 1,000 + 1,000 steps", paper]]
    return Table("One picture, end to end", ("mode", "seconds"), rows)


def _throughput_table(plain: dict[int, float], half: dict[int, float]) -> Table:
    rows = [
        [batch, rate, half.get(batch), half[batch] / rate if batch in half else None]
        for batch, rate in plain.items()
    ]
    note = "" if half else "bf16 is not timed: this device does not compute it fast."
    columns = ("batch", "float32", "bf16", "bf16 / float32")
    return Table("Pictures a second, default quality", columns, rows, note)


# ----------------------------------------------------------------------------------------------
# The studio


def time_app(folder: Path) -> list[list[Any]]:
    """Start the studio with a model and time what visitors wait for.

    Args:
        folder: Checkpoint folder.

    Returns:
        Rows of (what, measured, budget, kept).

    Raises:
        ValueError: If it does not answer.
    """
    from gradio_client import Client, handle_file

    with tempfile.TemporaryDirectory() as temporary, studio(folder) as (address, process, started):
        client = Client(address, verbose=False)

        def call(name: str, **given: Any) -> tuple[float, float, Any]:
            """Seconds to the first answer and to the last one, and that."""
            start, job = time.perf_counter(), client.submit(api_name=name, **given)
            first = None
            for _ in job:
                first = first or time.perf_counter() - start
            result = job.result()
            return first, time.perf_counter() - start, result

        call("/generate", count=1, seed=0)  # loads the model
        _, _, (files, _) = call("/generate", count=2, seed=1)
        preview, face, _ = call("/generate", count=1, seed=0)
        a, b = (handle_file(file) for file in files)
        mask = Path(temporary) / "mask.png"
        with Image.open(files[0]) as picture:
            Image.fromarray(preset_holes(picture.width)["eyes"]).save(mask)
        given = {"image": a, "mask": handle_file(str(mask)), "count": 3}
        _, fills, _ = call("/inpaint", **given)
        _, morph, _ = call("/interpolate", image_a=a, image_b=b, frames=9)
        given = {"image": handle_file(str(_digit(Path(temporary))))}
        call("/translate", **given)  # loads the model
        seen, translation, _ = call("/translate", **given)
        rows = [
            _at_most("server answers, s", started, 15.0),
            _at_most("first preview after a click, s", preview, 1.0),
            _at_most("one face, default quality, s", face, 3.0),
            _at_most("3 inpaintings of one face, s", fills, 6.0),
            _at_most("9-frame interpolation, s", morph, 10.0),
            _at_most("first preview of a translation, s", seen, 0.5),
            _at_most("one digit translated, s", translation, 2.0),
        ]
        peak = _peak_of(process.pid)
        return rows if peak is None else [*rows, _at_most("peak memory, MB", peak, 2000.0)]


def _digit(folder: Path) -> Path:
    """A picture of a seven, white on black."""
    picture = Image.new("L", (112, 112))
    ImageDraw.Draw(picture).line([(28, 28), (84, 28), (48, 92)], fill=255, width=10)
    picture.save(folder / "seven.png")
    return folder / "seven.png"


@contextlib.contextmanager
def studio(folder: Path) -> Iterator[tuple[str, subprocess.Popen, float]]:
    """Run ``app.py``: its address, its process and the seconds until it answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--model", str(folder.resolve())]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while not _answers(address):
            waited = time.perf_counter() - start
            if process.poll() is not None or waited > START_SECONDS:
                raise ValueError(f"the studio did not answer within {waited:.0f} s")
            time.sleep(0.05)
        yield address, process, time.perf_counter() - start
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _peak_of(pid: int) -> float | None:
    """Peak resident memory of another process in MB; None where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))
