"""FID and Inception Score beside published models (Table 2).

Example: python evaluate.py table2 checkpoints/celeba64 --data train.zip --bf16
"""

from __future__ import annotations

import argparse

from studies import distances, tables
from studies.report import Progress, Report, Table
from studies.tables import CIFAR10, Drawing

# FID and Inception Score, as the paper's Table 2 quotes them.
TABLE2 = {
    "WGAN-GP": (36.4, None),
    "SN-SMMDGAN": (25.0, None),
    "SNGAN": (21.7, None),
    "NCSN": (25.32, None),
    "NCSNv2": (10.87, None),
    "the paper, tau = 2": (12.32, 8.14),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``evaluate.py table2``."""
    tables.add_arguments(parser)
    parser.add_argument("--paper", action="store_true", help="draw by paper mode as well")


def run(options: argparse.Namespace, progress: Progress) -> Report:
    """Measure the model beside what is published."""
    drawing = Drawing(options, progress)
    bridge, steps = drawing.bridge, drawing.steps
    pictures = f"{bridge.facts.get('data', {}).get('name', 'its own data')}: {drawing.count}"
    table = Table(
        "Beside published numbers",
        ("model", "pictures", "evaluations", *distances.COLUMNS),
        note=f"Compare FID of one data set and of one number of pictures only. "
        f"{drawing.ruler.note}",
    )
    unknown = [None] * (len(distances.COLUMNS) - 2)
    table.rows += [[name, CIFAR10, None, *unknown, *both] for name, both in TABLE2.items()]
    runs = {"fast default": None}
    if options.paper:
        drift = "ratio" if bridge.has_density_ratio else "exact"
        runs[f"paper mode, {steps:,} + {steps:,} steps, {drift} drift"] = drawing.paper(drift)
    for name, paper in runs.items():
        table.rows.append([f"{bridge.name}, {name}", pictures, *drawing.row(name, paper)])
    table.rows.append(["real pictures (floor)", pictures, None, *drawing.floor()])
    title = f"Table 2: {bridge.name}"
    return Report(f"table2-{bridge.name}", title, [table], facts=drawing.facts())
