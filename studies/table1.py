"""FID and Inception Score against tau (Table 1).

tau changes the law of Euler-Maruyama runs only: rows of paper mode at each tau, by the exact drift
and, where the checkpoint has a density-ratio network of that tau, by the ratio; beside them the
fast default, the floor and the published numbers. Full size takes hours on a CPU.
"""

from __future__ import annotations

import argparse

from sbcore.twostage.paper import PaperMode
from studies import distances
from studies.distances import make_ruler
from studies.models import load_model
from studies.report import Progress, Report, Table
from studies.tables import CIFAR10, add_arguments, cells, draw, facts, sizes

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
    model = load_model(options.model)
    count, steps = sizes(options)
    fast = model.bridge(bf16=options.bf16 or None)
    ruler = make_ruler(options, fast, count)
    columns = ("tau / sigma^2", "drift", "evaluations", *distances.COLUMNS)
    table = Table(
        f"Distances against tau, {count} pictures",
        (*columns, "FID in the paper", "IS in the paper"),
        note=f"In the paper: {CIFAR10}, density ratio. {ruler.note}",
    )
    own = model.config["tau"] / fast.sigma**2
    multiples = sorted({*list(TABLE1)[:: 3 if options.quick else 1], own})
    for multiple in multiples:
        bridge = model.bridge(multiple * fast.sigma**2, bf16=options.bf16 or None)
        for drift in ("exact", "ratio") if bridge.has_density_ratio else ("exact",):
            paper = PaperMode(n1=steps, n2=steps, drift=drift)
            what = f"tau / sigma^2 = {multiple:g}, {drift} drift"
            pictures, nfe = draw(bridge, count, options.seed, progress, what, paper)
            published = TABLE1.get(multiple, (None, None))
            row = [f"{multiple:g}", drift, nfe, *cells(ruler, pictures), *published]
            table.rows.append(row)
    pictures, nfe = draw(fast, count, options.seed, progress, "fast default")
    table.rows += [
        ["any", "fast default", nfe, *cells(ruler, pictures), None, None],
        [None, "real pictures (floor)", None, *ruler.floor(), None, None],
    ]
    title = f"Table 1: {fast.name}, Euler-Maruyama with {steps:,} + {steps:,} steps"
    return Report(f"table1-{fast.name}", title, [table], facts=facts(options, fast, count))
