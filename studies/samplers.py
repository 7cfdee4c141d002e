"""Samplers on one checkpoint: the paper's 2,000 steps against a handful of evaluations.

Every row draws the same seeds. Pictures are kept under OUT/pictures, so that a stopped run goes
on where it was, and a second one only measures. Paper mode on 256 faces takes hours on two cores.
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

from sbcore.runtime import checkpoints
from sbcore.runtime.metrics import nearest_neighbours
from sbcore.runtime.run import DivergedError
from sbcore.twostage.bridge import DEFAULTS, S_END, Bridge
from sbcore.twostage.grids import GRIDS
from sbcore.twostage.paper import PaperMode
from sbcore.twostage.solvers import SOLVERS
from studies import distances
from studies.album import Album, Drawn
from studies.distances import Ruler, make_ruler
from studies.report import Progress, Report, Table, contact_sheet

EVALUATIONS = (3, 4, 5, 6, 8, 10, 15, 20, 35)
CONVERGED = 100  # evaluations that stand for many
LAST_LEVELS = (0.01, 0.02, 0.03, 0.05)
STARTS = {"closed form": "closed form at sigma", "network": "network from s_max"}
PAPER = "paper mode: density ratio"
CLOSE = 1.1  # "still within 10 %"


@dataclass(frozen=True, eq=False)
class Row:
    """One sampler."""

    title: str
    start: str
    key: str
    """Names its pictures on disk."""
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of `Bridge.generate_steps`."""
    evaluations: int = 0
    noisy: bool = False
    """The state before the last step instead: what a sampler without Tweedie's step leaves."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a solver with nothing else changed."""
        return set(self.options) == {"solver", "start", "steps"} and not self.noisy


Found = dict[str, float | None]
"""What was measured of a set of pictures, by name."""
Results = dict[Row, tuple[Drawn, Found]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py samplers``."""
    distances.add_arguments(parser)
    fast = [name for name in SOLVERS if name != "euler_maruyama"]
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=fast, metavar="NAME")
    parser.add_argument("--evaluations", nargs="+", type=int, default=EVALUATIONS, metavar="N")
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--paper-steps", type=int, default=1000, help="N1 and N2 of paper mode")
    drifts = {"nargs": "*", "choices": ("ratio", "exact"), "default": ("ratio", "exact")}
    parser.add_argument("--paper", **drifts, help="drifts of paper mode; none without a value")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Draw and measure every row."""
    if options.quick:
        options = argparse.Namespace(**vars(options) | QUICK)
    bridge = Bridge.from_pretrained(options.model, bf16=options.bf16 or None)
    ruler = make_ruler(options, bridge, options.count)
    folder = checkpoints.locate(options.model)
    weights = [folder / "model.safetensors", folder / "ratio.safetensors"]
    present = [file for file in weights if file.exists()]
    album = Album(options.out / "pictures", present, "bf16" if options.bf16 else "fp32")

    found: Results = {}
    table = Table(f"{options.count} pictures of each sampler", COLUMNS, note=ruler.note + NOTE)
    floor = _floor(ruler)
    table.rows.append(["training pictures (floor)", "", None, None, *_cells(floor)])
    for row in [*paper_rows(bridge, options), *fast_rows(options)]:
        named = [row.title, row.start, row.evaluations]
        try:
            drawn = album.draw(row.key, options.count, options.seed, _draw(bridge, row), progress)
        except DivergedError:
            table.rows.append([*named, None, *[math.nan] * len(MEASURES)])
            continue
        found[row] = drawn, _measure(ruler, _pictures(drawn, row), ruler.sets.training)
        table.rows.append([*named, drawn.seconds, *_cells(found[row][1])])
    report = Report(f"samplers-{bridge.name}", f"Samplers: {bridge.name}", [table])
    report.tables += [_against_paper(found, ruler), _fewest(found)]
    report.facts = {
        "model": bridge.name, "seeds": f"{options.seed} to {options.seed + options.count - 1}",
        "arithmetic": "bf16" if options.bf16 else "fp32", "device": bridge.device_name,
    }  # fmt: skip
    report.figures["swd"] = _plot(found, floor[SWD])
    report.pictures["sheet"] = contact_sheet(torch.cat(list(_strips(found))))
    return report


QUICK = {
    "count": 8, "solvers": ["dpmpp_2m_sde", "linear_exact_2"],
    "evaluations": [3, DEFAULTS["generate"].steps],
    "paper_steps": 4,
}  # fmt: skip
NEIGHBOURS = "nearest / second, median"
MEASURES = ("SWD 64", "SWD 32", "SWD 16", *distances.COLUMNS, NEIGHBOURS)
SWD = "SWD, mean"
COLUMNS = ("sampler", "start", "evaluations", "seconds a picture", *MEASURES)
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
        nfe = 4 * n if drift == "ratio" else 2 * n - 1
        row = Row(title, "point mass", f"paper-{drift}-{n}", {"paper": paper}, nfe + 1)
        yield row
        title += ", no last Tweedie step"
        yield replace(row, title=title, evaluations=nfe, noisy=True)


def fast_rows(options: argparse.Namespace) -> Iterator[Row]:
    """Every solver from every start, then what the defaults rest on."""
    for start in options.starts:
        for name in options.solvers:
            counts = {*options.evaluations}
            if start == "closed form" and not options.quick and name in ("dpmpp_2m_sde", "unipc"):
                counts.add(CONVERGED)
            for n in sorted(counts):
                yield _fast(SOLVERS[name].title, n, solver=name, start=start)
    solver, n = DEFAULTS["generate"]
    title = SOLVERS[solver].title
    default = _fast(title, n, solver=solver, start="closed form")
    noisy = f"{title}, no last Tweedie step"
    yield replace(default, title=noisy, noisy=True, evaluations=n - 1, key=default.key + "-noisy")
    for more in {n, 20}:
        noise = _fast(f"stage 2 only (Fig. 5): {title}", more, solver=solver, start="noise")
        yield replace(noise, start="N(mean, sigma^2)")
    for grid in GRIDS:
        if grid != "karras":
            yield _fast(f"{title}, {grid} grid", n, solver=solver, start="closed form", grid=grid)
    for s_end in LAST_LEVELS:
        if s_end != S_END:
            name = f"{title}, last level {s_end:g}"
            yield _fast(name, n, solver=solver, start="closed form", s_end=s_end)


def _fast(title: str, n: int, **options: Any) -> Row:
    key = "-".join([*(str(value).replace(" ", "-") for value in options.values()), str(n)])
    return Row(title, STARTS.get(options["start"], ""), key, {**options, "steps": n}, n)


def _draw(bridge: Bridge, row: Row) -> Any:
    """How the album draws pictures of a row."""

    def draw(n: int, seed: int) -> dict[str, Tensor]:
        if "paper" in row.options:
            return _paper(bridge, row.options["paper"], n, seed)
        before = step = None
        for following in bridge.generate(n, seed, **row.options):
            before, step = step, following
        return {"noisy": before.x} if row.noisy else {"pictures": step.x}

    return draw


def _paper(bridge: Bridge, paper: PaperMode, n: int, seed: int) -> dict[str, Tensor]:
    """Algorithm 1 as printed, and the same after the reference code's last Tweedie step."""
    *_, last = bridge.generate(n, seed, mode="paper", paper=paper)
    residual = bridge.sigma / math.sqrt(paper.n2)
    return {"noisy": last.x, "pictures": bridge.posterior_mean(last.x, residual)}


def _pictures(drawn: Drawn, row: Row) -> Tensor:
    return drawn.sets["noisy" if row.noisy else "pictures"]


# ----------------------------------------------------------------------------------------------
# Measuring


def _measure(ruler: Ruler, pictures: Tensor, others: Tensor) -> Found:
    """Every distance of a set, by name; its neighbours are sought in ``others``."""
    found = ruler.measure(pictures)
    near = nearest_neighbours(pictures, others)
    return found | {NEIGHBOURS: float((near.nearest / near.second).median())}


def _floor(ruler: Ruler) -> Found:
    """Training pictures as if they were drawn."""
    count, training = len(ruler.real), ruler.sets.training
    return _measure(ruler, training[-count:] / 255.0, training[:-count])


def _spread(ruler: Ruler, pictures: Tensor, halves: int = 12) -> dict[str, float]:
    """Seed-to-seed standard deviation of the distances of a set.

    By random halves of the set: the variance over halves drawn without replacement is that of
    whole sets of new seeds, for means and nearly so for distances.
    """
    generator = torch.Generator().manual_seed(0)
    n = len(pictures) // 2
    half = replace(ruler, real=ruler.real[:n])
    found = []
    for _ in range(halves):
        chosen = torch.randperm(len(pictures), generator=generator)[:n]
        found.append(half.measure(pictures[chosen]))
    names = [name for name, value in found[0].items() if value is not None]
    return {name: statistics.stdev(one[name] for one in found) for name in names}


def _cells(found: Found) -> list[float | None]:
    return [found.get(name) for name in MEASURES]


# ----------------------------------------------------------------------------------------------
# What it shows


def _against_paper(found: Results, ruler: Ruler) -> Table:
    """The fast default beside paper mode, distance by distance."""
    table = Table(
        "The fast default against paper mode",
        ("distance", "fast default", "paper mode", "its seed-to-seed spread", "no worse"),
    )
    default = next((row for row in found if _is_default(row)), None)
    paper = next((row for row in found if row.title == PAPER), None)
    if default is None or paper is None:
        table.note = "Paper mode or the default is not among the rows."
        return table
    spread = _spread(ruler, _pictures(found[paper][0], paper))
    fast, slow = found[default][1], found[paper][1]
    for name, one in spread.items():
        excess = fast[name] - slow[name]
        if name in HIGHER_IS_BETTER:
            excess = -excess
        verdict = "yes" if excess <= one else "no"
        table.rows.append([name, fast[name], slow[name], one, verdict])
    table.note = (
        f"{default.title}, {default.evaluations} evaluations, against {paper.evaluations:,}. "
        "No worse: not by more than one standard deviation of paper mode over seeds, which is "
        "estimated from random halves of its pictures."
    )
    return table


HIGHER_IS_BETTER = ("precision", "recall", "IS")


def _is_default(row: Row) -> bool:
    solver, steps = DEFAULTS["generate"]
    wanted = {"solver": solver, "start": "closed form", "steps": steps}
    return row.options == wanted and not row.noisy


def _fewest(found: Results) -> Table:
    """For each solver, the fewest evaluations that are as good as many."""
    runs = {}
    for row, (_, measured) in found.items():
        if row.is_plain:
            runs.setdefault((row.title, row.start), {})[row.evaluations] = measured[SWD]
    best = min((run[CONVERGED] for run in runs.values() if CONVERGED in run), default=None)
    table = Table(
        f"Fewest evaluations within 10 % of {CONVERGED}",
        ("solver", "start", "evaluations", "SWD", "best SWD of the solver", "at evaluations"),
    )
    if best is None:
        table.note = f"No solver ran with {CONVERGED} evaluations."
        return table
    for (title, start), run in runs.items():
        first = min((n for n, swd in run.items() if swd <= CLOSE * best), default=None)
        top = min(run, key=run.__getitem__)
        table.rows.append([title, start, first, run.get(first), run[top], top])
    table.rows.sort(key=lambda row: (row[2] or math.inf, row[3] or math.inf))
    table.note = f"The best mean SWD at {CONVERGED} evaluations is {best:.1f}."
    return table


def _plot(found: Results, floor: float) -> Figure:
    """Mean SWD against evaluations."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    colours = {solver.title: f"C{i % 10}" for i, solver in enumerate(SOLVERS.values())}
    for ax, (start, title) in zip(axes, STARTS.items(), strict=True):
        for solver in SOLVERS.values():
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
    for row, (drawn, _) in found.items():
        few = row.evaluations <= 6 and row.options.get("start") == "closed form"
        if "paper" in row.options or _is_default(row) or few:
            yield _pictures(drawn, row)[:8]
