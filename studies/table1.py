"""FID and Inception Score against tau (Table 1).

tau changes the law of Euler-Maruyama runs only: rows of paper mode at each tau, by the exact drift
and, where the checkpoint has a density-ratio network of that tau, by the ratio; beside them the
fast default, the floor and the published numbers. Full size takes hours on a CPU.

Example: python evaluate.py table1 checkpoints/celeba64 --data train.zip --count 16 --paper-steps 50
"""

from __future__ import annotations

import argparse

from studies import distances
from studies.report import Progress, Report, Table
from studies.tables import CIFAR10, Drawing, add_arguments

__all__ = ["add_arguments", "run"]
# FID and Inception Score of the paper's Table 1, by tau / sigma^2.
TABLE1 = {
    1.0: (37.20, 6.52),
    1.5: (20.49, 7.65),
    2.0: (12.32, 8.14),
    2.5: (12.90, 7.99),
    3.0: (13.97, 7.98),
    3.5: (14.49, 8.03),
    4.0: (14.67, 8.10),
}


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Draw and measure at every tau."""
    drawing = Drawing(options, progress)
    bridge, steps = drawing.bridge, drawing.steps
    columns = ("tau / sigma^2", "drift", "evaluations", *distances.COLUMNS)
    table = Table(
        f"Distances against tau, {drawing.count} pictures",
        (*columns, "FID in the paper", "IS in the paper"),
        note=f"In the paper: {CIFAR10}, density ratio. {drawing.ruler.note}",
    )
    own = bridge.tau / bridge.sigma**2
    for multiple in sorted({*list(TABLE1)[:: 3 if options.quick else 1], own}):
        trained = bridge.has_density_ratio and multiple == own
        for drift in ("exact", "ratio") if trained else ("exact",):
            what = f"tau / sigma^2 = {multiple:g}, {drift} drift"
            row = drawing.row(what, drawing.paper(drift), multiple * bridge.sigma**2)
            published = TABLE1.get(multiple, (None, None))
            table.rows.append([f"{multiple:g}", drift, *row, *published])
    table.rows += [
        ["any", "fast default", *drawing.row("fast default"), None, None],
        [None, "real pictures (floor)", None, *drawing.floor(), None, None],
    ]
    title = f"Table 1: {bridge.name}, Euler-Maruyama with {steps:,} + {steps:,} steps"
    return Report(f"table1-{bridge.name}", title, [table], facts=drawing.facts())
