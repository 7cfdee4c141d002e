"""Samplers on one checkpoint: the paper's 2,000 steps against a handful of evaluations.

Every row draws the same seeds. Pictures are kept under OUT/pictures, so that a stopped run goes
on where it was, and a second one only measures. Paper mode on 250 faces takes hours on two cores.
To choose defaults, compare with --half selection; what is reported stays unseen.

Example: python evaluate.py samplers checkpoints/celeba64 --data train.zip --count 64 --paper
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from sbcore.runtime.metrics import nearest_neighbours
from sbcore.runtime.run import DivergedError
from sbcore.twostage.bridge import DEFAULTS, S_END, Bridge
from sbcore.twostage.grids import GRIDS
from sbcore.twostage.paper import PaperMode
from studies import distances
from studies.album import Album, paper_evaluations
from studies.distances import FLOOR, RATIOS, SWD, Found, Ruler, make_ruler, measured_tables
from studies.report import Progress, Report, Table, contact_sheet
from studies.solvers import COMPARED, more_solvers

EVALUATIONS = (3, 4, 5, 6, 8, 10, 15, 20, 35)
LAST_LEVELS = (0.01, 0.02, 0.03, 0.05)
STARTS = {"closed form": "closed form at sigma", "network": "network from s_max"}
PAPER = "paper mode: density ratio"
NEIGHBOURS = "nearest / second, median"
HIGHER_IS_BETTER = ("precision", "recall", "IS")
HALVES = 8  # random halves behind the spread over seeds
HEADS = ("sampler", "start", "evaluations", "seconds a picture")


@dataclass(frozen=True, eq=False)
class Row:
    """One sampler."""

    title: str
    start: str
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of `Bridge.generate`."""
    evaluations: int = 0
    noisy: bool = False
    """The state before the last step instead: what a sampler without Tweedie's step leaves."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a solver with nothing else changed."""
        return set(self.options) == {"solver", "start", "steps"} and not self.noisy

    @property
    def is_default(self) -> bool:
        """Whether it is what `Bridge.generate` does by itself."""
        wanted = DEFAULTS["generate"]._asdict() | {"start": "closed form"}
        return self.options == wanted and not self.noisy


Results = dict[Row, tuple[Tensor, Found]]
"""The pictures of each row and what was measured of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py samplers``."""
    distances.add_arguments(parser)
    fast = [name for name in COMPARED if name != "euler_maruyama"]
    parser.add_argument(
        "--solvers", nargs="+", choices=COMPARED, default=fast, metavar="NAME",
        help=f"of {', '.join(COMPARED)}",
    )  # fmt: skip
    parser.add_argument(
        "--evaluations", nargs="+", type=int, default=EVALUATIONS, metavar="N", help="of each"
    )
    parser.add_argument(
        "--starts", nargs="+", choices=STARTS, default=list(STARTS), help="of the solvers"
    )
    parser.add_argument("--paper-steps", type=int, default=1000, help="N1 and N2 of paper mode")
    parser.add_argument(
        "--ablations", action=argparse.BooleanOptionalAction, default=True,
        help="also other grids and last levels of the default",
    )  # fmt: skip
    drifts = {"nargs": "*", "choices": ("ratio", "exact"), "default": ("ratio", "exact")}
    parser.add_argument("--paper", **drifts, help="drifts of paper mode; none without a value")


QUICK = {
    "count": 8, "solvers": ["dpmpp_2m_sde", "linear_exact_2"],
    "evaluations": [3, DEFAULTS["generate"].steps],
    "paper_steps": 4,
}  # fmt: skip


@more_solvers()
def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Draw and measure every row."""
    if options.quick:
        options = argparse.Namespace(**vars(options) | QUICK)
    bridge = Bridge.from_pretrained(options.model, bf16=options.bf16 or None)
    ruler = make_ruler(options, bridge)
    album = Album(options.out, options.model, bridge)
    floors = {name: dict(found) for name, found in ruler.floors().items()}
    count, training = options.count, ruler.training
    floors[FLOOR][NEIGHBOURS] = _neighbours(training[-count:] / 255.0, training[:-count])
    rows = [([name, "", None, None], measured) for name, measured in floors.items()]
    found: Results = {}
    for row in [*paper_rows(bridge, options), *fast_rows(options)]:
        named = [row.title, row.start, row.evaluations]
        try:
            drawn = _draw(album, row, count, options.seed, progress)
        except DivergedError:
            rows.append(([*named, None], {}))
            continue
        pictures = drawn.sets["noisy" if row.noisy else "pictures"]
        near = {NEIGHBOURS: _neighbours(pictures, training)}
        found[row] = pictures, ruler.measure(pictures) | near
        rows.append(([*named, drawn.seconds], found[row][1]))
    report = Report(f"samplers-{bridge.name}", f"Samplers: {bridge.name}")
    report.tables = measured_tables(f"{count} pictures of each", HEADS, rows, ruler.note + NOTE)
    report.tables.append(against_paper(found, ruler))
    report.facts = {
        "model": bridge.name,
        "pictures": count,
        "against": f"the {options.half} half of the held-out pictures",
        "seeds": f"{options.seed} to {options.seed + count - 1}",
        "arithmetic": "bf16" if bridge.bf16 else "fp32",
        "device": bridge.device_name,
    }
    report.figures["swd"] = _plot(found, floors[FLOOR][SWD])
    report.pictures["sheet"] = contact_sheet(torch.cat(list(_strips(found))))
    return report


NOTE = (
    " Seconds are those of the run that drew the pictures, in batches of 16; 'evaluate.py bench' "
    "compares speeds. Evaluations: of all networks, for one picture."
)


# ----------------------------------------------------------------------------------------------
# The rows


def paper_rows(bridge: Bridge, options: argparse.Namespace) -> Iterator[Row]:
    """Algorithm 1 with both drifts, with and without the last Tweedie step."""
    n = options.paper_steps
    for drift, title in {"ratio": PAPER, "exact": "paper mode: exact drift"}.items():
        if drift not in options.paper or (drift == "ratio" and not bridge.has_density_ratio):
            continue
        paper = PaperMode(n1=n, n2=n, drift=drift, final_denoise=False)
        nfe = paper_evaluations(paper)
        row = Row(title, "point mass", {"mode": "paper", "paper": paper}, nfe + 1)
        yield row
        title += ", no last Tweedie step"
        yield replace(row, title=title, evaluations=nfe, noisy=True)


def fast_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Every solver from every start, then what the defaults rest on."""
    for start in options.starts:
        for name in options.solvers:
            for n in sorted(set(options.evaluations)):
                yield _fast(COMPARED[name].title, n, solver=name, start=start)
    solver, n = DEFAULTS["generate"]
    title = COMPARED[solver].title
    default = _fast(title, n, solver=solver, start="closed form")
    yield replace(default, title=f"{title}, no last step", noisy=True, evaluations=n - 1)
    noise = _fast(f"stage 2 only (Fig. 5): {title}", n, solver=solver, start="noise")
    yield replace(noise, start="N(mean, sigma^2)")
    for grid in GRIDS if options.ablations else ():
        if grid != "karras":
            yield _fast(f"{title}, {grid} grid", n, solver=solver, start="closed form", grid=grid)
    for s_end in LAST_LEVELS if options.ablations else ():
        if s_end != S_END:
            name = f"{title}, last level {s_end:g}"
            yield _fast(name, n, solver=solver, start="closed form", s_end=s_end)


def _fast(title: str, n: int, **options: Any) -> Row:
    return Row(title, STARTS.get(options["start"], ""), {**options, "steps": n}, n)


def _draw(album: Album, row: Row, count: int, seed: int, progress: Progress) -> Any:
    """Pictures of a row and, where they are asked for, the state before the last step."""
    bridge = album.bridge

    def paper(n: int, first: int) -> dict[str, Tensor]:
        """Algorithm 1 as printed, and the same after the reference code's last Tweedie step."""
        *_, last = bridge.generate(n, first, **row.options)
        residual = bridge.sigma / math.sqrt(row.options["paper"].n2)
        return {"noisy": last.x, "pictures": bridge.posterior_mean(last.x, residual)}

    def noisy(n: int, first: int) -> dict[str, Tensor]:
        *_, before, _ = bridge.generate(n, first, **row.options)
        return {"noisy": before.x}

    if "paper" in row.options:
        return album.draw(row.title, count, seed, paper, progress, **row.options)
    if row.noisy:
        return album.draw(row.title, count, seed, noisy, progress, **row.options, noisy=True)
    return album.generate(row.title, count, seed, progress, **row.options)


def _neighbours(pictures: Tensor, training: Tensor) -> float:
    """Median of the distances to the nearest over those to the second nearest picture."""
    near = nearest_neighbours(pictures, training)
    return float((near.nearest / near.second).median())


# ----------------------------------------------------------------------------------------------
# What it shows


def against_paper(found: Results, ruler: Ruler) -> Table:
    """The fast default beside paper mode, distance by distance."""
    table = Table(
        "The fast default against paper mode",
        ("distance", "fast default", "paper mode", "its seed-to-seed spread", "no worse"),
    )
    default = next((row for row in found if row.is_default), None)
    paper = next((row for row in found if row.title == PAPER), None)
    if default is None or paper is None:
        table.note = "Paper mode or the default is not among the rows."
        return table
    spread = _spread(ruler, found[paper][0])
    fast, slow = found[default][1], found[paper][1]
    for name, one in spread.items():
        excess = _badness(name, fast[name]) - _badness(name, slow[name])
        table.rows.append([name, fast[name], slow[name], one, "yes" if excess <= one else "no"])
    table.note = (
        f"{default.title}, {default.evaluations} evaluations, against {paper.evaluations:,}. "
        "No worse: not by more than one standard deviation of paper mode over seeds, which is "
        "estimated from random halves of its pictures."
    )
    return table


def _badness(name: str, value: float) -> float:
    """A measure so turned that less is better."""
    if name.startswith(RATIOS):
        return abs(value - 1)
    return -value if name in HIGHER_IS_BETTER else value


def _spread(ruler: Ruler, pictures: Tensor) -> Found:
    """Seed-to-seed standard deviation of the distances of a set.

    By random halves of the set: the variance over halves drawn without replacement is that of
    whole sets of new seeds, for means and nearly so for distances.
    """
    generator = torch.Generator().manual_seed(0)
    n = len(pictures) // 2
    half = replace(ruler, real=ruler.real[:n])
    chosen = [torch.randperm(len(pictures), generator=generator)[:n] for _ in range(HALVES)]
    spread = distances.over_sets(statistics.stdev, [half.measure(pictures[i]) for i in chosen])
    return {name: value for name, value in spread.items() if value is not None}


def _plot(found: Results, floor: float) -> Figure:
    """Mean SWD against evaluations."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    colours = {solver.title: f"C{i % 10}" for i, solver in enumerate(COMPARED.values())}
    for ax, (start, title) in zip(axes, STARTS.items(), strict=True):
        for solver in COMPARED.values():
            points = [
                (row.evaluations, measured[SWD])
                for row, (_, measured) in found.items()
                if row.is_plain and row.title == solver.title and row.options["start"] == start
            ]
            if points:
                x, y = zip(*sorted(points), strict=True)
                style = "-" if solver.stochastic else "--"
                colour = colours[solver.title]
                ax.plot(x, y, style, marker=".", color=colour, label=solver.title)
        for row, (_, measured) in found.items():
            if row.title == PAPER:
                label = f"paper mode, {row.evaluations:,}"
                ax.axhline(measured[SWD], color="black", linewidth=1, label=label)
        ax.axhline(floor, color="grey", linestyle=":", label="real against real")
        ax.set(title=title, xlabel="network evaluations", xscale="log")
        ax.grid(alpha=0.3)
    axes[0].set(ylabel="sliced Wasserstein distance", ylim=(0, 5 * floor))
    axes[1].legend(fontsize=8)
    return figure


def _strips(found: Results) -> Iterator[Tensor]:
    """The first eight seeds of the rows that one wants to see beside each other."""
    for row, (pictures, _) in found.items():
        few = row.evaluations <= 6 and row.options.get("start") == "closed form"
        if "paper" in row.options or row.is_default or few:
            yield pictures[:8]
