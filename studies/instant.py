"""Instant mode: fitted rules against solvers at equal evaluations, and against the default.

Each rule is fitted anew (``train.py instant`` does the same). Choose with --half selection; what
is reported stays unseen.

Example: python evaluate.py instant checkpoints/celeba64 --data train.zip
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor

from sbcore.runtime import checks
from sbcore.twostage.bridge import DEFAULTS, INSTANT, Bridge
from sbcore.twostage.instant import LEVELS, LONGER, TRUST
from sbcore.twostage.solvers import SOLVERS
from studies import distances
from studies.album import Album
from studies.distances import make_ruler, measured_tables
from studies.report import Progress, Report, contact_sheet

BASELINES = (INSTANT.solver, "dpmpp_2m")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py instant``."""
    distances.add_arguments(parser)
    parser.add_argument(
        "--evaluations", nargs="+", type=int, default=[*LEVELS], metavar="N", help="of each"
    )
    parser.add_argument("--trusts", nargs="+", type=float, default=[TRUST], help="of the rules")
    parser.add_argument("--starts", type=int, default=512, help="runs to fit each rule to")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Fit, draw and measure."""
    if options.quick:
        quick = {"evaluations": [2], "starts": 32, "count": 8}
        options = argparse.Namespace(**vars(options) | quick)
    count = checks.whole("count", options.count, least=4)
    bridge = Bridge.from_pretrained(options.model, bf16=options.bf16 or None)
    ruler, album = make_ruler(options, bridge), Album(options.out, options.model, bridge)
    rows: list[Any] = [([name, None], found) for name, found in ruler.floors().items()]
    strips: list[Tensor] = []

    def add(name: str, evaluations: int, key: str = "", **drawn: Any) -> None:
        def draw(n: int, first: int) -> dict[str, Tensor]:
            return {"pictures": bridge.generate(n, first, **drawn).result()}

        drawn_by = {"key": key} if key else {}
        pictures = album.draw(
            name, count, options.seed, draw, progress, **drawn, **drawn_by
        ).pictures
        rows.append(([name, evaluations], ruler.measure(pictures)))
        strips.append(pictures[:8])

    solver, steps = DEFAULTS["generate"]
    add(f"the default, {SOLVERS[solver].title}", steps, solver=solver, steps=steps)
    for n in options.evaluations:
        for name in BASELINES:
            add(SOLVERS[name].title, n, solver=name, steps=n)
        for trust in options.trusts:
            name = f"fitted rule, trust {trust:g}"
            bridge.fit_rule(
                *(n, options.starts, options.seed, trust),
                lambda step, n=n: progress(f"longer runs for {n}", step.index, step.total),
            )
            add(name, n, f"{n} {trust:g} {options.starts}", mode="instant")
    tables = measured_tables(
        f"{count} pictures of each", ("way", "evaluations"), rows, f"{ruler.note}{NOTE}"
    )
    facts = {
        "model": bridge.name,
        "against": f"the {options.half} half of the held-out pictures",
        "seeds": f"{options.seed} to {options.seed + count - 1}",
        "device": bridge.device_name,
    }
    pictures = {"sheet": contact_sheet(torch.cat(strips))}
    report = Report(f"instant-{bridge.name}", f"Instant mode: {bridge.name}", tables, facts=facts)
    report.pictures = pictures
    return report


NOTE = (
    f" A rule follows runs of {LONGER} evaluations; trust is the exponent of the data's variances "
    "in its last step."
)
